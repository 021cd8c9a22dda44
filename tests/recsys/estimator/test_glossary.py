"""One word, one meaning, one type: hyper-parameters over all models, and their names of before."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.errors import ParameterError
from recsys.estimator.glossary import GLOSSARY
from recsys.models import REGISTRY, Markov, SASRec, model_class
from recsys.models.pairs.estimators import PairRecommender

KINDS = [*map(model_class, REGISTRY), PairRecommender]


def parameters(kind):
    return {name: inspect.signature(kind.__init__).parameters[name] for name in kind.parameter_names()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_parameter_has_its_one_type(kind):
    for name, parameter in parameters(kind).items():
        assert str(parameter.annotation).removesuffix(" | None") == GLOSSARY[name].type, name


def test_the_glossary_has_no_word_that_no_model_has():
    assert set(GLOSSARY) == {name for kind in KINDS for name in parameters(kind)}
    assert len({word.means for word in GLOSSARY.values()}) == len(GLOSSARY)  # nor two for one meaning


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_names_of_before_are_taken_and_said(kind):
    old = {name: new for name, new in kind.renamed.items() if "=" not in name and new in kind.parameter_names()}
    made = {"scorer": lambda *sizes: None} if kind is PairRecommender else {}
    for name, new in old.items():
        assert name not in kind.parameter_names() or name in GLOSSARY
        value = parameters(kind)[new].default
        with pytest.warns(FutureWarning, match=rf"{kind.__name__}: {name} is {new} now; the old name goes"):
            model = kind(**made, **{name: value})
        assert model.get_params() == kind(**made).get_params()
        with pytest.warns(FutureWarning, match=f"{name} is {new} now"):
            model.set_params(**{name: value})
        with pytest.warns(FutureWarning, match=rf"{kind.__name__}\.{name} is {new} now"):
            assert getattr(model, name) == value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind(**made).clone().set_params(**kind(**made).get_params())


def test_values_of_before_are_taken_and_said():
    with pytest.warns(FutureWarning, match="SASRec: loss='mse' is loss='squares' now"):
        assert SASRec(**{"loss": "mse"}).loss == "squares"


def test_curves_by_their_name_of_before():
    model = SASRec(factors=4, epochs=1).fit(Interactions.from_arrays([1, 1, 2, 2], ["a", "b", "a", "b"]))
    with pytest.warns(FutureWarning, match="history_ is curves_ now"):
        assert model.history_ == model.curves_
    assert np.isfinite(model.curves_["loss"]).all()


def test_a_name_that_never_was_is_refused():
    with pytest.raises(TypeError, match="ordering"):
        Markov(ordering=3)
    with pytest.raises(ParameterError, match="no parameter 'ordering'"):
        Markov().set_params(ordering=3)

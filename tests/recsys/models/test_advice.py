"""What an error advises exists: each parameter that it names is one of the model's, each argument one of the verb's."""

from __future__ import annotations

import inspect
import re
from contextlib import suppress

import numpy as np
import pytest

from recsys import loading
from recsys.errors import RecsysError, UnsupportedError
from recsys.estimator.scorers.base import Queries
from recsys.models import REGISTRY, model_class
from tests.recsys.models.conftest import make, simulated

DATA = simulated()
PARAMETERS = {name for kind in map(model_class, REGISTRY) for name in kind.parameter_names()}
TERMS = {name for name in PARAMETERS if "_" in name} | {"lr", "reg", "alpha", "epochs", "patience", "shrink"}
ARGUMENTS = {"history", "values", "filter_seen", "users", "items", "exclude", "on_unknown"}


def advises_well(model, verb, text):
    words = set(re.findall(r"[a-z_]+", text))
    strange = (words & TERMS) - set(model.parameter_names())
    assert not strange, f"{text!r} names {strange}, which {type(model).__name__} lacks"
    given = set(re.findall(r"\b([a-z_]+)=", text)) & ARGUMENTS
    assert given <= set(inspect.signature(getattr(model, verb)).parameters), f"{verb}: {text!r}"
    if "history=" in text:
        assert model.can.fold_in


@pytest.mark.parametrize("name", REGISTRY)
def test_a_training_that_diverges(name, monkeypatch):
    model = make(name)
    advises_well(model, "fit", model.remedy())
    if "lr" in model.parameter_names():
        model.set_params(lr=1e30)
        with np.errstate(all="ignore"), suppress(OverflowError):
            try:
                model.fit(DATA).recommend(k=3)
            except RecsysError as error:
                text = str(error)
                advises_well(model, "fit", text)
                assert re.search("diverged.* lower lr", text)
    model = make(name).fit(DATA)
    fitted = model.require("test")
    kind, index = type(fitted.scorer), fitted.index
    if index is None:
        monkeypatch.setattr(kind, "score", lambda self, users: np.full((len(users), self.n_items), np.nan))
    else:
        width = index.index.vectors.shape[1]
        monkeypatch.setattr(kind, "queries", lambda self, users: Queries(np.full((len(users), width), np.nan)))
    with pytest.raises(RecsysError, match="gives NaN scores") as caught:
        model.recommend(k=3)
    advises_well(model, "recommend", str(caught.value))


@pytest.mark.parametrize("name", REGISTRY)
def test_a_model_without_what_its_users_have_seen(name, tmp_path):
    model = make(name).fit(DATA)
    try:
        model.save(tmp_path / "m", seen=False)
    except UnsupportedError as error:
        return advises_well(model, "save", str(error))
    model = loading.load(tmp_path / "m")
    for verb, call in (("recommend", lambda: model.recommend(7)), ("explain", lambda: model.explain(7, "item 03")),
                       ("recommend", lambda: model.recommend(7, filter_seen=False)),
                       ("partial_fit", lambda: model.partial_fit(DATA)),
                       ("similar_users", lambda: model.similar_users(7)),
                       ("predict", lambda: model.predict(7, "item 03"))):
        try:
            call()
        except RecsysError as error:
            advises_well(model, verb, str(error))

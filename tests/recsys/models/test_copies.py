"""Copies, pickles and clones: what they hold is the same, and nothing is shared that would change."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from recsys.data import splits
from recsys.errors import NotFittedError
from recsys.evaluation import evaluate, protocols
from recsys.models import REGISTRY, model_class
from recsys.models.baselines import Popular
from tests.recsys.models.conftest import make, simulated


def pickled(one):
    return pickle.loads(pickle.dumps(one))


WAYS = [copy.deepcopy, pickled]
DATA = simulated()


def same(one, other):
    """Whether two things hold the same, looked at attribute by attribute."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "items") and hasattr(one, "keys"):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if type(one).__module__.startswith("recsys"):
        return type(one) is type(other) and same(vars(one), vars(other))
    return one == other or (one != one and other != other)


@pytest.mark.parametrize("way", WAYS)
def test_data_and_results(way):
    split = splits.split_random(DATA)
    model = Popular().fit(split.train)
    for one in (DATA, DATA.item_features, DATA.users, DATA.csr, DATA.csr.unique(), split, model.recommend(k=3),
                model.recommend(7, k=3), evaluate(model, split), protocols.run(Popular(), DATA, "last-one-full")):
        assert same(one, way(one)), one
    features = way(DATA.item_features)
    with pytest.raises(TypeError, match="does not support item assignment"):
        features.attributes["poster"] = 0  # read-only still
    assert not np.shares_memory(features.attributes["poster"], DATA.item_features.attributes["poster"])
    assert features.take([0, -1]).titles.tolist() == ["Title 0", ""]
    assert way(DATA).fingerprint() == DATA.fingerprint()


@pytest.mark.parametrize("name", REGISTRY)
def test_models(name):
    model = make(name)
    for way in WAYS:
        assert way(model).get_params() == model.get_params()
        with pytest.raises(NotFittedError):
            way(model).recommend()
    model.fit(DATA)
    lists, ratings = model.recommend(k=5), model.predict(7, DATA.items.ids)
    made = [way(model) for way in WAYS]
    model.fit(simulated(seed=1))  # what the first one learns now is not the copies' business
    for one in made:
        assert same(one.recommend(k=5), lists)
        np.testing.assert_array_equal(one.predict(7, DATA.items.ids), ratings)
        one.fit(DATA)


def cloned(estimator):
    """What `sklearn.base.clone` does, and what it asks for."""
    params = {name: copy.deepcopy(value) for name, value in estimator.get_params(deep=False).items()}
    made = type(estimator)(**params)
    kept = made.get_params(deep=False)
    assert all(kept[name] is params[name] for name in params)
    return made


@pytest.mark.parametrize("name", REGISTRY)
def test_clones(name):
    try:
        from sklearn.base import clone
    except ImportError:
        clone = cloned
    model = make(name)
    for way in {clone, cloned}:
        made = way(model)
        assert type(made) is model_class(name)
        assert made.get_params(deep=True) == model.get_params(deep=False) == model.get_params()
        assert not made.fitted
    wide = [value for value in model.get_params().values() if isinstance(value, (tuple, list))]
    assert [value for value in clone(model).get_params().values() if isinstance(value, (tuple, list))] == wide

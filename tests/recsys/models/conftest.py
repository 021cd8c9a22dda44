"""Every registered model, made small, and data that each of them can learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from recsys.data import Features, IdMap, Interactions
from recsys.data.csr import CSR
from recsys.estimator import scorers
from recsys.estimator.fitted import Fitted, Learned
from recsys.estimator.scorers.blend import Blend
from recsys.models import REGISTRY, Recommender, model_class

SMALL = {"epochs": 3, "factors": 4, "model": ("ALS", {"factors": 4})}
OWN = {"Private": {"model": "EASE", "epsilon": None, "noise": 0.0}}  # what it is without noise
N_ITEMS, COLD = 60, 12  # of `tastes`


def make(name: str) -> Recommender:
    """A model with its defaults, but quick to fit."""
    model = model_class(name)()
    small = {key: value for key, value in SMALL.items() if key in model.get_params()}
    return model.set_params(**{**small, **OWN.get(name, {})})


def for_nobody(model: Recommender) -> str:
    """The source of what somebody without a history gets: of these hybrids, their part `Popular` answers."""
    return "model" if model.can.cold_user and "models" not in model.get_params() else "popular"


def learned(model: Recommender) -> dict[str, np.ndarray]:
    """All that a model has learned, as arrays."""
    fitted = model.require("learned")
    return scorers.state_of(fitted.scorer)[1] | {f"memory.{name}": a for name, a in fitted.learned.memory[1].items()}


def mixed(models: Sequence[Fitted], weights: Sequence[float]) -> Fitted:
    """A blend of fitted models."""
    facts = models[0].facts
    lengths = np.zeros(len(facts.users), np.int32)
    blend = Blend([model.scorer for model in models], weights, facts.item_counts > 0, lengths)
    return Fitted("Blend", {}, facts, Learned(blend))


def simulated(seed: int = 0, n_users: int = 30, n_items: int = 24, n: int = 400) -> Interactions:
    """Two tastes, integer users, string items, repeated pairs, ratings of 1 to 5, times that tie."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, n)
    same = rng.random(n) < 0.8
    item = 2 * rng.integers(0, n_items // 2, n) + np.where(same, user % 2, rng.integers(0, 2, n))
    value = np.clip(np.rint(3 + 1.5 * np.where(item % 2 == user % 2, 1, -1) + rng.normal(0, 0.7, n)), 1, 5)
    ids = IdMap([f"item {i:02d}" for i in range(n_items)])
    return described(Interactions.from_arrays(
        user * 10 + 7, ids.ids[item], value, rng.integers(0, 200, n), user_ids=IdMap(np.arange(n_users) * 10 + 7),
        item_ids=ids))


def described(data: Interactions) -> Interactions:
    """The data with what models of content and of friends need: a title, text and small image for every item, links."""
    n = data.n_items
    posters = 1 + np.random.default_rng(1).integers(0, 200, (n, 9, 6, 3), np.uint8)
    features = Features(titles=[f"Title {i}" for i in range(n)], text=[f"a thing of kind {i % 2}" for i in range(n)],
                        attributes={"poster": posters})
    users = np.arange(data.n_users)
    links = CSR.from_pairs(np.repeat(users, 3), (users[:, None] + [1, 2, 5]).ravel() % max(data.n_users, 1),
                           shape=(data.n_users, data.n_users))
    return replace(data, item_features=features, social=links)


def tastes(features: Features, n_users: int = 80, events: int = 12, seed: int = 0) -> Interactions:
    """Users of even number take even items, the others odd ones; the last `COLD` items are cold."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), events)
    own = np.concatenate([rng.permutation((N_ITEMS - COLD) // 2)[:events] for _ in range(n_users)])
    value = np.where(rng.random(len(user)) < 0.5, 5.0, 4.0)
    return Interactions.from_arrays(user, 2 * own + user % 2, value, item_ids=IdMap(np.arange(N_ITEMS)),
                                    item_features=features)


def hits_among_cold(model, k: int = 3, last: int = N_ITEMS) -> float:
    """Of the best k of the cold items, the share that is of the user's kind; chance gives 0.5."""
    recs = model.recommend(k=k, items=np.arange(N_ITEMS - COLD, last))
    return float(np.mean(recs.items % 2 == recs.users[:, None] % 2))


@pytest.fixture(scope="session")
def describe() -> Callable[[Interactions], Interactions]:
    return described


@pytest.fixture(scope="session", params=list(REGISTRY))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new(name: str) -> Callable[[], Recommender]:
    return lambda: make(name)


@pytest.fixture(scope="session")
def data() -> Interactions:
    return simulated()


@pytest.fixture(scope="session")
def model(name: str, data: Interactions) -> Recommender:
    """A fitted model; tests do not change it."""
    return make(name).fit(data)

"""Small models in files, fitted once a session, and the data they learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from recsys import datasets
from recsys.data import Features, Interactions
from recsys.models import model_class


class Made(NamedTuple):
    """A model's file, what it answers with, and what it learned from."""

    path: Path
    fitted: Any
    data: Interactions


_SIMULATED: dict[str, Any] = {"n_users": 300, "n_items": 200, "n_events": 6000, "seed": 0}
_SMALL = {
    "EASE": {}, "ALS": {"factors": 16, "iterations": 3}, "ItemKNN": {}, "UserKNN": {}, "Popular": {},
    "SequenceRecommender": {"epochs": 2}, "GMF": {"epochs": 2}, "MatrixFactorization": {"epochs": 2},
    "MLP": {"epochs": 2},
}


def implicit() -> Interactions:
    """String ids, titles, no values."""
    found, _ = datasets.simulate(**_SIMULATED, ratings=False)
    users, items = found.users.ids[found.user], found.items.ids[found.item]
    made = Interactions.from_arrays([f"user {one:03d}" for one in users], [f"item {one:03d}" for one in items],
                                    times=found.time)
    titles = [f"Title of {one}" for one in made.items.ids.tolist()]
    return replace(made, item_features=Features(titles=titles))


def rated() -> Interactions:
    """Integer ids, ratings."""
    found, _ = datasets.simulate(**_SIMULATED)
    return found


class Models:
    """Models by name, fitted when they are asked for: `models["EASE"]`, `models["EASE", "rated"]`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data: dict[str, Interactions] = {}
        self._made: dict[tuple[str, str], Made] = {}

    def __getitem__(self, key: str | tuple[str, str]) -> Made:
        name, kind = key if isinstance(key, tuple) else (key, "implicit")
        if (name, kind) not in self._made:
            data = self.data(kind)
            model = model_class(name)()
            known = model.get_params()
            model.set_params(**{key: value for key, value in _SMALL[name].items() if key in known})
            path = self._folder / f"{name}-{kind}.recsys"
            model.fit(data).save(path)
            self._made[name, kind] = Made(path, model.require("learned"), data)
        return self._made[name, kind]

    def data(self, kind: str) -> Interactions:
        """What they learn from."""
        if kind not in self._data:
            self._data[kind] = {"implicit": implicit, "rated": rated}[kind]()
        return self._data[kind]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Models by name."""
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same each time."""
    return np.random.default_rng(0)

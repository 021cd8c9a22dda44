"""What rows share: a folder, models, a filled log; each is made when a row first wants it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import MADE, SEED

ITEMS, FACTORS = 20_108, 64  # items of MovieLens 20M
USERS, EVENTS = 20_000, 1_000_000
EACH = 50  # events of a user in the filled log
BIG_ITEMS, BIG_USERS = 2_000_000, 1_700_000  # vectors of 64 float32: about 1 GB with what else a file holds


@dataclass
class Bench:
    """Where rows are measured, and for how long.

    Parameters
    ----------
    folder : path
        Of their files; a real disk, because durability is measured there.
    seconds : float
        Of the longest load; others are shortened with it.
    """

    folder: Path
    seconds: float = 300.0

    def place(self, name: str) -> Path:
        """An empty folder for a service."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def within(self, seconds: float) -> float:
        """So many seconds, or fewer in the proportion in which the longest load was shortened."""
        return min(seconds, max(2.0, seconds * self.seconds / 300))

    @cached_property
    def events(self) -> Any:
        """Events with as many items as MovieLens 20M."""
        from recsys import datasets

        return datasets.simulate(n_users=USERS, n_items=ITEMS, n_events=EVENTS, seed=SEED)[0].binarise()

    @cached_property
    def shop(self) -> Path:
        """A model of them."""
        return self._trained("shop", seed=0)

    @cached_property
    def other_shop(self) -> Path:
        """Another one, which answers otherwise."""
        return self._trained("other", seed=1)

    def _trained(self, name: str, seed: int) -> Path:
        from recsys.models import ALS

        path = self.folder / f"{name}.recsys"
        ALS(factors=FACTORS, epochs=5, seed=seed).fit(self.events).save(path)
        return path

    @cached_property
    def large(self) -> Path:
        """A model file of about 1 GB: vectors as ALS has them, many small and few large."""
        return big_model(self.folder / "large.recsys", BIG_USERS, BIG_ITEMS)

    def histories(self, count: int, seed: int = SEED, longest: int = 50) -> list[list[int]]:
        """Histories of people who are not in the training: ids of 5 to 50 different items each."""
        random = np.random.default_rng((seed, 1))
        user = random.integers(0, USERS, count)
        rows, ids = self.events.csr, self.events.items.ids
        found = []
        for number in user:
            own = rows.row(number)[0]
            length = min(int(random.integers(5, longest + 1)), len(own))
            found.append(ids[random.permutation(own)[:length]].tolist())
        return found

    @cached_property
    def log(self) -> Path:
        """An event log of a million rows: people with 50 events each, as they come, one after the other."""
        path = self.place("log") / "events.db"
        fill(path, 1_000_000, self.events.items.ids)
        return path

    @property
    def made(self) -> dict[str, Any]:
        """What a row says of the data."""
        return {"name": MADE, "seed": SEED, "sizes": {"users": USERS, "items": ITEMS, "events": EVENTS}}


def fill(path: Path, rows: int, items: np.ndarray, start: int = 0) -> None:
    """Add clicks to a log, ids in the order of time as the service gives them."""
    from recsys.events import Event, EventLog
    from recsys.serving.ids import new_id

    random, people, step = np.random.default_rng((SEED, start)), rows // EACH, 20_000
    with EventLog(path) as log:
        for first in range(0, rows, step):
            clicked = items[random.integers(0, len(items), step)].tolist()
            log.append([Event(new_id(), (first + place) % people, item, "click", None, 1.7e9 + first + place, None)
                        for place, item in enumerate(clicked)])


def big_model(path: Path, n_users: int, n_items: int) -> Path:
    """A model file with vectors that nobody trained, whose norms are spread like those of ALS."""
    from recsys.data import CSR, IdMap
    from recsys.estimator import storing
    from recsys.estimator.fitted import Fitted, Learned
    from recsys.estimator.scorers.factors import Factors
    from recsys.models import ALS

    small = ALS(factors=FACTORS, epochs=1).fit(_few()).require("big_model")
    random = np.random.default_rng(SEED)
    users, items = vectors(random, n_users), vectors(random, n_items)
    scorer = Factors(small.can, users, items, np.zeros(n_items, np.float32), small.answers_by(Factors).fold_in)
    counts = np.maximum(1, (1000 * np.linalg.norm(items, axis=1)).astype(np.int64))
    empty = CSR(np.zeros(n_users + 1, np.int64), np.zeros(0, np.int32), None, (n_users, n_items))
    facts = replace(small.facts, users=IdMap(np.arange(n_users)), items=IdMap(np.arange(n_items)), item_counts=counts,
                    seen=empty, item_features=None)
    storing.save(Fitted(small.name, small.parameters, facts, Learned(scorer)), path)
    return path


def vectors(random: np.random.Generator, rows: int, spread: float = 1.0, factors: int = FACTORS) -> np.ndarray:
    """Random directions with lognormal norms: float32 (rows, factors)."""
    found = random.standard_normal((rows, factors), np.float32)
    norms = np.exp(spread * random.standard_normal(rows)).astype(np.float32) / 8
    return found * norms[:, None]


def _few() -> Any:
    from recsys import datasets

    return datasets.simulate(n_users=60, n_items=40, n_events=900, seed=SEED)[0].binarise()

"""The data sets and models of `python -m benchmarks defaults`: kinds of data, and small grids around each model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.datasets import MADE, real
from benchmarks.grids import grid

__all__ = ["MODELS", "SETS", "Case", "Tried"]


@dataclass(frozen=True)
class Case:
    """A data set and what is asked of it.

    With `users`, so many are drawn at random, and their rows alone are taken; then, with `core`, the items with so many
    events. `values` says whether models of rankings are given the values. `generate` makes data where there is no set
    of that name.
    """

    name: str
    kind: str
    task: str
    protocol: str
    data: str = ""
    users: int | None = None
    core: int = 0
    values: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    generate: Callable[[], Any] | None = None

    @property
    def source(self) -> str:
        """The set's name."""
        return self.data or MADE

    def read(self) -> Any:
        """The whole set, or `Absent`."""
        return real(self.data) if self.generate is None else self.generate()

    @property
    def metric(self) -> str:
        return "rmse" if self.task == "ratings" else "ndcg@10"


@dataclass(frozen=True)
class Tried:
    """A model, the tasks it is measured in, and the settings that its default is compared with; not tuned, if none."""

    model: str
    tasks: tuple[str, ...]
    grid: Sequence[Mapping[str, Any]] = ()
    sets: tuple[str, ...] = ()  # all, if empty


def jokes(n_users: int = 2000, n_items: int = 100, seed: int = 0) -> Any:
    """Dense ratings from -10 to 10 with two decimals, as of jokes: half of all pairs, some items met by nearly all."""
    from recsys import Interactions

    rng = np.random.default_rng(seed)
    tastes, traits = rng.standard_normal((n_users, 6)), rng.standard_normal((n_items, 6))
    rating = 0.8 + 2.6 * rng.standard_normal((n_users, 1)) + 1.4 * rng.standard_normal(n_items)
    rating = rating + 1.1 * tastes @ traits.T + 3.0 * rng.standard_normal((n_users, n_items))
    met = rng.random((n_users, n_items)) < np.clip(rng.beta(1.2, 1.0, n_items) * rng.beta(3, 1.5, (n_users, 1)), .1, 1)
    user, item = np.nonzero(met)
    return Interactions.from_arrays(user, item, np.round(np.clip(rating[met], -10, 10), 2).astype(np.float32))


_RANDOM = ("ranking", "ratio-811-full")
_RATED = ("ratings", "random-811")
_NEXT = ("next", "last-one-full")
_SESSIONS = ("sessions", "sessions-next")

SETS: tuple[Case, ...] = (
    Case("ml-100k", "films, 1 to 5", *_RANDOM, "ml-100k"),
    Case("ml-1m", "films, 3 and more", *_RANDOM, "ml-1m", 2000, options={"min_value": 3}),
    Case("goodbooks", "books, 15 a user", *_RANDOM, "goodbooks-10k-v1", 10000, core=20),
    Case("gowalla", "places, long tail", *_RANDOM, "gowalla-lightgcn", 3000),
    Case("lastfm", "counts with a heavy tail", *_RANDOM, "hetrec2011-lastfm-2k", values=True),
    Case("msweb", "few items", *_RANDOM, "msweb", 8000),
    Case("retail", "purchases", *_RANDOM, "online-retail"),
    Case("deskdrop", "articles, events", *_RANDOM, "deskdrop"),
    Case("filmtrust", "films, two modes", *_RANDOM, "filmtrust"),
    Case("ciao", "huge catalogue", *_RANDOM, "ciao", 3000),
    Case("beauty", "huge catalogue, 9 a user", *_RANDOM, "amazon-beauty", 6000),
    Case("restaurants", "tiny", *_RANDOM, "restaurant-consumer"),
    Case("jokes", "dense, few items", *_RANDOM, generate=jokes),
    Case("ml-100k ratings", "1 to 5", *_RATED, "ml-100k"),
    Case("ml-latest ratings", "half stars", *_RATED, "ml-latest-small"),
    Case("ml-1m ratings", "1 to 5", *_RATED, "ml-1m", 2000),
    Case("goodbooks ratings", "15 a user", *_RATED, "goodbooks-10k-v1", 8000),
    Case("filmtrust ratings", "0.5 to 4", *_RATED, "filmtrust"),
    Case("ciao ratings", "3 an item", *_RATED, "ciao"),
    Case("restaurants ratings", "0 to 2, tiny", *_RATED, "restaurant-consumer"),
    Case("jokes ratings", "dense, continuous, -10 to 10", *_RATED, generate=jokes),
    Case("ml-100k next", "films", *_NEXT, "ml-100k"),
    Case("retail next", "purchases", *_NEXT, "online-retail"),
    Case("beauty next", "huge catalogue", *_NEXT, "amazon-beauty", 6000),
    Case("video next", "purchases", *_NEXT, "amazon-video", 6000),
    Case("deskdrop next", "articles, events", *_NEXT, "deskdrop"),
    Case("ml-100k next, 300", "films", *_NEXT, "ml-100k", 300),
    Case("deskdrop next, 500", "articles, events", *_NEXT, "deskdrop", 500),
    Case("retail next, 300", "purchases", *_NEXT, "online-retail", 300),
    Case("video next, 1000", "few events a user", *_NEXT, "amazon-video", 1000),
    Case("diginetica", "sessions, repeats", *_SESSIONS, "diginetica", 15000),
    Case("wikipedia", "repeats above all", *_SESSIONS, "wikipedia-edits", 1500),
)


_RANKS = ("ranking", "next", "sessions")

_SMALL = ("restaurants", "jokes", "msweb", "filmtrust", "ml-100k")  # for networks
_PAIRS = ("restaurants", "filmtrust", "deskdrop", "ml-100k", "msweb")  # for networks of pairs
_FEW = ("ml-100k next, 300", "deskdrop next, 500", "retail next, 300", "video next, 1000")  # for networks of sequences
_RATED_SMALL = ("restaurants ratings", "jokes ratings", "filmtrust ratings", "ml-100k ratings", "ml-latest ratings")

MODELS: tuple[Tried, ...] = (
    Tried("Popular", _RANKS),
    Tried("Bias", ("ratings",), grid(reg_user=[1.0, 3.0, 10.0, 30.0], reg_item=[1.0, 3.0, 10.0, 30.0])),
    Tried("ItemKNN", _RANKS, grid(neighbours=[20, 100, 500], shrink=[0.0, 10.0, 50.0], asymmetry=[0.3, 0.5])),
    Tried("UserKNN", ("ranking",), grid(neighbours=[20, 50, 200, 1000], shrink=[0.0, 10.0], asymmetry=[0.3, 0.5])),
    Tried("EASE", _RANKS, grid(reg=[5.0, 20.0, 50.0, 150.0, 400.0, 1000.0, 3000.0])),
    Tried("RP3beta", ("ranking",), grid(neighbours=[20, 100, 500], power=[0.4, 0.6, 1.0],
                                        popularity_power=[0.0, 0.2, 0.4])),
    Tried("GraphFilter", ("ranking",), grid(asymmetry=[0.2, 0.4], low_pass=[0.1, 0.3], shape=[1.5, 4.0, 12.0])),
    Tried("ALS", ("ranking",), grid(alpha=[4.0, 16.0, 64.0], reg=[0.005, 0.01, 0.02, 0.04, 0.08],
                                     reg_exponent=[1.0])),
    Tried("BPR", ("ranking",), grid(reg=[0.003, 0.01, 0.03, 0.1])),
    Tried("Markov", ("next", "sessions"), grid(decay=[0.3, 0.6, 0.9], window=[1, 5], smoothing=[1.0, 10.0])),
    Tried("VSTAN", ("next", "sessions"), grid(decay=[0.6, 0.9], window_decay=[0.7, 0.9], backward=[0.03, 0.3])),
    Tried("SLIST", ("next", "sessions"), grid(unordered=[0.0, 0.3], window_decay=[0.5, 0.8], decay=[0.6, 0.9])),
    Tried("MatrixFactorization", ("ratings",), grid(factors=[20, 100], reg=[0.02, 0.05, 0.1], lr=[0.005, 0.01])),
    Tried("ItemKNNBaseline", ("ratings",), grid(neighbours=[20, 40, 80], shrink=[30.0, 100.0], prior=[0.1, 0.3, 1.0])),
    Tried("UserKNNBaseline", ("ratings",), grid(neighbours=[40, 80], shrink=[30.0, 100.0], prior=[0.1, 0.3, 1.0])),
    Tried("AutoRec", ("ratings",), grid(side=["items", "users"], reg=[30.0, 100.0]), _RATED_SMALL),
    Tried("LinearAutoencoder", ("ranking",), grid(dropout=[0.5, 0.9], factors=[32, 64]), _SMALL),
    Tried("MultDAE", ("ranking",), grid(dropout=[0.2, 0.7]), _SMALL),
    Tried("CDAE", ("ranking",), grid(dropout=[0.2, 0.7]), _SMALL),
    Tried("MultVAE", ("ranking",), grid(dropout=[0.2, 0.5], beta=[0.1, 0.4]), _SMALL),
    Tried("GMF", ("ranking",), (), _PAIRS),
    Tried("FactorizationMachine", ("ranking",), (), _PAIRS),
    Tried("MLP", ("ranking",), (), _PAIRS),
    Tried("NeuMF", ("ranking",), (), _PAIRS),
    Tried("SequenceRecommender", ("next",), (), _FEW),
    Tried("SASRec", ("next",), (), _FEW),
    Tried("GRU4Rec", ("next",), (), _FEW),
    Tried("Caser", ("next",), (), _FEW),
    Tried("CausalCNN", ("next",), (), _FEW),
    Tried("LRURec", ("next",), (), _FEW),
)

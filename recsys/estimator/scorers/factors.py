"""Scores that are products of a user's and an item's vector."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from minidl import runtime
from recsys.data.csr import CSR
from recsys.errors import UnsupportedError
from recsys.estimator.arrays import Arrays, expect
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.scorers import folding
from recsys.estimator.scorers.base import Queries, Scorer, State
from recsys.estimator.scorers.biases import known_biases
from recsys.estimator.scorers.folding import FoldIn

__all__ = ["Factors", "gram"]

F = TypeVar("F", bound=FoldIn)

_GRAM_ROWS = 1 << 16


class Factors(Scorer):
    """Score = `p_u . q_i + b_i`, or `scale (p_u . q_i + b_i + mean + b_u)` with biases of users.

    Parameters
    ----------
    can : Can
    user_factors, item_factors : ndarray of float32, shapes (n_users, f), (n_items, f)
    item_bias : ndarray of float32, shape (n_items,)
    fold_in : FoldIn, optional
        How a history becomes a user's vector.
    user_bias : ndarray of float32, shape (n_users,), optional
    mean, scale : float
    carried : int
        How many of the last columns carry biases, and are no part of the vectors by which items and users are alike.
    described : (bool, bool)
        Whether users, and items, are known by their features.
    gram : ndarray of float64, shape (f, f), optional
        `Y'Y` of the items that a history is held against; by default of all.
    """

    plainly = ("You and every item are described by a few dozen numbers that were worked out from what people had; "
               "items whose numbers fit yours best are shown first.")

    of_users: ClassVar[tuple[str, ...]] = ("user_factors", "user_bias", "foretold", "by_friend")

    def __init__(self, can: Can, user_factors: np.ndarray, item_factors: np.ndarray, item_bias: np.ndarray,
                 fold_in: FoldIn | None = None, *, user_bias: np.ndarray | None = None, mean: float = 0.0,
                 scale: float = 1.0, carried: int = 0, described: tuple[bool, bool] = (False, False),
                 gram: np.ndarray | None = None) -> None:
        self.can, self.n_items = can, len(item_factors)
        self.user_factors, self.item_factors, self.item_bias = user_factors, item_factors, item_bias
        self.fold_in, self.user_bias, self.mean, self.scale = fold_in, user_bias, mean, scale
        self.carried, self.described = carried, described
        self.needs_values = fold_in is not None and fold_in.needs_values
        if gram is not None:
            self.gram = gram

    @cached_property
    def gram(self) -> np.ndarray:
        """`Y'Y` of the items' vectors: (f, f)."""
        return gram(self.item_factors)

    def _products(self, vectors: np.ndarray) -> np.ndarray:
        scores: np.ndarray = runtime.matmul(vectors, self.item_factors.T)  # (B, f) -> (B, n_items)
        if self.item_bias.any():  # where there is none, this would be a pass over all scores
            scores += self.item_bias
        return scores

    def _scaled(self, scores: np.ndarray, user_bias: np.ndarray | None) -> np.ndarray:
        """Scores (B, ...) with the biases of their users, of as many dimensions, in the unit of the ratings."""
        if user_bias is None:
            return scores
        return np.asarray((scores + (self.mean + user_bias)) * np.float32(self.scale))

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        bias = None if self.user_bias is None else self.user_bias[users, None]
        return self._scaled(self._products(self.user_factors[users]), bias)

    def fold(self, history: CSR) -> np.ndarray:
        """Scores of all items for histories: CSR (B, n_items) -> (B, n_items)."""
        vectors, bias = self.folded_by(FoldIn).vectors(history, self)
        return self._scaled(self._products(vectors), bias)

    def vectors(self) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Those of the items, unless the scale turns their order round."""
        turned = self.user_bias is not None and not self.scale > 0
        return None if turned else (self.item_factors, self.item_bias)

    def queries(self, users: np.ndarray) -> Queries:
        """The vectors of users."""
        return self._queries(self.user_factors[users], None if self.user_bias is None else self.user_bias[users])

    def fold_queries(self, history: CSR) -> Queries:
        """The vectors of histories."""
        vectors, bias = self.folded_by(FoldIn).vectors(history, self)
        return self._queries(vectors, None if bias is None else bias[:, 0])

    def _queries(self, vectors: np.ndarray, user_bias: np.ndarray | None) -> Queries:
        if user_bias is None:
            return Queries(vectors)
        return Queries(vectors, self.mean + user_bias.astype(np.float64), self.scale)

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores of pairs: (n,)."""
        if self.vectors() is not None:
            return super().pairs(users, items)
        dots = np.einsum("nf,nf->n", self.user_factors[users], self.item_factors[items])
        bias = None if self.user_bias is None else self.user_bias[users]
        return self._scaled(np.asarray(dots + self.item_bias[items]), bias)

    def cold_pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray | None:
        """With biases of users, the mean plus whatever bias is known: (n,)."""
        if self.user_bias is None:
            return None
        return known_biases(self.mean, self.user_bias, self.item_bias, users, items) * np.float32(self.scale)

    def item_vectors(self) -> np.ndarray | None:
        """(n_items, f) without what carries biases, if `can.embeddings`."""
        return self.item_factors[:, :self._width] if self.can.embeddings else None

    def user_vectors(self) -> np.ndarray | None:
        """(n_users, f) without what carries biases, if `can.embeddings`."""
        return self.user_factors[:, :self._width] if self.can.embeddings else None

    @property
    def _width(self) -> int:
        return int(self.item_factors.shape[1]) - self.carried

    def folded_by(self, kind: type[F]) -> F:
        """The fold-in, which is of this kind."""
        if not isinstance(self.fold_in, kind):
            raise UnsupportedError(f"these factors fold in by {type(self.fold_in).__name__}, not by {kind.__name__}.")
        return self.fold_in

    def stored(self, users: np.ndarray) -> CSR | None:
        """The stored events of users, where more is kept than what they have seen."""
        history = None if self.fold_in is None else self.fold_in.history
        return None if history is None else history.rows(users)

    def transform_history(self, history: CSR) -> CSR:
        """A given history as the fold-in takes it."""
        return history if self.fold_in is None else self.fold_in.transform_history(history)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """Exact, if the fold-in is linear in the events; else by leaving each out: (n,)."""
        exact = None if self.fold_in is None else self.fold_in.contributions(indices, values, item, self)
        return super().contributions(indices, values, item) if exact is None else exact

    def unexplained(self, indices: np.ndarray, values: np.ndarray | None, item: int, user: int = -1) -> float:
        """What the fold-in adds to a score besides the events of the history."""
        return 0.0 if self.fold_in is None else self.fold_in.unexplained(indices, values, item, self, user)

    def state(self) -> State:
        """Vectors, biases and the fold-in."""
        settings = {"mean": self.mean, "scale": self.scale, "carried": self.carried, "described": self.described}
        arrays = {"user_factors": self.user_factors, "item_factors": self.item_factors, "item_bias": self.item_bias}
        arrays |= {} if self.user_bias is None else {"user_bias": self.user_bias}
        if self.fold_in is None:
            return settings | {"fold_in": None}, arrays
        arrays |= {"gram": self.gram} if self.fold_in.needs_gram else {}  # a pass over all items at each start
        how, own = folding.state_of(self.fold_in)
        return settings | {"fold_in": how}, arrays | own

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        n_users, n_items = len(facts.users), len(facts.items)
        item_factors = expect(arrays, "item_factors", (n_items, None), np.float32)
        user_factors = expect(arrays, "user_factors", (n_users, item_factors.shape[1]), np.float32)
        item_bias = expect(arrays, "item_bias", (n_items,), np.float32)
        user_bias = expect(arrays, "user_bias", (n_users,), np.float32) if "user_bias" in arrays else None
        how = settings["fold_in"]
        fold_in = None if how is None else folding.restore(how, arrays, facts, item_factors.shape[1])
        held = expect(arrays, "gram", (item_factors.shape[1],) * 2, np.float64) if "gram" in arrays else None
        return cls(settings["can"], user_factors, item_factors, item_bias, fold_in, user_bias=user_bias,
                   mean=settings["mean"], scale=settings["scale"], carried=settings["carried"],
                   described=tuple(settings["described"]), gram=held)  # files of before have none


def gram(vectors: np.ndarray) -> np.ndarray:
    """`Y'Y` of vectors (n, f), summed up in float64, a part of them at a time: (f, f)."""
    total = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(vectors), _GRAM_ROWS):
        part = vectors[start:start + _GRAM_ROWS].astype(np.float64)
        total += runtime.matmul(part.T, part)
    return total

"""What a scorer does, and what it does by default."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from minidl import runtime
from recsys import kernels
from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, blocks
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories
from recsys.estimator.staying import Staying

__all__ = ["HistoryScorer", "Queries", "Scorer", "State", "cosine"]

State = tuple[dict[str, Any], dict[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Queries:
    """What is multiplied by the vectors of items: `score = scale (query . vector + bias + shift)`.

    Parameters
    ----------
    vectors : ndarray of float32, shape (B, f)
        A row's does not depend on the others, to the last bit.
    shift : ndarray of float64, shape (B,), optional
    scale : float
        Above 0, so that the order of the products is that of the scores.
    """

    vectors: np.ndarray
    shift: np.ndarray | None = None
    scale: float = 1.0

    def scores(self, products: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Scores from products of some rows: float64, int, of shapes that broadcast -> float32."""
        whole = products if self.shift is None else products + self.shift[rows]
        with np.errstate(over="ignore"):
            return np.asarray(whole * self.scale, np.float32)


class Scorer:
    """Scores of users and items, by internal indices; a fitted model without its ids.

    A scorer is never changed: learning more makes another one. A subclass writes `score`, and of the rest what it can;
    `can` says what that is.

    Attributes
    ----------
    can : Can
    n_items : int
    needs_values : bool
        A history is nothing without its ratings.
    needs_histories : bool
        It is nothing without the histories of its users.
    described : (bool, bool)
        Whether it knows users, and items, by their features.
    personalised : bool
        Whether items stand in another order for other people.
    alone : bool
        The last bits of a row's scores depend on the other rows, so that lists are made from each row by itself.
    plainly : str
        How it finds what is shown first, in sentences to people; empty of a scorer that does not say.
    of_users : tuple of str
        The arrays of its `state` whose row i is of user i, besides histories, which are named "seen.", and the weights
        of a network, which names its own.
    """

    of_users: ClassVar[tuple[str, ...]] = ()
    plainly: str = ""
    can: Can
    n_items: int
    personalised: bool = True
    alone: bool = False
    needs_values: bool = False
    needs_histories: bool = False
    described: tuple[bool, bool] = (False, False)

    @property
    def knows_users(self) -> bool:
        """Whether it scores users of the training data; not, if it needs their histories and was saved without."""
        return True

    @property
    def order_matters(self) -> bool:
        """Whether a history in another order has other scores."""
        return self.can.sequence

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users of the training data: int (B,) -> float32 (B, n_items)."""
        raise NotImplementedError(f"{type(self).__name__} does not define score.")

    def fold(self, history: CSR) -> np.ndarray:
        """Scores of all items for anybody's histories, if `can.fold_in`: CSR (B, n_items) -> float32 (B, n_items)."""
        raise NotImplementedError(f"{type(self).__name__} does not define fold.")

    # ---------------------------------------------------------------------------------- products
    def vectors(self) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Vectors (n_items, f) and biases (n_items,) or None, float32, if scores are their products with queries.

        Lists are then found by search, without the scores of all items; `evident` must have nothing to say.
        """
        return None

    def queries(self, users: np.ndarray) -> Queries:
        """What users of the training data are to the vectors: int (B,)."""
        raise NotImplementedError(f"{type(self).__name__} does not define queries.")

    def fold_queries(self, history: CSR) -> Queries:
        """What anybody's histories are to the vectors: CSR (B, n_items)."""
        raise NotImplementedError(f"{type(self).__name__} does not define fold_queries.")

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores of pairs, by default products, or picked from whole rows: int (n,), int (n,) -> float32 (n,)."""
        rows, place = np.unique(users, return_inverse=True)
        held = self.vectors()
        if held is not None:
            queries, bias = self.queries(rows), np.zeros(0, np.float32) if held[1] is None else held[1]
            vectors = np.ascontiguousarray(queries.vectors), np.ascontiguousarray(held[0])
            products = kernels.retrieval.dots(*vectors, bias, place, items)
            return queries.scores(products, place)
        out = np.empty(len(users), np.float32)
        for block in blocks(len(rows), self.n_items):
            which = np.flatnonzero((place >= block.start) & (place < block.stop))
            out[which] = self.score(rows[block])[place[which] - block.start, items[which]]
        return out

    def cold_pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray | None:
        """Scores of pairs of which one, or both, is unknown (-1), or None: there is nothing to say of them."""
        return None

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
        """Which scores rest on anything that was learned, or None: those of all items that are known.

        Parameters
        ----------
        items : ndarray of int, shape (n,) or (B, n)
        scores : ndarray of float32, shape (B, n)
        """
        return None

    def sources(self, users: np.ndarray, history: CSR | None, items: np.ndarray) -> np.ndarray | None:
        """What kind of part scored items in the rows of users, or of their histories; None if there is but one.

        Parameters
        ----------
        users : ndarray of int, shape (B,)
            -1 is nobody.
        history : CSR, shape (B, n_items), or None
            Rows with events are scored by them.
        items : ndarray of int, shape (B, k)

        Returns
        -------
        ndarray of str, shape (B, k), or None
            "model", "content" or "popular".
        """
        return None

    # ---------------------------------------------------------------------------------- likeness
    def item_vectors(self) -> np.ndarray | None:
        """(n_items, d), if `can.embeddings`."""
        return None

    def user_vectors(self) -> np.ndarray | None:
        """(n_users, d), if there are any."""
        return None

    def similar_items(self, items: np.ndarray) -> np.ndarray | None:
        """How alike items are to all items: int (B,) -> (B, n_items), -inf where not at all; None if it cannot say."""
        vectors = self.item_vectors()
        return None if vectors is None else cosine(vectors, items, self._item_norms)

    @cached_property
    def _item_norms(self) -> np.ndarray | None:
        """Those of the items' vectors, which every question for similar items needs, (n_items,)."""
        vectors = self.item_vectors()
        return None if vectors is None else norms_of(vectors)

    def alike(self, items: np.ndarray) -> np.ndarray | None:
        """How alike some items are to each other, as `similar_items`: int (n,) -> (n, n)."""
        vectors = self.item_vectors()
        if vectors is not None:
            return cosine(vectors[items], np.arange(len(items)))
        rows = self.similar_items(items)
        return None if rows is None else rows[:, items]

    def similar_users(self, users: np.ndarray) -> np.ndarray | None:
        """How alike users are to all users, as `similar_items`."""
        vectors = self.user_vectors()
        return None if vectors is None else cosine(vectors, users)

    # --------------------------------------------------------------------------------- explaining
    def stored(self, users: np.ndarray) -> CSR | None:
        """The stored histories of users, as `contributions` takes them; None if what they have seen will do."""
        return None

    def transform_history(self, history: CSR) -> CSR:
        """A given history in the form that `contributions` takes."""
        return history

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """What each event of a history adds to a score; by default what the score loses without the event: (n,)."""
        n = len(indices)
        rows, kept = np.nonzero(~np.eye(n + 1, n, dtype=bool))  # row j lacks event j; the last row is complete
        data = None if values is None else values[kept]
        scores = self.fold(CSR.from_pairs(rows, indices[kept], data, (n + 1, self.n_items)))[:, item]
        return np.asarray(scores[n] - scores[:n])

    def unexplained(self, indices: np.ndarray, values: np.ndarray | None, item: int, user: int = -1) -> float:
        """The part of a score that belongs to no event of the history, which is a user's, or (-1) anybody's."""
        return 0.0

    # ------------------------------------------------------------------------------------ storing
    def state(self) -> State:
        """Settings that JSON holds, and arrays, to restore the scorer from. What is private is named "seen." first."""
        raise NotImplementedError(f"{type(self).__name__} does not define state.")

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described, of a model with these ids."""
        raise NotImplementedError(f"{cls.__name__} does not define restore.")

    def without_users(self, staying: Staying, facts: Facts) -> Self:
        """The same for those users who stay, of a model with the facts about them."""
        settings, arrays = self.state()
        return self.restore({**settings, "can": self.can},
                            staying.state(settings, arrays, self.of_users, self.n_items), facts)


class HistoryScorer(Scorer):
    """A scorer whose scores follow from a history alone: a user's are those of the user's history.

    A subclass writes `score_histories`.

    Parameters
    ----------
    can : Can
    histories : Histories
    n_items : int
    """

    def __init__(self, can: Can, histories: Histories, n_items: int) -> None:
        self.can, self.histories, self.n_items = can, histories, n_items

    @property
    def history(self) -> CSR | None:
        """The stored histories, (n_users, n_items); None in a model that was saved without them."""
        return self.histories.stored

    @property
    def knows_users(self) -> bool:
        """Whether histories are stored."""
        return self.histories.stored is not None

    @property
    def order_matters(self) -> bool:
        """Whether a history in another order has other scores."""
        return self.can.sequence or self.histories.recent is not None or self.histories.decay != 1

    def score_histories(self, history: CSR) -> np.ndarray:
        """Scores of all items for transformed histories: CSR (B, n_items) -> float32 (B, n_items)."""
        raise NotImplementedError(f"{type(self).__name__} does not define score_histories.")

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        return self.score_histories(self.stored(users))

    def fold(self, history: CSR) -> np.ndarray:
        """Scores of all items for histories: CSR (B, n_items) -> (B, n_items)."""
        return self.score_histories(self.transform_history(history))

    def transform_history(self, history: CSR) -> CSR:
        """A given history as it is scored."""
        return self.histories.transform(history)

    def stored(self, users: np.ndarray) -> CSR:
        """The stored histories of users."""
        return self.histories.rows.rows(users)


def cosine(vectors: np.ndarray, rows: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
    """Cosine of some rows of `vectors` (n, d) with all rows: int (B,) -> (B, n); zero vectors give -inf.

    `norms` are those of all rows, if they are known.
    """
    norms = norms_of(vectors) if norms is None else norms
    safe = np.where(norms > 0, norms, 1)
    similar = runtime.matmul(vectors[rows], vectors.T) / (safe[rows, None] * safe)
    similar[(norms[rows, None] == 0) | (norms == 0)] = -np.inf
    return np.asarray(similar)


def norms_of(vectors: np.ndarray) -> np.ndarray:
    """Lengths of the rows of (n, d): (n,)."""
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", vectors, vectors)))

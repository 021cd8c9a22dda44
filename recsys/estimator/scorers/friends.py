"""Scores from the histories of the people whom somebody trusts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, pack, unpack
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.base import Scorer, State
from recsys.estimator.staying import Staying
from recsys.kernels import neighbours as kernels

__all__ = ["Friends", "shared"]


class Friends(Scorer):
    """Score of i for u = `sum_v w_uv x_vi`, with `w_u = t_u + indirect t_u T` without u itself.

    T has the links, which weigh 1 together for each user who has some, and `t_u` is its row u.

    Parameters
    ----------
    can : Can
    histories : Histories
        With the stored ones.
    links : CSR, shape (n_users, n_users)
        Each once; without weights, so that those of a user who leaves go to the others.
    indirect : float
    """

    plainly = "What the people had whom you trust, or are friends with, is shown first."

    needs_histories = True

    def __init__(self, can: Can, histories: Histories, links: CSR, *, indirect: float) -> None:
        self.can, self.histories, self.n_items = can, histories, histories.rows.shape[1]
        self.links, self.indirect = links, indirect
        self._shares = shared(links)

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        return _product(self.trusted(users), self.histories.rows)

    def trusted(self, users: np.ndarray) -> CSR:
        """Who counts how much for some users: CSR (B, n_users)."""
        direct = self._shares.rows(users)
        if not self.indirect:
            return direct
        weights = np.float32(self.indirect) * _product(direct, self._shares)
        weights[np.arange(len(users)), users] = 0
        weights[direct.row_of_entry, direct.indices] += direct.weights
        rows, columns = np.nonzero(weights)
        return CSR.from_pairs(rows, columns, weights[rows, columns], weights.shape)

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores other than 0; else nobody who is trusted has interacted with the item."""
        return np.asarray(scores != 0)

    def state(self) -> State:
        """The histories and the links, which are both private."""
        settings = {"histories": self.histories.settings(), "indirect": self.indirect}
        return settings, self.histories.arrays() | pack("seen.links", self.links)

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        links = unpack("seen.links", arrays, (len(facts.users), len(facts.users)))
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts), links,
                   indirect=settings["indirect"])

    def without_users(self, staying: Staying, facts: Facts) -> Self:
        """The same without the histories of those who leave, and without the links from and to them."""
        histories = replace(self.histories, stored=staying.rows(self.histories.rows))
        return type(self)(self.can, histories, self.links.submatrix(np.flatnonzero(staying.keep)),
                          indirect=self.indirect)


def shared(links: CSR) -> CSR:
    """Links that weigh 1 together in every row that has some.

    Examples
    --------
    >>> shared(CSR.from_pairs([0, 0, 1], [1, 2, 0], shape=(3, 3))).toarray()
    array([[0. , 0.5, 0.5],
           [1. , 0. , 0. ],
           [0. , 0. , 0. ]], dtype=float32)
    """
    weights = np.repeat(1 / np.maximum(links.counts, 1), links.counts).astype(np.float32)
    return CSR(links.indptr, links.indices, weights, links.shape)


def _product(rows: CSR, table: CSR) -> np.ndarray:
    """(B, n) times (n, m), both sparse -> (B, m)."""
    return np.asarray(kernels.sum_sparse_rows(rows.indptr, rows.indices, rows.weights, table.indptr, table.indices,
                                              table.weights, table.shape[1]))

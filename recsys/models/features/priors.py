"""Vectors that features foretell: a linear map from sparse features to vectors, and how much it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR
from recsys.data.words import unit_rows
from recsys.models.factorisation.als import Pull, Side
from recsys.models.features.vocabulary import Labels, Numbers, Vocabulary

__all__ = ["Prior", "beside", "chosen", "foretold", "friends", "ridge", "scaled"]

_FRIENDS = "friends"
_COUPLINGS = (1 / 64, 1 / 16, 1 / 4, 1.0)
_ENOUGH = 0.9  # of what the best coupling gains; the least one that gains so much is taken
_FOLDS = 3
_STEPS = 10  # of conjugate gradients, from where the map was before
_TO_THE_END = 50  # where there is no map before
_FEWEST = 10  # rows of a fold that can say whether a field is worth anything


class Prior(Pull):
    """The vectors of one side are drawn to what their features foretell, `toward_u = W' f_u`.

    The penalty is `sum_u ridge_u |x_u - W' f_u|**2 + sum_j penalty_j |w_j|**2`. With a coupling c, the penalty of a
    column of a field is the mean ridge divided by c, so that c is what the field's part of a vector varies a priori
    relative to the vector's own part. After `begins` epochs without, each field's c is chosen: the least that is nearly
    the best at foretelling the vectors of others than it has learned from; and 0, which leaves the field out, if none
    does so better than their mean. W then takes some steps of conjugate gradients in each half epoch. A prior that does
    not join the training leaves it as it is, and learns W from the vectors in the end.

    Parameters
    ----------
    side : Side
        Of all rows; those that have no events take no part in the training.
    words : Vocabulary
    fields : sequence of CSR, shapes (n, width)
        What the vocabulary's fields say of each row, `scaled`.
    links : CSR, shape (n, n), or None
        One more field, `friends`.
    coupling : float, optional
        The same for all fields, instead of choosing.
    begins : int
    joins : bool

    Attributes
    ----------
    works : bool
        Whether anything is foretold.
    """

    def __init__(self, side: Side, *, words: Vocabulary, fields: Sequence[CSR], links: CSR | None,
                 coupling: float | None, begins: int, joins: bool) -> None:
        super().__init__(side)
        self.fields = {field.name: rows for field, rows in zip(words.fields, fields, strict=True)}
        self.fields |= {} if links is None else {_FRIENDS: links}
        self.words, self.given, self.begins, self.joins = words, coupling, begins, joins
        self.present = np.diff(side.indptr) > 0
        self.ridges = np.where(self.present, side.ridge, 0).astype(np.float32)
        self.couplings = dict.fromkeys(self.fields, 0.0)
        self.works = False
        self.weights = np.zeros((0, 0), np.float32)

    def follow(self, X: np.ndarray, epoch: int) -> None:
        """A better map, and what it foretells of those that have events."""
        if self.joins and epoch == self.begins:
            self._begin(X)
        if self.works:
            self._improve(X, _STEPS)
            self.toward = foretold(self.rows, self.weights)
            self.toward[~self.present] = 0

    def settle(self, X: np.ndarray) -> None:
        """The end: a map if there is none yet, and those who have no events have what it foretells."""
        if not self.joins:
            self._begin(X)
            if self.works:
                self._improve(X, _TO_THE_END)
        if self.works:
            X[~self.present] = self.of_all()[~self.present]

    def _improve(self, X: np.ndarray, steps: int) -> None:
        self.weights = ridge(self.rows, self.columns, self.ridges, self.penalties, X, self.weights, steps)

    def _begin(self, X: np.ndarray) -> None:
        self.couplings = {name: chosen(field, self.ridges, X) if self.given is None else self.given
                          for name, field in self.fields.items()}
        used = {name: field for name, field in self.fields.items() if self.couplings[name] and field.shape[1]}
        if used:
            X[~self.present] = 0
            self.works, self.rows = True, beside(list(used.values()))
            self.columns = self.rows.T
            self.penalties = np.concatenate([np.full(field.shape[1], _mean(self.ridges) / self.couplings[name])
                                             for name, field in used.items()]).astype(np.float32)
            self.weights = np.zeros((self.rows.shape[1], X.shape[1]), np.float32)

    def own(self) -> float:
        """The penalty of the map."""
        return float(self.penalties @ np.einsum("df,df->d", self.weights, self.weights)) if self.works else 0.0

    def of_all(self) -> np.ndarray:
        """What is foretold of all rows: float32 (n, f)."""
        return foretold(self.rows, self.weights)

    def by_friend(self) -> np.ndarray | None:
        """The rows of W that are friends', float32 (n, f), if these tell anything."""
        return self.weights[-len(self.present):] if self.couplings.get(_FRIENDS) else None

    def taken(self, side: str) -> dict[str, float]:
        """The coupling of each field."""
        return {name if name == _FRIENDS else f"{side} {name}": c for name, c in self.couplings.items()}

    def state(self, side: str) -> dict[str, np.ndarray]:
        """What foretells of others, as named arrays: the words of the fields that tell anything, and their rows of W.

        Friends' rows are not among them: each belongs to a user.
        """
        if not self.works:
            return {}
        words = Vocabulary(tuple(field for field in self.words.fields if self.couplings[field.name] and field.width))
        width = sum(field.width for field in words.fields)
        return words.state(f"words.{side}") | {f"map.{side}": self.weights[:width]}


def scaled(words: Vocabulary, fields: Sequence[CSR]) -> list[CSR]:
    """What the fields of a vocabulary read, in one scale: rows of length 1, but numbers have a mean square of 1.

    Labels count by the root of their weights: a tag that a hundred people gave says not a hundred times as much.
    """
    return [_scaled(field, rows) for field, rows in zip(words.fields, fields, strict=True)]


def _scaled(field: Any, rows: CSR) -> CSR:
    if isinstance(field, Numbers):
        return CSR(rows.indptr, rows.indices, rows.weights / np.float32(np.sqrt(max(rows.shape[1], 1))), rows.shape)
    if isinstance(field, Labels):
        rows = CSR(rows.indptr, rows.indices, np.sign(rows.weights) * np.sqrt(np.abs(rows.weights)), rows.shape)
    return unit_rows(rows)


def foretold(rows: CSR, weights: np.ndarray) -> np.ndarray:
    """The vectors `W' f` of rows f: CSR (n, d), (d, f) -> float32 (n, f)."""
    return np.asarray(kernels.neighbours.sum_dense_rows(rows.indptr, rows.indices, rows.weights, weights), np.float32)


def beside(fields: Sequence[CSR]) -> CSR:
    """Fields of the same rows as one matrix."""
    starts = np.cumsum([0, *(field.shape[1] for field in fields)])
    return CSR.from_pairs(np.concatenate([field.row_of_entry for field in fields]),
                          np.concatenate([field.indices + start for field, start in zip(fields, starts, strict=False)]),
                          np.concatenate([field.weights for field in fields]), (fields[0].shape[0], int(starts[-1])))


def friends(links: CSR) -> CSR:
    """Whom each user is linked to, either way, and the user: rows of length 1, (n, n).

    >>> friends(CSR.from_pairs([0], [1], None, (2, 2))).toarray().round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377], [0.7070000171661377, 0.7070000171661377]]
    """
    everyone = np.flatnonzero((links.counts > 0) | (np.bincount(links.indices, minlength=links.shape[1]) > 0))
    rows, columns = links.row_of_entry, links.indices
    both = CSR.from_pairs(np.concatenate([rows, columns, everyone]), np.concatenate([columns, rows, everyone]), None,
                          links.shape)
    return unit_rows(both.unique())


def chosen(field: CSR, ridges: np.ndarray, X: np.ndarray) -> float:
    """The coupling of a field, 0 for none, by how well vectors are foretold that were left out.

    Parameters
    ----------
    field : CSR, shape (n, width)
    ridges : ndarray of float32, shape (n,)
        What the error of a row counts; 0 for rows that there is nothing known of.
    X : ndarray of float32, shape (n, f)
    """
    able = np.flatnonzero((ridges > 0) & (field.counts > 0))
    if len(able) < _FOLDS * _FEWEST:
        return 0.0
    place = np.zeros(len(ridges), np.int64)
    place[able] = 1 + np.random.default_rng(0).permutation(len(able)) % _FOLDS
    columns, errors = field.T, np.zeros(1 + len(_COUPLINGS))
    for fold in range(1, _FOLDS + 1):
        out, learned = place == fold, np.where(place == fold, 0, ridges).astype(np.float32)
        away = X - (learned @ X / learned.sum(dtype=np.float64)).astype(np.float32)
        weights = np.zeros((field.shape[1], X.shape[1]), np.float32)
        errors[0] += _error(away, ridges, out)
        for number, coupling in enumerate(_COUPLINGS, start=1):
            penalty = np.full(field.shape[1], _mean(learned) / coupling, np.float32)
            weights = ridge(field, columns, learned, penalty, away, weights)
            errors[number] += _error(away - foretold(field, weights), ridges, out)
    gains = errors[0] - errors[1:]
    if not gains.max() > 0:
        return 0.0
    return _COUPLINGS[int(np.argmax(gains >= _ENOUGH * gains.max()))]


def _error(away: np.ndarray, ridges: np.ndarray, which: np.ndarray) -> float:
    return float(ridges[which] @ np.einsum("nf,nf->n", away[which], away[which]))


def _mean(ridges: np.ndarray) -> float:
    """Of those above 0."""
    return float(ridges.sum(dtype=np.float64) / max(np.count_nonzero(ridges), 1))


def ridge(rows: CSR, columns: CSR, ridges: np.ndarray, penalty: np.ndarray, X: np.ndarray,
          weights: np.ndarray, steps: int = _STEPS) -> np.ndarray:
    """Better W for `sum_u ridge_u |x_u - W' f_u|**2 + sum_j penalty_j |w_j|**2`, (d, f).

    Conjugate gradients for the columns of W side by side, preconditioned by the diagonal.
    """
    def product(W: np.ndarray) -> np.ndarray:
        return np.asarray(foretold(columns, ridges[:, None] * foretold(rows, W)) + penalty[:, None] * W)

    squares = np.square(rows.weights) * ridges[rows.row_of_entry]
    scale = (1 / (np.bincount(rows.indices, squares, rows.shape[1]) + penalty)).astype(np.float32)[:, None]
    W: np.ndarray = weights.copy()
    R = foretold(columns, ridges[:, None] * X) - product(W)
    P = scale * R
    old = np.einsum("df,df->f", R, P)
    for _ in range(steps):
        AP = product(P)
        curvature = np.einsum("df,df->f", P, AP)
        moving = (curvature > 0) & (old > 0)
        size = np.where(moving, old / np.where(moving, curvature, 1), 0)
        W += size * P
        R -= size * AP
        Z = scale * R
        new = np.einsum("df,df->f", R, Z)
        P = Z + new / np.where(moving, old, 1) * P
        old = np.where(moving, new, 0)
    return W

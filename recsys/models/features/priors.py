"""Vectors that features foretell: a linear map from sparse features to vectors, and how much it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from recsys.data.csr import CSR, beside
from recsys.data.features import Features
from recsys.data.words import unit_rows
from recsys.models.factorisation.als import Pull, Side
from recsys.models.features.vocabulary import Labels, Numbers, Vocabulary
from recsys.models.fields import FRIENDS

__all__ = ["Known", "Prior", "best_coupling", "foretold", "friends", "ridge", "scaled"]

_COUPLINGS = (1 / 64, 1 / 16, 1 / 4, 1.0)
_ENOUGH = 0.9  # of what the best coupling gains; the least one that gains so much is taken
_CHANCE = 2.0  # standard errors
_FOLDS = 3
_STEPS = 10  # of conjugate gradients, from where the map was before
_TO_THE_END = 50  # where there is no map before
_FEWEST = 10  # rows of a fold that can say whether a field is worth anything


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of users, or of items, besides their events.

    Parameters
    ----------
    words : Vocabulary
    fields : mapping of str to CSR, shapes (n, width)
        What the vocabulary's fields say of each row, `scaled`; and last, it may be, `friends`.
    couplings : mapping of str to float
        How much the part of a vector that a field foretells varies a priori, relative to the vector's own part.
    joins : bool
        Whether it has a part in the training.
    """

    words: Vocabulary
    fields: Mapping[str, CSR]
    couplings: Mapping[str, float] = field(default_factory=dict)
    joins: bool = True

    @classmethod
    def of(cls, words: Vocabulary, features: Features | None, n: int, links: CSR | None) -> Known:
        """Of n users or items, with links between them, if any."""
        rows = scaled(words, words.read(features, n)[0])
        fields = {kind.name: own for kind, own in zip(words.fields, rows, strict=True)}
        return cls(words, fields if links is None else fields | {FRIENDS: friends(links)})

    def coupled(self, coupling: float) -> Known:
        """With the same coupling for all fields."""
        return replace(self, couplings=dict.fromkeys(self.fields, coupling))

    def chosen(self, side: Side, X: np.ndarray) -> Known:
        """With the couplings that foretell vectors (n, f) best, of others than they are learned from."""
        ridges = np.where(np.diff(side.indptr) > 0, side.ridge, 0).astype(np.float32)
        return replace(self, couplings={name: best_coupling(rows, ridges, X) for name, rows in self.fields.items()})

    @property
    def used(self) -> dict[str, float]:
        """The couplings of the fields that tell anything."""
        return {name: c for name, c in self.couplings.items() if c and self.fields[name].shape[1]}


class Prior(Pull):
    """The vectors of one side are drawn to what their features foretell, `toward_u = W' f_u`.

    The penalty is `sum_u ridge_u |x_u - W' f_u|**2 + sum_j penalty_j |w_j|**2`, where `penalty_j` is the mean ridge
    divided by the coupling of the column's field. W takes some steps of conjugate gradients in each half epoch. If what
    is known does not join the training, this leaves it as it is, and learns W from the vectors in the end.

    Parameters
    ----------
    side : Side
        Of all rows; those that have no events take no part in the training.
    known : Known

    Attributes
    ----------
    works : bool
        Whether anything is foretold.
    """

    def __init__(self, side: Side, known: Known) -> None:
        super().__init__(side)
        self.known, self.works = known, bool(known.used)
        self.present = np.diff(side.indptr) > 0
        self.ridges = np.where(self.present, side.ridge, 0).astype(np.float32)
        if self.works:
            fields = [known.fields[name] for name in known.used]
            self.rows = beside(fields)
            self.columns = self.rows.T
            self.penalties = np.concatenate([np.full(each.shape[1], _mean(self.ridges) / c, np.float32)
                                             for each, c in zip(fields, known.used.values(), strict=True)])
        self.weights = np.zeros((0, 0), np.float32)

    def start(self, X: np.ndarray) -> np.ndarray:
        """Those without events at 0, if the map joins the training."""
        if self.works and self.known.joins:
            X[~self.present] = 0
        return X

    def follow(self, X: np.ndarray) -> None:
        """A better map, and what it foretells of those that have events."""
        if self.works and self.known.joins:
            self._improve(X, _STEPS)
            self.toward = self.of_all()
            self.toward[~self.present] = 0  # and so they stay at 0

    def settle(self, X: np.ndarray) -> None:
        """The end: those who have no events have what is foretold of them."""
        if self.works:
            if not self.known.joins:
                self._improve(X, _TO_THE_END)
            X[~self.present] = self.of_all()[~self.present]

    def _improve(self, X: np.ndarray, steps: int) -> None:
        weights = self.weights if len(self.weights) else np.zeros((self.rows.shape[1], X.shape[1]), np.float32)
        self.weights = ridge(self.rows, self.columns, self.ridges, self.penalties, X, weights, steps)

    def own(self) -> float:
        """The penalty of the map."""
        return float(self.penalties @ np.einsum("df,df->d", self.weights, self.weights)) if len(self.weights) else 0.0

    def of_all(self) -> np.ndarray:
        """What is foretold of all rows: float32 (n, f)."""
        return foretold(self.rows, self.weights)

    def by_friend(self) -> np.ndarray | None:
        """The rows of W that are friends', float32 (n, f), if these tell anything."""
        return self.weights[-len(self.present):] if FRIENDS in self.known.used else None

    def state(self, side: str) -> dict[str, np.ndarray]:
        """What foretells of others, as named arrays: the words of the fields that tell anything, and their rows of W.

        Friends' rows are not among them: each belongs to a user.
        """
        if not self.works:
            return {}
        words = Vocabulary(tuple(each for each in self.known.words.fields if each.name in self.known.used))
        width = sum(each.width for each in words.fields)
        return words.state(f"words.{side}") | {f"map.{side}": self.weights[:width]}


def scaled(words: Vocabulary, fields: Sequence[CSR]) -> list[CSR]:
    """What the fields of a vocabulary read, in one scale: rows of length 1, but numbers have a mean square of 1.

    Labels count by the root of their weights: a tag that a hundred people gave says not a hundred times as much.
    """
    return [_scaled(kind, rows) for kind, rows in zip(words.fields, fields, strict=True)]


def _scaled(kind: Any, rows: CSR) -> CSR:
    if isinstance(kind, Numbers):
        return CSR(rows.indptr, rows.indices, rows.weights / np.float32(np.sqrt(max(rows.shape[1], 1))), rows.shape)
    if isinstance(kind, Labels):
        rows = CSR(rows.indptr, rows.indices, np.sign(rows.weights) * np.sqrt(np.abs(rows.weights)), rows.shape)
    return unit_rows(rows)


def foretold(rows: CSR, weights: np.ndarray) -> np.ndarray:
    """The vectors `W' f` of rows f: CSR (n, d), (d, f) -> float32 (n, f)."""
    return np.asarray(rows.times(weights), np.float32)


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


def best_coupling(rows: CSR, ridges: np.ndarray, X: np.ndarray) -> float:
    """The coupling of a field by how well it foretells vectors that are left out.

    It is 0 unless these are nearer to what is foretold of them than to the mean by more than chance explains.

    Parameters
    ----------
    rows : CSR, shape (n, width)
    ridges : ndarray of float32, shape (n,)
        What the error of a row counts; 0 for rows of which nothing else is known.
    X : ndarray of float32, shape (n, f)
    """
    able = np.flatnonzero((ridges > 0) & (rows.counts > 0))
    if len(able) < _FOLDS * _FEWEST:
        return 0.0
    place = np.full(len(ridges), -1)
    place[able] = np.random.default_rng(0).permutation(len(able)) % _FOLDS
    columns, errors = rows.T, np.zeros((1 + len(_COUPLINGS), len(ridges)))
    for fold in range(_FOLDS):
        out = place == fold
        learned = np.where(out, 0, ridges).astype(np.float32)
        away = X - (learned @ X / learned.sum(dtype=np.float64)).astype(np.float32)
        weights = np.zeros((rows.shape[1], X.shape[1]), np.float32)
        errors[0, out] = _squares(away[out])
        for number, coupling in enumerate(_COUPLINGS, start=1):
            penalties = np.full(rows.shape[1], _mean(learned) / coupling, np.float32)
            weights = ridge(rows, columns, learned, penalties, away, weights)
            errors[number, out] = _squares((away - foretold(rows, weights))[out])
    gains = ((errors[0] - errors[1:]) * ridges)[:, able]
    means = gains.mean(axis=1)
    best = gains[np.argmax(means)]
    if best.mean() <= _CHANCE * best.std() / np.sqrt(len(best)):
        return 0.0
    return _COUPLINGS[int(np.argmax(means >= _ENOUGH * means.max()))]


def _squares(away: np.ndarray) -> np.ndarray:
    """Of the lengths of rows: float64 (n,)."""
    return np.asarray(np.einsum("nf,nf->n", away, away, dtype=np.float64))


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
    W = weights.copy()
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

"""How a history becomes the vector of a user who is unseen to a factor model."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR
from recsys.errors import ArtifactError
from recsys.estimator.arrays import Arrays, expect
from recsys.estimator.facts import Facts

if TYPE_CHECKING:
    from recsys.estimator.scorers.factors import Factors

__all__ = ["KINDS", "FoldIn", "LinearMap", "restore", "state_of"]

KINDS = {
    "linear map": "folding.LinearMap",
    "confidence": "confidence.Confidence",
    "anchored confidence": "anchored.Anchored",
    "least squares": "least_squares.LeastSquares",
    "codes": "codes.Codes",
    "sums": "sums.Sums",
}
"""The kinds that a file may name, and where each is."""


class FoldIn:
    """From histories to vectors.

    Attributes
    ----------
    needs_values : bool
        A history is nothing without its ratings.
    needs_gram : bool
        It asks for `Factors.gram`, which is then kept in the file.
    history : CSR, shape (n_users, n_items), or None
        The events of the training, where more is kept of them than what users have seen.
    """

    needs_gram: ClassVar[bool] = False
    needs_values: bool = False
    history: CSR | None = None

    def vectors(self, history: CSR, factors: Factors) -> tuple[np.ndarray, np.ndarray | None]:
        """Vectors (B, f), and biases (B, 1) of models with biases of users."""
        raise NotImplementedError(f"{type(self).__name__} does not define vectors.")

    def transform_history(self, history: CSR) -> CSR:
        """A given history in the form that `contributions` takes."""
        return history

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int,
                      factors: Factors) -> np.ndarray | None:
        """What each event of a history adds to a score, if the vector is linear in the events: (n,)."""
        return None

    def unexplained(self, indices: np.ndarray, values: np.ndarray | None, item: int, factors: Factors,
                    user: int) -> float:
        """The part of a score that belongs to no event of the history of a user, -1 for somebody unknown."""
        return 0.0

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Settings that JSON holds, and arrays."""
        raise NotImplementedError(f"{type(self).__name__} does not define state.")

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts, width: int) -> Self:
        """What `state` described, for vectors of length `width`."""
        raise NotImplementedError(f"{cls.__name__} does not define restore.")


def state_of(fold_in: FoldIn) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `restore` makes it of again."""
    kind = next((kind for kind in KINDS if _class(kind) is type(fold_in)), None)
    if kind is None:
        raise ArtifactError(f"a fold-in of class {type(fold_in).__name__} cannot be stored")
    settings, arrays = fold_in.state()
    return {"kind": kind, **settings}, arrays


def restore(settings: dict[str, Any], arrays: Arrays, facts: Facts, width: int) -> FoldIn:
    """What `state_of` described."""
    kind = settings.get("kind")
    if kind not in KINDS:
        raise ArtifactError(f"there is no fold-in of kind {kind!r}")
    return _class(kind).restore(settings, arrays, facts, width)


def _class(kind: str) -> type[FoldIn]:
    module, name = KINDS[kind].split(".")
    found: type[FoldIn] = getattr(importlib.import_module(f"recsys.estimator.scorers.{module}"), name)
    return found


class LinearMap(FoldIn):
    """The vector is a linear function of the mean vector of the history's items, and a constant 1.

    Parameters
    ----------
    fold_map : ndarray of float32, shape (f + 1, f)
    """

    def __init__(self, fold_map: np.ndarray) -> None:
        self.fold_map = fold_map

    def vectors(self, history: CSR, factors: Factors) -> tuple[np.ndarray, None]:
        """(B, f)."""
        means, width = means_of(history.unique(), factors.item_factors), self.fold_map.shape[1]
        rows, columns = np.divmod(np.arange(len(means) * width), width)
        products = kernels.retrieval.dots(means, np.ascontiguousarray(self.fold_map.T), np.zeros(0, np.float32), rows,
                                          columns)
        return products.reshape(len(means), width).astype(np.float32), None

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The map."""
        return {}, {"fold_map": self.fold_map}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts, width: int) -> Self:
        """What `state` described."""
        return cls(expect(arrays, "fold_map", (width + 1, width)))


def means_of(history: CSR, item_factors: np.ndarray) -> np.ndarray:
    """Mean vector of each history's items, and a constant 1: (B, n_items) -> (B, f + 1)."""
    weights = np.repeat(1 / np.maximum(history.counts, 1), history.counts).astype(np.float32)
    sums = replace(history, data=weights).times(item_factors)
    return np.hstack([sums, np.ones((len(sums), 1), np.float32)])

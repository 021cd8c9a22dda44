"""The fold-in of autoencoders of ratings: the code of a user's ratings, or their regression on the items' codes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from minidl import no_grad
from recsys.data.csr import CSR, distinct
from recsys.estimator.arrays import Arrays, expect, pack, unpack_if
from recsys.estimator.facts import Facts
from recsys.estimator.networks import Architecture
from recsys.estimator.scorers.biases import fold_user_bias, known_biases
from recsys.estimator.scorers.folding import FoldIn

if TYPE_CHECKING:
    from recsys.estimator.scorers.factors import Factors

__all__ = ["Codes", "deviations"]


@dataclass(frozen=True, eq=False)
class Codes(FoldIn):
    """A user's vector from the code of its ratings, with a network of users, or by ridge regression on items' codes.

    Parameters
    ----------
    mean : float
        Of the ratings.
    reg : float
        Of the regression.
    item_baseline : ndarray of float64, shape (n_items,), or None
        Biases of items, beside which a user's bias is found; None in files from before there was a baseline.
    reg_user : float
        Ratings that draw that bias to 0.
    scale : float
        What deviations from the baseline are multiplied by.
    architecture : Architecture, optional
        And network, which encodes rows of users; without, codes are those of items.
    network : minidl.nn.Module, optional
    history : CSR, shape (n_users, n_items), or None
        The ratings of the training.
    """

    mean: float
    reg: float
    item_baseline: np.ndarray | None
    reg_user: float = 0.0
    scale: float = 1.0
    architecture: Architecture | None = None
    network: Any = None
    history: CSR | None = None
    needs_values = True

    def transform_history(self, history: CSR) -> CSR:
        """Each pair once, with its last rating."""
        return distinct(history)

    def vectors(self, history: CSR, factors: Factors) -> tuple[np.ndarray, None]:
        """(B, f)."""
        rows = distinct(history)
        if self.item_baseline is None:
            if self.network is not None:
                return self._with_one(rows), None
            return self._ridges(rows, factors.item_factors, rows.weights - np.float32(self.mean)), None
        bias = fold_user_bias(rows, self.mean, self.item_baseline, self.reg_user)
        given = deviations(rows, self.mean, bias, self.item_baseline, self.scale)
        if self.network is None:
            vectors = self._ridges(rows, factors.item_factors[:, :-1], given.weights / np.float32(self.scale))
        else:
            vectors = self._with_one(given)
            vectors[rows.counts == 0] = 0
        return np.hstack([vectors, bias[:, None].astype(np.float32)]), None

    def _ridges(self, rows: CSR, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The vectors that take the codes of each row's items to its values: (B, width + 1)."""
        return np.stack([_ridge(codes[rows.indices[a:b]], values[a:b], self.reg) for a, b in pairwise(rows.indptr)])

    def _with_one(self, rows: CSR) -> np.ndarray:
        """Codes, and the factor of the columns' biases: (B, width + 1)."""
        with no_grad():  # row by row: the last bits of a larger product depend on the other rows
            codes = [self.network.encode(rows.rows(np.array([row]))).data for row in range(rows.shape[0])]
        return np.hstack([np.concatenate(codes), np.ones((len(codes), 1), np.float32)])

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The numbers, the baseline, the network and the ratings of the training."""
        settings = {"mean": self.mean, "reg": self.reg, "reg_user": self.reg_user, "scale": self.scale,
                    "network": None if self.architecture is None else self.architecture.settings()}
        arrays = {} if self.item_baseline is None else {"baseline.item": self.item_baseline}
        arrays |= {} if self.architecture is None else self.architecture.arrays(self.network)
        return settings, arrays | pack("seen.history", self.history)

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts, width: int) -> Self:
        """What `state` described."""
        n_users, n_items = len(facts.users), len(facts.items)
        baseline = expect(arrays, "baseline.item", (n_items,), np.float64) if "baseline.item" in arrays else None
        architecture = network = None
        if settings["network"] is not None:
            architecture = Architecture.restore(settings["network"], arrays)
            network = architecture.load(arrays, n_users, n_items)
        return cls(settings["mean"], settings["reg"], baseline, settings["reg_user"], settings["scale"],
                   architecture, network, unpack_if("seen.history", arrays, (n_users, n_items)))


def deviations(rows: CSR, mean: float, user_bias: np.ndarray, item_bias: np.ndarray, scale: float) -> CSR:
    """Ratings less their baseline, times `scale`: CSR (B, n_items), with the biases (B,) of its rows."""
    assumed = known_biases(mean, user_bias, item_bias, rows.row_of_entry, rows.indices)
    return CSR(rows.indptr, rows.indices, ((rows.weights - assumed) * scale).astype(np.float32), rows.shape)


def _ridge(codes: np.ndarray, values: np.ndarray, reg: float) -> np.ndarray:
    """The vector w that minimises `|codes w - values|^2 + reg |w|^2`, by whichever of the two systems is smaller."""
    n, width = codes.shape
    reg = max(reg, 1e-3)
    if n < width:
        return np.asarray(codes.T @ np.linalg.solve(codes @ codes.T + reg * np.eye(n, dtype=np.float32), values))
    return np.asarray(np.linalg.solve(codes.T @ codes + reg * np.eye(width, dtype=np.float32), codes.T @ values))

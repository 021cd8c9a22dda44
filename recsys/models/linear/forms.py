"""The forms of a linear autoencoder, which are the same whether its regressions are on all items or on the nearest.

A form weighs the rows of X (`weighted`), penalises (`penalties`), lets an item speak for itself in part, which leaves
less to the others (`to_others`), and rescales what comes out by how popular items are (`popularity`).
"""

from __future__ import annotations

import numpy as np

from recsys.checks import Check, above, at_least, between, one_of, optional, whole
from recsys.data.csr import CSR

__all__ = ["CHECKS", "penalties", "popularity", "to_others", "weighted"]

CHECKS: dict[str, Check] = {
    "reg": optional(above(0)), "dropout": between(0, 0.99), "diagonal": between(0, 1), "user_power": at_least(0),
    "item_power": at_least(0), "recent": optional(whole(1)), "weights": one_of("binary", "value"), "max_gib": above(0)}


def weighted(rows: CSR, power: float) -> CSR:
    """X with the squares of each user's row divided by the number of its entries to a power.

    Examples
    --------
    >>> weighted(CSR.from_pairs([0, 0, 0, 0, 1], [0, 1, 2, 3, 0], shape=(2, 4)), 1.0).weights.tolist()
    [0.5, 0.5, 0.5, 0.5, 1.0]
    """
    if not power:
        return rows
    scale = np.maximum(rows.counts, 1) ** (-power / 2)
    return CSR(rows.indptr, rows.indices, (rows.weights * scale[rows.row_of_entry]).astype(np.float32), rows.shape)


def penalties(squares: np.ndarray, reg: float, dropout: float) -> np.ndarray:
    """What is added to the diagonal of the Gram matrix, `reg + dropout / (1 - dropout) squares`: float64 (n_items,).

    Examples
    --------
    >>> penalties(np.array([0.0, 10.0]), 2.0, 0.5).tolist()
    [2.0, 12.0]
    """
    return np.asarray(reg + dropout / (1 - dropout) * squares, np.float64)


def to_others(penalty: np.ndarray, left: np.ndarray, diagonal: float) -> np.ndarray:
    """What is left of the weights of the others if an item has its own weight, at most `diagonal`: from 0 to 1.

    The weight that an item would have without a limit is `1 - penalty P_jj`, with P the inverse of the penalised Gram
    matrix and `left` the inverse of its diagonal; the weights of the others are those of a zero diagonal times what
    the own weight lacks of 1.

    Examples
    --------
    >>> to_others(np.array([4.0, 1.0]), np.array([5.0, 5.0]), 0.5).tolist()
    [0.8, 0.5]
    """
    return np.asarray(np.clip(penalty / left, 1 - diagonal, 1))


def popularity(rows: CSR, power: float) -> np.ndarray:
    """The number of users of each item to a power: float64 (n_items,)."""
    counts: np.ndarray = np.bincount(rows.indices, minlength=rows.shape[1])
    return np.asarray(np.maximum(counts, 1) ** float(power))

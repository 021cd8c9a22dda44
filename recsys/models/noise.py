"""What chance alone makes of a matrix: the measure of defaults that penalise."""

from __future__ import annotations

import numpy as np

from recsys.data.csr import CSR

__all__ = ["noise"]


def noise(rows: CSR) -> float:
    """The largest singular value that chance alone gives a matrix with independent entries as large as these.

    With S the sum of their squares, `sqrt(S / n) + sqrt(S / m)`, over the n rows and m columns that have any.
    """
    squares = float(np.sum(rows.weights.astype(np.float64) ** 2))
    return float(sum(np.sqrt(squares / max(int((side.counts > 0).sum()), 1)) for side in (rows, rows.T)))

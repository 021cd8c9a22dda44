"""NumPy twins of the row kernels."""

from __future__ import annotations

import numpy as np

__all__ = ["coalesce", "scatter_add"]


def scatter_add(out: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> None:
    """`out[indices[k]] += rows[k]` for k in order; duplicates add up. Indices are in range, not negative."""
    np.add.at(out, indices, rows)


def coalesce(indices: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted unique indices and the sums of their rows, added in order of appearance."""
    unique, where = np.unique(indices, return_inverse=True)
    total = np.zeros((len(unique), *rows.shape[1:]), rows.dtype)
    np.add.at(total, where, rows)
    return unique, total

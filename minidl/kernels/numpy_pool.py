"""NumPy references of the pooling kernels.

Planes are arrays (P, H, W). Windows are told axis by axis, in an int64 array (n, 3): where window i begins,
where it ends, both inside the input, and what its length counts in an average. No window is empty, which is up to
the caller. So one kernel does sliding, adaptive and global pooling.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["avg_pool", "avg_spread", "max_pool", "max_spread"]


def _sweep(rows: np.ndarray, cols: np.ndarray, dilation: tuple[int, int],
           plane: tuple[int, ...]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The first element of every window, then the second, ...: rows (OH, 1), columns (OW,), whether there is one."""
    longest = [int((axis[:, 1] - axis[:, 0]).max(initial=0)) for axis in (rows, cols)]
    for a in range(0, longest[0], dilation[0]):
        i = rows[:, :1] + a
        for b in range(0, longest[1], dilation[1]):
            j = cols[:, 0] + b
            inside = (i < rows[:, 1:2]) & (j < cols[:, 1])
            yield np.minimum(i, plane[0] - 1), np.minimum(j, plane[1] - 1), inside


def max_pool(x: np.ndarray, rows: np.ndarray, cols: np.ndarray, dilation: tuple[int, int], out: np.ndarray,
             index: np.ndarray) -> None:
    """The largest element of every window, and where it is.

    Parameters
    ----------
    x : float array, shape (P, H, W)
    rows, cols : int64 arrays, shapes (OH, 3), (OW, 3)
    dilation : (int, int)
        Steps inside a window.
    out : float array, shape (P, OH, OW), written
        NaN is larger than anything.
    index : int32 or int64 array, shape (P, OH, OW), written
        Place in the plane, i W + j: the first of the largest, the last of several NaN.
    """
    out.fill(-np.inf)
    index.fill(-1)  # nothing seen yet
    for i, j, inside in _sweep(rows, cols, dilation, x.shape[1:]):
        values = x[:, i, j]
        larger = inside & ((values > out) | np.isnan(values) | (index < 0))
        np.copyto(out, values, where=larger)
        np.copyto(index, i * x.shape[2] + j, where=larger, casting="same_kind")


def max_spread(g: np.ndarray, index: np.ndarray, out: np.ndarray) -> None:
    """Zeros with `g` added at `index`, plane by plane: the adjoint of reading there.

    Parameters
    ----------
    g, index : arrays, shape (P, M)
        Of `max_pool`.
    out : float array, shape (P, H * W), written
    """
    out.fill(0)
    np.add.at(out, (np.arange(len(g))[:, None], index), g)


def avg_pool(x: np.ndarray, rows: np.ndarray, cols: np.ndarray, out: np.ndarray) -> None:
    """The sum of every window over the product of its two counts; shapes as in `max_pool`."""
    out.fill(0)
    for i, j, inside in _sweep(rows, cols, (1, 1), x.shape[1:]):
        np.add(out, x[:, i, j], out=out, where=inside)
    out /= rows[:, 2:] * cols[:, 2]


def avg_spread(g: np.ndarray, rows: np.ndarray, cols: np.ndarray, out: np.ndarray) -> None:
    """`g` (P, OH, OW), over the counts, added to every element of its window: the adjoint of `avg_pool`."""
    out.fill(0)
    planes_last = out.transpose(1, 2, 0)
    share = (g / (rows[:, 2:] * cols[:, 2])).astype(g.dtype, copy=False)
    for i, j, inside in _sweep(rows, cols, (1, 1), out.shape[1:]):
        np.add.at(planes_last, (i, j), np.where(inside, share, 0).transpose(1, 2, 0))

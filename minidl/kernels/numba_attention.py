"""Attention kernels in Numba; described at the reference, `numpy_attention`.

A group (one head of one sequence) belongs to one thread, so that no result depends on the number of threads. What a
causal mask forbids is not computed.
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.ahead import later, njit
from minidl.kernels.numba_loss import _exp
from minidl.runtime import threads

__all__ = ["attention", "attention_gradient"]

prange = later("numba", "prange")

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_WIDE = 64  # columns of a panel: a constant, so that the compiler sees what cannot overlap
_VECTOR = 16  # columns that are computed together
_LARGE = 1 << 17  # multiplications; with fewer, other threads are not worth waking
_PARTS = 32  # that groups are cut into, for several threads
_FULL, _LOWER, _UPPER, _OUT = 0, 1, 2, 3  # which triangle counts: all, of a lower or upper a, of a lower out


def attention(q, k, v, bias, keep, causal, scale):
    p = np.empty((len(q), q.shape[1], k.shape[1]), q.dtype)
    out = np.empty((len(q), q.shape[1], v.shape[2]), q.dtype)
    _multiply(q, False, k, True, _OUT if causal else _FULL, scale, p)
    if p.size > _LARGE // 16 and threads() > 1:
        _weights_on_threads(p, bias, causal)
    else:
        _weights(0, len(p), p, bias, causal)
    _multiply(p * keep if len(keep) else p, False, v, False, _LOWER if causal else _FULL, 1.0, out)
    return out, p


def attention_gradient(g, q, k, v, p, keep, causal, scale, gq, gk, gv):
    gs = np.empty_like(p)
    _multiply(p * keep if len(keep) else p, True, g, False, _UPPER if causal else _FULL, 1.0, gv)
    _multiply(g, False, v, True, _OUT if causal else _FULL, 1.0, gs)
    if gs.size > _LARGE // 16 and threads() > 1:
        _weights_gradient_on_threads(gs, p, keep, causal)
    else:
        _weights_gradient(0, len(gs), gs, p, keep, causal)
    _multiply(gs, False, k, False, _LOWER if causal else _FULL, scale, gq)
    _multiply(gs, True, q, False, _UPPER if causal else _FULL, scale, gk)
    return gs


# --------------------------------------------------------------------------------------------- products

def _multiply(a, turn_a, b, turn_b, triangle, scale, out):
    """out = scale a b for each group, or with a' or b' instead.

    A triangle of zeros in `a` is passed over, and what lies above the diagonal of `out` may stay undefined.
    """
    depth = a.shape[1] if turn_a else a.shape[2]
    large = out.size * depth > _LARGE and threads() > 1
    parts = min(len(out), _PARTS) if large else 1
    panels, sums = np.empty((parts, (depth + 3) * _WIDE), a.dtype), np.empty((parts, 4 * _WIDE), a.dtype)
    run = _products_on_threads if large else _products
    run(a, turn_a, b, turn_b, triangle, out.dtype.type(scale), panels, sums, out)


@njit(cache=True, nogil=True, inline="always")
def _pack(b, transposed, first, width, panel):
    """`width` columns from `first` on of b, or of its transpose, as a panel of _WIDE columns, padded with zeros."""
    for column in range(panel.size):
        panel[column] = 0
    for m in range(b.shape[1] if transposed else b.shape[0]):
        at = np.uintp(m * _WIDE)
        for column in range(width):
            j = np.uintp(column)
            panel[at + j] = b[first + column, m] if transposed else b[m, first + column]


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy", inline="always")
def _step(x, m, width, panel, sums):
    """Add the product of x (4, 4) and four rows of the panel to sums (4, _WIDE), in one order of additions."""
    one, two, three = np.uintp(_WIDE), np.uintp(2 * _WIDE), np.uintp(3 * _WIDE)
    at = np.uintp(m * _WIDE)
    for column in range(width):
        j = np.uintp(column)  # unsigned: no index counts from the end
        a, b, c, d = panel[at + j], panel[at + one + j], panel[at + two + j], panel[at + three + j]
        sums[j] = sums[j] + x[0] * a + x[1] * b + x[2] * c + x[3] * d
        sums[one + j] = sums[one + j] + x[4] * a + x[5] * b + x[6] * c + x[7] * d
        sums[two + j] = sums[two + j] + x[8] * a + x[9] * b + x[10] * c + x[11] * d
        sums[three + j] = sums[three + j] + x[12] * a + x[13] * b + x[14] * c + x[15] * d


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _block(a, transposed, i, m):
    """A block (4, 4) of a, or of its transpose; beyond an edge, the edge again."""
    n, depth = (a.shape[1], a.shape[0]) if transposed else a.shape
    i0, i1, i2, i3 = np.uintp(i), np.uintp(min(i + 1, n - 1)), np.uintp(min(i + 2, n - 1)), np.uintp(min(i + 3, n - 1))
    m0, m1, m2 = np.uintp(m), np.uintp(min(m + 1, depth - 1)), np.uintp(min(m + 2, depth - 1))
    m3 = np.uintp(min(m + 3, depth - 1))
    if transposed:
        return (a[m0, i0], a[m1, i0], a[m2, i0], a[m3, i0], a[m0, i1], a[m1, i1], a[m2, i1], a[m3, i1],
                a[m0, i2], a[m1, i2], a[m2, i2], a[m3, i2], a[m0, i3], a[m1, i3], a[m2, i3], a[m3, i3])
    return (a[i0, m0], a[i0, m1], a[i0, m2], a[i0, m3], a[i1, m0], a[i1, m1], a[i1, m2], a[i1, m3],
            a[i2, m0], a[i2, m1], a[i2, m2], a[i2, m3], a[i3, m0], a[i3, m1], a[i3, m2], a[i3, m3])


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _product(a, turn_a, b, turn_b, triangle, scale, panel, sums, out):
    """One group, by panels of b and four rows of a."""
    n, depth = (a.shape[1], a.shape[0]) if turn_a else a.shape
    for column in range(0, out.shape[1], _WIDE):
        width = min(_WIDE, out.shape[1] - column)
        _pack(b, turn_b, column, width, panel)
        for i in range(0, n, 4):
            if triangle == _OUT and column > i + 3:
                continue
            first = min(i, depth) if triangle == _UPPER else 0
            last = min(i + 4, depth) if triangle == _LOWER else depth
            reach = min(width, i + 4 - column) if triangle == _OUT else width
            reach = (reach + _VECTOR - 1) // _VECTOR * _VECTOR
            for j in range(sums.size):
                sums[j] = 0
            for m in range(first, last, 4):
                _step(_block(a, turn_a, i, m), m, reach, panel, sums)
            reach = min(reach, width)
            for r in range(min(4, n - i)):
                at = np.uintp(r * _WIDE)
                for j in range(reach):
                    out[i + r, column + j] = scale * sums[at + np.uintp(j)]


@njit(cache=True, nogil=True, error_model="numpy")
def _products(a, turn_a, b, turn_b, triangle, scale, panels, sums, out):
    for g in range(len(out)):
        _product(a[g], turn_a, b[g], turn_b, triangle, scale, panels[0], sums[0], out[g])


@njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def _products_on_threads(a, turn_a, b, turn_b, triangle, scale, panels, sums, out):
    n, parts = len(out), len(panels)
    for c in prange(parts):
        for g in range(n * c // parts, n * (c + 1) // parts):
            _product(a[g], turn_a, b[g], turn_b, triangle, scale, panels[c], sums[c], out[g])


# ---------------------------------------------------------------------------------------------- weights

@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _softmax(p, i, width):
    """Row i of scores to probabilities, in place: zeros if all of them are -inf."""
    peak = p[i, 0]
    for j in range(width):
        peak = p[i, j] if p[i, j] > peak or p[i, j] != p[i, j] else peak
    total = p.dtype.type(0)
    if peak == -np.inf:
        for j in range(p.shape[1]):
            p[i, j] = 0
        return
    for j in range(width):
        p[i, j] = _exp(p[i, j] - peak)
        total += p[i, j]
    factor = p.dtype.type(1) / total
    for j in range(width):
        p[i, j] *= factor
    for j in range(width, p.shape[1]):
        p[i, j] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _weights(first, last, p, bias, causal):
    """Scores to probabilities, in place."""
    for g in range(first, last):
        rows, b = p[g], g * len(bias) // len(p)
        for i in range(len(rows)):
            seen = min(i + 1, rows.shape[1]) if causal else rows.shape[1]
            if len(bias):
                for j in range(seen):
                    rows[i, j] += bias[b, i, j]
            _softmax(rows, i, seen)


@njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def _weights_on_threads(p, bias, causal):
    n = len(p)
    for c in prange(_PARTS):
        _weights(n * c // _PARTS, n * (c + 1) // _PARTS, p, bias, causal)


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _inner(a, b, i, width):
    total = a.dtype.type(0)
    for j in range(width):
        total += a[i, j] * b[i, j]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _weights_gradient(first, last, gs, p, keep, causal):
    """Gradients of the weights that are multiplied with values to gradients of the scores, in place."""
    for g in range(first, last):
        up, rows = gs[g], p[g]
        for i in range(len(rows)):
            seen = min(i + 1, rows.shape[1]) if causal else rows.shape[1]
            if len(keep):
                for j in range(seen):
                    up[i, j] *= keep[g, i, j]
            inner = _inner(up, rows, i, seen)
            for j in range(seen):
                up[i, j] = rows[i, j] * (up[i, j] - inner)
            for j in range(seen, up.shape[1]):
                up[i, j] = 0


@njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def _weights_gradient_on_threads(gs, p, keep, causal):
    n = len(gs)
    for c in prange(_PARTS):
        _weights_gradient(n * c // _PARTS, n * (c + 1) // _PARTS, gs, p, keep, causal)

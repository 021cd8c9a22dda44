"""Where the windows of pooling lie, told axis by axis."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ShapeError
from minidl.ops.patches import numbers

__all__ = ["Windows", "adaptive", "counted", "sliding"]


class Windows(NamedTuple):
    """Where windows lie: int64 arrays (n, 3) of begin, end and count; see `minidl.kernels.numpy_pool`."""

    dims: int
    rows: np.ndarray
    cols: np.ndarray
    dilation: tuple[int, int] = (1, 1)

    def out_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(..., H, W) -> (..., OH, OW), or (..., L) -> (..., OL)."""
        return shape[:-self.dims] + (len(self.rows), len(self.cols))[-self.dims:]


def _spatial(op: str, x: Any, dims: int) -> tuple[int, ...]:
    """The axes that are pooled, (H, W) or (L,), of an input that is fit for pooling."""
    if x.ndim not in (dims + 1, dims + 2):
        wanted = "(C, H, W) or (N, C, H, W)" if dims == 2 else "(C, L) or (N, C, L)"
        raise ShapeError(f"{op}: input has shape {x.shape}, it has to be {wanted}")
    if x.dtype.kind != "f":
        raise TypeError(f"{op}: input has dtype {x.dtype}; pooling takes floating point numbers, convert it first")
    if 0 in x.shape[-dims:]:
        raise ShapeError(f"{op}: input has shape {x.shape}; there is nothing in it to pool")
    return tuple(x.shape[-dims:])


@functools.lru_cache(256)
def _line(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool, count_pad: bool) -> Any:
    """Sliding windows along one axis, shape (n, 3)."""
    extent = dilation * (kernel - 1) + 1
    room = size + 2 * padding - extent
    n = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (n - 1) * stride >= size + padding:  # the last window has to start before the right padding
        n -= 1
    start = np.arange(n) * stride - padding
    stop = np.minimum(start + extent, size + padding)
    first = np.where(start < 0, start % dilation, start)  # of its elements, the first inside the input
    last = np.minimum(stop, size)
    return _fixed(first, last, stop - start if count_pad else last - first)


@functools.lru_cache(256)
def _adaptive_line(size: int, n: int) -> Any:
    """Windows that cut an axis into n pieces, which overlap where they must, shape (n, 3)."""
    i = np.arange(n)
    start, stop = i * size // n, -(-(i + 1) * size // n)
    return _fixed(start, stop, stop - start)


def _fixed(*columns: np.ndarray) -> np.ndarray:
    line = np.stack(columns, axis=1).astype(np.int64)
    line.flags.writeable = False  # it is cached
    return line


def _rows(lines: list[np.ndarray]) -> np.ndarray:
    """The windows of the first of two axes; in one dimension, those of a plane of height 1."""
    return lines[0] if len(lines) == 2 else _adaptive_line(1, 1)


def sliding(op: str, x: Any, dims: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
            count_include_pad: bool = True) -> Windows:
    """Windows of one size at equal distances; arguments as of `max_pool2d`, which `op` is named like."""
    sizes = _spatial(op, x, dims)
    kernel = numbers(op, "kernel_size", kernel_size, dims, 1)
    steps = kernel if stride is None else numbers(op, "stride", stride, dims, 1)
    pads, dilations = numbers(op, "padding", padding, dims), numbers(op, "dilation", dilation, dims, 1)
    lines = []
    for size, k, s, p, d in zip(sizes, kernel, steps, pads, dilations, strict=True):
        if p > k // 2:
            raise ValueError(f"{op}: padding={padding} has to be from 0 to half of kernel_size={kernel_size}")
        lines.append(_line(size, k, s, p, d, bool(ceil_mode), bool(count_include_pad)))
        empty = np.flatnonzero(lines[-1][:, 1] <= lines[-1][:, 0])
        if empty.size:
            raise ValueError(f"{op}: window {empty[0]} of kernel_size={kernel_size}, dilation={dilation}, "
                             f"padding={padding} holds nothing of input of shape {x.shape}, only padding; use less "
                             "padding or a smaller dilation")
        if not len(lines[-1]):
            raise ShapeError(f"{op}: no window of kernel_size={kernel_size}, dilation={dilation} fits into input of "
                             f"shape {x.shape} with padding={padding}")
    return Windows(dims, _rows(lines), lines[-1], (dilations[0] if dims == 2 else 1, dilations[-1]))


def adaptive(op: str, x: Any, dims: int, output_size: Any) -> Windows:
    """Windows that cut the input into so many pieces; arguments as of `adaptive_max_pool2d`."""
    sizes = _spatial(op, x, dims)
    asked = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * dims
    kept = [size if n is None else n for n, size in zip(asked, sizes, strict=False)]  # None: as it is
    wanted = numbers(op, "output_size", [*kept, *asked[len(kept):]], dims)
    lines = [_adaptive_line(size, n) for size, n in zip(sizes, wanted, strict=True)]
    return Windows(dims, _rows(lines), lines[-1])


def counted(windows: Windows, count: int) -> Windows:
    """The same windows, each of which counts as `count` elements."""
    lines = [_fixed(line[:, 0], line[:, 1], np.full(len(line), n))
             for line, n in ((windows.rows, count), (windows.cols, 1))]
    return windows._replace(rows=lines[0], cols=lines[1])

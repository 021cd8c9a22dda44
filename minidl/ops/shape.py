"""Rearranging arrays, with NumPy's names, arguments and semantics. All are linear; views stay views."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from minidl.engine import keeps, record
from minidl.errors import ShapeError, explained
from minidl.names import either_name
from minidl.ops.elementwise import where
from minidl.ops.index import as_indices, getitem, take
from minidl.tensors import Tensor, raw
from minidl.typing import Operand

__all__ = ["array_split", "broadcast_to", "concatenate", "diagonal", "expand_dims", "flip", "moveaxis", "pad", "ravel",
           "repeat", "reshape", "roll", "split", "squeeze", "stack", "swapaxes", "tile", "transpose", "tril", "triu"]

Shape = int | tuple[int, ...]


def _shape(x: Any) -> tuple[int, ...]:
    return np.shape(x.data if isinstance(x, Tensor) else x)


@keeps()
def _reshape_rule(g: Any, out: Any, inputs: Any, needs: Any, **params: Any) -> Any:
    return (g.reshape(inputs[0].shape),)


def reshape(x: Operand, shape: Shape, order: str = "C") -> Any:
    """The same elements in another shape, one length may be -1. Derivative: g, reshaped back."""
    if order != "C":
        raise ValueError(f"reshape: order={order!r} is not offered; transpose first, then reshape in C order")
    return record(_reshape, _reshape_rule, x, shape=shape)


def _reshape(x: Any, shape: Shape) -> np.ndarray:
    return np.asarray(x).reshape(shape)


@explained
def ravel(x: Operand, order: str = "C") -> Any:
    """All elements in one axis. Derivative: g, reshaped back."""
    return reshape(x, -1, order)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from `start_dim` to `end_dim` as one, as `torch.flatten`. Derivative: g, reshaped back."""
    shape = tuple(x.shape) or (1,)  # a number is flattened to one element
    if not all(-len(shape) <= dim < len(shape) for dim in (start_dim, end_dim)):
        raise IndexError(f"flatten: start_dim={start_dim} or end_dim={end_dim} is out of range for x of shape "
                         f"{x.shape}")
    start, end = start_dim % len(shape), end_dim % len(shape)
    if start > end:
        raise ValueError(f"flatten: start_dim={start_dim} comes after end_dim={end_dim} in x of shape {x.shape}")
    return x.reshape((*shape[:start], math.prod(shape[start:end + 1]), *shape[end + 1:]))


@either_name
def squeeze(x: Operand, axis: int | tuple[int, ...] | None = None) -> Any:
    """Without axes of length 1. Derivative: g, reshaped back."""
    return record(np.squeeze, _reshape_rule, x, axis=axis)


@either_name
def expand_dims(x: Operand, axis: int | tuple[int, ...]) -> Any:
    """With new axes of length 1. Derivative: g, reshaped back."""
    return record(np.expand_dims, _reshape_rule, x, axis=axis)


def transpose(x: Operand, axes: Sequence[int] | None = None) -> Any:
    """The axes in another order, reversed by default. Derivative: g, transposed back."""
    return record(_transpose, _transpose_rule, x, axes=axes)


def _transpose(x: Any, axes: Sequence[int] | None) -> np.ndarray:
    return np.asarray(x).transpose(axes)


@keeps()
def _transpose_rule(g: Any, out: Any, inputs: Any, needs: Any, axes: Sequence[int] | None) -> Any:
    back = axes if axes is None else [int(i) for i in np.argsort([a % len(axes) for a in axes])]
    return (transpose(g, back),)


def swapaxes(x: Operand, axis1: int, axis2: int) -> Any:
    """Two axes exchanged. Derivative: g, exchanged back."""
    return record(_swapaxes, _swapaxes_rule, x, axis1=axis1, axis2=axis2)


def _swapaxes(x: Any, axis1: int, axis2: int) -> np.ndarray:
    return np.asarray(x).swapaxes(axis1, axis2)


@keeps()
def _swapaxes_rule(g: Any, out: Any, inputs: Any, needs: Any, axis1: int, axis2: int) -> Any:
    return (swapaxes(g, axis1, axis2),)


def moveaxis(x: Operand, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Axes moved to other places, the others in order. Derivative: g, moved back."""
    return record(np.moveaxis, _moveaxis_rule, x, source=source, destination=destination)


@keeps()
def _moveaxis_rule(g: Any, out: Any, inputs: Any, needs: Any, source: Any, destination: Any) -> Any:
    return (moveaxis(g, destination, source),)


def broadcast_to(x: Operand, shape: Shape) -> Any:
    """A read-only view repeated to a larger shape. Derivative: g, summed over what was repeated."""
    return record(np.broadcast_to, _broadcast_to_rule, x, shape=shape)


@keeps()
def _broadcast_to_rule(g: Any, out: Any, inputs: Any, needs: Any, shape: Shape) -> Any:
    return (g,)  # the engine sums it down


@either_name
def flip(x: Operand, axis: int | tuple[int, ...] | None = None) -> Any:
    """Elements in reverse order along axes, all by default. Derivative: g, flipped."""
    return record(np.flip, _flip_rule, x, axis=axis)


@keeps()
def _flip_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: int | tuple[int, ...] | None) -> Any:
    return (flip(g, axis),)


@either_name
def roll(x: Operand, shift: int | tuple[int, ...], axis: int | tuple[int, ...] | None = None) -> Any:
    """Elements moved along axes; what leaves at the end comes back at the start. Derivative: g, rolled back."""
    return record(np.roll, _roll_rule, x, shift=shift, axis=axis)


@keeps()
def _roll_rule(g: Any, out: Any, inputs: Any, needs: Any, shift: Any, axis: Any) -> Any:
    return (roll(g, tuple(-s for s in shift) if isinstance(shift, (tuple, list)) else -shift, axis),)


# ---------------------------------------------------------------------------------- diagonals and triangles

@explained
def diagonal(x: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements of which the indices along two axes differ by `offset`, as a last axis; a copy.

    Derivative: g, put back on the diagonal.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(lambda x: minidl.ops.diagonal(x, 1).sum())(np.zeros((2, 3)))
    array([[0., 1., 0.],
           [0., 0., 1.]])
    """
    n, m = (_shape(x)[normalize_axis_index(a, len(_shape(x)))] for a in (axis1, axis2))
    rows = np.arange(max(-offset, 0), min(n, m - offset))
    return getitem(moveaxis(x, (axis1, axis2), (-2, -1)), (..., rows, rows + offset))


@explained
def tril(x: Operand, k: int = 0) -> Any:
    """The lower triangle of matrices (..., n, m): zeros above diagonal `k`. Derivative: the lower triangle of g."""
    return where(_lower(x, k), x, 0)


@explained
def triu(x: Operand, k: int = 0) -> Any:
    """The upper triangle of matrices (..., n, m): zeros below diagonal `k`. Derivative: the upper triangle of g."""
    return where(_lower(x, k - 1), 0, x)


def _lower(x: Any, k: int) -> np.ndarray:
    """A mask of what is on diagonal `k` or below; of a vector, which NumPy repeats as rows, square."""
    shape = _shape(x)
    if not shape:
        raise ShapeError("a number has no triangle; pass an array of matrices (..., n, m)")
    return np.tri(shape[-2] if len(shape) > 1 else shape[-1], shape[-1], k, dtype=bool)


# ------------------------------------------------------------------------------------ joining, splitting

@explained
def concatenate(arrays: Iterable[Any], axis: int | None = 0) -> Any:
    """Arrays joined along an axis, or flattened and joined. Derivative: to each array its piece of g.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> minidl.ops.concatenate([x, np.array([3.0])])
    tensor([1., 2., 3.], requires_grad=True)
    """
    arrays = list(arrays)
    if axis is None:
        arrays, axis = [ravel(a) for a in arrays], 0
    lengths = [_shape(a)[normalize_axis_index(axis, len(_shape(a)), "concatenate")] for a in arrays]
    return record(_concatenate, _concatenate_rule, *arrays, axis=axis, lengths=lengths)


def _concatenate(*arrays: Any, axis: int, lengths: Sequence[int]) -> np.ndarray:
    return np.concatenate(arrays, axis)


@keeps()
def _concatenate_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: int, lengths: Sequence[int]) -> Any:
    front = (slice(None),) * (axis % g.ndim)
    ends = itertools.accumulate(lengths)
    return [g[(*front, slice(end - n, end))] if need else None
            for end, n, need in zip(ends, lengths, needs, strict=True)]


@explained
def stack(arrays: Iterable[Any], axis: int = 0) -> Any:
    """Arrays of one shape joined along a new axis. Derivative: to each array its piece of g."""
    return record(_stack, _stack_rule, *arrays, axis=axis)


def _stack(*arrays: Any, axis: int) -> np.ndarray:
    return np.stack(arrays, axis)


@keeps()
def _stack_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: int) -> Any:
    front = (slice(None),) * (axis % g.ndim)
    return [g[(*front, i)] if need else None for i, need in enumerate(needs)]


@explained
def split(x: Operand, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Pieces along an axis: so many equal ones, or cut at these indices. Derivative: g in the piece's place.

    Raises
    ------
    ValueError
        When the axis cannot be cut into so many equal pieces (see `array_split`).
    """
    axis = normalize_axis_index(axis, len(_shape(x)), "split")
    if isinstance(indices_or_sections, (int, np.integer)) and _shape(x)[axis] % max(indices_or_sections, 1):
        raise ValueError(f"split: axis {axis} of shape {_shape(x)} does not make {indices_or_sections} equal pieces; "
                         "use array_split or pass the indices to cut at")
    return array_split(x, indices_or_sections, axis)


@explained
def array_split(x: Operand, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Like `split`, but pieces may differ by one in length. Derivative: g in the piece's place."""
    shape = _shape(x)
    axis = normalize_axis_index(axis, len(shape), "array_split")
    parts = np.array_split(np.arange(shape[axis]), indices_or_sections)
    starts = [int(part[0]) if len(part) else 0 for part in parts]
    return [getitem(x, (*(slice(None),) * axis, slice(start, start + len(part))))
            for start, part in zip(starts, parts, strict=True)]


# ------------------------------------------------------------------------------------ padding, repeating

@explained
def pad(x: Operand, pad_width: Any, mode: str = "constant", constant_values: float = 0.0) -> Any:
    """Edges added around an array. Derivative: g without the edges; copied elements collect from their copies.

    Parameters
    ----------
    x : array
    pad_width : int, (before, after) or ((before, after), ...) for each axis
        As in `numpy.pad`.
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What the edges hold.
    constant_values : float
        For mode "constant", one number.

    Raises
    ------
    ValueError
        For the modes that compute statistics of an edge.
    """
    shape = _shape(x)
    widths = _widths(pad_width, shape)
    if mode == "constant":
        return record(_pad, _pad_rule, x, widths=widths, value=constant_values)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"pad: mode={mode!r} is not offered; use 'constant', 'edge', 'reflect', 'symmetric' or 'wrap'")
    places = [np.pad(np.arange(n), width, mode=mode)  # type: ignore[call-overload]
              for n, width in zip(shape, widths, strict=True)]
    return getitem(x, np.ix_(*places))


def _widths(pad_width: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """The elements before and after each axis."""
    given = as_indices("pad", "pad_width", pad_width)
    try:
        widths = [(int(before), int(after)) for before, after in np.broadcast_to(given, (len(shape), 2))]
    except ValueError:
        raise ShapeError(f"pad: pad_width={pad_width} does not fit x of shape {shape}; pass an int, (before, after) or "
                         "((before, after), ...) for each axis") from None
    if given.size and given.min() < 0:
        raise ValueError("pad: pad_width has negative values; use slicing to cut an edge off")
    return widths


def _inside(widths: Sequence[tuple[int, int]], shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(before, n - after) for (before, after), n in zip(widths, shape, strict=True))


def _pad(x: Any, widths: Sequence[tuple[int, int]], value: float) -> np.ndarray:
    x = np.asarray(x)
    shape = [n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    out = np.full(shape, value, x.dtype)
    out[_inside(widths, shape)] = x
    return out


@keeps()
def _pad_rule(g: Any, out: Any, inputs: Any, needs: Any, widths: Sequence[tuple[int, int]], value: float) -> Any:
    return (g[_inside(widths, g.shape)],)


@explained
def repeat(x: Operand, repeats: int | Sequence[int], axis: int | None = None) -> Any:
    """Each element repeated, so often or by its own number. Derivative: g, summed over the copies."""
    if axis is None:
        x, axis = ravel(x), 0
    n = _shape(x)[normalize_axis_index(axis, len(_shape(x)), "repeat")]
    return take(x, np.repeat(np.arange(n), raw(repeats, "repeat: repeats")), axis)


def tile(x: Operand, reps: int | Sequence[int]) -> Any:
    """The whole array repeated along axes. Derivative: g, summed over the copies."""
    return record(np.tile, _tile_rule, x, reps=reps)


@keeps()
def _tile_rule(g: Any, out: Any, inputs: Any, needs: Any, reps: int | Sequence[int]) -> Any:
    shape = inputs[0].shape
    times = tuple(int(n) for n in np.atleast_1d(reps))
    times = (1,) * (len(shape) - len(times)) + times
    lengths = (1,) * (len(times) - len(shape)) + shape
    paired = [n for pair in zip(times, lengths, strict=True) for n in pair]  # (r0, n0, r1, n1, ...)
    copies_first = (*range(0, len(paired), 2), *range(1, len(paired), 2))  # which the engine sums, as if broadcast
    return (g.reshape(paired).transpose(copies_first),)

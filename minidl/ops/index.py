"""Reading and adding at indices: a family that is closed under differentiation.

The derivative of reading is adding into zeros, and the derivative of adding is reading.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from minidl import kernels
from minidl.engine import keeps, record
from minidl.errors import explained, refuse_masked
from minidl.tensors import Tensor, as_array, raw
from minidl.typing import Operand

__all__ = ["argmax", "argmin", "gather", "getitem", "one_hot", "scatter_add", "sort", "take", "take_along_axis", "topk"]


# --------------------------------------------------------------------------------------------- indices

def _plain_index(index: Any) -> Any:
    """An index without Tensors; lists become arrays, an empty list an array of integers."""
    if isinstance(index, tuple):
        return tuple(_plain_index(i) for i in index)
    refuse_masked("getitem: the index", index)
    if isinstance(index, Tensor):
        index = index.data
    if isinstance(index, list):
        index = np.asarray([i.data if isinstance(i, Tensor) else i for i in index])
        return index if index.size else index.astype(np.intp)
    return index


def as_indices(op: str, argument: str, indices: Any) -> np.ndarray:
    """Integer indices of any dtype, arrays, Tensors or lists, as int64; errors name the op and the argument."""
    refuse_masked(f"{op}: {argument}", indices)
    found = np.asarray(_plain_index(indices))
    if found.dtype.kind not in "iu":
        raise IndexError(f"{op}: {argument} has dtype {found.dtype} and shape {found.shape}; use integers, such as "
                         "np.asarray(x, int)")
    if found.dtype == np.uint64 and found.size and found.max() > np.iinfo(np.int64).max:
        raise IndexError(f"{op}: {argument} holds {found.max()}, which is larger than any array")
    return found.astype(np.int64, copy=False)


def _is_basic(index: Any) -> bool:
    """Whether an index selects a view, so that no element is met twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or (isinstance(p, (int, np.integer, slice)) and not isinstance(p, bool))
               for p in parts)


def _add_at(out: np.ndarray, index: Any, values: Any) -> None:
    """`out[index] += values` where indices that occur twice add twice; `out` is C-contiguous."""
    if out.dtype.char == "e":  # a sum of many is not one of float16
        total = out.astype(np.float32)
        _add_at(total, index, values)
        out[...] = total
        return
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [i for i, p in enumerate(parts) if isinstance(p, np.ndarray)]
    kinds = {parts[i].dtype.kind for i in arrays}
    if _is_basic(index) or (len(parts) == 1 and kinds == {"b"}):
        out[index] += values  # neither slices nor a mask meet an element twice
    elif kinds <= {"i", "u"} and len(arrays) == len(parts) == out.ndim:
        places = [_wrap(p, n) for p, n in zip(parts, out.shape, strict=True)]
        flat = np.ravel_multi_index(np.broadcast_arrays(*places), out.shape)
        _add_along(out.reshape(-1), flat, values, 0)
    elif kinds <= {"i", "u"} and len(arrays) == 1 and all(p == slice(None) for p in parts if p is not parts[arrays[0]]):
        _add_along(out, _wrap(parts[arrays[0]], out.shape[arrays[0]]), values, arrays[0])
    else:
        np.add.at(out, index, values)


def _add_along(out: np.ndarray, indices: np.ndarray, values: Any, axis: int) -> None:
    """Add at integer indices of any shape along one axis, by the row kernel."""
    front, back = out.shape[:axis], out.shape[axis + 1:]
    values = np.broadcast_to(np.asarray(values, out.dtype), front + indices.shape + back)
    kernels.rows.scatter_add(out, indices.reshape(-1), values.reshape((*front, indices.size, *back)), axis)


def _wrap(indices: np.ndarray, n: int) -> np.ndarray:
    """Indices as int64, counted from the front; those out of range stay so."""
    found = as_indices("scatter_add", "index", indices)
    return np.where(found < 0, found + n, found) if found.size and found.min() < 0 else found


def _flat(x: Any) -> Any:
    """All elements in one axis."""
    return (x if isinstance(x, Tensor) else as_array(x)).reshape(-1)


# ------------------------------------------------------------------------------------- reading, adding

def getitem(x: Operand, index: Any) -> Any:
    """`x[index]` for any index NumPy takes, Tensors of integers too. Derivative: g, added into zeros at `index`.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(lambda x: x[np.array([0, 2, 0])].sum())(np.zeros(3))
    array([2., 0., 1.])
    """
    return record(_getitem, _getitem_rule, x, index=_plain_index(index))


def _getitem(x: Any, index: Any) -> Any:
    return np.asarray(x)[index]


@keeps()
def _getitem_rule(g: Any, out: Any, inputs: Any, needs: Any, index: Any) -> Any:
    return (scatter(g, index, inputs[0].shape),)


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with `g` added at `index`: the adjoint of `getitem`. Derivative: g[index]."""
    return record(_scatter, _scatter_rule, g, index=index, shape=shape)


def _scatter(g: Any, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape, g.dtype)
    if _is_basic(index):
        out[index] = g
    else:
        _add_at(out, index, g)
    return out


@keeps()
def _scatter_rule(g: Any, out: Any, inputs: Any, needs: Any, index: Any, shape: tuple[int, ...]) -> Any:
    return (getitem(g, index),)


def scatter_add(x: Operand, index: Any, updates: Operand) -> Any:
    """A copy of `x` with `x[index] += updates`; indices that occur twice add twice.

    Parameters
    ----------
    x : array
    index : any index that `x[index]` takes
    updates : array, broadcast to the shape of `x[index]`

    Notes
    -----
    Derivative: g for `x`, g[index] for `updates`.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.scatter_add(np.zeros(3), np.array([0, 2, 0]), np.array([1.0, 2.0, 3.0]))
    array([4., 0., 2.])
    """
    return record(_scatter_add, _scatter_add_rule, x, updates, index=_plain_index(index))


def _scatter_add(x: Any, updates: Any, index: Any) -> np.ndarray:
    x, updates = np.asarray(x), np.asarray(updates) if isinstance(updates, (list, tuple)) else updates
    out = np.array(x, dtype=np.result_type(x, updates), order="C")
    _add_at(out, index, np.broadcast_to(updates, x[index].shape))
    return out


@keeps()
def _scatter_add_rule(g: Any, out: Any, inputs: Any, needs: Any, index: Any) -> Any:
    return g, getitem(g, index) if needs[1] else None


@explained
def take(x: Operand, indices: Any, axis: int | None = None) -> Any:
    """Elements at `indices` along an axis, or of the flattened array. Derivative: g, added into zeros there.

    Indices are integers of any dtype; negative ones count from the end.
    """
    if axis is None:
        x, axis = _flat(x), 0
    return record(_take, _take_rule, x, indices=as_indices("take", "indices", indices), axis=axis)


def _take(x: Any, indices: np.ndarray, axis: int) -> np.ndarray:
    return np.take(x, indices, axis)


@keeps()
def _take_rule(g: Any, out: Any, inputs: Any, needs: Any, indices: np.ndarray, axis: int) -> Any:
    shape = inputs[0].shape
    return (scatter(g, (slice(None),) * (axis % len(shape)) + (indices,), shape),)


@explained
def gather(x: Operand, indices: Any, axis: int = 0) -> Any:
    """Rows of `x` (or slices along another axis) at `indices`; `take` with `axis=0`. Derivative: as `take`."""
    return take(x, indices, axis)


@explained
def take_along_axis(x: Operand, indices: Any, axis: int | None = -1) -> Any:
    """One element of `x` for each of `indices`, along an axis. Derivative: g, added into zeros there.

    `indices` has as many dimensions as `x` and broadcasts against it but for `axis`.
    """
    indices = as_indices("take_along_axis", "indices", indices)
    if axis is None:
        x, axis = _flat(x), 0
    shape = np.shape(x.data if isinstance(x, Tensor) else x)
    if indices.ndim != len(shape):
        raise ValueError(f"take_along_axis: indices of shape {indices.shape} need as many dimensions as x "
                         f"of shape {shape}")
    return getitem(x, _along(indices, shape, normalize_axis_index(axis, len(shape), "take_along_axis")))


def _along(indices: np.ndarray, shape: tuple[int, ...], axis: int) -> tuple[np.ndarray, ...]:
    """The index of every element, axis by axis."""
    ndim = len(shape)
    found = [np.arange(n).reshape((1,) * i + (n,) + (1,) * (ndim - i - 1)) for i, n in enumerate(shape)]
    found[axis] = indices
    return tuple(found)


# --------------------------------------------------------------------------------------------- sorting

@explained
def sort(x: Operand, axis: int | None = -1) -> Any:
    """Elements in ascending order along an axis; ties keep their order. Derivative: g, put back in place."""
    if axis is None:
        x, axis = _flat(x), 0
    order = np.argsort(x.data if isinstance(x, Tensor) else x, axis=axis, kind="stable")
    return take_along_axis(x, order, axis)


@explained
def topk(x: Operand, k: int, axis: int = -1) -> tuple[Any, np.ndarray]:
    """The k largest elements along an axis, in descending order, and where they are.

    Parameters
    ----------
    x : array
    k : int
        At most the length of the axis.

    Returns
    -------
    values : as x
        NaN counts as largest. Derivative: g at the places chosen.
    indices : int64 array
        Among equal elements the lower index comes first.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.topk(np.array([1.0, 3.0, 2.0, 3.0]), 2)
    (array([3., 3.]), array([1, 3]))
    """
    array = np.asarray(x.data if isinstance(x, Tensor) else x)
    n = array.shape[normalize_axis_index(axis, array.ndim, "topk")]
    if not 0 <= k <= n:
        raise ValueError(f"topk: k={k} but axis {axis} of shape {array.shape} has {n} elements")
    backwards = np.argsort(np.flip(array, axis), axis=axis, kind="stable")  # so that flipping keeps ties in order
    order = np.take(n - 1 - np.flip(backwards, axis), np.arange(k), axis)
    return take_along_axis(x, order, axis), order


# ------------------------------------------------------------------------------------- answers in integers

@explained
def argmax(x: Operand, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the largest element is along an axis, or in the flattened array: integers, the first of equal ones.

    They are a plain array, without a gradient.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.argmax(np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]]), axis=1)
    array([1, 0])
    """
    return raw(record(np.argmax, _argmax_rule, x, axis=axis, keepdims=keepdims))


@explained
def argmin(x: Operand, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the smallest element is; otherwise as `argmax`."""
    return raw(record(np.argmin, _argmin_rule, x, axis=axis, keepdims=keepdims))


@keeps()
def _argmax_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: int | None, keepdims: bool) -> Any:
    return (None,)


@keeps()
def _argmin_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: int | None, keepdims: bool) -> Any:
    return (None,)


@explained
def one_hot(indices: Any, num_classes: int = -1) -> np.ndarray:
    """1 at the place that an index says, 0 elsewhere, as `torch.nn.functional.one_hot`.

    Parameters
    ----------
    indices : int array or Tensor of any shape
        From 0 to `num_classes` - 1.
    num_classes : int
        By default one more than the largest index.

    Returns
    -------
    int64 array, shape (*indices.shape, num_classes)

    Raises
    ------
    IndexError
        For an index that is negative or not less than `num_classes`.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.one_hot(np.array([2, 0]), 3)
    array([[0, 0, 1],
           [1, 0, 0]])
    """
    found = as_indices("one_hot", "indices", indices)
    if num_classes == -1:
        if not found.size:
            raise ValueError("one_hot: there are no indices to tell num_classes from; pass it")
        num_classes = int(found.max()) + 1
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes={num_classes}; at least 1 is needed")
    if found.size and (found.min() < 0 or found.max() >= num_classes):
        raise IndexError(f"one_hot: indices go from {found.min()} to {found.max()}; with num_classes={num_classes} "
                         f"they have to be from 0 to {num_classes - 1}")
    return (found[..., None] == np.arange(num_classes)).astype(np.int64)

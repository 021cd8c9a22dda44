"""Tables of vectors: looking rows up, and summing them in bags.

The gradient of a table is a `RowGrad` in an ordinary backward pass, whatever the size of the table.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minidl import kernels
from minidl.behind import with_rows
from minidl.engine import fused, keeps, record
from minidl.errors import ShapeError, explained
from minidl.ops.elementwise import astype
from minidl.ops.index import as_indices, getitem, scatter, take
from minidl.ops.loss_parts import floating
from minidl.ops.shape import ravel
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor, raw
from minidl.typing import Operand
from minidl.versions import wrote

__all__ = ["embedding", "embedding_bag", "sampled_matmul"]


def _checked(op: str, indices: Any, weight: Any) -> np.ndarray:
    """Indices as int64 and within the table; Numba and `mode="clip"` would not notice."""
    if weight.ndim != 2:
        raise ShapeError(f"{op}: weight has shape {weight.shape}; a table has shape (number of rows, dimension)")
    found = as_indices(op, "indices", indices)
    if found.size and found.view(np.uint64).max() >= len(weight):  # those below 0 are the largest there
        bad = found[(found < 0) | (found >= len(weight))][0]
        raise IndexError(f"{op}: index {bad} is out of range for a table of {len(weight)} rows; " + (
            f"indices go from 0 to {len(weight) - 1}" if len(weight) else
            f"weight of shape {weight.shape} has none to look up"))
    return found


# ------------------------------------------------------------------------------------------- embedding

@explained
def embedding(indices: Any, weight: Operand, padding_idx: int | None = None, max_norm: float | None = None,
              norm_type: float = 2.0) -> Any:
    """Rows of a table, as `torch.nn.functional.embedding`.

    Parameters
    ----------
    indices : int array or Tensor of any shape and integer dtype
        From 0 to N - 1.
    weight : array, shape (N, d)
    padding_idx : int, optional
        A row that gets no gradient; negative counts from the end.
    max_norm : float, optional
        First shrink the rows at `indices` that are longer to this length: in `weight` itself, and for good. That is
        no part of the derivative.
    norm_type : float
        The p of the norm.

    Returns
    -------
    array, shape (*indices.shape, d)

    Raises
    ------
    IndexError
        For an index that is negative or not less than N.

    Notes
    -----
    Derivative: a `RowGrad` of g at `indices`; a dense Tensor under `create_graph`.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> table = minidl.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    >>> minidl.ops.embedding(np.array([2, 0]), table).sum().backward()
    >>> table.grad
    RowGrad(2 rows of (3, 2), float64)
    """
    found = _checked("embedding", indices, weight)
    if max_norm is not None:
        if not max_norm >= 0:
            raise ValueError(f"embedding: max_norm={max_norm} is no length; it has to be 0 or more")
        weight = with_rows(weight, found)
        _shorten(weight.data if isinstance(weight, Tensor) else weight, found, max_norm, norm_type)
    return record(_embedding, _embedding_rule, with_rows(weight, found), indices=found,
                  padding=_padding("embedding", padding_idx, weight.shape[0]))


def _shorten(table: np.ndarray, indices: np.ndarray, max_norm: float, norm_type: float) -> None:
    """Rows at `indices` to a norm of at most `max_norm`, in place."""
    chosen = np.unique(indices)
    rows = table[chosen]
    norms = np.linalg.norm(rows.astype(np.float64, copy=False), norm_type, axis=1)  # squares of float32 may overflow
    long = norms > max_norm
    if not long.any():
        return
    table[chosen[long]] = rows[long] * (max_norm / (norms[long] + 1e-7))[:, None]  # 1e-7 as in PyTorch
    wrote(table)


def _padding(op: str, padding_idx: int | None, n: int) -> int | None:
    if padding_idx is None:
        return None
    if not -n <= padding_idx < n:
        raise IndexError(f"{op}: padding_idx={padding_idx} is out of range for a table of {n} rows")
    return operator.index(padding_idx) % n


def _embedding(weight: Any, indices: np.ndarray, padding: int | None) -> np.ndarray:
    rows: np.ndarray = np.take(weight, indices, axis=0, mode="clip")  # checked before; clip does not check again
    return rows


@keeps()
def _embedding_rule(g: Any, out: Any, inputs: Any, needs: Any, indices: np.ndarray, padding: int | None) -> Any:
    shape = inputs[0].shape
    flat = indices.reshape(-1)
    rows = g.reshape((flat.size, shape[1]))
    if padding is not None:
        real = flat != padding
        flat, rows = flat[real], rows[real]
    elif not isinstance(g, Tensor):  # a gradient shares memory with neither the indices nor the upstream
        flat, rows = flat.copy(), rows.copy()
    return (scatter(rows, flat, shape) if isinstance(g, Tensor) else RowGrad(flat, rows, shape),)


# ------------------------------------------------------------------------------------- embedding bag

@explained
def embedding_bag(indices: Any, weight: Operand, offsets: Any = None, mode: str = "mean",
                  per_sample_weights: Operand | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> Any:
    """Sums, means or maxima of rows of a table, as `torch.nn.functional.embedding_bag`, without ever making the rows.

    Parameters
    ----------
    indices : int array, shape (B, L) or (n,)
        In two dimensions each row is a bag; in one, `offsets` cuts it into bags.
    weight : array, shape (N, d)
    offsets : int array, shape (B,), optional
        Where each bag starts; the first is 0. Bags may be empty: they give zeros.
    mode : {"mean", "sum", "max"}
        "max" takes the largest of each column.
    per_sample_weights : array, shape of indices, optional
        Factors of the rows; for mode "sum" only. Differentiable.
    include_last_offset : bool
        `offsets` has shape (B + 1,) and ends with n, like the `indptr` of a CSR matrix.
    padding_idx : int, optional
        An index that is left out of its bags, and of the number that a mean divides by; negative counts from the end.

    Returns
    -------
    array, shape (B, d)

    Raises
    ------
    IndexError
        For an index that is negative or not less than N.
    ValueError
        For offsets that do not cut the indices into bags.

    Notes
    -----
    Derivative: a `RowGrad` with one row for each index; for the factors the product of g and the row. For mode "max" g
    goes to the first of the largest.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> table = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> minidl.ops.embedding_bag(np.array([0, 2, 1]), table, offsets=np.array([0, 2]), mode="sum")
    array([[6., 8.],
           [3., 4.]])
    """
    if mode not in ("mean", "sum", "max"):
        raise ValueError(f"embedding_bag: mode={mode!r}; use 'mean', 'sum' or 'max'")
    factors = per_sample_weights
    if factors is not None and mode != "sum":
        raise ValueError("embedding_bag: per_sample_weights go with mode='sum' only")
    if factors is not None and np.shape(factors) != np.shape(indices):
        raise ShapeError(f"embedding_bag: per_sample_weights have shape {np.shape(factors)}, "
                         f"indices {np.shape(indices)}")
    found = _checked("embedding_bag", indices, weight)
    weight = floating(with_rows(weight, found))
    ends = _ends("embedding_bag", found, offsets, include_last_offset)
    flat = found.reshape(-1)
    factors = None if factors is None else ravel(floating(factors))
    if padding_idx is not None:
        real = np.flatnonzero(flat != _padding("embedding_bag", padding_idx, weight.shape[0]))
        flat, ends = flat[real], np.searchsorted(real, ends)
        factors = None if factors is None else take(factors, real)
    if factors is not None:
        return _weighted_bag(weight, factors, indices=flat, ends=ends)
    if mode == "max":
        return _max_bag(weight, indices=flat, ends=ends)
    counts = np.diff(ends)
    share = 1 / np.maximum(counts, 1) if mode == "mean" else np.ones(counts.size)
    return record(_bag, _embedding_bag_rule, weight, indices=flat, ends=ends,
                  scale=np.repeat(share.astype(_dtype(weight)), counts))


def _ends(op: str, indices: np.ndarray, offsets: Any, include_last: bool) -> np.ndarray:
    """Where bags start and end, shape (B + 1,)."""
    if indices.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{op}: offsets go with indices of one dimension; in two, each row is a bag")
        return np.arange(indices.shape[0] + 1) * indices.shape[1]
    if indices.ndim != 1 or offsets is None:
        raise ShapeError(f"{op}: indices have shape {indices.shape}; "
                         "give two dimensions, or one dimension and offsets")
    ends = as_indices(op, "offsets", offsets)
    if ends.ndim != 1:
        raise ShapeError(f"{op}: offsets have shape {ends.shape}, one dimension is needed")
    if not include_last:
        ends = np.append(ends, indices.size)
    if ends.size == 0 or ends[0] != 0 or ends[-1] != indices.size or (np.diff(ends) < 0).any():
        raise ValueError(f"{op}: offsets must start at 0, not decrease and end within the {indices.size} "
                         "indices" + (", with their number as the last" if include_last else ""))
    return ends


def _owners(ends: np.ndarray) -> np.ndarray:
    """The bag of each index, shape (n,)."""
    return np.repeat(np.arange(len(ends) - 1), np.diff(ends))


def _bag(weight: Any, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> Any:
    out: np.ndarray = kernels.rows.bag(_plain(weight), indices, ends, scale)
    return out.astype(weight.dtype, copy=False)


def _dtype(x: Any) -> Any:
    return np.float32 if x.dtype.itemsize <= 4 else np.float64


def _plain(x: Any) -> np.ndarray:
    """In a dtype that kernels are compiled for; a table that has one, mapped from a file perhaps, is never copied."""
    return np.asarray(x, _dtype(x))


@keeps()
def _embedding_bag_rule(g: Any, out: Any, inputs: Any, needs: Any, indices: np.ndarray, ends: np.ndarray,
                        scale: np.ndarray) -> Any:
    shape = inputs[0].shape
    if isinstance(g, Tensor):
        return (scatter(take(g, _owners(ends), axis=0) * scale[:, None], indices, shape),)
    return (_row_grad(_plain(g), indices, ends, scale, shape),)


def _row_grad(g: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray, shape: Any) -> RowGrad:
    unique, sums = kernels.rows.bag_transposed(g, indices, ends, scale)
    return RowGrad(unique, sums, shape, coalesced=True)


def _weighted_forward(weight: Any, factors: Any, indices: np.ndarray, ends: np.ndarray) -> Any:
    scale = np.ascontiguousarray(factors, _dtype(weight))
    return _bag(weight, indices, ends, scale), scale


def _weighted_backward(g: np.ndarray, scale: np.ndarray, inputs: Any, needs: Any, indices: np.ndarray,
                       ends: np.ndarray) -> Any:
    weight, g = _plain(inputs[0]), _plain(g)
    rows = _row_grad(g, indices, ends, scale, weight.shape) if needs[0] else None
    return rows, kernels.rows.bag_dot(g, weight, indices, ends) if needs[1] else None


def _weighted_reference(weight: Any, factors: Any, indices: np.ndarray, ends: np.ndarray) -> Any:
    rows = take(weight, indices, axis=0) * factors[:, None]  # (n, d)
    return scatter(rows, _owners(ends), (len(ends) - 1, weight.shape[1]))


_weighted_bag = fused(_weighted_forward, _weighted_backward, _weighted_reference, name="embedding_bag")


# Largest elements: with the places known, they are read, and g is added there.

def _max_forward(weight: Any, indices: np.ndarray, ends: np.ndarray) -> Any:
    places = kernels.rows.bag_argmax(_plain(weight), indices, ends)
    return _read_places(weight, places), places


def _read_places(weight: Any, places: np.ndarray) -> Any:
    """`weight[places[b, j], j]`, and 0 where the place is -1, for an empty bag; shape (B, d)."""
    if not places.size:
        return np.zeros(places.shape, weight.dtype)
    return np.where(places < 0, 0, np.take_along_axis(weight, places, axis=0)).astype(weight.dtype, copy=False)


def _max_backward(g: np.ndarray, places: np.ndarray, inputs: Any, needs: Any, indices: np.ndarray,
                  ends: np.ndarray) -> Any:
    table, dim = inputs[0].shape
    bags, columns = np.nonzero(places >= 0)
    chosen = places[bags, columns]
    unique, at = np.unique(chosen, return_inverse=True)
    sums = np.zeros(len(unique) * dim, _dtype(g))
    kernels.rows.scatter_add(sums, at.reshape(-1) * dim + columns, g[bags, columns])
    return (RowGrad(unique, sums.reshape(-1, dim), (table, dim), coalesced=True),)


def _max_reference(weight: Any, indices: np.ndarray, ends: np.ndarray) -> Any:
    places = kernels.rows.bag_argmax(_plain(raw(weight)), indices, ends)
    bags, columns = np.nonzero(places >= 0)
    return scatter(getitem(weight, (places[bags, columns], columns)), (bags, columns), places.shape)


_max_bag = fused(_max_forward, _max_backward, _max_reference, name="embedding_bag_max")


# ------------------------------------------------------------------------------- entries of a product

@explained
def sampled_matmul(x: Operand, weight: Operand, indices: Any, offsets: Any) -> Any:
    """Chosen entries of `x @ weight.T`, which is never made: the ratings that are known, of all there could be.

    Parameters
    ----------
    x : array, shape (B, d)
    weight : array, shape (N, d)
    indices : int array, shape (n,)
        The columns that are wanted, row by row.
    offsets : int array, shape (B + 1,)
        Row b has the entries from `offsets[b]` to `offsets[b + 1]`, like the `indptr` of a CSR matrix.

    Returns
    -------
    array, shape (n,)
        `x[b] . weight[indices[k]]` for each entry k of row b.

    Raises
    ------
    IndexError
        For an index that is negative or not less than N.
    ValueError
        For offsets that do not cut the indices into rows.

    Notes
    -----
    Known as SDDMM, sampled dense-dense matrix multiplication. Derivative: a bag of the rows of `weight` for x, and a
    `RowGrad` with a bag of the rows of x for each column that occurs.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> x, weight = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> ops.sampled_matmul(x, weight, np.array([2, 0, 1]), np.array([0, 2, 3]))
    array([3., 1., 4.])
    """
    found = _checked("sampled_matmul", indices, weight)
    x, weight = floating(x), floating(with_rows(weight, found))
    if x.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise ShapeError(f"sampled_matmul: x has shape {x.shape}, weight {weight.shape}; (B, d) and (N, d) are needed")
    ends = _ends("sampled_matmul", found, offsets, True)
    if len(ends) != len(x) + 1:
        raise ShapeError(f"sampled_matmul: offsets cut {len(ends) - 1} rows, and x has {len(x)}")
    dtype = np.result_type(x.dtype, weight.dtype)
    x, weight = (a if a.dtype == dtype else astype(a, dtype) for a in (x, weight))
    return _sampled(x, weight, indices=found, ends=ends)


def _sampled_forward(x: Any, weight: Any, indices: np.ndarray, ends: np.ndarray) -> Any:
    out = kernels.rows.bag_dot(_plain(x), _plain(weight), indices, ends)
    return out.astype(x.dtype, copy=False), None


def _sampled_backward(g: np.ndarray, saved: None, inputs: Any, needs: Any, indices: np.ndarray,
                      ends: np.ndarray) -> Any:
    x, weight = (_plain(a) for a in inputs)
    scale = np.ascontiguousarray(g, x.dtype)
    return (kernels.rows.bag(weight, indices, ends, scale) if needs[0] else None,
            _row_grad(x, indices, ends, scale, weight.shape) if needs[1] else None)


def _sampled_reference(x: Any, weight: Any, indices: np.ndarray, ends: np.ndarray) -> Any:
    return (take(x, _owners(ends), axis=0) * take(weight, indices, axis=0)).sum(axis=1)


_sampled = fused(_sampled_forward, _sampled_backward, _sampled_reference, name="sampled_matmul")

"""Products with sparse matrices, which are constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.engine import keeps, record
from minidl.errors import ShapeError, explained
from minidl.ops.embeddings import _bag, _checked, _dtype, _ends, _owners
from minidl.ops.loss_parts import floating
from minidl.typing import Operand

__all__ = ["sparse_matmul"]


@explained
def sparse_matmul(x: Operand, indices: Any, offsets: Any, weights: Any = None, *,
                  transposed: tuple[Any, Any, Any] | None = None) -> Any:
    """`A @ x` with a constant sparse matrix A, by rows: what a graph passes on from neighbours to neighbours.

    Parameters
    ----------
    x : array, shape (N, d)
    indices : int array, shape (n,)
        The columns of A's entries, row by row; repeated entries are added up.
    offsets : int array, shape (B + 1,)
        Row b has the entries from `offsets[b]` to `offsets[b + 1]`, like the `indptr` of a CSR matrix.
    weights : array, shape (n,), optional
        The values of the entries, by default 1. They get no gradient; those of `embedding_bag` do.
    transposed : (indices, offsets, weights), optional
        The transpose of A, of N rows, in the same form: what the derivative multiplies by. Given, it need not be made
        in every backward pass. It is not checked to be the transpose.

    Returns
    -------
    array, shape (B, d)

    Raises
    ------
    IndexError
        For an index that is negative or not less than N.
    ValueError
        For offsets that do not cut the indices into rows.

    Notes
    -----
    Known as SpMM. Linear in x: the derivative is the product of the transpose and g, a `sparse_matmul` again.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> ops.sparse_matmul(x, np.array([0, 2, 1]), np.array([0, 2, 3]), np.array([1.0, 10.0, 2.0]))
    array([[51., 62.],
           [ 6.,  8.]])
    """
    found = _checked("sparse_matmul", indices, x)
    x = floating(x)
    ends = _ends("sparse_matmul", found, offsets, True)
    scale = np.ones(found.size, _dtype(x)) if weights is None else np.ascontiguousarray(weights, _dtype(x))
    if scale.shape != found.shape:
        raise ShapeError(f"sparse_matmul: weights have shape {scale.shape}, indices {found.shape}")
    if transposed is not None and len(transposed[1]) != x.shape[0] + 1:
        raise ShapeError(f"sparse_matmul: transposed has {len(transposed[1]) - 1} rows; the transpose of a matrix that "
                         f"x of shape {x.shape} is multiplied by has {x.shape[0]}")
    return record(_product, _product_rule, x, indices=found, ends=ends, scale=scale, transposed=transposed)


def _product(x: Any, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray, transposed: Any) -> Any:
    return _bag(x, indices, ends, scale)


@keeps()
def _product_rule(g: Any, out: Any, inputs: Any, needs: Any, indices: np.ndarray, ends: np.ndarray,
                  scale: np.ndarray, transposed: tuple[Any, Any, Any] | None) -> Any:
    back = _transpose(indices, ends, scale, inputs[0].shape[0]) if transposed is None else transposed
    return (sparse_matmul(g, *back, transposed=(indices, ends, scale)),)


def _transpose(indices: np.ndarray, ends: np.ndarray, scale: np.ndarray, n: int) -> tuple[Any, Any, Any]:
    """The transpose of a matrix with n columns."""
    order = indices.argsort(kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(indices, minlength=n))])
    return _owners(ends)[order], offsets, scale[order]

"""Products of matrices, einsum and linear algebra, with NumPy's names and semantics."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from minidl import kernels, runtime
from minidl.engine import keeps, record
from minidl.errors import ShapeError, explained
from minidl.ops.elementwise import multiply
from minidl.ops.index import scatter
from minidl.ops.loss_parts import real
from minidl.ops.precision import in_single
from minidl.ops.shape import broadcast_to, ravel, transpose
from minidl.tensors import Tensor
from minidl.typing import Operand

__all__ = ["cholesky", "det", "dot", "einsum", "inv", "linear", "matmul", "outer", "row_dot", "solve", "tensordot"]

_product = runtime.matmul  # np.matmul on as many BLAS threads as pay


def _transposed(x: Any) -> Any:
    return x.swapaxes(-1, -2)


def _arrays(inputs: Any) -> Any:
    """What a rule was given, where a constant may be nested lists."""
    return (np.asarray(x) if isinstance(x, (list, tuple)) else x for x in inputs)


# ---------------------------------------------------------------------------------------- products

def matmul(a: Operand, b: Operand) -> Any:
    """Matrix product in every form of `numpy.matmul`: vectors, matrices, stacks that broadcast.

    Derivative: g b' and a' g, the vectors as rows and columns.
    """
    return record(_matmul, _matmul_rule, a, b)


def _matmul(a: Any, b: Any) -> Any:
    a, b = np.asarray(a), np.asarray(b)
    if b.ndim == 2 and a.ndim > 2 and a.shape[-1] == b.shape[0]:  # one large product, not a loop of small ones
        return _product(_rows(a), b).reshape(a.shape[:-1] + b.shape[1:])
    return _product(a, b)


def _rows(x: Any) -> Any:
    """All axes but the last as one: (..., n) -> (N, n)."""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


@keeps("inputs")
def _matmul_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    a, b = _arrays(inputs)
    if a.ndim == 1 and b.ndim == 1:
        return g * b if needs[0] else None, g * a if needs[1] else None
    if a.ndim == 1:  # (k) @ (..., k, n) -> (..., n)
        ga = matmul(b, g[..., None])[..., 0] if needs[0] else None
        return ga, a[:, None] * g[..., None, :] if needs[1] else None
    if b.ndim == 1:  # (..., m, k) @ (k) -> (..., m)
        ga = g[..., None] * b if needs[0] else None
        return ga, matmul(ravel(g), _rows(a)) if needs[1] else None
    ga = matmul(g, _transposed(b)) if needs[0] else None
    if not needs[1]:
        return ga, None
    if b.ndim == 2:  # the sum over the stack is part of the product
        return ga, matmul(_transposed(_rows(a)), _rows(g))
    return ga, matmul(_transposed(a), g)


def linear(x: Operand, weight: Operand, bias: Operand | None = None) -> Any:
    """Affine map x W' + b, as `torch.nn.functional.linear`.

    Parameters
    ----------
    x : array, shape (..., in)
    weight : array, shape (out, in)
    bias : array, shape (out,), optional

    Returns
    -------
    array, shape (..., out)

    Notes
    -----
    Derivative: g W, g' x and the sum of g.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.linear(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([0.5, 0.0]))
    array([[3.5, 4. ]])
    """
    return record(_linear, _linear_rule, x, weight, bias)


def _linear(x: Any, weight: Any, bias: Any) -> np.ndarray:
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError("linear: the last axis of x must be as long as the rows of weight, shape (out, in)")
    out: np.ndarray = _product(_rows(x), weight.T)  # of float16, summed in float32 by NumPy
    if bias is not None:
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"linear: bias has shape {bias.shape}, weight gives {weight.shape[:1]}")
        if out.dtype == bias.dtype and kernels.takes(out, bias):
            kernels.dense.add_bias(out, bias)
        elif np.result_type(out, bias) == out.dtype:
            out += bias
        else:
            out = out + bias
    return out if x.ndim == 2 else out.reshape(x.shape[:-1] + weight.shape[:1])


@keeps("inputs")
def _linear_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, weight, _ = inputs
    rows = _rows(g)
    gx = matmul(rows, weight).reshape(x.shape) if needs[0] else None
    gw = matmul(_transposed(rows), _rows(x)) if needs[1] else None
    return gx, gw, _sum_rows(rows) if needs[2] else None


def _sum_rows(x: Any) -> Any:
    """Sum of the rows: (N, n) -> (n,)."""
    return record(_rows_summed, _sum_rows_rule, x)


def _rows_summed(x: np.ndarray) -> Any:
    return kernels.dense.sum_rows(x) if kernels.takes(x) else _summed(x, axis=0)


_summed = in_single(np.sum)


@keeps()
def _sum_rows_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (broadcast_to(g, inputs[0].shape),)


def row_dot(a: Operand, b: Operand) -> Any:
    """Inner products of rows, sum(a * b, axis=-1): the scores of (user, item) pairs. Derivative: g b, g a.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.row_dot(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0], [0.0, 2.0]]))
    array([3., 8.])
    """
    return record(_row_dot, _row_dot_rule, a, b)


@in_single
def _row_dot(a: Any, b: Any) -> Any:
    return np.einsum("...i,...i->...", a, b)


@keeps("inputs")
def _row_dot_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    a, b = inputs
    column = g[..., None]
    return column * b if needs[0] else None, column * a if needs[1] else None


@explained
def outer(a: Operand, b: Operand) -> Any:
    """All products of the elements of two (flattened) arrays. Derivative: as of multiply."""
    return multiply(ravel(a)[:, None], ravel(b))


@explained
def dot(a: Operand, b: Operand) -> Any:
    """Product of numbers, vectors or matrices; of more axes, the sum over the last of `a` and the last but one of `b`.

    Derivative: as of multiply and matmul.
    """
    a, b = real(a), real(b)
    if a.ndim == 0 or b.ndim == 0:
        return multiply(a, b)
    return matmul(a, b) if b.ndim < 3 else tensordot(a, b, (-1, -2))


@explained
def tensordot(a: Operand, b: Operand, axes: Any = 2) -> Any:
    """Sum of products over axes of both arrays: one matrix product. Derivative: as of matmul.

    Parameters
    ----------
    a, b : array
    axes : int or (axes of a, axes of b)
        So many last axes of `a` and first axes of `b`; or which ones, in pairs.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.tensordot(np.ones((2, 3, 4)), np.ones((4, 3, 5)), ([1, 2], [1, 0])).shape
    (2, 5)
    """
    a, b = real(a), real(b)
    if isinstance(axes, (int, np.integer)):
        axes = range(a.ndim - axes, a.ndim), range(axes)
    ours, theirs = ([normalize_axis_index(int(i), x.ndim) for i in np.ravel(along)]
                    for x, along in zip((a, b), axes, strict=True))
    lengths = [a.shape[i] for i in ours]
    if lengths != [b.shape[i] for i in theirs] or len({*ours}) < len(ours) or len({*theirs}) < len(theirs):
        raise ShapeError(f"axes {ours} of shape {a.shape} and axes {theirs} of shape {b.shape} are not pairs of one "
                         "length, each axis once")
    kept, others = ([i for i in range(x.ndim) if i not in along] for x, along in ((a, ours), (b, theirs)))
    n = math.prod(lengths)
    rows = transpose(a, [*kept, *ours]).reshape((math.prod(a.shape[i] for i in kept), n))
    columns = transpose(b, [*theirs, *others]).reshape((n, math.prod(b.shape[i] for i in others)))
    return matmul(rows, columns).reshape((*(a.shape[i] for i in kept), *(b.shape[i] for i in others)))


# ------------------------------------------------------------------------------------------ einsum

def einsum(subscripts: str, *operands: Any) -> Any:
    """Sum of products by Einstein's convention, with the subscripts of `numpy.einsum`.

    Parameters
    ----------
    subscripts : str
        Such as `"bij,bjk->bik"`, `"ii"` (trace), `"...i,i"`: explicit or implicit output, repeated
        letters, an ellipsis, letters that are only summed.
    *operands : array

    Raises
    ------
    ValueError
        When terms and operands do not fit.

    Notes
    -----
    Derivative for an operand: the einsum of g and the other operands with the output and its term
    exchanged; repeated over letters that only this operand has, and put on the diagonal where its own
    letters repeat.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(lambda x: minidl.ops.einsum("ii", x))(np.ones((2, 2)))
    array([[1., 0.],
           [0., 1.]])
    """
    shapes = [np.shape(a.data if isinstance(a, Tensor) else a) for a in operands]
    terms, output = _parse(subscripts, shapes)
    return record(_einsum, _einsum_rule, *operands, terms=terms, output=output)


@in_single
def _einsum(*operands: Any, terms: Sequence[str], output: str) -> Any:
    return np.einsum(f"{','.join(terms)}->{output}", *operands, optimize=len(operands) > 1)


def _parse(subscripts: str, shapes: Sequence[tuple[int, ...]]) -> tuple[list[str], str]:
    """Terms and output in letters only: an ellipsis gets letters of its own, an implicit output is written out."""
    if not isinstance(subscripts, str):
        raise TypeError("einsum: the first argument must be a string of subscripts, such as 'ij,jk->ik'")
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ValueError(f"einsum: {subscripts!r} has {len(terms)} terms for {len(shapes)} operands")
    spare = [c for c in string.ascii_letters if c not in subscripts]
    extra = [len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)]
    for term, shape, more in zip(terms, shapes, extra, strict=True):
        if more < 0 or (more and "..." not in term):
            raise ValueError(f"einsum: term {term!r} of {subscripts!r} does not fit an operand of shape {shape}")
    batch = "".join(spare[:max([0, *(more for term, more in zip(terms, extra, strict=True) if "..." in term)])])
    terms = [t.replace("...", batch[len(batch) - more:]) for t, more in zip(terms, extra, strict=True)]
    for term, shape in zip(terms, shapes, strict=True):
        if len(set(zip(term, shape, strict=True))) > len(set(term)):  # NumPy reads beyond an axis of length 0
            raise ShapeError(f"einsum: the axes of shape {shape} that share a letter of {term!r} differ in length; a "
                             "diagonal needs them equal")
    if not arrow:
        letters = "".join(terms)
        output = batch + "".join(sorted(c for c in set(letters) - set(batch) if letters.count(c) == 1))
    return terms, output.replace("...", batch)


@keeps("inputs")
def _einsum_rule(g: Any, out: Any, inputs: Any, needs: Any, terms: Sequence[str], output: str) -> Any:
    return [_einsum_pull(g, inputs, terms, output, i) if need else None for i, need in enumerate(needs)]


def _einsum_pull(g: Any, inputs: Sequence[Any], terms: Sequence[str], output: str, i: int) -> Any:
    """The gradient of operand `i`."""
    term, shape = terms[i], inputs[i].shape
    others = [*terms[:i], *terms[i + 1:]]
    known = set(output).union(*others)
    letters = "".join(dict.fromkeys(term))  # each once
    found = einsum(f"{','.join([output, *others])}->{''.join(c for c in letters if c in known)}",
                   g, *inputs[:i], *inputs[i + 1:])
    own = dict(zip(term, shape, strict=True))
    given = dict(zip((c for c in letters if c in known), found.shape, strict=True))
    sizes = tuple(given.get(c, 1) if own[c] == 1 else own[c] for c in letters)
    if found.shape != sizes:  # letters that only this operand has, or that are 1 in the others
        found = broadcast_to(found.reshape([given.get(c, 1) for c in letters]), sizes)
    if len(letters) == len(term):
        return found
    place = dict(zip(letters, np.ix_(*(np.arange(n) for n in sizes)), strict=True))
    return scatter(found, tuple(place[c] for c in term), shape)


# ----------------------------------------------------------------------------------- linear algebra

def inv(a: Operand) -> Any:
    """Inverse of square matrices (..., n, n). Derivative: -X' g X' with X the inverse."""
    return record(np.linalg.inv, _inv_rule, a)


@keeps("output")
def _inv_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    back = _transposed(out)
    return (-matmul(matmul(back, g), back),)


def det(a: Operand) -> Any:
    """Determinants of square matrices (..., n, n). Derivative: g det X' with X the inverse, which has to exist.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(minidl.ops.det)(np.array([[2.0, 0.0], [0.0, 3.0]]))
    array([[3., 0.],
           [0., 2.]])
    """
    return record(np.linalg.det, _det_rule, a)


@keeps("inputs", "output")
def _det_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return ((g * out)[..., None, None] * _transposed(inv(inputs[0])),)


def solve(a: Operand, b: Operand) -> Any:
    """The x with a x = b, for `b` a vector (n,) or matrices (..., n, k), as in NumPy 2.

    Derivative: h with a' h = g for b, and -h x' for a.
    """
    return record(np.linalg.solve, _solve_rule, a, b)


@keeps("inputs", "output")
def _solve_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    a, b = _arrays(inputs)
    vector = b.ndim == 1
    h = solve(_transposed(a), g[..., None] if vector else g)
    ga = -matmul(h, out[..., None, :] if vector else _transposed(out)) if needs[0] else None
    return ga, h[..., 0] if vector else h


@explained
def cholesky(a: Operand) -> Any:
    """The lower triangle L with L L' = a, for symmetric positive definite matrices (..., n, n).

    Only the lower triangle of `a` is read, and its elements stand for both of a symmetric pair.
    Derivative: (S + S') / 2 with S = L'^-1 P L^-1, and P the lower triangle of L' g with its diagonal
    halved: always symmetric (Murray 2016, "Differentiation of the Cholesky decomposition").

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.cholesky(np.array([[4.0, 2.0], [2.0, 2.0]]))
    array([[2., 0.],
           [1., 1.]])
    """
    return record(np.linalg.cholesky, _cholesky_rule, a)


@keeps("output")
def _cholesky_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    n = out.shape[-1]
    half = np.tri(n, dtype=out.dtype) - 0.5 * np.eye(n, dtype=out.dtype)
    back = _transposed(out)
    left = solve(back, matmul(back, g) * half)  # L'^-1 P
    s = solve(back, _transposed(left))  # (L'^-1 P L^-1)'
    return ((s + _transposed(s)) / 2,)

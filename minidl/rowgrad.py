"""The gradient of a table of which only some rows were used."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from minidl import kernels
from minidl.errors import ShapeError, refuse_masked

__all__ = ["RowGrad", "flat_norm"]

_OTHERS = "it is none of those that are computed row by row"
_Piece = tuple[np.ndarray, np.ndarray]  # indices and rows
_FEW = 1024  # rows that are not worth merging
_LINEAR = frozenset({np.add, np.subtract, np.multiply, np.divide})
_KEEP_ZERO = frozenset({np.negative, np.positive, np.absolute, np.fabs, np.sign, np.square, np.sqrt})
_DENSE = frozenset({np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.isnan, np.isfinite,
                    np.isinf, np.signbit, np.maximum, np.minimum, np.fmax, np.fmin})


class _Pieces:
    """Contributions one after the other, until there are so many rows that they are merged.

    Sums that follow one another share a list, of which each has its first pieces; that memory is never handed out.
    """

    __slots__ = ("pieces", "count", "held", "limit", "merged")

    def __init__(self, pieces: list[_Piece], held: int = 0, limit: int = _FEW, *, merged: bool = False) -> None:
        self.pieces, self.count = pieces, len(pieces)
        self.held = held or len(pieces[0][0])  # rows
        self.limit, self.merged = limit, merged

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.pieces[0][1].dtype

    def as_one(self) -> _Piece:
        return _joined(self.pieces[:self.count])

    def plus(self, indices: np.ndarray, rows: np.ndarray) -> _Pieces:
        pieces = self.pieces if len(self.pieces) == self.count else self.pieces[:self.count]
        held, short = self.held + len(indices), rows.dtype.char == "e"  # whose sums are rounded once, at last
        if held > self.limit and not short:
            one = kernels.rows.coalesce(*_joined([*pieces, (indices, rows)]))
            return _Pieces([one], limit=max(2 * len(one[0]), _FEW), merged=True)
        pieces.append((indices.copy(), rows.copy()))
        return _Pieces(pieces, held, self.limit)


class RowGrad(NDArrayOperatorsMixin):
    """Gradient of a table that is zero but for some rows, as an embedding makes it.

    Parameters
    ----------
    indices : int array, shape (n,)
        Rows, in any order, duplicates allowed (their gradients add up).
    rows : float array, shape (n, *shape[1:])
        Their gradients.
    shape : tuple of int
        Shape of the table.

    Raises
    ------
    ValueError
        When there are not as many rows as indices, or they are not rows of such a table.

    Notes
    -----
    Arithmetic gives what the dense array would, duplicates summed first. What is zero wherever the gradient is stays a
    RowGrad: `-g`, `abs(g)`, `g * x` and `g / x` for a number or an array that broadcasts to the table, `g ** 2`, sums,
    differences and products of two. `w -= 0.1 * g` changes the rows of `g` only. A sum with an array, comparisons,
    `np.maximum`, reductions and `np.asarray(g)` are dense. Everything else raises an error.

    Contributions are merged as they come: `append` keeps the rows of both one after the other until they are twice as
    many as the distinct rows of the last merge. Rows are summed in the order of their contributions, whenever that is;
    those of float16, whose sum is rounded once, all at the end.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import RowGrad
    >>> g = RowGrad(np.array([2, 0, 2]), np.ones((3, 2)), (4, 2))
    >>> g.coalesce().indices
    array([0, 2])
    >>> g.to_dense()[2]
    array([2., 2.])
    >>> w = np.zeros((4, 2))
    >>> w -= 0.5 * g
    >>> w[2], float((g * g).sum())
    (array([-1., -1.]), 10.0)
    """

    __slots__ = ("shape", "_indices", "_rows", "_pieces", "_coalesced")

    __hash__ = object.__hash__  # by identity, since == is elementwise

    def __init__(self, indices: np.ndarray, rows: np.ndarray, shape: tuple[int, ...], *,
                 coalesced: bool = False) -> None:
        refuse_masked("RowGrad: rows or indices", (rows, indices))
        if len(rows) != len(indices) or rows.shape[1:] != shape[1:]:
            raise ValueError(f"RowGrad: rows have shape {rows.shape}; {len(indices)} indices into a table of shape "
                             f"{tuple(shape)} need {(len(indices), *shape[1:])}")
        self.shape = shape
        self._indices: Any = indices  # None until the pieces of a sum are asked for as one
        self._rows: Any = rows
        self._pieces: _Pieces | None = None
        self._coalesced = coalesced

    def _ask(self) -> None:
        """Make one of the pieces, in memory of its own."""
        if self._pieces is not None:
            self._indices, self._rows = self._pieces.as_one()
            self._pieces = None

    @property
    def indices(self) -> np.ndarray:
        """Rows of the table, shape (n,)."""
        if self._indices is None:
            self._ask()
        return self._indices

    @property
    def rows(self) -> np.ndarray:
        """Their gradients, shape (n, *shape[1:])."""
        if self._rows is None:
            self._ask()
        return self._rows

    @rows.setter
    def rows(self, value: np.ndarray) -> None:  # for g.rows *= 2, too
        self._become(RowGrad(self.indices, value, self.shape, coalesced=self._coalesced))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the rows."""
        return self._rows.dtype if self._pieces is None else self._pieces.dtype

    @property
    def ndim(self) -> int:
        """Number of axes of the table."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements of the table."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        return f"RowGrad({self._held()} rows of {self.shape}, {self.dtype})"

    def _held(self) -> int:
        return len(self._indices) if self._pieces is None else self._pieces.held

    # --------------------------------------------------------------------------------- sums and copies

    def append(self, other: RowGrad) -> RowGrad:
        """The sum of two gradients of one table, as the rows of both; in the time that `other` takes, on average.

        Parameters
        ----------
        other : RowGrad
            Copied. The sum shares what `self` holds, but never the memory that `rows` returns.
        """
        if self.dtype != other.dtype:
            return RowGrad(*_joined([(self.indices, self.rows), (other.indices, other.rows)]), self.shape)
        before = _Pieces([(self._indices.copy(), self._rows.copy())]) if self._pieces is None else self._pieces
        total: RowGrad = object.__new__(RowGrad)
        total.shape, total._indices, total._rows = self.shape, None, None
        total._pieces = before.plus(other.indices, other.rows)
        total._coalesced = total._pieces.merged
        return total

    def coalesce(self) -> RowGrad:
        """The same gradient with each row once, sorted; duplicates are added in order of appearance."""
        if self._coalesced:
            return self
        indices, rows = kernels.rows.coalesce(self.indices, self.rows)
        return RowGrad(indices, rows, self.shape, coalesced=True)

    def to_dense(self) -> np.ndarray:
        """The whole table's gradient, zeros included."""
        dense = np.zeros(self.shape, self.dtype)
        kernels.rows.scatter_add(dense, self.indices, self.rows)
        return dense

    def astype(self, dtype: Any) -> RowGrad:
        """The same gradient in another dtype, in new memory; duplicates are summed before."""
        g = self if self.dtype == dtype else self.coalesce()
        return RowGrad(g.indices.copy(), g.rows.astype(dtype), g.shape, coalesced=g._coalesced)

    def copy(self) -> RowGrad:
        """The same gradient in new memory."""
        return self.astype(self.dtype)

    __copy__ = copy

    def read_only(self) -> RowGrad:
        """The same gradient, whose arrays cannot be changed."""
        indices, rows = self.indices.view(), self.rows.view()
        indices.flags.writeable = rows.flags.writeable = False
        return RowGrad(indices, rows, self.shape, coalesced=self._coalesced)

    def _become(self, other: RowGrad) -> None:
        if not self.rows.flags.writeable:
            raise ValueError("RowGrad: this gradient is read-only, since others hold the same memory; write g = g * x "
                             "instead of g *= x")
        self._indices, self._rows, self._coalesced = other.indices, other.rows, other._coalesced

    # ------------------------------------------------------------------------------------- reductions

    def norm(self, ord: float = 2.0) -> float:
        """The norm of all elements as one vector: (sum |g|^ord)^(1/ord), duplicate rows summed first.

        Parameters
        ----------
        ord : float
            Positive; `math.inf` for the greatest magnitude.
        """
        if not ord > 0:
            raise ValueError(f"RowGrad.norm: ord={ord} must be positive; for others take np.linalg.norm of "
                             "g.to_dense().ravel()")
        return flat_norm(self.coalesce().rows.astype(np.float64, copy=False), ord)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """Sum over some axes; over rows of the table only those that there are."""
        by_rows = axis is None or (isinstance(axis, int) and axis in (0, -self.ndim))
        return np.sum(self.coalesce().rows if by_rows else self.to_dense(), axis, dtype, out, keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """Greatest element, zeros included."""
        return np.max(self.to_dense(), axis, out, keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """Smallest element, zeros included."""
        return np.min(self.to_dense(), axis, out, keepdims)

    # -------------------------------------------------------------------------------------- as an array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("RowGrad: the whole table's gradient does not exist yet, so it cannot be had without a "
                             "copy; use .to_dense()")
        return self.to_dense() if dtype is None else self.to_dense().astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (None,), **kwargs: Any) -> Any:
        target = out[0]
        if any(_answers_itself(x) for x in (*inputs, target)):
            return NotImplemented
        refuse_masked(f"np.{ufunc.__name__}: an operand", (*inputs, target))
        if not any(isinstance(x, RowGrad) for x in inputs):
            _refuse(f"np.{ufunc.__name__} into a RowGrad", "arrays have more rows")
        if method == "__call__" and not kwargs:
            if target is not None and target is inputs[0] and _add_in_place(ufunc, *inputs):
                return target
            answer = _by_rows(ufunc, inputs)
            if isinstance(target, RowGrad) and isinstance(answer, RowGrad):
                target._become(answer.astype(target.dtype))
                return target
            if target is None and answer is not None:
                return answer
        if isinstance(target, RowGrad):
            _refuse(f"np.{ufunc.__name__} into a RowGrad", "it is not zero where the gradient is")
        if method == "reduce" or (method == "__call__" and _is_plain(ufunc, inputs)):
            dense = [x.to_dense() if isinstance(x, RowGrad) else x for x in inputs]
            return getattr(ufunc, method)(*dense, **kwargs, **({} if target is None else {"out": out}))
        _refuse(f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}"), _OTHERS)

    def __getitem__(self, index: Any) -> NoReturn:
        _refuse("g[i]", "its rows are not in the table's order")

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        _refuse("g[i] = x", "its rows are not in the table's order")

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> NoReturn:
        _refuse("for row in g", "its rows are not in the table's order")

    def __bool__(self) -> NoReturn:
        _refuse("bool(g)", "a gradient has many elements; for whether there is one write `g is not None`")


def flat_norm(values: np.ndarray, order: float) -> float:
    """The norm of all elements as one vector, computed in their dtype; powers neither overflow nor vanish."""
    if not values.size:
        return 0.0
    values, kind = values.ravel(), np.finfo(values.dtype)
    with np.errstate(over="ignore", under="ignore"):
        found = float(np.linalg.norm(values, order))
    if not 0 < order < math.inf:
        return found
    least = (values.size * float(kind.tiny) / float(kind.eps)) ** (1 / order)  # below it, what vanishes is missed
    if least <= found < math.inf:
        return found
    top = float(np.abs(values).max())
    return top * float(np.linalg.norm(values / values.dtype.type(top), order)) if 0 < top < math.inf else top


def _lacks(name: str, g: RowGrad) -> NoReturn:
    raise AttributeError(f"RowGrad has no {name!r}; use g.to_dense().{name} on the whole table's gradient, "
                         "or g.coalesce().rows on its rows")


for _name in dir(np.ndarray):  # no __getattr__, which would slow down what is there
    if not _name.startswith("_") and not hasattr(RowGrad, _name):
        setattr(RowGrad, _name, property(functools.partial(_lacks, _name)))


def _refuse(what: str, why: str) -> NoReturn:
    raise TypeError(f"{what} is not defined for a RowGrad: {why}; use g.to_dense() for the whole table's gradient")


def _joined(pieces: list[_Piece]) -> _Piece:
    return np.concatenate([i for i, _ in pieces]), np.concatenate([r for _, r in pieces])


def _answers_itself(x: Any) -> bool:
    """Whether `x` is something like a Tensor, which knows what to do with arrays."""
    return hasattr(type(x), "__array_ufunc__") and not isinstance(x, (np.ndarray, np.generic, RowGrad))


def _is_plain(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> bool:
    """Whether a dense answer is what anybody would expect; division by zeros everywhere is not."""
    return ufunc in _DENSE or (ufunc in _LINEAR and not (ufunc is np.divide and isinstance(inputs[1], RowGrad)))


def _add_in_place(ufunc: np.ufunc, w: Any, *others: Any) -> bool:
    """`w += g` or `w -= g` in the rows of `g`, if it is one of these."""
    if ufunc not in (np.add, np.subtract) or not isinstance(w, np.ndarray) or w.shape != others[0].shape:
        return False
    g = others[0].coalesce()
    chosen = w[g.indices]
    w[g.indices] = ufunc(chosen, g.rows, out=chosen)  # in w's dtype, as NumPy would
    return True


def _by_rows(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    """What can be said of the rows alone, or None."""
    x: Any = inputs[0]
    y: Any = inputs[1] if len(inputs) > 1 else None
    if ufunc in _KEEP_ZERO or (ufunc is np.power and _is_number(y) and y > 0):
        return _mapped(x, lambda rows: ufunc(rows, *inputs[1:]))
    if isinstance(x, RowGrad) and isinstance(y, RowGrad):
        if ufunc in (np.add, np.subtract):
            _same_table(ufunc, x, y)
            return x.coalesce().append(y.coalesce() if ufunc is np.add else -y)
        return _product(x, y) if ufunc is np.multiply else None
    if ufunc in (np.add, np.subtract):
        return _added(ufunc, x, y)
    if isinstance(x, RowGrad) and ufunc in (np.multiply, np.divide):
        return _scaled(ufunc, x, y)
    return _scaled(ufunc, y, x) if ufunc is np.multiply else None


def _is_number(y: Any) -> bool:
    return not isinstance(y, RowGrad) and np.ndim(y) == 0 and np.asarray(y).dtype.kind in "biuf"


def _mapped(g: RowGrad, change: Callable[[np.ndarray], np.ndarray]) -> RowGrad:
    g = g.coalesce()
    return RowGrad(g.indices.copy(), change(g.rows), g.shape, coalesced=True)


def _scaled(ufunc: np.ufunc, g: RowGrad, x: Any) -> RowGrad:
    """`g * x` or `g / x`; a Python number does not change the dtype, so `x` is used as it came."""
    factor = np.asarray(float(x) if isinstance(x, int) else x)  # which may be longer than any of NumPy's
    name = f"np.{ufunc.__name__} with {factor.dtype}{factor.shape}"
    if factor.dtype.kind not in "biuf":
        _refuse(name, "its factors and divisors are real numbers")
    try:
        shape = np.broadcast_shapes(g.shape, factor.shape)
    except ValueError:
        raise ShapeError(f"{name}: it does not broadcast to {g.shape}, the shape of the RowGrad's table; each length "
                         "has to be that of the table, or 1") from None
    if shape != tuple(g.shape):
        _refuse(name, f"it does not broadcast to {g.shape}")
    if not np.isfinite(factor).all() or (ufunc is np.divide and not factor.all()):
        raise ValueError(f"np.{ufunc.__name__} of a RowGrad by a factor that is not finite, or a divisor that is 0: "
                         "rows without gradient would become NaN; use g.to_dense() if that is meant")
    g = g.coalesce()
    by_row = factor.ndim == g.ndim and len(factor) > 1
    return _mapped(g, lambda rows: ufunc(rows, factor[g.indices] if by_row else x))


def _product(x: RowGrad, y: RowGrad) -> RowGrad:
    _same_table(np.multiply, x, y)
    x, y = x.coalesce(), y.coalesce()
    if not (np.isfinite(x.rows).all() and np.isfinite(y.rows).all()):
        raise ValueError("np.multiply of RowGrads that are not finite: rows without gradient would become NaN; use "
                         "g.to_dense() if that is meant")
    common, i, j = np.intersect1d(x.indices, y.indices, assume_unique=True, return_indices=True)
    return RowGrad(common, x.rows[i] * y.rows[j], x.shape, coalesced=True)


def _added(ufunc: np.ufunc, x: Any, y: Any) -> np.ndarray | None:
    """`x + y` or `x - y` with one dense array of the table's shape, without making the other dense."""
    g, w = (x, y) if isinstance(x, RowGrad) else (y, x)
    if not isinstance(w, np.ndarray) or w.shape != tuple(g.shape):
        return None
    total: np.ndarray = np.array(w, np.result_type(w.dtype, g.dtype), subok=False)
    if g is x and ufunc is np.subtract:
        np.subtract(0, total, out=total)
        ufunc = np.add
    _add_in_place(ufunc, total, g)
    return total


def _same_table(ufunc: np.ufunc, x: RowGrad, y: RowGrad) -> None:
    if tuple(x.shape) != tuple(y.shape):
        raise ValueError(f"np.{ufunc.__name__}: the RowGrads are of tables of shapes {x.shape} and {y.shape}")

"""Builders of `Case` strategies, so that a row of the op table stays one line.

    Op("exp", ops.exp, np.exp, unary(), order=3)
    Op("log", ops.log, np.log, unary(0.2, 3), order=3)
    Op("relu", ops.relu, lambda x: np.where(x.real > 0, x, 0), unary(away_from=[0]))
    Op("divide", ops.divide, np.divide, binary(right=between(0.3, 2, mirrored=True)), order=3)
    Op("sum", ops.sum, np.sum, reduction(), linear=(0,))
    Op("max", ops.max, np.max, reduction(spaced_out(), min_side=1), complex_step=False)
    Op("take", ops.take, np.take, cases(between(), indices=lambda x: indices(x.size), ...))

A *values* argument is a function from a shape to a strategy of arrays: `between(low, high, ...)` and
`spaced_out(gap)` make them. A keyword argument of the op is a constant, a strategy, or a function of
the drawn arrays that gives a strategy (an axis that depends on a shape).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minidl.testing import strategies
from minidl.testing.spec import Case
from minidl.testing.strategies import st

__all__ = ["between", "binary", "cases", "reduction", "spaced_out", "unary"]

Values = Callable[[Any], st.SearchStrategy[Any]]


def between(low: float = -2.0, high: float = 2.0, away_from: Sequence[float] = (), margin: float = 0.1,
            mirrored: bool = False, layout: Any = True) -> Values:
    """Values in `[low, high]` (and in `[-high, -low]` when `mirrored`), away from kinks; see `strategies.arrays`."""
    if mirrored:
        return lambda shape: strategies.arrays(shape, -high, high, away_from=[0.0, *away_from], margin=low,
                                               layout=layout)
    return lambda shape: strategies.arrays(shape, low, high, away_from=away_from, margin=margin, layout=layout)


def spaced_out(gap: float = 0.25, centre: float = 0.0, layout: Any = True) -> Values:
    """Values without ties; see `strategies.spaced`."""
    return lambda shape: strategies.spaced(shape, gap, centre, layout=layout)


@st.composite
def cases(draw: Any, /, *slots: Any, wrt: Sequence[int] | None = None, **kwargs: Any) -> Case:
    """Calls of an op: the general builder.

    Parameters
    ----------
    *slots : strategy, function or constant
        Positional arguments in order. A function takes the arguments drawn before it and gives a strategy.
    wrt : sequence of int, optional
        Arguments to differentiate; by default every floating point array.
    **kwargs : strategy, function or constant
        Keyword arguments; a function takes all positional arguments and gives a strategy.

    Examples
    --------
    >>> from minidl.testing.cases import cases
    >>> from minidl.testing.strategies import arrays, axis, shapes
    >>> softmax_cases = cases(arrays(shapes(min_dims=1)), axis=lambda x: axis(x.ndim))
    """
    args: list[Any] = []
    for slot in slots:
        args.append(_resolve(draw, slot, args))
    keywords = {name: _resolve(draw, value, args) for name, value in kwargs.items()}
    if wrt is None:
        wrt = [i for i, a in enumerate(args) if getattr(getattr(a, "dtype", None), "kind", "") == "f"]
    return Case(tuple(args), keywords, tuple(wrt))


def _resolve(draw: Any, value: Any, args: Sequence[Any]) -> Any:
    if callable(value) and not isinstance(value, type):
        value = value(*args)
    return draw(value) if isinstance(value, st.SearchStrategy) else value


def unary(low: float = -2.0, high: float = 2.0, away_from: Sequence[float] = (), margin: float = 0.1, *,
          values: Values | None = None, shape: Any = None, **kwargs: Any) -> st.SearchStrategy[Case]:
    """One array of any shape and layout; `values` replaces the range."""
    made = values or between(low, high, away_from, margin)
    return cases(made(strategies.shapes() if shape is None else shape), **kwargs)


@st.composite
def binary(draw: Any, /, low: float = -2.0, high: float = 2.0, away_from: Sequence[float] = (), margin: float = 0.1, *,
           left: Values | None = None, right: Values | None = None, apart: float = 0.0, **kwargs: Any) -> Case:
    """Two arrays that broadcast against each other, or an array and a Python number on either side.

    Parameters
    ----------
    low, high, away_from, margin
        Range of both, unless `left` or `right` says otherwise.
    left, right : values, optional
        Such as `between(0.5, 2)`.
    apart : float
        When positive, the two operands have no common level: they are drawn `spaced`, so that any
        pair differs by at least this much (for maximum and minimum).
    """
    shapes = draw(strategies.broadcastable(2))
    pair: list[Any]
    if apart:
        pair = _apart(draw, shapes, apart)
    else:
        both = between(low, high, away_from, margin)
        pair = [draw((left or both)(shapes[0])), draw((right or both)(shapes[1]))]
    number = draw(st.sampled_from([None, None, None, None, 0, 1]))  # which side is a Python number
    if number is not None and pair[number].size:
        pair[number] = float(pair[number].flat[0])
    return draw(cases(*pair, **kwargs))


def _apart(draw: Any, shapes: Sequence[tuple[int, ...]], gap: float) -> list[Any]:
    sizes = [strategies.count(shape) for shape in shapes]
    levels = draw(strategies.spaced((sizes[0] + sizes[1],), gap=2 * gap, layout=False))
    layouts = st.sampled_from(["C", "Fortran", "reversed", "strided"])
    parts = [levels[:sizes[0]].reshape(shapes[0]), levels[sizes[0]:].reshape(shapes[1])]
    return [strategies.laid_out(part, draw(layouts)) if part.ndim else part for part in parts]


def reduction(values: Values | None = None, *, min_side: int = 0, min_dims: int = 0, none: bool = True,
              tuples: bool = True, keepdims: bool = True, **kwargs: Any) -> st.SearchStrategy[Case]:
    """One array with `axis` (None, int, negative, tuple) and `keepdims`.

    Parameters
    ----------
    values : values, optional
        By default `between(-2, 2)`.
    min_side : int
        1 for reductions without a neutral element (max, mean); 2 for a variance with `ddof=1`.
    none, tuples, keepdims : bool
        What the op accepts.
    """
    if keepdims:
        kwargs = {"keepdims": st.booleans(), **kwargs}
    made = (values or between())(strategies.shapes(min_dims=min_dims, min_side=min_side))
    return cases(made, axis=lambda x: strategies.axes(x.ndim, none, tuples), **kwargs)

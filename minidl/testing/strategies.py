"""Hypothesis strategies for arrays, shapes, axes and indices that are nasty on purpose.

Values are constructed inside the domain that is asked for, never filtered: far from kinks with
`arrays(away_from=...)`, without ties with `spaced`. Hypothesis draws shapes, layouts, dtypes and a
seed; the numbers come from the seed, so that they are generic (no accidental zeros or ties) and
drawing them costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minidl.errors import MissingExtraError
from minidl.testing.graphs import STEPS, Graph, count, layout_of, unique_values

try:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as hypothesis_seed
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as error:
    raise MissingExtraError("hypothesis", "test", "minidl.testing.strategies") from error

__all__ = ["Geometry", "LAYOUTS", "advanced_index", "arrays", "axes", "axis", "basic_index", "broadcastable",
           "conv_geometry", "count", "graphs", "index_for", "indices", "laid_out", "layout_of", "sample", "shapes",
           "spaced", "st", "upstream"]

Shape = tuple[int, ...]
_T = TypeVar("_T")

LAYOUTS = ("C", "Fortran", "reversed", "strided", "broadcast")
"""Memory layouts; `broadcast` is read-only, has stride 0 along one axis and so repeats values along it."""

_INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64")


def as_strategy(value: st.SearchStrategy[_T] | _T) -> st.SearchStrategy[_T]:
    """`value` if it is a strategy, otherwise the strategy that always gives it."""
    return value if isinstance(value, st.SearchStrategy) else st.just(value)


def _seeds() -> st.SearchStrategy[np.random.Generator]:
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


# --------------------------------------------------------------------------------------------- shapes

def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4) -> st.SearchStrategy[Shape]:
    """Shapes of arrays, 0-d and zero-size included.

    Examples
    --------
    >>> from minidl.testing import strategies
    >>> len(strategies.shapes(min_dims=2, max_dims=2).example())  # doctest: +SKIP
    2
    """
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def broadcastable(n: int = 2, min_dims: int = 0, max_dims: int = 3, min_side: int = 0,
                  max_side: int = 4) -> st.SearchStrategy[tuple[Shape, ...]]:
    """Tuples of `n` shapes that broadcast against each other."""
    drawn = hnp.mutually_broadcastable_shapes(num_shapes=n, min_dims=min_dims, max_dims=max_dims,
                                              min_side=min_side, max_side=max_side)
    return drawn.map(lambda found: tuple(found.input_shapes))


# --------------------------------------------------------------------------------------------- values

def arrays(shape: Any = None, low: float = -2.0, high: float = 2.0, dtype: Any = np.float64,
           away_from: Sequence[float] = (), margin: float = 0.1,
           layout: bool | Collection[str] = True) -> st.SearchStrategy[np.ndarray]:
    """Arrays with generic values in `[low, high]`, at least `margin` away from every point of `away_from`.

    Parameters
    ----------
    shape : tuple of int, or a strategy of them
        By default any of `shapes()`.
    low, high : float
        Range of the values.
    dtype : dtype
        A floating point type.
    away_from : sequence of float
        Kinks and poles to keep away from.
    margin : float
        How far.
    layout : bool or collection of str
        Draw a memory layout (`LAYOUTS`); a collection names those allowed. `broadcast` repeats values
        along an axis: leave it out where equal values are a kink.
    """
    pieces = _pieces(low, high, away_from, margin)

    def fill(shape: Shape, rng: np.random.Generator) -> np.ndarray:
        return _from_pieces(rng.random(shape), pieces)

    return _filled(shapes() if shape is None else shape, fill, dtype, layout)


def spaced(shape: Any = None, gap: float = 0.25, centre: float = 0.0, dtype: Any = np.float64,
           layout: bool | Collection[str] = True) -> st.SearchStrategy[np.ndarray]:
    """Arrays without ties, for order statistics: a permutation of equally spaced levels plus jitter.

    Any two values differ by at least `gap / 2`; the levels lie symmetrically around `centre`.
    """
    allowed = layout if isinstance(layout, bool) and not layout else [
        name for name in (LAYOUTS if layout is True else layout) if name != "broadcast"]

    def fill(shape: Shape, rng: np.random.Generator) -> np.ndarray:
        size = count(shape)
        levels = rng.permutation(size) - (size - 1) / 2 + rng.uniform(-0.25, 0.25, size)
        return centre + gap * levels.reshape(shape)

    return _filled(shapes() if shape is None else shape, fill, dtype, allowed)


def upstream(shape: Any, dtype: Any = np.float64) -> st.SearchStrategy[np.ndarray]:
    """Upstream gradients: all values different, of both signs, none small.

    A gradient that is transposed, reordered or of the wrong sign cannot hide behind equal values.
    """
    def fill(shape: Shape, rng: np.random.Generator) -> np.ndarray:
        return unique_values(shape, rng)

    return _filled(shape, fill, dtype, False)


@st.composite
def _filled(draw: Any, shape: Any, fill: Any, dtype: Any, layout: bool | Collection[str]) -> np.ndarray:
    size = draw(as_strategy(shape))
    values = fill(size, draw(_seeds())).astype(dtype)
    if layout is False or values.ndim == 0:
        return np.asarray(values)
    return laid_out(values, draw(st.sampled_from(LAYOUTS if layout is True else list(layout))))


def _pieces(low: float, high: float, away_from: Sequence[float], margin: float) -> np.ndarray:
    """The intervals that are left of `[low, high]`, shape (n, 2)."""
    pieces, start = [], low
    for point in sorted(away_from):
        if point - margin > start:
            pieces.append((start, min(point - margin, high)))
        start = max(start, point + margin)
    if start < high:
        pieces.append((start, high))
    if not pieces:
        raise ValueError(f"arrays: nothing is left of [{low}, {high}] away from {list(away_from)} by {margin}")
    return np.array(pieces)


def _from_pieces(uniform: np.ndarray, pieces: np.ndarray) -> np.ndarray:
    """Stretch values of `[0, 1)` over the pieces, in proportion to their lengths."""
    lengths = pieces[:, 1] - pieces[:, 0]
    ends = np.cumsum(lengths)
    along = uniform * ends[-1]
    where = np.minimum(np.searchsorted(ends, along, side="right"), len(pieces) - 1)
    return pieces[where, 0] + along - (ends - lengths)[where]


# -------------------------------------------------------------------------------------------- layouts

def laid_out(values: np.ndarray, layout: str) -> np.ndarray:
    """The same values in another memory layout (for `broadcast`: those of the first index along the last axis)."""
    if layout == "Fortran":
        return np.asfortranarray(values)
    if layout == "reversed":
        flip = (slice(None, None, -1),) * values.ndim
        return np.ascontiguousarray(values[flip])[flip]
    if layout == "strided":
        roomy = np.full(tuple(2 * n + 1 for n in values.shape), np.nan if values.dtype.kind == "f" else 1, values.dtype)
        view = roomy[tuple(slice(1, 2 * n + 1, 2) for n in values.shape)]
        view[...] = values
        return view
    if layout == "broadcast":
        return np.broadcast_to(values[..., :1], values.shape)
    return np.ascontiguousarray(values)


# --------------------------------------------------------------------------------------- axes, indices

def axis(ndim: int) -> st.SearchStrategy[int]:
    """One axis, from either end; needs `ndim >= 1`."""
    return st.integers(-ndim, ndim - 1)


def axes(ndim: int, none: bool = True, tuples: bool = True) -> st.SearchStrategy[Any]:
    """What a reduction takes as `axis`: None, an int of either sign, a tuple of different axes."""
    options: list[st.SearchStrategy[Any]] = [st.none()] if none or ndim == 0 else []
    if ndim:
        options.append(axis(ndim))
    if ndim and tuples:
        different = st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True)
        options.append(st.tuples(different, st.lists(st.booleans(), min_size=ndim, max_size=ndim)).map(
            lambda drawn: tuple(a - ndim if back else a for a, back in zip(*drawn, strict=False))))
    return st.one_of(options)


@st.composite
def indices(draw: Any, size: int, shape: Any = None, negative: bool = True) -> np.ndarray:
    """Integer indices into an axis of length `size`: every integer dtype, duplicates, negatives, layouts.

    Parameters
    ----------
    size : int
        Length of the axis that is indexed; when it is 0 only empty index arrays exist.
    shape : tuple of int or strategy
        Shape of the indices; by default any of `shapes(max_dims=2)`.
    negative : bool
        Signed types count from the end too.
    """
    shape = draw(as_strategy(shapes(max_dims=2) if shape is None else shape))
    number = count(shape)
    if size == 0 and number:
        raise ValueError("indices: an axis of length 0 has no valid index; draw size >= 1 or an empty shape")
    dtype = np.dtype(draw(st.sampled_from([t for t in _INTEGERS if np.iinfo(t).max >= size])))
    rng = draw(_seeds())
    values = rng.integers(0, max(size, 1), number)
    if number > 1 and draw(st.booleans()):  # force a duplicate
        values[rng.integers(1, number)] = values[0]
    if negative and dtype.kind == "i" and draw(st.booleans()):
        values = np.where(rng.random(number) < 0.5, values - size, values)
    made = values.astype(dtype).reshape(shape)
    return laid_out(made, draw(st.sampled_from(LAYOUTS[:4]))) if made.ndim else np.asarray(made)


def basic_index(shape: Shape) -> st.SearchStrategy[Any]:
    """Integers, slices of any step, Ellipsis and newaxis."""
    return hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True, max_dims=5)


@st.composite
def advanced_index(draw: Any, shape: Shape) -> Any:
    """Boolean masks, integer arrays with duplicates, and both mixed with slices and integers; needs an axis."""
    if draw(st.integers(0, 3)) == 0:
        covered = draw(st.integers(1, len(shape)))
        return draw(hnp.arrays(bool, shape[:covered]))
    picks = draw(broadcastable(len(shape), max_dims=2, max_side=3))
    items: list[Any] = []
    for n, pick in zip(shape, picks, strict=True):
        possible = n > 0 or 0 in pick
        kind = draw(st.sampled_from(["array", "slice", "integer"])) if possible else "slice"
        if kind == "slice" or (kind == "integer" and n == 0):
            items.append(draw(st.slices(n)))
        else:
            items.append(draw(indices(n, pick if kind == "array" else ())))
    return tuple(items) if len(items) > 1 or draw(st.booleans()) else items[0]


def index_for(shape: Shape) -> st.SearchStrategy[Any]:
    """Any index that NumPy accepts for an array of this shape, basic or advanced."""
    return st.one_of(basic_index(shape), advanced_index(shape)) if shape else basic_index(shape)


# --------------------------------------------------------------------------------- convolutions, graphs

class Geometry(NamedTuple):
    """A convolution that fits; one number for each spatial axis."""

    size: Shape
    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    out: Shape


@st.composite
def conv_geometry(draw: Any, axes: int = 2, max_out: int = 3, max_kernel: int = 3, max_stride: int = 3,
                  max_dilation: int = 2) -> Geometry:
    """Convolution and pooling geometries: the output size is drawn and the input size follows.

    Padding is at most half the kernel's extent (what PyTorch's pooling allows); up to `stride - 1` last
    elements may lie outside every window.
    """
    rows = []
    for _ in range(axes):
        out, kernel, stride, dilation = (draw(st.integers(1, n)) for n in
                                         (max_out, max_kernel, max_stride, max_dilation))
        extent = dilation * (kernel - 1) + 1
        covered = (out - 1) * stride + extent
        padding = draw(st.integers(0, min(kernel // 2, (covered - 1) // 2)))
        size = covered - 2 * padding + draw(st.integers(0, stride - 1))
        rows.append((size, kernel, stride, padding, dilation, out))
    return Geometry(*zip(*rows, strict=True))


@st.composite
def graphs(draw: Any, max_inputs: int = 3, max_steps: int = 10, min_side: int = 0) -> Graph:
    """Random computations with shared nodes; see `minidl.testing.graphs.Graph`."""
    inputs = draw(broadcastable(draw(st.integers(1, max_inputs)), max_dims=2, min_side=min_side, max_side=3))
    steps = []
    for known in range(len(inputs), len(inputs) + draw(st.integers(1, max_steps))):
        name = draw(st.sampled_from(sorted(STEPS)))
        operand = st.integers(0, known - 1)
        steps.append((name, tuple(draw(operand) for _ in range(STEPS[name][0]))))
    return Graph(inputs, tuple(steps))


def sample(strategy: st.SearchStrategy[_T], n: int, seed: int = 0) -> list[_T]:
    """`n` draws, always the same for the same seed; the first is the simplest."""
    found: list[_T] = []

    @hypothesis_seed(seed)
    @settings(max_examples=n, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: _T) -> None:
        found.append(value)

    collect()
    return found

"""The convolution kernels against their NumPy references, and within their bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import Kernels, numpy_conv
from minidl.testing.strategies import conv_geometry

FAMILY = Kernels("minidl.kernels", "conv")
GUARD = 7.5


def guarded(values):
    """A copy of an array with room before and after that nobody may touch, and a check that nobody has."""
    room = np.full(values.size + 64, GUARD, values.dtype)
    inside = room[32:32 + values.size].reshape(values.shape)
    inside[...] = values
    guard = values.dtype.type(GUARD)
    return inside, lambda: bool((room[:32] == guard).all() and (room[32 + values.size:] == guard).all())


@st.composite
def calls(draw):
    """A sample, columns and geometry; the window may start anywhere, as for a block in the middle of an image."""
    fit = draw(conv_geometry(2))
    groups, channels, extra = draw(st.integers(1, 2)), draw(st.integers(0, 2)), draw(st.integers(0, 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x = rng.normal(size=(groups * channels, *fit.size)).astype(dtype)
    taps = fit.kernel[0] * fit.kernel[1]
    cols = rng.normal(size=(groups, channels * taps + extra, fit.out[0] * fit.out[1])).astype(dtype)
    origin = (draw(st.integers(-9, 9)), draw(st.integers(-9, 9)))
    return x, cols, fit.kernel, fit.stride, fit.dilation, origin, fit.out[1]


@pytest.mark.parametrize("name", ["im2col", "col2im"])
@given(call=calls())
def test_the_kernel_gives_the_bits_of_the_reference_and_stays_in_bounds(name, call):
    x, cols, *geometry = call
    results = []
    for numba in (True, False):
        held, untouched = zip(*(guarded(a) for a in (x, cols)), strict=True)
        getattr(FAMILY.module(numba), name)(*(held if name == "im2col" else held[::-1]), *geometry)
        assert all(check() for check in untouched)
        results.append(held)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("numba", [True, False])
@given(call=calls())
def test_col2im_is_the_adjoint_of_im2col(numba, call):
    x, cols, *geometry = call
    x, cols = x.astype(float), cols.astype(float)
    kernels = FAMILY.module(numba)
    patches = np.zeros_like(cols)
    kernels.im2col(x, patches, *geometry)
    image = np.zeros_like(x)
    kernels.col2im(cols, image, *geometry)
    assert np.isclose((patches * cols).sum(), (x * image).sum())


@pytest.mark.parametrize("numba", [True, False])
def test_rows_beyond_the_patches_stay_as_they_are(numba):
    cols = np.full((1, 5, 4), GUARD)
    FAMILY.module(numba).im2col(np.ones((1, 3, 3)), cols, (2, 2), (1, 1), (1, 1), (0, 0), 2)
    assert (cols[:, :4] == 1).all()
    assert (cols[:, 4] == GUARD).all()


# ----------------------------------------------------------------------------------- Winograd's transforms

@st.composite
def tilings(draw):
    """Samples and rows of tiles, some of which hang over the edge or lie outside."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    high, wide, channels = draw(st.integers(1, 14)), draw(st.integers(1, 14)), draw(st.sampled_from([0, 1, 3, 32, 35]))
    across, first, rows, samples = (draw(st.integers(low, 4)) for low in (1, 0, 1, 0))
    x = rng.normal(size=(samples, channels, high, wide)).astype(dtype)
    tiles = rng.normal(size=(36, samples * rows * across, channels)).astype(dtype)
    return x, tiles, across, first, rows, (draw(st.integers(-9, 9)), draw(st.integers(-9, 9)))


def agree(calls):
    """Both versions give the same to rounding, the same memory is untouched, and nothing around it."""
    results = []
    for numba in (True, False):
        room, check = calls(FAMILY.module(numba))
        assert all(check)
        results.append(room)
    for a, b in zip(*results, strict=True):
        eps = np.finfo(a.dtype).eps
        np.testing.assert_allclose(a, b, rtol=0, atol=200 * eps)


@given(drawn=tilings(), side=st.sampled_from([4, 6]))
def test_tiles_are_those_of_the_reference(drawn, side):
    x, tiles, across, first, rows, origin = drawn

    def call(kernels):
        held, untouched = zip(*(guarded(a) for a in (x, tiles)), strict=True)
        kernels.to_tiles(*held, side, origin, across, first, rows)
        return held, [check() for check in untouched]

    agree(call)


@given(drawn=tilings(), short=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_outputs_of_tiles_are_those_of_the_reference(drawn, short):
    x, tiles, across, first, rows, _ = drawn
    y = np.full((*x.shape[:2], 4 * (first + rows) - short[0], 4 * across - short[1]), GUARD, tiles.dtype)
    bias = np.arange(y.shape[1], dtype=y.dtype)

    def call(kernels):
        held, untouched = zip(*(guarded(a) for a in (tiles, bias, y)), strict=True)
        kernels.from_tiles(*held, across, first, rows)
        return held, [check() for check in untouched]

    agree(call)


@given(st.integers(0, 2**32 - 1))
def test_the_matrices_convolve(seed):
    rng = np.random.default_rng(seed)
    image, kernel = rng.normal(size=6), rng.normal(size=3)
    products = (numpy_conv.IMAGE @ image) * (numpy_conv.KERNEL @ kernel)
    np.testing.assert_allclose(numpy_conv.OUTPUT @ products, np.correlate(image, kernel), atol=1e-13)


@given(drawn=tilings(), short=st.tuples(st.integers(0, 3), st.integers(0, 3)), wild=st.integers(0, 4),
       seed=st.integers(0, 2**32 - 1), known=st.booleans())
def test_uneven_rows_are_those_of_the_reference(drawn, short, wild, seed, known):
    x, _, across, first, rows, origin = drawn
    rng = np.random.default_rng(seed)
    if x.size:
        x.flat[rng.integers(0, x.size, wild)] = rng.choice([np.nan, np.inf, -1e9, 30.0, 1e-30], wild)
        x[rng.random(x.shape) < rng.choice([0.0, 0.5, 0.98])] = 0
    bits, step = x.view(f"i{x.itemsize}"), np.finfo(x.dtype).nmant
    limits = 4 << step, (np.finfo(x.dtype).maxexp + 49) << step
    size = 4 * (first + rows) - short[0], 4 * across - short[1]
    results = []
    for numba in (True, False):
        held, untouched = guarded(bits)
        found = np.ones((len(x), rows), bool)
        blank = np.ones((len(x), 4 * rows, 4 * across) if known else (0, 0, 0), bool)
        count = FAMILY.module(numba).uneven(held, origin, size, across, first, rows, *limits, found, blank)
        assert untouched()
        assert count == found.sum()
        results.append(np.concatenate([found.ravel(), blank.ravel()]))
    assert np.array_equal(*results)

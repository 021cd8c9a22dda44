"""Pooling beyond the op table: PyTorch's numbers, ties, NaN, edges, layouts and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.ops import pool
from minidl.ops.pool_windows import sliding
from minidl.testing.strategies import arrays, conv_geometry, laid_out

# What PyTorch 2.13 gives for input (7 k mod 11) - 5, k = 0, 1, ..., which has ties, and upstream 1, 2, ...:
# function, shape of the input, arguments, shape of the output, output, gradient, indices.
TORCH = [
    ("max_pool1d", (1, 7), (3,), (1, 2), [2, 5],
     [0, 1, 0, 2, 0, 0, 0], [1, 3]),
    ("max_pool1d", (1, 7), (2, 3, 1, 2, True), (1, 3), [2, 1, -3],
     [0, 1, 0, 0, 2, 3, 0], [1, 4, 5]),
    ("max_pool1d", (2, 1, 5), (2, 2, 0, 1, True), (2, 1, 3), [2, 5, 1, 4, 0, 3],
     [0, 1, 0, 2, 3, 0, 4, 5, 0, 6], [1, 3, 4, 1, 2, 4]),
    ("max_pool2d", (1, 4, 4), (2,), (1, 2, 2), [2, 5, 3, 5],
     [0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4, 0], [1, 3, 9, 14]),
    ("max_pool2d", (1, 1, 5, 5), (2,), (1, 1, 2, 2), [4, 5, 1, 4],
     [0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0], [6, 3, 15, 17]),
    ("max_pool2d", (1, 5, 4), ((3, 2), (2, 1), (1, 0)), (1, 3, 3), [2, 4, 5, 3, 5, 5, 4, 5, 5],
     [0, 1, 0, 3, 0, 0, 2, 0, 0, 4, 0, 0, 0, 0, 28, 0, 0, 7, 0, 0], [1, 6, 3, 9, 14, 14, 17, 14, 14]),
    ("max_pool2d", (1, 4, 5), (3, 2, 1, 1, True), (1, 3, 3), [4, 5, 5, 4, 4, 5, 1, 4, 0],
     [0, 0, 0, 5, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 6, 7, 0, 8, 9, 0], [6, 3, 3, 6, 6, 14, 15, 17, 18]),
    ("max_pool2d", (1, 3, 5), (2, 3, 1, 1, True), (1, 2, 2), [-5, 5, -1, 2],
     [1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0], [0, 3, 10, 12]),
    ("max_pool2d", (1, 5, 5), (2, 1, 1, 3), (1, 4, 4), [2, -1, 5, 2, 4, 5, 2, 4, 0, 3, 4, 0, 2, -1, 5, 2],
     [0, 7, 0, 6, 0, 0, 11, 21, 0, 0, 16, 0, 34, 0, 18, 0, 0, 13, 0, 0, 10, 0, 0, 0, 0], [12, 10, 14, 12, 17, 3, 1,
      17, 7, 20, 6, 7, 12, 10, 14, 12]),
    ("avg_pool1d", (1, 5), (3, 2, 1), (1, 3), [-1, 1.66666667, 2],
     [0.333333333, 1, 0.666666667, 1.66666667, 1], None),
    ("avg_pool1d", (1, 6), (3, 2, 1, True), (1, 4), [-1, 1.66666667, 1, -1.5],
     [0.333333333, 1, 0.666666667, 1.66666667, 1, 3], None),
    ("avg_pool1d", (1, 6), (3, 2, 1, True, False), (1, 4), [-1.5, 1.66666667, 1, -3],
     [0.5, 1.16666667, 0.666666667, 1.66666667, 1, 5], None),
    ("avg_pool2d", (1, 4, 4), (2,), (1, 2, 2), [-1.25, 1.75, -0.25, 0],
     [0.25, 0.25, 0.5, 0.5, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1, 0.75, 0.75, 1, 1], None),
    ("avg_pool2d", (1, 3, 4), (3, 2, 1), (1, 2, 2), [-0.555555556, 0.666666667, -0.333333333, -0.222222222],
     [0.111111111, 0.333333333, 0.222222222, 0.222222222, 0.444444444, 1.11111111, 0.666666667, 0.666666667,
      0.333333333, 0.777777778, 0.444444444, 0.444444444], None),
    ("avg_pool2d", (1, 3, 4), (3, 2, 1, True, True), (1, 2, 3), [-0.555555556, 0.666666667, 0.833333333,
      -0.333333333, -0.222222222, -0.833333333],
     [0.111111111, 0.333333333, 0.222222222, 0.722222222, 0.555555556, 1.33333333, 0.777777778, 2.27777778,
      0.444444444, 1, 0.555555556, 1.55555556], None),
    ("avg_pool2d", (1, 3, 4), (3, 2, 1, True, False), (1, 2, 3), [-1.25, 1, 2.5, -0.75, -0.333333333, -2.5],
     [0.25, 0.583333333, 0.333333333, 1.83333333, 1.25, 2.41666667, 1.16666667, 5.66666667, 1, 1.83333333,
      0.833333333, 3.83333333], None),
    ("avg_pool2d", (1, 3, 4), (3, 2, (1, 0), True, True, 5), (1, 2, 2), [-0.6, 1.4, 0, -0.4],
     [0.2, 0.2, 0.6, 0.4, 0.8, 0.8, 2, 1.2, 0.6, 0.6, 1.4, 0.8], None),
    ("adaptive_max_pool1d", (1, 7), (3,), (1, 3), [2, 5, 4],
     [0, 1, 0, 2, 0, 0, 3], [1, 3, 6]),
    ("adaptive_max_pool2d", (1, 3, 5), ((2, 3),), (1, 2, 3), [4, 5, 5, 4, 4, 5],
     [0, 0, 0, 5, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 6], [6, 3, 3, 6, 6, 14]),
    ("adaptive_max_pool2d", (1, 2, 3), ((3, None),), (1, 3, 3), [-5, 2, -2, 5, 2, -2, 5, 1, -3],
     [1, 7, 9, 11, 8, 9], [0, 1, 2, 3, 1, 2, 3, 4, 5]),
    ("adaptive_avg_pool1d", (1, 7), (3,), (1, 3), [-1.66666667, 1.33333333, 0.666666667],
     [0.333333333, 0.333333333, 1, 0.666666667, 1.66666667, 1, 1], None),
    ("adaptive_avg_pool2d", (1, 3, 5), ((2, 3),), (1, 2, 3), [-0.5, 0.833333333, 1.25, -1.25, -0.833333333, 0.5],
     [0.25, 0.583333333, 0.333333333, 1.08333333, 0.75, 1.25, 2.41666667, 1.16666667, 3.41666667, 2.25, 1,
      1.83333333, 0.833333333, 2.33333333, 1.5], None),
    ("adaptive_avg_pool2d", (1, 2, 3), ((3, None),), (1, 3, 3), [-5, 2, -2, 0, 1.5, -2.5, 5, 1, -3],
     [3, 4.5, 6, 9, 10.5, 12], None),
    ("adaptive_avg_pool2d", (2, 2, 2), (1,), (2, 1, 1), [0, 0.5],
     [0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5], None),
]


def ids(case):
    return f"{case[0]}{case[1]}{case[2]}"


@pytest.mark.parametrize(("name", "shape", "args", "out_shape", "out", "gradient", "indices"), TORCH,
                         ids=map(ids, TORCH))
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ">f4"])
def test_numbers_are_those_of_torch(name, shape, args, out_shape, out, gradient, indices, dtype):
    x = minidl.tensor((7 * np.arange(np.prod(shape)) % 11 - 5).reshape(shape).astype(dtype), requires_grad=True)
    got = getattr(pool, name)(x, *args)
    assert got.shape == out_shape
    assert got.dtype == np.dtype(dtype).newbyteorder("=")
    rtol = 2e-3 if dtype == np.float16 else 1e-6
    np.testing.assert_allclose(got.data.ravel(), out, rtol=rtol, atol=rtol)
    got.backward(np.arange(1, got.size + 1).reshape(got.shape).astype(dtype))
    np.testing.assert_allclose(x.grad.ravel(), gradient, rtol=rtol)
    if indices is not None:
        values, places = getattr(pool, name)(x, *args, return_indices=True)
        assert np.array_equal(values.data, got.data)
        assert places.dtype == np.int64
        assert places.ravel().tolist() == indices


# -------------------------------------------------------------------------------------------- ties, NaN

@st.composite
def slides(draw, dilated=True):
    """An input with ties, NaN and infinities, and arguments that fit."""
    fit = draw(conv_geometry(2, max_dilation=2 if dilated else 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *map(max, fit.size, fit.dilation))
    levels = draw(st.sampled_from([[0, 1], [-np.inf, 0], [np.nan, -1, 2], [-np.inf]]))
    return rng.choice(np.array(levels, float), shape), fit.kernel, fit.stride, fit.padding, fit.dilation


@given(slides(), st.booleans())
def test_every_window_gives_its_upstream_to_one_of_its_largest_elements(drawn, ceil):
    x, *args = drawn
    u = np.random.default_rng(0).integers(1, 9, pool.max_pool2d(x, *args, ceil).shape).astype(float)
    leaf = minidl.tensor(x, requires_grad=True)
    out, places = pool.max_pool2d(leaf, *args, ceil, return_indices=True)
    out.backward(u)
    assert leaf.grad.sum() == u.sum()
    planes, places = x.reshape(len(x) * x.shape[1], -1), places.reshape(len(x) * x.shape[1], -1)
    np.testing.assert_array_equal(np.take_along_axis(planes, places, 1).ravel(), out.data.ravel())
    given_to = np.zeros(planes.shape)
    np.add.at(given_to, (np.arange(len(planes))[:, None], places), u.reshape(places.shape))
    np.testing.assert_array_equal(leaf.grad.ravel(), given_to.ravel())


def test_the_first_largest_wins_and_the_last_nan():
    for x, place in (([1, 3, 3, 2.0], 1), ([-np.inf] * 4, 0), ([1, np.nan, 5, 2], 1), ([np.nan, 1, np.nan, np.inf], 2)):
        for shape, kernel in (((1, 2, 2), 2), ((1, 1, 4), (1, 4)), ((1, 4, 1), (4, 1))):
            plane = np.array(x, float).reshape(shape)
            for found in (pool.max_pool2d(plane, kernel, return_indices=True),
                          pool.adaptive_max_pool2d(plane, 1, return_indices=True)):
                assert found[1].item() == place
                np.testing.assert_equal(found[0].item(), float(x[place]))


def test_nan_and_infinity_stay_in_their_windows():
    x = np.ones((1, 4, 4))
    x[0, 0, 0], x[0, 3, 3] = np.nan, np.inf
    for out in (pool.max_pool2d(x, 2), pool.avg_pool2d(x, 2), pool.adaptive_avg_pool2d(x, 2)):
        np.testing.assert_array_equal(out, [[[np.nan, 1], [1, np.inf]]])
    u = np.array([[[np.nan, 1], [1, np.inf]]])
    for f in (pool.max_pool2d, pool.avg_pool2d):
        leaf = minidl.tensor(np.arange(16.0).reshape(1, 4, 4), requires_grad=True)
        f(leaf, 2).backward(u)
        np.testing.assert_array_equal(np.isnan(leaf.grad).nonzero(), np.isnan(leaf.grad[:, :2, :2]).nonzero())
        assert np.isfinite(leaf.grad).sum() == (8 if f is pool.avg_pool2d else 14)


@given(size=st.integers(1, 9), kernel=st.integers(1, 5), stride=st.integers(1, 12), padding=st.integers(0, 2),
       dilation=st.integers(1, 5), ceil=st.booleans(), counted=st.booleans())
def test_windows_hold_something_or_are_refused(size, kernel, stride, padding, dilation, ceil, counted):
    x, padding = np.ones((1, size)), min(padding, kernel // 2)
    largest = tried(pool.max_pool1d, x, kernel, stride, padding, dilation, ceil)
    if isinstance(largest, str):
        assert "fits into input" in largest or "holds nothing of input of shape" in largest
    else:
        assert (largest == 1).all()
    mean = tried(pool.avg_pool1d, x, kernel, stride, padding, ceil, counted)
    if isinstance(mean, str):
        assert "fits into input" in mean
    else:
        assert ((mean > 0) & (mean <= 1)).all()
        assert counted or (mean == 1).all()


def tried(function, *args):
    """What it gives or says."""
    try:
        return function(*args)
    except ValueError as error:
        return str(error)


# ---------------------------------------------------------------------------------- relations, dtypes

@given(arrays((2, 3, 6), layout=False), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_one_dimension_is_a_plane_of_height_one(x, kernel, stride, ceil):
    wide = x[:, :, None]
    for one, two in ((pool.max_pool1d, pool.max_pool2d), (pool.avg_pool1d, pool.avg_pool2d)):
        flat = one(x, kernel, stride, kernel // 2, ceil_mode=ceil)
        assert np.array_equal(flat[:, :, None], two(wide, (1, kernel), (1, stride), (0, kernel // 2), ceil_mode=ceil))
    for one, two in ((pool.adaptive_max_pool1d, pool.adaptive_max_pool2d),
                     (pool.adaptive_avg_pool1d, pool.adaptive_avg_pool2d)):
        assert np.array_equal(one(x, kernel)[:, :, None], two(wide, (None, kernel)))


@given(arrays((1, 2, 4, 6), layout=False), st.sampled_from([1, 2, (4, 3), (2, 6)]))
def test_pieces_of_one_size_are_windows(x, size):
    rows, cols = size if isinstance(size, tuple) else (size, size)
    kernel = (4 // rows, 6 // cols)
    assert np.array_equal(pool.adaptive_max_pool2d(x, size), pool.max_pool2d(x, kernel))
    np.testing.assert_allclose(pool.adaptive_avg_pool2d(x, size), pool.avg_pool2d(x, kernel), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(pool.adaptive_avg_pool2d(x, 1)[..., 0, 0], x.mean(axis=(2, 3)), rtol=1e-13, atol=1e-15)
    assert np.array_equal(pool.adaptive_max_pool2d(x, 1)[..., 0, 0], x.max(axis=(2, 3)))


@given(slides(dilated=False), st.sampled_from(["C", "Fortran", "reversed", "strided"]))
def test_layouts_and_read_only_inputs_give_the_same_bits(drawn, layout):
    x, kernel, stride, padding, _ = drawn
    other = laid_out(x, layout)
    other.flags.writeable = False
    for f in (pool.max_pool2d, pool.avg_pool2d):
        np.testing.assert_array_equal(f(other, kernel, stride, padding), f(x, kernel, stride, padding))


def test_a_misaligned_input_is_copied():
    raw = np.zeros(8 * 16 + 1, np.uint8)
    x = raw[1:].view(np.float64).reshape(1, 4, 4)
    x[...] = np.arange(16).reshape(1, 4, 4)
    assert not x.flags.aligned
    assert pool.max_pool2d(x, 2).tolist() == [[[5, 7], [13, 15]]]
    assert pool.avg_pool2d(x, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]


def test_nothing_in_nothing_out():
    for shape in ((0, 3, 4, 4), (2, 0, 4, 4), (0, 4, 4)):
        leaf = minidl.tensor(np.zeros(shape), requires_grad=True)
        for f, arg in ((pool.max_pool2d, 2), (pool.avg_pool2d, 2), (pool.adaptive_max_pool2d, 2),
                       (pool.adaptive_avg_pool2d, 2)):
            out = f(leaf, arg)
            assert out.shape == (*shape[:-2], 2, 2)
            out.sum().backward()
        assert leaf.grad.shape == shape
    for f in (pool.adaptive_max_pool2d, pool.adaptive_avg_pool2d):
        leaf = minidl.tensor(np.ones((1, 2, 3)), requires_grad=True)
        out = f(leaf, (0, 2))
        assert out.shape == (1, 0, 2)
        out.sum().backward()
        assert not leaf.grad.any()


def test_third_derivatives_go_through():
    x = np.random.default_rng(0).permutation(16).astype(float).reshape(1, 4, 4)
    f = minidl.grad(lambda x: minidl.grad(lambda x: (pool.max_pool2d(x, 3, 1) ** 3).sum())(x).sum())
    third = minidl.grad(lambda x: f(x).sum())(x)
    counts = np.zeros(16)
    np.add.at(counts, pool.max_pool2d(x, 3, 1, return_indices=True)[1].ravel(), 1)
    np.testing.assert_allclose(third.ravel(), 6 * counts)


def test_windows_are_cached_and_cannot_be_changed():
    windows = sliding("max_pool2d", np.zeros((1, 4, 4)), 2, 2, None, 0, 1, False)
    assert windows.rows is sliding("max_pool2d", np.ones((3, 4, 5)), 2, 2, None, 0, 1, False).rows
    with pytest.raises(ValueError, match="read-only"):
        windows.rows[0, 0] = 7


# -------------------------------------------------------------------------------------------- refusals

@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda x: pool.max_pool2d(x[0, 0], 2), minidl.errors.ShapeError, r"shape \(4, 5\), it has to be \(C, H, W\) or"),
    (lambda x: pool.max_pool1d(x, 2), ValueError, r"it has to be \(C, L\) or \(N, C, L\)"),
    (lambda x: pool.max_pool2d(x, 2, padding=2), ValueError, "padding=2 has to be from 0 to half of kernel_size=2"),
    (lambda x: pool.avg_pool2d(x, 3, padding=(1, -1)), ValueError, "padding=.*integer of at least 0, or 2 of them"),
    (lambda x: pool.max_pool2d(x, 0), ValueError, "kernel_size=0.*at least 1"),
    (lambda x: pool.avg_pool2d(x, 2, 0), ValueError, "stride=0.*at least 1"),
    (lambda x: pool.max_pool2d(x[..., :1], 2, 1, (0, 1), 2), ValueError,
     "max_pool2d: window 0 of kernel_size=2, dilation=2, .*holds nothing of input of shape .*use less padding"),
    (lambda x: pool.max_pool2d(x, 2, dilation=0), ValueError, "dilation=0.*at least 1"),
    (lambda x: pool.max_pool2d(x, 2.0), ValueError, "kernel_size=2.0; give an integer of at least 1"),
    (lambda x: pool.max_pool2d(x, (2, None)), ValueError, "at least 1"),
    (lambda x: pool.max_pool2d(x, (2, 2, 2)), ValueError, "integer of at least 1, or 2 of them"),
    (lambda x: pool.avg_pool1d(x[0], (2, 2)), ValueError, "avg_pool1d: kernel_size=.*give an integer of at least 1$"),
    (lambda x: pool.max_pool2d(x, 5), minidl.errors.ShapeError, "no window of kernel_size=5.*fits"),
    (lambda x: pool.max_pool2d(x, 2, dilation=4), minidl.errors.ShapeError, "dilation=4 fits into input of shape"),
    (lambda x: pool.avg_pool2d(x, 2, divisor_override=0), ValueError, "divisor_override=0"),
    (lambda x: pool.avg_pool2d(x, 2, divisor_override=1.5), ValueError, "divisor_override=1.5"),
    (lambda x: pool.adaptive_avg_pool2d(x, (2, -1)), ValueError, "output_size=.*at least 0"),
    (lambda x: pool.adaptive_max_pool2d(x[:, :, :0], 1), minidl.errors.ShapeError, "nothing in it to pool"),
    (lambda x: pool.max_pool2d(x.astype(int), 2), TypeError, "dtype int64; pooling takes floating point"),
    (lambda x: pool.avg_pool2d(x + 1j, 2), TypeError, "dtype complex128"),
])
def test_what_does_not_fit_is_refused_in_a_sentence(call, error, says):
    with pytest.raises(error, match=says):
        call(np.ones((2, 3, 4, 5)))


@pytest.mark.parametrize("pooled", [lambda x: pool.max_pool2d(x, 2), lambda x: pool.avg_pool2d(x, 2),
                                    lambda x: pool.adaptive_max_pool2d(x, 1), lambda x: pool.adaptive_avg_pool2d(x, 1)])
def test_big_endian_images_are_pooled(pooled):
    x = np.arange(16.0).reshape(1, 4, 4)
    np.testing.assert_array_equal(pooled(x.astype(">f8")), pooled(x))

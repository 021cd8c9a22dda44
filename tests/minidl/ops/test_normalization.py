"""Normalisation: kernels, running statistics, refusals. Derivatives are proved by the op table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops, runtime
from minidl.errors import ShapeError
from minidl.ops.normalization import _kernels
from minidl.testing.strategies import arrays, shapes

F4, F8 = np.float32, np.float64
DTYPES = st.sampled_from([F4, F8])
needs_numba = pytest.mark.skipif(not runtime.numba_enabled(), reason="Numba is absent")


def close(a, b, dtype):
    tolerance = 2e-4 if dtype == F4 else 1e-11
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------------------- kernels

def run_rows(kernels, x, g, weight, bias, centred):
    out, mean, scale = kernels.row_norm(x, weight, bias, 0.1, centred)
    gx = np.full_like(x, np.nan)
    return [out, mean, scale, gx, *kernels.row_norm_gradient(g, x, weight, mean, scale, centred, gx)][:7]


def run_channels(kernels, x, g, weight, bias, training):
    mean, var = weight * 0.5, bias * bias + 0.5
    out = kernels.channel_norm(x, weight, bias, 0.1, mean, var, training)
    gx = np.full_like(x, np.nan)
    return [out, mean, var, gx, *kernels.channel_norm_gradient(g, x, weight, 0.1, mean, var, training, gx)]


@needs_numba
@given(st.integers(1, 150), st.integers(1, 40), DTYPES, st.booleans(), st.integers(0, 2**32 - 1))
def test_row_kernels_equal_their_reference(n, width, dtype, centred, seed):
    rng = np.random.default_rng(seed)
    args = [rng.normal(size=s).astype(dtype) for s in ((n, width), (n, width), (width,), (width,))]
    for a, b in zip(run_rows(_kernels.module(True), *args, centred), run_rows(_kernels.module(False), *args, centred),
                    strict=True):
        assert a.dtype == dtype
        close(a, b, dtype)


@needs_numba
@given(st.integers(1, 9), st.integers(1, 40), st.sampled_from([1, 2, 5, 33]), DTYPES, st.booleans(),
       st.integers(0, 2**32 - 1))
def test_channel_kernels_equal_their_reference(n, channels, width, dtype, training, seed):
    rng = np.random.default_rng(seed)
    shape = (n, channels, width)
    args = [rng.normal(size=s).astype(dtype) for s in (shape, shape, (channels,), (channels,))]
    for a, b in zip(run_channels(_kernels.module(True), *args, training),
                    run_channels(_kernels.module(False), *args, training), strict=True):
        assert a.dtype == dtype
        close(a, b, dtype)


@needs_numba
@pytest.mark.parametrize("dtype", [F4, F8])
def test_bits_do_not_depend_on_threads_nor_on_where_arrays_lie(dtype):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=s).astype(dtype) for s in ((1500, 64), (1500, 64), (64,), (64,))]
    images = [rng.normal(size=s).astype(dtype) for s in ((16, 9, 700), (16, 9, 700), (9,), (9,))]
    before, seen = runtime.threads(), []
    try:
        for threads in (1, min(2, before)):
            runtime.set_threads(threads)
            found = run_rows(_kernels, *rows, True) + run_channels(_kernels, *images, True)
            seen.append([a.tobytes() for a in found])
    finally:
        runtime.set_threads(before)
    assert seen[0] == seen[1]
    small = [a[..., :4, :3].copy() if a.ndim > 1 else a[:3].copy() for a in rows]
    room = np.empty(200, dtype)  # the same arrays, one right behind the other
    packed, start = [], 0
    for a in small:
        packed.append(room[start:start + a.size].reshape(a.shape))
        packed[-1][...] = a
        start += a.size
    for one, other in zip(run_rows(_kernels, *small, True), run_rows(_kernels, *packed, True), strict=True):
        assert one.tobytes() == other.tobytes()


# -------------------------------------------------------------------------------------------- values

@given(arrays(shapes(min_dims=1, min_side=1)), DTYPES)
def test_rows_have_mean_0_and_variance_1(x, dtype):
    x = x.astype(dtype)
    out = ops.layer_norm(x, x.shape[-1], eps=0.0) if np.ptp(x, axis=-1).min() > 0.1 else None
    if out is not None:
        close(out.mean(axis=-1), 0, dtype)
        close(out.var(axis=-1), 1, dtype)


def test_large_means_do_not_drown_the_variance():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(8, 300)) + 3000).astype(F4)
    exact = x.astype(F8)
    wanted = (exact - exact.mean(axis=1, keepdims=True)) / exact.std(axis=1, keepdims=True)
    np.testing.assert_allclose(ops.layer_norm(x, 300, eps=0.0), wanted, atol=3e-4)
    wanted = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    np.testing.assert_allclose(ops.batch_norm(x, None, None, training=True, eps=0.0), wanted, atol=1e-3)


@pytest.mark.parametrize("dtype", [F4, F8])
def test_one_element_is_its_bias(dtype):
    x, w, b = (minidl.tensor(np.full(s, 3, dtype), requires_grad=True) for s in ((4, 1), (1,), (1,)))
    out = ops.layer_norm(x, 1, w, b)
    out.sum().backward()
    np.testing.assert_allclose(out.data, 3)
    np.testing.assert_allclose(x.grad, 0, atol=1e-3)
    np.testing.assert_allclose(b.grad, 4)


def test_nan_stays_in_its_row():
    x = np.ones((3, 4))
    x[1, 2] = np.nan
    out = ops.layer_norm(x, 4)
    assert np.isnan(out[1]).all()
    assert np.isfinite(out[[0, 2]]).all()


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0,)])
def test_empty_arrays(shape):
    x = minidl.tensor(np.ones(shape, F4), requires_grad=True)
    for out in (ops.layer_norm(x, shape[-1]), ops.rms_norm(x, shape[-1])):
        assert out.shape == shape
        out.sum().backward()
        assert x.grad.shape == shape


def test_rms_norm_takes_the_machine_epsilon():
    x = np.array([[1e-4, -1e-4]], F4)
    np.testing.assert_allclose(ops.rms_norm(x, 2), x / np.sqrt(1e-8 + np.finfo(F4).eps), rtol=1e-5)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: ops.layer_norm(np.ones((2, 3)), 2), r"does not end with normalized_shape=\(2,\)"),
    (lambda: ops.layer_norm(np.ones((2, 3)), 3, np.ones(2)), r"weight has shape \(2,\)"),
    (lambda: ops.rms_norm(np.ones((2, 3)), ()), "does not end"),
    (lambda: ops.batch_norm(np.ones(3), None, None, training=True), r"\(N, C, ...\)"),
    (lambda: ops.batch_norm(np.ones((2, 3)), np.ones(2), np.ones(3)), r"running_mean has shape \(2,\)"),
])
def test_shapes_that_do_not_fit(call, says):
    with pytest.raises(ShapeError, match=says):
        call()


# ------------------------------------------------------------------------------- running statistics

@given(arrays(st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 3)), layout=False),
       st.floats(0, 1), DTYPES)
def test_running_statistics_move_towards_those_of_the_batch(x, momentum, dtype):
    mean, var = np.full(x.shape[1], 2.0, dtype), np.full(x.shape[1], 3.0, dtype)
    ops.batch_norm(x.astype(dtype), mean, var, training=True, momentum=momentum)
    close(mean, (1 - momentum) * 2 + momentum * x.mean(axis=(0, 2)), F4)
    close(var, (1 - momentum) * 3 + momentum * x.var(axis=(0, 2), ddof=1), F4)


def test_outside_training_they_are_used_and_may_change_before_backward():
    x = minidl.tensor(np.random.default_rng(0).normal(size=(3, 2)), requires_grad=True)
    mean, var = np.array([1.0, 2.0]), np.array([4.0, 9.0])
    out = ops.batch_norm(x, mean, var, eps=0.0)
    np.testing.assert_allclose(out.data, (x.data - [1, 2]) / [2, 3])
    mean += 100
    var *= 100
    out.sum().backward()
    np.testing.assert_allclose(x.grad, np.broadcast_to([0.5, 1 / 3], (3, 2)))


def test_an_empty_batch_leaves_them_alone():
    mean, var = np.zeros(3), np.ones(3)
    x = minidl.tensor(np.ones((0, 3, 2)), requires_grad=True)
    out = ops.batch_norm(x, mean, var, np.ones(3), np.ones(3), training=True)
    out.sum().backward()
    assert out.shape == x.grad.shape == (0, 3, 2)
    assert mean.tolist() == [0] * 3
    assert var.tolist() == [1] * 3


def test_refusals():
    with pytest.raises(ValueError, match="one value per channel"):
        ops.batch_norm(np.ones((1, 3)), None, None, training=True)
    with pytest.raises(ValueError, match="running_mean and running_var are needed"):
        ops.batch_norm(np.ones((2, 3)), None, None)
    with pytest.raises(TypeError, match=r"pass \.data"):
        ops.batch_norm(np.ones((2, 3)), minidl.tensor(np.ones(3)), np.ones(3))


@pytest.mark.parametrize("norm", [ops.layer_norm, ops.rms_norm])
def test_the_graph_names_the_norm(norm):
    assert norm.__name__ in str(minidl.debug.graph(norm(minidl.tensor(np.ones((2, 3)), requires_grad=True), 3)))

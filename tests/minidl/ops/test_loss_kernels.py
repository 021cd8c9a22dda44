"""Kernels of losses: Numba equals NumPy, no bit depends on the number of threads, fused losses equal composed ones."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.kernels import numpy_loss
from minidl.testing.strategies import arrays, shapes

F4, F8 = np.float32, np.float64


def sizes():
    """Below and above the size from which threads share the work."""
    return st.sampled_from([0, 1, 5, 1000, 2 * numpy_loss.CHUNK - 1, 2 * numpy_loss.CHUNK + 3])


@given(st.sampled_from([numpy_loss.MSE, numpy_loss.BCE, numpy_loss.BPR]), sizes(), st.sampled_from([F4, F8]),
       st.integers(0, 2**32 - 1))
def test_pair_kernels_equal_their_reference(kind, size, dtype, seed):
    numba_loss = pytest.importorskip("minidl.kernels.numba_loss", exc_type=ImportError)
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 5, size).astype(dtype), rng.uniform(0, 1, size).astype(dtype)
    tolerance = 1e-12 if dtype is F8 else 2e-6
    exact = numpy_loss.pair_sum(kind, a.astype(F8), b.astype(F8))
    assert numba_loss.pair_sum(kind, a, b) == pytest.approx(exact, rel=tolerance)
    g = dtype(0.75)
    np.testing.assert_allclose(numba_loss.pair_gradient(kind, g, a, b), numpy_loss.pair_gradient(kind, g, a, b),
                               rtol=tolerance, atol=tolerance)


def rows_of_logits(shape, dtype, seed):
    """Logits, and classes of the rows: none, one (or the -1 of no loss), one several times, different ones."""
    rng = np.random.default_rng(seed)
    n, width = shape
    rows = [rng.integers(0, width, size).tolist() for size in rng.integers(0, 4, n)]
    rows = [[-1] if rng.random() < 0.2 else row[:1] * len(row) if rng.random() < 0.3 else row for row in rows]
    classes = np.array([c for row in rows for c in row], np.int64)
    ends = np.cumsum([0, *map(len, rows)])
    drop = rng.uniform(0.5, 2, classes.size).astype(dtype)
    scale = np.array([drop[lo:hi].sum() for lo, hi in itertools.pairwise(ends)], dtype)
    return rng.normal(0, 5, shape).astype(dtype), scale, classes, ends, drop


ROWS = st.sampled_from([(0, 3), (1, 1), (7, 5), (40, 1000)])


@given(ROWS, st.sampled_from([F4, F8]), st.integers(0, 2**32 - 1))
def test_kernels_of_rows_equal_their_reference(shape, dtype, seed):
    numba_loss = pytest.importorskip("minidl.kernels.numba_loss", exc_type=ImportError)
    x, scale, classes, ends, drop = rows_of_logits(shape, dtype, seed)
    t = np.where(x > 0, np.abs(x[::-1]), 0).astype(dtype)
    sums, soft = numpy_loss.exp_sums(x), numpy_loss.soft_sums(x, t)
    calls = {"exp_sums": (x,), "softmax_gradient": (scale, x, *sums, classes, ends, drop), "soft_sums": (x, t),
             "soft_gradient": (scale, x, t, *soft[:3])}
    tolerance = 1e-12 if dtype is F8 else 5e-6
    for name, args in calls.items():
        results = [getattr(module, name)(*args) for module in (numba_loss, numpy_loss)]
        for got, reference in zip(*(r if isinstance(r, tuple) else (r,) for r in results), strict=True):
            assert got.dtype == reference.dtype == dtype
            scale_of = float(np.abs(reference).max(initial=1))
            np.testing.assert_allclose(got, reference, rtol=tolerance, atol=tolerance * scale_of, err_msg=name)


@pytest.mark.parametrize("module", ["numba_loss", "numpy_loss"])
def test_softmax_gradient_row_by_row(module):
    module = pytest.importorskip(f"minidl.kernels.{module}", exc_type=ImportError)
    x, scale, classes, ends, drop = rows_of_logits((9, 6), F8, 4)
    got = module.softmax_gradient(scale, x, *numpy_loss.exp_sums(x), classes, ends, drop)
    for i, (lo, hi) in enumerate(itertools.pairwise(ends)):
        wanted = scale[i] * np.exp(x[i]) / np.exp(x[i]).sum()
        for c, d in zip(classes[lo:hi], drop[lo:hi], strict=True):
            wanted[c] -= d
        np.testing.assert_allclose(got[i], np.zeros(6) if -1 in classes[lo:hi] else wanted, rtol=1e-11, atol=1e-14)


@given(arrays(shapes(min_dims=2, max_dims=2, min_side=1, max_side=40), -1e3, 1e3), st.sampled_from([F4, F8]),
       st.sampled_from([0.0, -0.0, np.inf, -np.inf, 1e-40]), st.integers(0, 10**6))
def test_the_largest_logit_is_found_among_all_floats(x, dtype, special, at):
    numba_loss = pytest.importorskip("minidl.kernels.numba_loss", exc_type=ImportError)
    x = np.array(x, dtype, order="C")
    x.flat[at % x.size] = special
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(numba_loss.exp_sums(x)[0], x.max(axis=1))
        for nan in (np.nan, -np.nan):
            x.flat[at % x.size] = nan
            assert np.isnan(numba_loss.exp_sums(x)[1][at % x.size // x.shape[1]])


def test_bits_do_not_depend_on_the_number_of_threads():
    numba = pytest.importorskip("numba")
    from minidl.kernels import numba_loss

    rng = np.random.default_rng(5)
    x, t = rng.normal(size=(64, 1001)).astype(F4), rng.integers(0, 1001, 64)
    y = rng.random(x.size).astype(F4)

    def results():
        sums, soft = numba_loss.exp_sums(x), numba_loss.soft_sums(x, np.abs(x))
        return [*sums, numba_loss.softmax_gradient(sums[1], x, *sums, t, np.arange(65), sums[1]), *soft,
                numba_loss.soft_gradient(sums[0], x, np.abs(x), *soft[:3]),
                *(numba_loss.pair_sum(kind, x.ravel(), y) for kind in range(3)),
                *(numba_loss.pair_gradient(kind, F4(2), x.ravel(), y) for kind in range(3))]

    before = numba.get_num_threads()
    many = results()
    numba.set_num_threads(1)
    try:
        one = results()
    finally:
        numba.set_num_threads(before)
    for a, b in zip(many, one, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("loss", [ops.mse_loss, ops.binary_cross_entropy_with_logits, ops.bpr_loss])
def test_fused_and_composed_losses_agree_above_the_parallel_size(loss):
    """The mean of one kernel pass is the mean of the losses of `reduction="none"`, and so are the gradients."""
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(50, 700)), rng.random((50, 700))
    value, pullback = minidl.vjp(loss, x, t)
    each, apart = minidl.vjp(lambda x, t: loss(x, t, reduction="none"), x, t)
    assert float(value) == pytest.approx(each.mean(), rel=1e-12)
    wanted = apart(np.full(x.shape, 1 / x.size))
    for g, w in zip(pullback(np.array(1.0)), wanted, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-11, atol=1e-18)

"""Pooling kernels: Numba equals its reference, bits do not depend on threads, nothing is touched out of bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import runtime
from minidl.kernels import Kernels, numpy_pool
from minidl.ops.pool_windows import adaptive, sliding
from minidl.testing.strategies import conv_geometry

if not runtime.numba_enabled():
    pytest.skip("Numba is absent", allow_module_level=True)

import numba

from minidl.kernels import numba_pool

DTYPES = st.sampled_from([np.float32, np.float64])


def guarded(values):
    """A copy in C order with NaN (or 77) before and behind it, and the memory around it."""
    edge = np.full(64, np.nan if values.dtype.kind == "f" else 77, values.dtype)
    memory = np.concatenate([edge, values.ravel(), edge])
    return memory[64:64 + values.size].reshape(values.shape), memory


def untouched(memory):
    edges = np.concatenate([memory[:64], memory[-64:]])
    return bool((np.isnan(edges) if memory.dtype.kind == "f" else edges == 77).all())


@st.composite
def planes(draw, average=False):
    """Planes (P, H, W) with ties, and windows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p, dtype = draw(st.integers(0, 3)), draw(DTYPES)
    kind = draw(st.sampled_from(["sliding", "adaptive", "halves"]))
    fit = draw(conv_geometry(2, max_dilation=1 if average else 2))
    # a dilated window may lie over padding alone, which is refused
    padding = tuple(0 if d > 1 else p for p, d in zip(fit.padding, fit.dilation, strict=True))
    wide = tuple(n + 2 * (p - q) for n, p, q in zip(fit.size, fit.padding, padding, strict=True))
    size = wide if kind != "halves" else draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    x = rng.integers(-3, 4, (p, *size)).astype(dtype)
    if kind == "halves":
        return x, sliding("", x, 2, 2, None, 0, 1, False)
    if kind == "adaptive":
        return x, adaptive("", x, 2, draw(st.tuples(st.integers(0, 5), st.integers(0, 5))))
    return x, sliding("", x, 2, fit.kernel, fit.stride, padding, fit.dilation, draw(st.booleans()))


@given(planes(), st.booleans())
def test_maximum_equals_its_reference_bit_for_bit(drawn, with_nan):
    x, windows = drawn
    if with_nan and x.size:
        x.flat[::3] = np.nan
    x, around = guarded(x)
    shape = (len(x), len(windows.rows), len(windows.cols))
    answers = []
    for module in (numba_pool, numpy_pool):
        out, out_memory = guarded(np.zeros(shape, x.dtype))
        index, index_memory = guarded(np.zeros(shape, np.int32))
        module.max_pool(x, windows.rows, windows.cols, windows.dilation, out, index)
        g = np.arange(1, out.size + 1, dtype=x.dtype).reshape(len(x), shape[1] * shape[2])
        back, back_memory = guarded(np.ones((len(x), x.shape[1] * x.shape[2]), x.dtype))
        module.max_spread(g, index.reshape(g.shape), back)
        assert all(map(untouched, (around, out_memory, index_memory, back_memory)))
        assert not index.size or 0 <= index.min() <= index.max() < x[0].size  # no window is empty
        answers.append((out, index, back))
    for got, wanted in zip(*answers, strict=True):
        np.testing.assert_array_equal(got, wanted)
    if not with_nan:
        assert not np.isnan(answers[0][0]).any()  # what lies around the input is NaN


@given(planes(average=True))
def test_average_equals_its_reference(drawn):
    x, windows = drawn
    x, around = guarded(x)
    shape = (len(x), len(windows.rows), len(windows.cols))
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if x.dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    answers = []
    for module in (numba_pool, numpy_pool):
        out, out_memory = guarded(np.ones(shape, x.dtype))
        back, back_memory = guarded(np.ones(x.shape, x.dtype))
        module.avg_pool(x, windows.rows, windows.cols, out)
        module.avg_spread(np.arange(1, out.size + 1, dtype=x.dtype).reshape(shape), windows.rows, windows.cols, back)
        assert all(map(untouched, (around, out_memory, back_memory)))
        answers.append((out, back))
    for got, wanted in zip(*answers, strict=True):
        np.testing.assert_allclose(got, wanted, **tolerance)


def everything(x):
    """All outputs of all kernels, for windows of 2 x 2, of 3 x 3 that overlap, and global ones."""
    found = []
    for windows in (sliding("", x, 2, 2, None, 0, 1, False), sliding("", x, 2, 3, 2, 1, 1, True),
                    adaptive("", x, 2, 1)):
        shape = (len(x), len(windows.rows), len(windows.cols))
        out, mean, index = np.empty(shape, x.dtype), np.empty(shape, x.dtype), np.empty(shape, np.int32)
        numba_pool.max_pool(x, windows.rows, windows.cols, windows.dilation, out, index)
        numba_pool.avg_pool(x, windows.rows, windows.cols, mean)
        back, spread = np.empty((len(x), x[0].size), x.dtype), np.empty_like(x)
        numba_pool.max_spread(out.reshape(len(x), -1), index.reshape(len(x), -1), back)
        numba_pool.avg_spread(mean, windows.rows, windows.cols, spread)
        found += [out, mean, index, back, spread]
    return found


def test_bits_are_the_same_for_any_number_of_threads_and_for_small_and_large_inputs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 21, 23)).astype(np.float32)
    before = numba.get_num_threads()
    answers = []
    try:
        for number in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(number)
            answers.append(everything(x))
    finally:
        numba.set_num_threads(before)
    parts = [everything(x[i:i + 3]) for i in range(0, 60, 3)]  # each small enough to be done serially
    answers.append([np.concatenate(part) for part in zip(*parts, strict=True)])
    assert x.size > numba_pool._SERIAL > x[:3].size
    for other in answers[1:]:
        for got, wanted in zip(other, answers[0], strict=True):
            assert np.array_equal(got, wanted)


def test_the_family_resolves_to_numba():
    family = Kernels("minidl.kernels", "pool")
    assert family.module(True) is numba_pool
    assert family.module(False) is numpy_pool
    assert set(numba_pool.__all__) == set(numpy_pool.__all__)

"""Kernels of recurrent layers: Numba equals NumPy, bits do not depend on threads, nothing is read out of bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import runtime
from minidl.kernels import Kernels, numpy_recurrent
from minidl.kernels.numpy_recurrent import GRU, LSTM, RELU, TANH

pytestmark = pytest.mark.skipif(not runtime.numba_enabled(), reason="Numba is absent")
numba_recurrent = Kernels("minidl.kernels", "recurrent").module(numba=True)

KINDS = {TANH: (1, 1), RELU: (1, 1), GRU: (3, 4), LSTM: (4, 4)}  # gates, columns of a row
DTYPES = st.sampled_from([np.float32, np.float64])


def guarded(values):
    """The same array, with NaN all around it in memory."""
    roomy = np.full(values.size + 64, np.nan, values.dtype)
    inside = roomy[32:32 + values.size].reshape(values.shape)
    inside[...] = values
    return inside


def problem(kind, steps, samples, size, dtype, seed, full=False):
    """Arguments of both kernels, in guarded memory."""
    rng = np.random.default_rng(seed)
    gates, columns = (n * size for n in KINDS[kind])

    def draw(*shape):
        return guarded(rng.uniform(-1, 1, shape).astype(dtype))

    cells = (steps if kind == LSTM else 0, samples, size)
    state = (samples, size if kind == LSTM else 0)
    lengths = np.full(samples, steps) if full else rng.integers(0, steps + 1, samples)
    return {"rows": draw(steps, samples, columns), "bias": draw(columns), "weight": draw(size, gates),
            "lengths": lengths, "h": draw(samples, size), "c": draw(*state), "g": draw(steps, samples, size),
            "out": draw(steps, samples, size), "cells": draw(*cells), "dh": draw(samples, size), "dc": draw(*state),
            "grad": draw(steps, samples, columns)}


def solve(module, kind, reverse, p):
    """Forward, then backward: all that they wrote, where it means something."""
    p = {name: a if name == "lengths" else guarded(a) for name, a in p.items()}
    h, c = p["h"].copy(), p["c"].copy()
    module.forward(kind, p["rows"], p["bias"], p["weight"], p["lengths"], reverse, p["h"], p["c"], p["out"],
                   p["cells"])
    total = module.backward(kind, p["g"], p["rows"], p["weight"], p["lengths"], reverse, p["out"], p["cells"], h, c,
                            p["dh"], p["dc"], p["grad"])
    return [p["out"], p["h"], p["c"], p["grad"], p["dh"], p["dc"], total]


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 4), st.sampled_from([1, 2, 3, 4, 5, 17, 33]), st.integers(1, 9),
       DTYPES, st.integers(0, 2**32 - 1), st.booleans())
def test_numba_equals_its_reference(kind, steps, samples, size, dtype, seed, reverse):
    p = problem(kind, steps, samples, size, dtype, seed)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}
    for ours, reference in zip(solve(numba_recurrent, kind, reverse, p), solve(numpy_recurrent, kind, reverse, p),
                          strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, reference, **tolerance)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_threads(kind, dtype):
    p = problem(kind, 30, 131, 37, dtype, 5)
    found = []
    for threads in (1, 3):
        with runtime.blas_threads(threads):
            found.append(solve(numba_recurrent, kind, False, p))
    for one, two in zip(*found, strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_is_exact_enough_everywhere(dtype):
    special = [-1e30, 1e30, -np.inf, np.inf, 0.0, 1e-7, 1e-30, -1e-3]
    x = np.concatenate([np.linspace(-12, 12, 4000), special]).astype(dtype)
    h = np.zeros((1, x.size), dtype)
    out, none = np.empty((1, 1, x.size), dtype), np.empty((1, 0), dtype)
    numba_recurrent.forward(TANH, x.reshape(1, 1, -1).copy(), np.zeros(x.size, dtype),
                            np.zeros((x.size, x.size), dtype), np.ones(1, np.int64), False, h, none, out,
                            np.empty((0, 1, x.size), dtype))
    exact = np.tanh(x.astype(np.float64))
    error = np.abs(out.ravel() - exact)
    assert error.max() < (3e-7 if dtype == np.float32 else 1e-15)
    small = (np.abs(x) < 0.1) & (x != 0)
    assert (error[small] <= 4 * np.finfo(dtype).eps * np.abs(exact[small])).all()
    large = np.abs(x) > (9.02 if dtype == np.float32 else 20)
    assert np.array_equal(out.ravel()[large], np.sign(x[large]))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("module", [numba_recurrent, numpy_recurrent])
def test_not_a_number_stays_one(kind, dtype, module):
    p = problem(kind, 2, 5, 3, dtype, 1, full=True)
    p["rows"][0, 4] = np.nan
    with np.errstate(invalid="ignore"):
        out = solve(module, kind, False, p)[0]
    assert np.isnan(out[:, 4]).all()
    assert np.isfinite(out[:, :4]).all()

"""Kernels of linear recurrences: Numba equals NumPy, bits do not depend on threads, nothing is read out of bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import runtime
from minidl.kernels import Kernels, numpy_scan

pytestmark = pytest.mark.skipif(not runtime.numba_enabled(), reason="Numba is absent")
numba_scan = Kernels("minidl.kernels", "scan").module(numba=True)


def guarded(values):
    """The same array, with NaN all around it in memory."""
    roomy = np.full(values.size + 64, np.nan, values.dtype)
    inside = roomy[32:32 + values.size].reshape(values.shape)
    inside[...] = values
    return inside


def solve(module, samples, steps, n, dtype, seed):
    """Forward, then backward: all that they wrote."""
    rng = np.random.default_rng(seed)
    x, g, h0, decay = (guarded(rng.uniform(-0.7, 0.7, shape).astype(dtype)) for shape in (
        (samples, steps, 2 * n), (samples, steps, 2 * n), (samples, 2 * n), (2 * n,)))
    out, grad, start = guarded(np.full_like(x, np.nan)), guarded(np.full_like(x, np.nan)), guarded(h0 * np.nan)
    module.forward(x, decay, h0, out)
    return [out, module.backward(g, decay, h0, out, grad, start), grad, start]


@given(st.integers(0, 19), st.integers(0, 5), st.integers(0, 17), st.sampled_from([np.float32, np.float64]),
       st.integers(0, 2**32 - 1))
def test_numba_equals_its_reference(samples, steps, n, dtype, seed):
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}
    for ours, reference in zip(*(solve(module, samples, steps, n, dtype, seed) for module in (numba_scan, numpy_scan)),
                               strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, reference, **tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_threads(dtype):
    found = []
    for threads in (1, 3):
        with runtime.blas_threads(threads):
            found.append(solve(numba_scan, 131, 60, 37, dtype, 5))
    for one, two in zip(*found, strict=True):
        assert np.array_equal(one, two)

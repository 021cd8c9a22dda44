"""The kernels of dense layers equal their references, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import kernels, runtime
from minidl.testing.strategies import arrays

pytestmark = pytest.mark.skipif(not runtime.numba_enabled(), reason="Numba is absent")
SHAPES = st.tuples(st.integers(0, 9), st.integers(0, 70))


def both(name):
    return (getattr(kernels.dense.module(numba), name) for numba in (True, False))


@given(st.data(), SHAPES, st.sampled_from([np.float32, np.float64]))
def test_parity(data, shape, dtype):
    x = data.draw(arrays(shape, layout=False)).astype(dtype)
    g = data.draw(arrays(shape, layout=False)).astype(dtype)
    if x.size:
        x.flat[0], x.flat[-1] = np.nan, 0
    bias = data.draw(arrays(shape[1:], layout=False)).astype(dtype)
    ours, reference = both("relu")
    np.testing.assert_array_equal(ours(x.ravel()), reference(x.ravel()))
    gate = reference(x.ravel())
    ours, reference = both("relu_gradient")
    np.testing.assert_array_equal(ours(g.ravel(), gate), reference(g.ravel(), gate))
    ours, reference = both("add_bias")
    one, other = x.copy(), x.copy()
    ours(one, bias)
    reference(other, bias)
    np.testing.assert_array_equal(one, other)
    ours, reference = both("sum_rows")
    np.testing.assert_allclose(ours(g), reference(g), rtol=1e-6 if dtype == np.float32 else 1e-14, atol=1e-6)


def test_infinite_upstream_stays_where_it_passes():
    g, gate = np.array([np.inf, np.inf, 1.0]), np.array([0.0, 2.0, np.nan])
    for kernel in both("relu_gradient"):
        np.testing.assert_array_equal(kernel(g, gate), [0.0, np.inf, 0.0])

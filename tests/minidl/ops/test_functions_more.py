"""More elementary functions where formulas that are right on paper overflow or cancel."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops


def slope(f, *args):
    """The gradient with respect to the first argument, and no warning on the way."""
    with np.errstate(all="raise", under="ignore"):
        return minidl.grad(lambda *a: f(*a).sum())(*(np.asarray(a, np.float32) for a in args))


@pytest.mark.parametrize(("f", "args", "wanted"), [
    (ops.arcsinh, ([1e30],), [1e-30]),
    (ops.arccosh, ([1e30],), [1e-30]),
    (ops.arccosh, ([1 + 2**-23],), [2048]),
    (ops.hypot, ([3e30], [4e30]), [0.6]),
    (ops.arctan2, ([3e30], [4e30]), [0.16e-30]),
    (ops.arctan2, ([3e-30], [4e-30]), [0.16e30]),
    (ops.logaddexp, ([1000.0, -1000.0], [0.0, 0.0]), [1, 0]),
    (ops.logaddexp, ([10000.0], [10001.0]), [1 / (1 + np.e)]),
    (ops.exp2, ([-10.0],), [2**-10 * np.log(2)]),
])
def test_derivatives_far_out_and_close_to_the_edge(f, args, wanted):
    np.testing.assert_allclose(slope(f, *args), wanted, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("f", [ops.arcsinh, ops.exp2, ops.log2, ops.reciprocal, ops.floor, ops.ceil, ops.round])
def test_half_precision_stays(f):
    x = minidl.tensor(np.array([1.5, 2.5], np.float16), requires_grad=True)
    f(x).sum().backward()
    assert f(x).dtype == x.grad.dtype == np.float16


@pytest.mark.parametrize(("f", "wanted"), [(ops.hypot, np.hypot), (ops.arctan2, np.arctan2),
                                           (ops.logaddexp, np.logaddexp)])
def test_a_number_on_either_side_keeps_the_dtype(f, wanted):
    x = minidl.tensor(np.array([0.5, 2.0], np.float32), requires_grad=True)
    for args in ((x, 2.0), (2.0, x)):
        out = f(*args)
        assert out.dtype == np.float32
        np.testing.assert_allclose(out.data, wanted(*(a if a is not x else x.data for a in args)), rtol=1e-6)
        assert minidl.vjp(lambda t, args=args: f(*(t if a is x else a for a in args)), x.data)[1](
            np.ones(2, np.float32))[0].dtype == np.float32


def test_rounding_is_to_the_even_digit_and_has_no_gradient():
    x = np.array([0.5, 1.5, -0.25])
    np.testing.assert_array_equal(ops.round(x), [0, 2, 0])
    np.testing.assert_array_equal(ops.round(x, 1), [0.5, 1.5, -0.2])
    t = minidl.tensor(x, requires_grad=True)
    (ops.round(t) + ops.floor(t) + ops.ceil(t)).sum().backward()
    np.testing.assert_array_equal(t.grad, np.zeros(3))


def test_integers_become_what_numpy_makes_of_them():
    assert ops.reciprocal(np.array([1, 2])).tolist() == [1, 0]
    assert ops.exp2(np.array([3])).tolist() == [8.0]

"""More activations: stability far out, identities, dtypes. Derivatives are proved by the op table."""

import numpy as np
import pytest
from hypothesis import given

import minidl
from minidl import grad, ops, tensor
from minidl.errors import ShapeError
from minidl.testing.strategies import arrays

F4, F8 = np.float32, np.float64
ALL = {"hardtanh": ops.hardtanh, "relu6": ops.relu6, "hardsigmoid": ops.hardsigmoid, "hardswish": ops.hardswish,
       "threshold": lambda x: ops.threshold(x, 0.1, 2.0), "prelu": lambda x: ops.prelu(x, np.full(1, 0.25, x.dtype)),
       "celu": lambda x: ops.celu(x, 0.5), "mish": ops.mish, "softsign": ops.softsign, "tanhshrink": ops.tanhshrink,
       "logsigmoid": ops.logsigmoid, "softmin": ops.softmin}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [F4, F8])
def test_nothing_overflows(name, dtype):
    x = np.array([-1000.0, -100.0, -20.0, 0.5, 20.0, 100.0, 1000.0], dtype)
    f = ALL[name]
    first = minidl.vjp(f, x)[1](np.linspace(0.5, 1, 7, dtype=dtype))[0]
    second = grad(lambda x: (grad(lambda y: (f(y) * np.arange(7, dtype=dtype)).sum())(x) ** 2).sum())(x)
    for array in (f(x), first, second):
        assert np.isfinite(array).all()
        assert array.dtype == dtype


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1)])
def test_empty_arrays_and_kinds(name, shape):
    x = np.ones(shape, F4)
    assert type(ALL[name](x)) is np.ndarray
    out = ALL[name](tensor(x, requires_grad=True))
    assert out.shape == shape
    assert out.dtype == F4


@pytest.mark.parametrize("name", sorted(set(ALL) - {"softmin"}))
def test_zero_dimensions_and_nan(name):
    assert float(ALL[name](np.array(0.75))) == ALL[name](np.array([0.75]))[0]
    assert np.isnan(ALL[name](np.array([np.nan]))[0])


@given(arrays(low=-30, high=30))
def test_identities(x):
    np.testing.assert_allclose(ops.logsigmoid(x) - ops.logsigmoid(-x), x, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ops.celu(x, 1.0), ops.elu(x), rtol=1e-14)
    np.testing.assert_array_equal(ops.hardtanh(-x), -ops.hardtanh(x))
    np.testing.assert_allclose(ops.hardswish(x), x * ops.hardsigmoid(x), rtol=1e-14)
    np.testing.assert_array_equal(ops.prelu(x, np.array([0.25])), ops.leaky_relu(x, 0.25))
    np.testing.assert_allclose(ops.softsign(x), x / (1 + np.abs(x)))


def test_slopes_by_channel_collect_their_gradients():
    x = minidl.tensor([[-1.0, -2.0], [-3.0, 4.0]], requires_grad=True)
    w = minidl.tensor([0.5, 0.1], requires_grad=True)
    ops.prelu(x, w).sum().backward()
    assert w.grad.tolist() == [-4.0, -2.0]
    assert x.grad.tolist() == [[0.5, 0.1], [0.5, 1.0]]


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: ops.hardtanh(np.ones(2), 1.0, -1.0), ValueError, "less than"),
    (lambda: ops.celu(np.ones(2), 0.0), ValueError, "alpha is 0"),
    (lambda: ops.glu(np.ones(3)), ShapeError, "3 long, which is odd"),
    (lambda: ops.prelu(np.ones((2, 3)), np.ones(2)), ShapeError, "one for each of 3 channels"),
    (lambda: ops.prelu(np.ones((2, 3)), np.ones((1, 1))), ShapeError, "needs one slope"),
])
def test_refusals(call, error, says):
    with pytest.raises(error, match=says):
        call()

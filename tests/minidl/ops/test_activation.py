"""Activations: stability far out, identities, dtypes. Derivatives are proved by the op table."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import grad, ops, tensor
from minidl.testing.strategies import arrays, shapes

F4, F8 = np.float32, np.float64
ALL = {"relu": ops.relu, "leaky_relu": ops.leaky_relu, "elu": ops.elu, "selu": ops.selu, "sigmoid": ops.sigmoid,
       "silu": ops.silu, "softplus": ops.softplus, "softplus beta": lambda x: ops.softplus(x, 3, 20), "gelu": ops.gelu,
       "gelu tanh": lambda x: ops.gelu(x, "tanh"), "softmax": ops.softmax, "log_softmax": ops.log_softmax}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [F4, F8])
def test_nothing_overflows(name, dtype):
    """Values and first and second derivatives at +-1000 are finite, and no warning is given."""
    x = np.array([-1000.0, -100.0, -20.0, 0.5, 20.0, 100.0, 1000.0], dtype)
    f = ALL[name]
    value = f(x)
    first = minidl.vjp(f, x)[1](np.linspace(0.5, 1, 7, dtype=dtype))[0]
    second = grad(lambda x: (grad(lambda y: (f(y) * np.arange(7, dtype=dtype)).sum())(x) ** 2).sum())(x)
    for array in (value, first, second):
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


@pytest.mark.parametrize("name", sorted(set(ALL) - {"softmax", "log_softmax"}))
def test_zero_dimensions_and_numbers(name):
    one = ALL[name](np.array([0.75]))[0]
    assert float(ALL[name](np.array(0.75))) == one
    assert float(ALL[name](0.75)) == one


def test_integers_become_floats_where_values_do():
    assert ops.sigmoid(np.array([0])).dtype == F8
    assert ops.softmax([1, 2]).dtype == F8
    assert ops.relu(np.array([-1, 2])).dtype == np.int64


@given(st.floats(-700, 700))
def test_sigmoid_is_exact_in_both_tails(x):
    wanted = math.exp(x) / (1 + math.exp(x)) if x < 0 else 1 / (1 + math.exp(-x))
    assert float(ops.sigmoid(np.array(x))) == pytest.approx(wanted, rel=1e-14, abs=0)


@given(arrays(low=-30, high=30), st.sampled_from([0.5, 1.0, 4.0]))
def test_softplus_identities(x, beta):
    up, down = ops.softplus(x, beta), ops.softplus(-x, beta)
    np.testing.assert_allclose(up - down, x, rtol=1e-12, atol=1e-12)  # softplus(x) - softplus(-x) = x
    np.testing.assert_allclose(beta * up, -np.log(ops.sigmoid(-beta * x)), rtol=1e-9, atol=1e-14)


def test_softplus_threshold_is_pytorchs():
    x = np.array([9.0, 11.0])
    limited = ops.softplus(x, 2.0, 20.0)
    assert limited[0] == ops.softplus(x, 2.0)[0]
    assert limited[1] == 11.0
    np.testing.assert_array_equal(grad(lambda x: ops.softplus(x, 2.0, 20.0).sum())(x)[1], 1.0)


def test_elu_of_a_tiny_number_keeps_its_digits():
    assert ops.elu(np.array([-1e-20]))[0] == -1e-20


def test_gelu_values_and_unknown_approximation():
    x = np.linspace(-4, 4, 9)
    wanted = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x]
    np.testing.assert_allclose(ops.gelu(x), wanted, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(ops.gelu(x, approximate="tanh"), wanted, atol=5e-4)
    with pytest.raises(ValueError, match=r"gelu: approximate='sigmoid'.*'none' or 'tanh'"):
        ops.gelu(x, approximate="sigmoid")


def test_nan_passes_through():
    x = np.array([np.nan, 1.0])
    for f in ALL.values():
        assert np.isnan(f(x)[0])


@pytest.mark.parametrize("dtype", [F4, F8])
def test_relu_of_a_large_array(dtype):
    """Gradients of large arrays are chosen by their bits: exactly g or 0, even of an infinite g."""
    rng = np.random.default_rng(4)
    x, g = rng.normal(size=(2, 50, 60)).astype(dtype)
    g[0, :9] = np.inf
    got = minidl.vjp(ops.relu, x)[1](g)[0]
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.where(x > 0, g, 0))


# ------------------------------------------------------------------------------------------- softmax

@given(arrays(shapes(min_dims=1, min_side=1), -5, 5), st.floats(-1000, 1000), st.data())
def test_softmax_sums_to_one_and_ignores_a_shift(x, shift, data):
    axis = data.draw(st.sampled_from([None, *range(-x.ndim, x.ndim), tuple(range(x.ndim))]))
    p = ops.softmax(x, axis=axis)
    np.testing.assert_allclose(p.sum(axis=axis), 1, rtol=1e-13)
    np.testing.assert_allclose(ops.softmax(x + shift, axis=axis), p, rtol=1e-11)
    np.testing.assert_allclose(np.exp(ops.log_softmax(x, axis=axis)), p, rtol=1e-13)


def test_softmax_of_masked_entries():
    """An entry of -inf has probability 0 and no gradient; the others have theirs."""
    x = np.array([1.0, -np.inf, 2.0])
    p = ops.softmax(x)
    assert p[1] == 0
    np.testing.assert_allclose(p[[0, 2]], ops.softmax(x[[0, 2]]))
    g = grad(lambda x: ops.softmax(x)[0])(x)
    assert g[1] == 0
    assert np.isfinite(g).all()


def test_log_softmax_keeps_what_the_logarithm_of_softmax_loses():
    np.testing.assert_array_equal(ops.log_softmax(np.array([0.0, -2000.0])), [0.0, -2000.0])
    np.testing.assert_array_equal(ops.log_softmax(np.array([2000.0, 0.0], F4)), np.array([0.0, -2000.0], F4))

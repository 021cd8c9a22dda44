"""Elementwise ops against NumPy: values, dtypes, edges of the domain. The op table proves derivatives."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import GradientError, ShapeError, Tensor, grad, ops, tensor
from minidl.testing.strategies import arrays

BINARY = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "power": np.power,
          "maximum": np.maximum, "minimum": np.minimum}
UNARY = {"negative": np.negative, "abs": np.abs, "sign": np.sign, "exp": np.exp, "expm1": np.expm1, "log": np.log,
         "log1p": np.log1p, "sqrt": np.sqrt, "square": np.square, "sin": np.sin, "cos": np.cos, "tan": np.tan,
         "arcsin": np.arcsin, "arccos": np.arccos, "arctan": np.arctan, "sinh": np.sinh, "cosh": np.cosh,
         "tanh": np.tanh, "rsqrt": lambda x: 1 / np.sqrt(x)}
F4, F8 = np.float32, np.float64
OPERANDS = [
    (np.array([[0.5, 2.0]], F4), np.array([[0.25], [3.0]], F4)),
    (np.array([0.5, 2.0], F4), 3),
    (2.5, np.array([0.5, 2.0], F4)),
    (np.array([0.5, 2.0], F4), np.array([1.5, 0.5], F8)),
    (np.array(0.5, F4), np.array(2.0, F4)),
    (np.zeros((0, 3), F4), np.ones(3, F4)),
    (np.array([1, 2]), np.array([3, 4])),
    (np.array([1, 2]), 0.5),
    ([1.0, 2.0], np.array([3.0, 4.0])),
    (np.asfortranarray(np.arange(1.0, 7.0).reshape(2, 3))[:, ::-1], np.arange(1.0, 4.0)[::-1]),
]


def same(got, wanted, rtol=0.0):
    """One value, dtype and shape."""
    got = got.data if isinstance(got, Tensor) else np.asarray(got)
    wanted = np.asarray(wanted)
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=0)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("pair", OPERANDS, ids=range(len(OPERANDS)))
def test_binary_ops_are_numpys(name, pair):
    rtol = 1e-6 if name == "power" else 0.0  # x ** 2 and np.power(x, 2) may differ in the last bit
    wanted = BINARY[name](*pair)
    op = getattr(ops, name)
    same(op(*pair), wanted, rtol)
    for k in (0, 1):
        if isinstance(pair[k], np.ndarray):
            mixed = [tensor(a, requires_grad=a.dtype.kind == "f") if i == k else a for i, a in enumerate(pair)]
            out = op(*mixed)
            assert isinstance(out, Tensor)
            same(out, wanted, rtol)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("x", [np.array([[0.25, 0.5]], F4), np.array(0.5), np.zeros((2, 0), F4), 0.5, [0.25, 1.0],
                               np.array([1], np.int64)], ids=str)
def test_unary_ops_are_numpys(name, x):
    with np.errstate(divide="ignore"):
        same(getattr(ops, name)(x), UNARY[name](np.asarray(x)))
        if isinstance(x, np.ndarray):
            same(getattr(ops, name)(tensor(x)), UNARY[name](x))


def test_short_names():
    assert (ops.sub, ops.mul, ops.div, ops.pow, ops.neg) == (
        ops.subtract, ops.multiply, ops.divide, ops.power, ops.negative)


@pytest.mark.parametrize("f", [lambda x: 2 ** x, lambda x: x ** 2.5, lambda x: x ** np.array([2, 3], np.int8),
                               lambda x: 1 / x, lambda x: x - 0.5, lambda x: ops.maximum(x, 1.0),
                               lambda x: ops.clip(x, 0.7, None), lambda x: ops.where(x > 1, x, 0.0),
                               lambda x: ops.rsqrt(x), lambda x: ops.erf(x), lambda x: abs(x) ** 0.5])
def test_float32_stays_float32_beside_python_numbers(f):
    x = tensor(np.array([0.5, 2.0], F4), requires_grad=True)
    y = f(x)
    assert y.dtype == F4
    y.sum().backward()
    assert x.grad.dtype == F4
    assert np.isfinite(x.grad).all()


# ------------------------------------------------------------------------------------------------ power

@given(st.integers(0, 5), st.integers(1, 5), st.sampled_from([int, float]), st.sampled_from([0.0, -1.5, 2.0]))
def test_all_orders_of_a_whole_power(n, order, kind, at):
    """The k-th derivative of x^n is n! / (n-k)! x^(n-k), at 0 too: never NaN."""
    factor = math.prod(range(n - order + 1, n + 1)) if order <= n else 0
    wanted = factor * at ** (n - order) if order <= n else 0.0
    constant = np.array(n, float if kind is float else np.int64)
    for exponent in (kind(n), constant):
        f = lambda x, exponent=exponent: ops.power(x, exponent)  # noqa: E731
        for _ in range(order):
            f = grad(f)
        assert float(f(np.array(at))) == pytest.approx(wanted, abs=0.0)


def test_power_gradient_of_the_exponent_is_zero_for_bases_without_logarithm():
    g = grad(lambda y: (np.array([-2.0, 0.0, 1.0]) ** y).sum())(np.array([2.0, 3.0, 4.0]))
    np.testing.assert_array_equal(g, [0, 0, 0])
    assert grad(lambda y: (-2.0) ** y)(np.array(2.0)) == 0


def test_power_of_unsigned_exponents():
    x = np.array([0.0, -3.0, 100.0])
    g = grad(lambda x: (x ** np.array([0, 1, 2], np.uint8)).sum())(x)
    np.testing.assert_array_equal(g, [0, 1, 200])


def test_power_singularities_are_numpys():
    with np.errstate(divide="ignore"):
        assert grad(lambda x: x ** 0.5)(np.array(0.0)) == np.inf
        assert grad(ops.sqrt)(np.array(0.0)) == np.inf
        assert ops.power(np.zeros(1), -1)[0] == np.inf


def test_integers_have_no_negative_powers():
    with pytest.raises(ShapeError, match=r"power.*negative"):
        ops.power(np.array([2]), np.array([-1]))


# ------------------------------------------------------------------------------ selection and extremes

@pytest.mark.parametrize("f", [lambda x: ops.where([True, False], x, 1.0), lambda x: ops.clip(x, 0, 1),
                               lambda x: ops.maximum(x, [-9.0, 9.0]), lambda x: ops.minimum(x, [9.0, -9.0])])
def test_an_infinite_upstream_does_no_harm_where_nothing_was_chosen(f):
    _, pullback = minidl.vjp(f, np.array([0.5, 5.0]))
    np.testing.assert_array_equal(pullback(np.array([1.0, np.inf]))[0], [1.0, 0.0])


def test_the_safe_square_root_trick():
    """where on both sides of a function keeps it away from what it cannot do."""
    def f(x):
        safe = ops.where(x > 0, x, 1.0)
        return ops.where(x > 0, ops.sqrt(safe), 0.0).sum()

    np.testing.assert_array_equal(grad(f)(np.array([0.0, -1.0, 4.0])), [0, 0, 0.25])


def test_nan_wins_in_extremes_and_has_no_gradient():
    x, y = np.array([np.nan, 1.0, np.nan]), np.array([0.0, np.nan, np.nan])
    assert np.isnan(ops.maximum(x, y)).all()
    assert np.isnan(ops.minimum(x, y)).all()
    np.testing.assert_array_equal(grad(lambda x: ops.maximum(x, y).sum())(x), np.zeros(3))


@given(arrays(), st.floats(-1, 1), st.floats(-1, 1))
def test_clip_is_numpys_even_with_crossed_bounds(x, low, high):
    same(ops.clip(x, low, high), np.clip(x, low, high))
    g = minidl.vjp(lambda x: ops.clip(x, low, high), x)[1](np.ones(x.shape))[0]
    np.testing.assert_array_equal(g, (x >= low) & (x <= high))


def test_clip_takes_tensor_bounds_only_as_constants():
    x = np.array([-1.0, 2.0])
    same(ops.clip(x, tensor(0.0), None), np.array([0.0, 2.0]))
    with pytest.raises(GradientError, match=r"clip: a_max is a constant.*minimum"):
        ops.clip(x, None, tensor(1.0, requires_grad=True))


def test_clip_without_bounds_is_a_copy():
    x = np.ones(2)
    assert not np.shares_memory(ops.clip(x), x)


def test_where_takes_a_tensor_as_condition_and_broadcasts():
    chosen = ops.where(tensor(np.array([[True], [False]])), tensor(np.arange(2.0)), -1)
    same(chosen, np.array([[0.0, 1.0], [-1.0, -1.0]]))


@pytest.mark.parametrize("dtype", [F4, F8, np.float16, np.int64])
@pytest.mark.parametrize("other", [0.0, 0, -0.0, 7, np.nan, "column", "array"])
def test_where_on_large_arrays_is_numpys(dtype, other):
    """Large arrays are chosen by their bits, in every layout and with every special value."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 9, (60, 40)).astype(dtype)
    if x.dtype.kind == "f":
        x.flat[:4] = [np.nan, np.inf, -np.inf, -0.0]
    if isinstance(other, str):
        other = rng.normal(0, 9, (60, 1) if other == "column" else (60, 40)).astype(dtype)
    elif dtype is np.int64:
        other = 3
    for condition in (rng.random((60, 40)) < 0.5, rng.integers(0, 3, (60, 40))):
        for chosen in (x, x[::-1, ::-1], np.asfortranarray(x), np.broadcast_to(x[:, :1], x.shape), x[:1]):
            for pair in ((chosen, other), (other, chosen)):
                got, wanted = ops.where(condition, *pair), np.where(condition, *pair)
                assert got.dtype == wanted.dtype
                np.testing.assert_array_equal(got, wanted)


def test_astype_carries_gradients_between_floats_only():
    x = tensor([1.5, -2.5], requires_grad=True)
    y = x.astype(F4)
    (y * y).sum().backward()
    assert y.dtype == F4
    assert x.grad.dtype == F8
    np.testing.assert_array_equal(x.grad, [3.0, -5.0])
    assert not x.astype(np.int64).requires_grad


def test_errors_name_the_op_and_the_shapes():
    with pytest.raises(ShapeError, match=r"add\(float64\(2,\), float32\(3,\)\).*broadcast"):
        ops.add(tensor(np.ones(2)), np.ones(3, F4))
    with pytest.raises(TypeError, match=r"^negative\("):
        ops.negative(np.array(["a"]))


# --------------------------------------------------------------------------------------- error function

@given(st.floats(-8, 8))
def test_erf_to_the_last_digits(x):
    wanted = math.erf(x)
    assert float(ops.erf(np.array(x))) == pytest.approx(wanted, rel=1e-15, abs=1e-300)
    single = ops.erf(np.array(x, F4))
    assert single.dtype == F4
    assert abs(float(single)) <= 1
    assert float(single) == pytest.approx(math.erf(F4(x)), rel=5e-7, abs=1e-37)


@pytest.mark.parametrize("dtype", [F4, F8])
def test_erf_at_the_ends(dtype):
    x = np.array([-np.inf, -1000, -0.0, 0.0, 1e-30, 1000, np.inf, np.nan], dtype)
    y = ops.erf(x)
    np.testing.assert_array_equal(y[[0, 1, 2, 3, 5, 6, 7]], np.array([-1, -1, 0, 0, 1, 1, np.nan], dtype))
    assert np.signbit(y[2])
    assert y[4] == pytest.approx(2e-30 / math.sqrt(math.pi), rel=1e-6)
    assert ops.erf(np.zeros((0, 2), dtype)).shape == (0, 2)


def test_erf_has_no_seams():
    """Values increase across the ends of the approximations."""
    for dtype in (F4, F8):
        for seam in (0.46875, 3.92, 5.9, 6.0):
            near = np.linspace(seam - 1e-3, seam + 1e-3, 2001).astype(dtype)
            assert (np.diff(ops.erf(near)) >= -4 * np.finfo(dtype).eps).all()

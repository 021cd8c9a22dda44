"""Reductions beyond the op table: NumPy's argument forms, dtypes, empty arrays, extremes of exp, errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.testing.strategies import arrays, axes, shapes

NUMPY = {"sum": np.sum, "mean": np.mean, "var": np.var, "std": np.std, "max": np.max, "min": np.min, "prod": np.prod}


@pytest.mark.parametrize("name", NUMPY)
@given(data=st.data())
def test_values_and_dtypes_are_those_of_numpy(name, data):
    x = data.draw(arrays(shapes(min_side=1), dtype=data.draw(st.sampled_from([np.float32, np.float64]))))
    kwargs = {"axis": data.draw(axes(x.ndim)), "keepdims": data.draw(st.booleans())}
    wanted = NUMPY[name](x, **kwargs)
    got = getattr(ops, name)(x, **kwargs)
    assert np.array_equal(got, wanted)
    assert got.dtype == wanted.dtype
    tensor = getattr(ops, name)(minidl.tensor(x, requires_grad=True), **kwargs)
    assert np.array_equal(tensor.data, wanted)
    assert tensor.dtype == x.dtype


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("value", [3.0, [1.0, 2.0], [[1, 2], [3, 4]], [True, False]])
def test_numbers_lists_and_integers_are_taken_as_numpy_takes_them(name, value):
    assert getattr(ops, name)(value) == NUMPY[name](value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*NUMPY, "logsumexp", "norm"])
def test_a_gradient_keeps_the_dtype(name, dtype):
    x = minidl.tensor(np.array([[1.0, 2.0], [5.0, 4.0]], dtype), requires_grad=True)
    getattr(ops, name)(x, axis=0).sum().backward()
    assert x.grad.dtype == dtype


@pytest.mark.parametrize("name", ["sum", "prod", "norm", "logsumexp"])
def test_nothing_to_reduce_gives_the_neutral_element(name):
    neutral = {"sum": 0, "prod": 1, "norm": 0, "logsumexp": -np.inf}[name]
    x = minidl.tensor(np.zeros((3, 0)), requires_grad=True)
    out = getattr(ops, name)(x, axis=1)
    assert out.data.tolist() == [neutral] * 3
    out.backward(np.ones(3))
    assert x.grad.shape == (3, 0)


@pytest.mark.parametrize("name", ["max", "min"])
def test_an_extreme_of_nothing_is_an_error_that_names_the_op(name):
    with pytest.raises(ValueError, match=f"{name}.*zero-size"):
        getattr(ops, name)(minidl.tensor(np.zeros((2, 0))), axis=1)


def test_integers_have_a_norm_and_a_logsumexp():
    assert ops.norm([3, 4]) == 5
    assert np.isclose(ops.logsumexp([0, 0]), np.log(2))


@pytest.mark.parametrize("name", [*NUMPY, "logsumexp", "norm", "cumsum"])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_an_axis_that_is_not_there_is_refused(name, shape):
    with pytest.raises((IndexError, ValueError), match=r"axis (1|2)"):
        getattr(ops, name)(minidl.tensor(np.ones(shape)), axis=1 + len(shape))


def test_an_axis_that_is_not_there_is_an_error():
    with pytest.raises(IndexError, match=r"sum\(float64\(2,\), axis=1"):
        ops.sum(minidl.tensor(np.ones(2)), axis=1)


@given(st.data())
def test_ties_send_the_whole_gradient_to_the_first(data):
    x = data.draw(shapes(min_dims=1, min_side=1).map(np.ones))
    axis = data.draw(axes(x.ndim, none=False, tuples=False))
    g = minidl.grad(lambda t: ops.max(t, axis=axis).sum())(x)
    assert np.array_equal(g, np.moveaxis(np.eye(x.shape[axis])[0] * np.ones(np.moveaxis(x, axis, -1).shape), -1, axis))


def test_nan_is_the_largest_and_gets_the_gradient():
    x = np.array([1.0, np.nan, 2.0])
    assert np.isnan(ops.max(x))
    assert minidl.grad(ops.max)(x).tolist() == [0, 1, 0]


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_products_with_zeros_have_finite_derivatives(zeros):
    x = np.array([0.0] * zeros + [2.0, 3.0, 5.0])
    wanted = [np.prod(np.delete(x, i)) for i in range(x.size)]
    assert minidl.grad(ops.prod)(x).tolist() == wanted
    second = [[0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(x.size)] for i in range(x.size)]
    assert minidl.hessian(ops.prod)(x).tolist() == second


def test_logsumexp_neither_overflows_nor_trips_over_infinity():
    x = np.array([[1e4, 1e4], [-1e4, -1e4], [-np.inf, 0.0], [-np.inf, -np.inf], [np.inf, 0.0]])
    wanted = [1e4 + np.log(2), -1e4 + np.log(2), 0.0, -np.inf, np.inf]
    np.testing.assert_allclose(ops.logsumexp(x, axis=1), wanted)
    g = minidl.grad(lambda t: ops.logsumexp(t, axis=1).sum())(x[:4])
    assert g.tolist() == [[0.5, 0.5], [0.5, 0.5], [0, 1], [0, 0]]
    assert np.isfinite(minidl.hvp(lambda t: ops.logsumexp(t, axis=1).sum(), x[:3], np.ones((3, 2)))).all()


def test_logsumexp_of_float32_keeps_its_digits_at_large_values():
    x = np.array([800.0, 801.0, 802.5], np.float32)
    exact = np.exp(x.astype(float) - 802.5)
    np.testing.assert_allclose(minidl.grad(ops.logsumexp)(x), exact / exact.sum(), rtol=3e-7)


@given(st.data())
def test_norms_are_those_of_numpy(data):
    x = data.draw(arrays(shapes(min_dims=1)))
    axis = data.draw(axes(x.ndim, none=x.ndim == 1, tuples=False))
    keepdims = data.draw(st.booleans())
    order = data.draw(st.sampled_from([None, 1, 2] + [np.inf] * all(x.shape)))
    np.testing.assert_allclose(ops.norm(x, order, axis, keepdims), np.linalg.norm(x, order, axis, keepdims))


@given(arrays(shapes(min_dims=2, max_dims=2)))
def test_the_frobenius_norm_is_that_of_numpy(x):
    for order, axis in [(None, None), ("fro", None), ("fro", (0, 1)), (None, (-1, 0))]:
        np.testing.assert_allclose(ops.norm(x, order, axis), np.linalg.norm(x, order, axis))


@pytest.mark.parametrize(("shape", "order"), [((2, 2), 2), ((2, 2), "nuc"), ((3,), 0), ((3,), -np.inf), ((2, 2), 1),
                                              ((3,), "fro")])
def test_other_norms_are_refused_by_name(shape, order):
    with pytest.raises(ValueError, match="is not offered"):
        ops.norm(np.ones(shape), order)


@pytest.mark.parametrize("name", ["norm", "std"])
def test_a_norm_of_zero_has_finite_derivatives(name):
    f = getattr(ops, name)
    x = np.full((2, 3), 0.0)
    assert minidl.grad(f)(x).tolist() == [[0] * 3] * 2
    assert np.isfinite(minidl.hessian(f)(x)).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_variance_without_freedom_is_nan_as_in_numpy():
    out, g = minidl.value_and_grad(lambda t: ops.var(t, ddof=1))(np.ones(1))
    assert np.isnan(out)
    assert np.isnan(g).all()


@given(st.data())
def test_cumsum_is_that_of_numpy(data):
    x = data.draw(arrays())
    axis = data.draw(axes(x.ndim, tuples=False))
    assert np.array_equal(ops.cumsum(x, axis), np.cumsum(x, axis))


@pytest.mark.parametrize("op", [ops.sum, ops.max, ops.prod, ops.softmax, ops.logsumexp])
def test_an_axis_of_a_single_number(op):
    second = minidl.grad(lambda x: minidl.grad(lambda y: op(y, axis=-1))(x))(np.array(2.0))
    assert second.shape == ()
    assert abs(second) < 1e-15

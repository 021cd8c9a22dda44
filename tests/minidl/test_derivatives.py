"""grad, value_and_grad, vjp, jvp, hvp, jacobian, hessian against closed forms, nested and in both kinds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import GradientError, Tensor, grad, hessian, hvp, jacobian, jvp, tensor, value_and_grad, vjp
from minidl.testing.oracles import Flat, complex_step, raw
from minidl.testing.strategies import arrays, graphs, upstream

vectors = arrays((3,))


def cubic(x):
    return (x**3).sum()


@st.composite
def computations(draw):
    graph = draw(graphs(max_steps=6, min_side=1))
    return graph, [draw(arrays(shape)) for shape in graph.shapes]


# ------------------------------------------------------------------------------------- closed forms

@given(vectors)
def test_of_a_cubic(x):
    np.testing.assert_allclose(grad(cubic)(x), 3 * x**2)
    value, gradient = value_and_grad(cubic)(x)
    np.testing.assert_allclose(value, (x**3).sum())
    np.testing.assert_array_equal(gradient, grad(cubic)(x))
    np.testing.assert_allclose(hessian(cubic)(x), np.diag(6 * x), atol=1e-15)
    np.testing.assert_allclose(jacobian(lambda t: t**3)(x), np.diag(3 * x**2), atol=1e-15)


@given(vectors, arrays((3, 3), low=-1, high=1))
def test_of_a_quadratic_form(x, a):
    def f(t):
        return t @ (a @ t)

    symmetric = a + a.T
    np.testing.assert_allclose(grad(f)(x), symmetric @ x, atol=1e-12)
    np.testing.assert_allclose(hessian(f)(x), symmetric, atol=1e-12)
    np.testing.assert_allclose(hvp(f, x, a[0].copy()), symmetric @ a[0], atol=1e-12)


@given(vectors, vectors, upstream((3,)))
def test_products_with_the_jacobian(x, v, u):
    def f(t):
        return np.sin(t) * t[0]

    J = np.diag(np.cos(x) * x[0])
    J[:, 0] += np.sin(x)
    out, pullback = vjp(f, x)
    np.testing.assert_allclose(out, np.sin(x) * x[0])
    np.testing.assert_allclose(pullback(u)[0], u @ J, atol=1e-12)
    out, tangent = jvp(f, [x], [v])
    np.testing.assert_allclose(out, np.sin(x) * x[0])
    np.testing.assert_allclose(tangent, J @ v, atol=1e-12)
    np.testing.assert_allclose(jacobian(f)(x), J, atol=1e-12)


@pytest.mark.parametrize("order", range(1, 7))
def test_any_order_by_nesting(order):
    f = np.exp
    for _ in range(order):
        f = grad(f)
    np.testing.assert_allclose(f(np.array(0.5)), np.exp(0.5), rtol=1e-12)


@given(computations())
def test_jvp_of_any_graph_against_complex_step(case):
    graph, values = case
    rng = np.random.default_rng(1)
    tangents = [rng.normal(size=v.shape) for v in values]
    flat = Flat(graph, values)
    v = np.concatenate([t.ravel() for t in tangents])
    expected = complex_step(flat, flat.x, v[None])[:, 0]
    _, tangent = jvp(graph, values, tangents)
    np.testing.assert_allclose(tangent, expected[0], rtol=1e-10, atol=1e-10)


# --------------------------------------------------------------------------------- several arguments

@given(vectors, vectors)
def test_several_arguments(x, y):
    def f(a, b):
        return (a * a * b).sum()

    np.testing.assert_allclose(grad(f, 1)(x, y), x * x)
    np.testing.assert_allclose(grad(f, -1)(x, y), x * x)
    both = grad(f, (1, 0))(x, y)
    assert isinstance(both, tuple)
    np.testing.assert_allclose(both[0], x * x)
    np.testing.assert_allclose(both[1], 2 * x * y)
    H = hessian(f, (0, 1))(x, y)
    np.testing.assert_allclose(H[0][0], np.diag(2 * y), atol=1e-15)
    np.testing.assert_allclose(H[0][1], np.diag(2 * x), atol=1e-15)
    np.testing.assert_allclose(H[1][0], np.diag(2 * x), atol=1e-15)
    np.testing.assert_array_equal(H[1][1], np.zeros((3, 3)))
    J = jacobian(lambda a, b: a * b[0], (0, 1))(x, y)
    np.testing.assert_allclose(J[0], np.eye(3) * y[0])
    np.testing.assert_allclose(J[1], np.outer(x, [1, 0, 0]))
    h = hvp(f, [x, y], [y, x])
    np.testing.assert_allclose(h[0], 2 * y * y + 2 * x * x, atol=1e-12)
    np.testing.assert_allclose(h[1], 2 * x * y, atol=1e-12)


def test_the_same_argument_twice():
    x = np.array([1.0, 2.0])
    t = tensor(x, requires_grad=True)
    for a in (x, t):
        one, other = grad(lambda p, q: (p * p * q).sum(), (0, 1))(a, a)
        np.testing.assert_allclose(raw(one), 2 * x * x)
        np.testing.assert_allclose(raw(other), x * x)


def test_arguments_that_are_not_differentiated_may_be_anything():
    def f(x, power, *, names=None):
        return (x**power["k"]).sum()

    np.testing.assert_allclose(grad(f)(np.array([2.0]), {"k": 3}), [12.0])


# --------------------------------------------------------------------------------- constants, zeros

def test_constants_have_zero_derivatives():
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(grad(lambda t: 3.0)(x), [0.0, 0.0])
    np.testing.assert_array_equal(grad(lambda t, s: t.sum(), 1)(x, x), [0.0, 0.0])
    np.testing.assert_array_equal(jacobian(lambda t: np.ones(3))(x), np.zeros((3, 2)))
    np.testing.assert_array_equal(hessian(lambda t: t.sum())(x), np.zeros((2, 2)))
    np.testing.assert_array_equal(hvp(lambda t: t.sum(), x, x), [0.0, 0.0])
    _, tangent = jvp(lambda t: np.ones(2), [x], [x])
    np.testing.assert_array_equal(tangent, [0.0, 0.0])
    assert vjp(lambda t: np.ones(2), x)[1](np.ones(2))[0].tolist() == [0.0, 0.0]


def test_zero_size():
    x = np.zeros((0, 3))
    assert grad(lambda t: (t * t).sum())(x).shape == (0, 3)
    assert jacobian(lambda t: t * 2)(x).shape == (0, 3, 0, 3)
    assert jacobian(lambda t: t.sum(axis=0))(x).shape == (3, 0, 3)
    assert hessian(lambda t: (t * t).sum())(x).shape == (0, 3, 0, 3)
    assert hvp(lambda t: (t * t).sum(), x, x).shape == (0, 3)


def test_answers_share_no_memory():
    x = np.array([1.0, 2.0])
    u = np.ones(2)
    _, pullback = vjp(lambda a, b: a + b, x, x)
    one, other = pullback(u)
    assert not np.shares_memory(one, other)
    assert not np.shares_memory(one, u)
    same = grad(lambda t: t)(np.array(2.0))
    assert same == 1.0


# ------------------------------------------------------------------------------------------- nesting

@given(vectors)
def test_tensors_in_tensors_out(x):
    t = tensor(x)
    assert isinstance(grad(cubic)(t), Tensor)
    assert isinstance(value_and_grad(cubic)(t)[0], Tensor)
    assert isinstance(vjp(cubic, t)[0], Tensor)
    assert isinstance(jvp(cubic, [t], [x])[1], Tensor)
    assert isinstance(jacobian(lambda a: a * a)(t), Tensor)
    assert isinstance(hvp(cubic, t, x), Tensor)
    for answer in (grad(cubic)(x), jvp(cubic, [x], [x])[1], jacobian(lambda a: a * a)(x), hvp(cubic, x, x)):
        assert isinstance(answer, np.ndarray)


@given(vectors)
def test_an_outer_backward_goes_through_an_inner_derivative(x):
    t = tensor(x, requires_grad=True)
    penalty = (grad(cubic)(t) ** 2).sum()  # sum (3 x^2)^2
    penalty.backward()
    np.testing.assert_allclose(t.grad, 36 * x**3, atol=1e-12)
    t.grad = None
    hvp(cubic, t, np.ones(3)).sum().backward()
    np.testing.assert_allclose(t.grad, np.full(3, 6.0))
    t.grad = None
    jacobian(lambda a: a**3)(t).sum().backward()
    np.testing.assert_allclose(t.grad, 6 * x, atol=1e-12)
    t.grad = None
    jvp(lambda a: a**3, [t], [np.ones(3)])[1].sum().backward()
    np.testing.assert_allclose(t.grad, 6 * x, atol=1e-12)


def test_a_closed_over_tensor_is_differentiated_by_the_outer_backward():
    w = tensor([2.0, 3.0], requires_grad=True)
    x = tensor([1.0, 1.0], requires_grad=True)
    slope = grad(lambda a: (a * a * w).sum())(x)  # 2 a w
    slope.sum().backward()
    np.testing.assert_array_equal(w.grad, [2.0, 2.0])
    np.testing.assert_array_equal(x.grad, [4.0, 6.0])


def test_a_closed_over_leaf_is_not_detached_by_a_plain_tensor_argument():
    w = tensor([2.0, 3.0], requires_grad=True)
    x = tensor([1.0, 1.0])
    u = tensor([1.0, 2.0])
    ((grad(lambda a: (a * a * w).sum())(x)) * u).sum().backward()
    np.testing.assert_array_equal(w.grad, [2.0, 4.0])
    for slope in (vjp(lambda a: a * a * w, x)[1](u)[0], jvp(lambda a: a * a * w, [x], [u])[1],
                  hvp(lambda a: (a**3 * w).sum(), x, u), jacobian(lambda a: a * a * w)(x)):
        assert slope.requires_grad


def test_inner_derivatives_do_not_touch_grad():
    t = tensor([1.0, 2.0], requires_grad=True)
    grad(cubic)(t)
    hvp(cubic, t, np.ones(2))
    jacobian(lambda a: a * t)(t)
    assert t.grad is None


def test_perturbation_confusion():
    # d/dx (x * d/dy (x + y)) = 1, not 2
    assert grad(lambda x: x * grad(lambda y: x + y)(x))(np.array(1.0)) == 1.0
    assert grad(lambda x: x * grad(lambda y: x + y)(tensor(1.0)))(np.array(5.0)) == 1.0
    inner = grad(lambda x: x * jvp(lambda y: x * y, [x], [np.array(1.0)])[1])(np.array(3.0))
    assert inner == 6.0


def test_grad_inside_no_grad_answers_without_history():
    t = tensor([1.0, 2.0], requires_grad=True)
    with minidl.no_grad():
        g = grad(cubic)(t)
    np.testing.assert_allclose(g.data, [3.0, 12.0])
    assert not g.requires_grad
    assert minidl.is_grad_enabled()


def test_float32_answers_in_float32():
    x = np.array([1.0, 2.0], np.float32)
    assert grad(cubic)(x).dtype == np.float32
    assert hvp(cubic, x, x).dtype == np.float32
    assert jacobian(lambda t: t * 2)(x).dtype == np.float32
    assert hessian(cubic)(x).dtype == np.float32
    assert jvp(cubic, [x], [x])[1].dtype == np.float32


# -------------------------------------------------------------------------------------------- errors

def test_numbers_of_primals_and_tangents_must_agree():
    with pytest.raises(GradientError, match=r"jvp: 1 primal\(s\) but 2 tangent\(s\)"):
        jvp(cubic, [np.ones(2)], [np.ones(2)] * 2)
    with pytest.raises(GradientError, match="hvp"):
        hvp(lambda a, b: (a * b).sum(), [np.ones(2)] * 2, [np.ones(2)])


def test_shapes_of_upstreams_and_tangents_must_agree():
    with pytest.raises(GradientError, match=r"shape \(3,\)"):
        vjp(lambda t: t * 2, np.ones(2))[1](np.ones(3))
    with pytest.raises(GradientError, match=r"shape \(3,\)"):
        jvp(lambda t: t * 2, [np.ones(2)], [np.ones(3)])


def test_grad_of_several_outputs_is_refused():
    with pytest.raises(GradientError, match="one element"):
        grad(lambda t: t * 2)(np.ones(2))

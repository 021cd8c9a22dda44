"""gradcheck: accepts what is right, and says readably what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.testing import GradcheckError, gradcheck, hygiene
from minidl.testing.oracles import adjoint_gap, complex_step, differences, hessian_asymmetry, jvp_gap
from minidl.testing.strategies import arrays, graphs


def scaled(factor, forward=np.sin, slope=np.cos):
    return minidl.primitive(forward, lambda g, out, inputs, needs: (factor * g * slope(inputs[0]),), name="sine")


# ----------------------------------------------------------------------------------------- what is right

@given(st.data())
def test_any_graph_to_third_order(data):
    graph = data.draw(graphs(max_steps=5))
    values = [data.draw(arrays(shape)) for shape in graph.shapes]
    report = gradcheck(graph, values, order=3, reference=graph, limit=6)
    assert report.order == 3
    assert report.worst["complex step"] < 1e-11


def test_more_inputs_than_the_limit_are_projected():
    x = np.linspace(-1, 1, 100)
    report = gradcheck(lambda t: np.sin(t) * t[0], [x], order=2, limit=64, reference=lambda t: np.sin(t) * t[0])
    assert report.inputs == 100
    broken = minidl.primitive(np.sin, lambda g, out, inputs, needs: (g * np.cos(inputs[0]) * np.where(
        np.arange(100) == 37, 1.5, 1.0),), name="broken")
    with pytest.raises(GradcheckError, match="direction"):
        gradcheck(broken, [x])


def test_constants_are_passed_on():
    gradcheck(lambda x, i, y: x[i] * y, [np.array([1.0, 2.0]), np.array([1, 0, 1]), 3.0])


def test_zero_size():
    assert gradcheck(lambda x: (x * x).sum(), [np.zeros((0, 2))], order=2).inputs == 0


def test_nothing_to_differentiate_is_an_error():
    with pytest.raises(GradcheckError, match="nothing to differentiate"):
        gradcheck(lambda x: x * 2, [3.0])


def test_steep_functions_get_a_smaller_step():
    gradcheck(lambda x: np.exp(60 * x), [np.array([0.1, 0.3])])


# ----------------------------------------------------------------------------------------- what is wrong

def test_the_message_is_readable():
    with pytest.raises(GradcheckError) as caught:
        gradcheck(scaled(1.01), [np.asfortranarray(np.array([[0.1, 0.2], [0.3, 0.0]]))])
    message = str(caught.value)
    for part in ("sine, order 1", "d out[3] / d argument 0", "[1, 1]", "1.01 by pullback",
                 "1 by five-point differences",
                 "step 0.001", "4 of 16 derivatives disagree", "(2, 2) Fortran"):
        assert part in message, message


def test_the_argument_is_named():
    with pytest.raises(GradcheckError, match=r"argument 1 \(width\)"):
        gradcheck(lambda length, width: length + scaled(0.9)(width), [np.ones(2), np.ones(2)], name="area")


@pytest.mark.parametrize("factor", [1.01, -1.0, 0.0, 1 + 1e-6])
def test_wrong_factors(factor):
    with pytest.raises(GradcheckError):
        gradcheck(scaled(factor), [np.array([0.3, 1.0])])


def test_complex_step_sees_a_billionth():
    gradcheck(scaled(1 + 1e-9), [np.array([0.3])])
    with pytest.raises(GradcheckError, match="complex step"):
        gradcheck(scaled(1 + 1e-9), [np.array([0.3])], reference=np.sin)


def test_a_wrong_second_derivative():
    wrong = minidl.fused(lambda x: (np.sin(x), None), lambda g, saved, inputs, needs: (g * np.cos(inputs[0]),),
                         reference=lambda x: ops.sin(x) + x.detach() * 0.0 + (x - x.detach()) ** 2, name="wrong")
    gradcheck(wrong, [np.array([0.3])])
    with pytest.raises(GradcheckError, match="order 2"):
        gradcheck(wrong, [np.array([0.3])], order=2)


def test_a_reference_of_another_value_or_shape():
    with pytest.raises(GradcheckError, match="value"):
        gradcheck(np.sin, [np.array([0.3])], reference=lambda x: np.sin(x) + 1e-6)
    with pytest.raises(GradcheckError, match="shape"):
        gradcheck(np.sin, [np.array([0.3])], reference=lambda x: np.sin(x).sum())


def test_float32_is_refused():
    with pytest.raises(GradcheckError, match="float32"):
        gradcheck(np.sin, [np.ones(2, np.float32)])


def test_nan_is_wrong():
    with pytest.raises(GradcheckError):
        gradcheck(scaled(np.nan), [np.array([0.3])])


# --------------------------------------------------------------------------------------------- kinks

def absolute(at_zero):
    return minidl.primitive(np.abs, lambda g, out, inputs, needs: (
        g * np.where(inputs[0] == 0, at_zero, np.sign(inputs[0])),), name="absolute")


@pytest.mark.parametrize("choice", [-1.0, -0.3, 0.5, 1.0])
def test_at_a_kink_any_slope_between_is_accepted_and_noted(choice):
    report = gradcheck(absolute(choice), [np.array([0.0, 1.0])])
    assert len(report.kinks) == 1
    assert "argument 0" in report.kinks[0]
    assert "kink" in report.summary()


@pytest.mark.parametrize("choice", [-1.1, 1.01, 3.0])
def test_at_a_kink_a_slope_outside_is_refused(choice):
    with pytest.raises(GradcheckError, match="outside"):
        gradcheck(absolute(choice), [np.array([0.0, 1.0])])


def test_kinks_can_be_refused():
    with pytest.raises(GradcheckError, match="this is a kink"):
        gradcheck(absolute(1.0), [np.array([0.0])], kinks="refuse")


@pytest.mark.parametrize("x", [1e-4, 7e-4, -1.5e-3])
def test_a_kink_beside_the_point_is_stepped_over(x):
    assert gradcheck(absolute(0.0), [np.array([x])]).kinks == []


# ------------------------------------------------------------------------------------------- hygiene

def _hygiene_of(rule, forward=lambda x: x * 2.0):
    hygiene(minidl.primitive(forward, rule, name="p"), [np.array([1.0, 2.0])], np.array([3.0, 4.0]), "p")


def test_hygiene_accepts_the_plain_rule():
    _hygiene_of(lambda g, out, inputs, needs: (g * 2.0,))


def test_writing_into_the_upstream_is_noticed():
    def rule(g, out, inputs, needs):
        g *= 2.0
        return (g,)

    with pytest.raises(GradcheckError, match="changed the upstream"):
        _hygiene_of(rule)


def test_writing_into_an_input_is_noticed():
    def rule(g, out, inputs, needs):
        inputs[0][...] = 0.0
        return (g * 2.0,)

    with pytest.raises(GradcheckError, match="changed argument 0"):
        _hygiene_of(rule)


def test_handing_out_saved_memory_is_noticed():
    saved = np.array([2.0, 2.0])
    with pytest.raises(GradcheckError, match="two runs"):
        _hygiene_of(lambda g, out, inputs, needs: (saved,))


def test_a_gradient_that_ignores_the_upstream_is_noticed():
    with pytest.raises(GradcheckError, match="zero upstream"):
        _hygiene_of(lambda g, out, inputs, needs: (g * 0.0 + 2.0,))


def test_chance_is_noticed():
    rng = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="two runs"):
        _hygiene_of(lambda g, out, inputs, needs: (g * rng.random(2),))


# ------------------------------------------------------------------------------------------- oracles

def test_oracles_know_a_polynomial():
    x = np.array([0.5, -1.5])
    unit = np.eye(2)

    def f(t):
        return np.array([t[0] ** 2 * t[1], t[1] ** 3])

    J = np.array([[2 * x[0] * x[1], x[0] ** 2], [0, 3 * x[1] ** 2]])
    np.testing.assert_allclose(complex_step(lambda z: np.array([z[0] ** 2 * z[1], z[1] ** 3]), x, unit), J, rtol=1e-15)
    found = differences(f, x, unit)
    np.testing.assert_allclose(found.value, J, atol=1e-11)
    assert not found.kink.any()
    assert (found.low <= J).all()
    assert (found.high >= J).all()


@given(arrays((3,)), arrays((3,)), arrays((2,)))
def test_adjoints_symmetry_and_tangents(x, v, u):
    a = np.arange(6.0).reshape(2, 3)
    assert adjoint_gap(lambda t: a @ t, x, v, u) < 1e-12
    assert adjoint_gap(scaled(1.01, lambda t: t * 2.0, lambda t: 2.0), x, np.ones(3), np.ones(3)) > 5e-3
    rng = np.random.default_rng(0)
    assert hessian_asymmetry(lambda t: (np.sin(t) * t[0]).sum(), [x], rng) < 1e-10
    error, kink = jvp_gap(lambda t: np.sin(t) * t[0], [x], rng)
    assert error < 1e-7
    assert not kink

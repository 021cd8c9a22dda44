"""The proofs notice what they are there for: each on an op that breaks just that."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.engine import keeps, record
from minidl.testing.cases import between, binary, cases, reduction, unary
from minidl.testing.checking import GradcheckError
from minidl.testing.proofs import PROOFS, Call, Evidence, ProofError, draw_cases, prove, prove_conventions
from minidl.testing.spec import Case, Convention, Op
from minidl.testing.strategies import arrays


def verdict(op, proof, n=30):
    """What the first failing case of one proof says; None when all hold."""
    for case in draw_cases(op, n):
        try:
            PROOFS[proof](Call(op, case), Evidence())
        except GradcheckError as error:
            return str(error)
    return None


def made(forward, rule, *, keep=("inputs", "output"), name="made"):
    marked = keeps(*keep)(rule)
    return lambda x: record(forward, marked, x)


good = Op("square", lambda x: x * x, lambda x: x * x, unary(), order=3)


def test_a_right_op_passes_everything():
    evidence = Evidence()
    for case in draw_cases(good, 20):
        prove(good, case, evidence)
    assert evidence.order == 3
    assert evidence.cases == 20
    assert evidence.dtypes == {"float32", "float64"}
    assert {"C", "0-d"} <= evidence.layouts
    assert {"value", "complex step", "differences", "differences, order 3", "Hessian symmetry", "jvp",
            "float32 (ULP)"} <= set(evidence.worst)
    assert evidence.worst["complex step"] < 1e-14


def test_a_wrong_value():
    assert "value differs" in verdict(Op("wrong", lambda x: x * x * 1.001, lambda x: x * x, unary()), "value")


def test_the_rounding_of_a_sum_that_cancels_is_no_fault():
    x = np.array([0.94518603, 1.98945302, -1.99261221, -1.27537073])
    weight = np.broadcast_to(-0.99222573, (1, 4))  # in this layout the product is summed in another order
    case = Case((x, weight, np.array([-0.33073709])), wrt=(0, 1, 2))
    call = Call(Op("linear", ops.linear, lambda x, w, b: x @ w.T + b, cases(arrays())), case)
    PROOFS["value"](call, Evidence())
    call.require_close(np.array([1.0, 1e-9 + 1e-15]), np.array([1.0, 1e-9]), "a sum")
    with pytest.raises(ProofError, match="a sum: differs by 1e-11"):
        call.require_close(np.array([1.0, 1e-9 + 1e-11]), np.array([1.0, 1e-9]), "a sum")


def test_a_wrong_shape():
    op = Op("wrong", lambda x: ops.sum(x, keepdims=True), lambda x: x.sum(), unary())
    assert "shape" in verdict(op, "value")


def test_an_answer_of_another_kind():
    op = Op("wrong", lambda x: ops.sum(getattr(x, "data", x) * 1.0) if hasattr(x, "node") else np.sum(x),
            np.sum, unary())
    assert "Tensor" in verdict(op, "value")


def test_a_rule_that_cuts_the_graph():
    def rule(g, out, inputs, needs):
        bare = getattr(inputs[0], "data", inputs[0]) if hasattr(inputs[0], "node") else inputs[0]
        return (g * np.cos(bare),)

    op = Op("wrong", made(np.sin, rule), np.sin, unary(), order=2)
    assert "order 2" in verdict(op, "derivatives")


def test_a_rule_that_reads_what_it_did_not_declare():
    seen = {}

    def forward(x):
        seen["x"] = x
        return np.sin(x)

    op = Op("wrong", made(forward, lambda g, out, inputs, needs: (g * ops.cos(seen["x"]),), keep=()), np.sin,
            unary(), order=1)
    assert "poison" in verdict(op, "keeps")


def test_float64_out_of_float32():
    two = np.float64(2.0)
    op = Op("wrong", made(lambda x: x * two, lambda g, out, inputs, needs: (g * 2.0,)), lambda x: x * 2, unary())
    assert "float32 in gives float64 out" in verdict(op, "dtypes")


def test_a_float64_gradient_inside_a_float32_pass():
    two = np.ones(1) * 2.0
    op = Op("wrong", made(lambda x: x * 2.0, lambda g, out, inputs, needs: (g * two,)), lambda x: x * 2,
            cases(arrays((3,))))
    assert "a rule gave a float64 gradient to a float32 input" in verdict(op, "dtypes")


def test_an_inexact_float32_gradient():
    def rule(g, out, inputs, needs):
        return (g * (1.0 + 1e-4) if g.dtype == np.float32 else g,)

    op = Op("wrong", made(lambda x: x * 1.0, rule), lambda x: x * 1, cases(arrays((3,))))
    assert "units in the last place" in verdict(op, "dtypes")


def test_a_forward_that_forgets_the_layout():
    def forward(x):
        return np.frombuffer(x.tobytes("A"), x.dtype).reshape(x.shape) * 1.0 if x.size else x * 1.0

    op = Op("wrong", made(forward, lambda g, out, inputs, needs: (g,)), lambda x: x * 1, cases(arrays((2, 3))))
    assert "layout" in verdict(op, "layouts")


def test_a_rule_that_forgets_the_layout_of_the_upstream():
    def rule(g, out, inputs, needs):
        if isinstance(g, np.ndarray) and g.ndim:
            return (np.frombuffer(g.base.tobytes() if g.base is not None and g.base.shape == g.shape else g.tobytes(),
                                  g.dtype).reshape(g.shape),)
        return (g,)

    op = Op("wrong", made(lambda x: x * 1.0, rule), lambda x: x * 1, cases(arrays((2, 3))), order=1)
    assert "layout" in verdict(op, "layouts")


def test_an_op_that_is_not_linear():
    op = Op("wrong", lambda x: x * x, lambda x: x * x, unary(shape=(3,)), linear=(0,))
    assert "<A v, u>" in verdict(op, "adjoint")


def test_a_gradient_that_depends_on_the_company():
    def rule(g, out, inputs, needs):
        x, y = inputs
        return (g * y if needs[1] else g * y * 1.5) if needs[0] else None, g * x if needs[1] else None

    marked = keeps("inputs")(rule)
    op = Op("wrong", lambda x, y: record(np.multiply, marked, x, y), np.multiply, binary())
    assert "alone" in verdict(op, "alone")


def test_a_kernel_that_differs_from_its_reference():
    fused = minidl.fused(lambda x: (np.sin(x), None), lambda g, saved, inputs, needs: (g * np.cos(inputs[0]),),
                         reference=lambda x: ops.sin(x) * (1 + 1e-9), name="fused")
    assert "create_graph" in verdict(Op("wrong", fused, np.sin, unary()), "modes")


def test_conventions_are_asserted():
    says = Convention("relu'(0) = 0", (np.zeros(2),), 0.0)
    right = Op("relu", ops.relu, np.abs, unary(), conventions=(says,))
    assert prove_conventions(right) == ["relu'(0) = 0"]
    wrong = Op("abs", lambda x: ops.relu(x) + x, np.abs, unary(), conventions=(says,))
    with pytest.raises(ProofError, match=r"relu'\(0\) = 0"):
        prove_conventions(wrong)


def test_failures_name_the_op_its_shapes_and_layouts():
    op = Op("wrong", lambda x, axis, keepdims: ops.sum(x, axis, keepdims) * 2, np.sum,
            reduction(between(0.5, 1), min_side=1))
    assert verdict(op, "value").startswith("wrong(float64")

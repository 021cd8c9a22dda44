"""`detect_anomaly`: the first bad value and its line, arrays changed behind the graph, errors in backward."""

from __future__ import annotations

import gc
import re
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given

import minidl
from minidl import debug, engine, nn, ops, tensor
from minidl.debug.watching import watchers
from minidl.errors import AnomalyError
from minidl.testing.strategies import arrays, graphs

HERE = re.escape(__file__)


def leaf(values, dtype=float):
    return tensor(np.asarray(values, dtype), requires_grad=True)


def clean():
    return engine._observer is None and watchers() == ()


# ------------------------------------------------------------------------------------------- forward

@pytest.mark.parametrize(("op", "values", "says"), [
    (np.log, [1.0, -1.0], r"log\(float64\(2,\) from -1 to 1\) gave 1 NaN among 2 values, first at \[1\]"),
    (np.sqrt, [[4.0, -1.0]], r"first at \[0, 1\]"),
    (np.exp, [1000.0, 1.0], r"gave 1 infinite among 2 values"),
    (lambda x: 1.0 / x, [0.0, 2.0], r"divide\(1.0, float64\(2,\) from 0 to 2\) gave 1 infinite"),
    (lambda x: x / x, [0.0, 2.0], "gave 1 NaN among 2"),
    (lambda x: x - x, [np.inf, 2.0], "gave 1 NaN among 2"),
    (lambda x: (x * 1e308).sum(), [1.0, 1.0], r"sum\(float64\(2,\) from 1e\+308 to 1e\+308\) gave 1 infinite among 1 "
                                              "values"),
    (ops.softmax, [-np.inf, -np.inf], "gave 2 NaN among 2"),
])
def test_the_first_value_that_is_not_finite(op, values, says):
    x = leaf(values)
    with pytest.raises(AnomalyError, match=rf"{says}.*at {HERE}:\d+: .*(op\(x\)$|lambda x)"), debug.detect_anomaly():
        op(x)
    assert clean()


def test_the_line_is_the_users_own():
    class Net(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return np.sqrt(self.layer(x) - 100.0)  # the line of the test

    with pytest.raises(AnomalyError, match=rf"^sqrt\(float32\(3, 2\) from .* {HERE}:\d+: return np.sqrt\(.*of the test$"
                       ), debug.detect_anomaly():
        nn.Sequential(Net())(np.ones((3, 2), np.float32))


def test_what_was_not_finite_before_is_not_blamed():
    x = leaf([1.0, -np.inf])
    bad = leaf([np.nan, 1.0])
    mask = np.array([0.0, -np.inf])
    with debug.detect_anomaly():
        (np.exp(x) + 1.0).sum()
        ops.softmax(leaf([1.0, 2.0]) + mask).sum().backward()
        ops.where(np.array([True, False]), x, -np.inf)
        bad * 2.0 + np.inf
    assert clean()


def test_infinities_that_make_a_nan_are_blamed():
    with debug.detect_anomaly(), pytest.raises(AnomalyError, match="multiply"):
        leaf([np.inf]) * np.array([0.0])


def test_operations_that_are_not_recorded_are_seen_too():
    with debug.detect_anomaly(), minidl.no_grad(), pytest.raises(AnomalyError, match="log"):
        np.log(leaf([-1.0]))
    with debug.detect_anomaly(), pytest.raises(AnomalyError, match="log"):
        ops.log(np.array([-1.0]))


@pytest.mark.parametrize("shape", [(), (0,), (2, 0)])
def test_scalars_and_empty_arrays_pass(shape):
    x = leaf(np.ones(shape))
    with debug.detect_anomaly():
        (np.exp(x) * x).sum().backward()
    np.testing.assert_array_equal(x.grad, np.full(shape, 2 * np.e))


# ------------------------------------------------------------------------------------------ backward

def test_a_gradient_that_is_not_finite_names_the_forward_line():
    x = leaf([0.0, 4.0])
    with debug.detect_anomaly():
        y = np.sqrt(x)  # here
        with pytest.raises(AnomalyError, match=r"sqrt\(.*the gradient of argument 0 has 1 infinite among 2 values, "
                           rf"first at \[0\].*{HERE}:\d+: y = np.sqrt\(x\)  # here$"):
            y.sum().backward()


def test_the_trap_of_where():
    x = leaf([-1.0, 0.0, 4.0])
    with debug.detect_anomaly(), pytest.raises(AnomalyError, match=r"sqrt.*1 NaN among 3"):
        ops.where(x.data > 0, np.sqrt(np.abs(x)), 0.0).sum().backward()


def test_a_bad_input_shows_in_the_gradient():
    x = leaf([np.nan, 2.0])
    with debug.detect_anomaly(), pytest.raises(AnomalyError, match=r"multiply\(float64\(2,\) from nan to nan"):
        (x * x).sum().backward()


def test_an_upstream_that_is_not_finite():
    x = leaf([1.0, 2.0])
    with debug.detect_anomaly(), pytest.raises(AnomalyError, match="the gradient that arrives at it has 1 NaN"):
        (x * x).backward(np.array([1.0, np.nan]))


def test_gradients_whose_sum_overflows():
    x = leaf([0.0])
    with debug.detect_anomaly(), np.errstate(over="ignore"):
        y = x * 1.0
        out = (y * 1.5e308 + y * 1.5e308).sum()
        with pytest.raises(AnomalyError, match=r"arrives at it has 1 infinite.*y = x \* 1.0"):
            out.backward()


def test_operations_from_before_the_block():
    x = leaf([0.0, 4.0])
    out = np.sqrt(x).sum()
    with debug.detect_anomaly(), pytest.raises(AnomalyError, match=r"sqrt.*outside of detect_anomaly"):
        out.backward()


def test_row_gradients():
    table = leaf(np.ones((3, 2)))
    with debug.detect_anomaly():
        rows = ops.embedding(np.array([0, 2]), table)
        (rows * rows).sum().backward()
    assert isinstance(table.grad, minidl.RowGrad)


@pytest.mark.parametrize("create_graph", [False, True])
def test_errors_in_backward_carry_the_forward_line(create_graph):
    wrong = minidl.primitive(lambda x: x * 1.0, lambda g, out, inputs, needs: (g @ np.ones((7, 7)),), name="wrong")
    short = minidl.primitive(lambda x: x * 1.0, lambda g, out, inputs, needs: (), name="short")
    shape = minidl.primitive(lambda x: x * 1.0, lambda g, out, inputs, needs: (g[0],), name="shape")
    crash = minidl.primitive(lambda x: x * 1.0, lambda g, out, inputs, needs: (1 / 0,), name="crash")
    hooked = leaf([1.0, 2.0])
    for op, kind in ((wrong, ValueError), (short, minidl.GradientError), (shape, minidl.GradientError),
                     (crash, ZeroDivisionError)):
        with debug.detect_anomaly():
            y = op(hooked)  # the forward line
        with pytest.raises(kind, match=rf"in the derivative of {op.__name__}, computed at {HERE}:\d+: y = op\(hooked\)"
                           ) as caught:
            y.sum().backward(create_graph=create_graph)
        assert str(caught.value).count("computed at") == 1
    hooked.grad = None


def test_an_error_in_a_hook_carries_the_forward_line():
    x = leaf([1.0, 2.0])
    with debug.detect_anomaly():
        y = np.sin(x)
        y.register_hook(lambda g: np.ones(3))
        with pytest.raises(minidl.GradientError, match=r"hook returned shape.*in the derivative of sin"):
            y.sum().backward()


def test_an_error_with_other_arguments_gets_a_note():
    class Strange(Exception):
        def __init__(self, a, b):
            super().__init__(a, b)

    def rule(g, out, inputs, needs):
        raise Strange(1, 2)

    with debug.detect_anomaly():
        y = minidl.primitive(lambda x: x * 1.0, rule, name="strange")(leaf([1.0]))
    with pytest.raises(Strange) as caught:
        y.backward()
    assert "in the derivative of strange, computed at" in caught.value.__notes__[0]


def test_higher_orders():
    x = leaf([0.0, 1.0])
    with debug.detect_anomaly():
        y = (x ** 1.5).sum()  # first derivative 0 at 0, second infinite
        y.backward(create_graph=True)
        slope, x.grad = x.grad, None
        with pytest.raises(AnomalyError, match=r"y = \(x \*\* 1.5\).sum\(\)"):
            slope.sum().backward()


@given(graphs())
def test_a_clean_graph_gives_the_same_bits(graph):
    values = [np.linspace(0.1, 0.9, int(np.prod(s))).reshape(s) for s in graph.shapes]
    plain, seen = [leaf(v) for v in values], [leaf(v) for v in values]
    graph(*plain).backward()
    with debug.detect_anomaly():
        graph(*seen).backward()
    for p, s in zip(plain, seen, strict=True):
        np.testing.assert_array_equal(p.grad, s.grad)


# ------------------------------------------------------------------------------------- changed arrays

def _change(array):
    array[...] += 1.0


@pytest.mark.parametrize(("compute", "which", "label"), [
    (lambda x, c: x * c, "c", "argument 1"),
    (lambda x, c: x * c, "x", "argument 0"),
    (lambda x, c: np.exp(x), "y", "result"),
    (lambda x, c: ops.getitem(x, np.array([0, 1])) * 1.0, None, None),
])
def test_an_array_changed_since_the_forward_pass(compute, which, label):
    x, c = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    with debug.detect_anomaly():
        y = compute(x, c)
        total = y.sum()
        if which is None:
            _change(x.data), _change(c)  # nothing of it was saved
            total.backward()
            return
        _change({"x": x.data, "c": c, "y": y.data}[which])
        with pytest.raises(AnomalyError, match=rf"its {label}, float64\(2,\), was changed after the forward pass.*"
                           rf"computed at {HERE}:\d+: .*lambda x, c") as caught:
            total.backward()
        assert str(caught.value).count("computed at") == 1


def test_changed_indices_and_kernel_results():
    x, indices = leaf(np.ones((3, 2))), np.array([0, 2])
    with debug.detect_anomaly():
        picked = ops.take(x, indices, axis=0)
        indices[0] = 1
        with pytest.raises(AnomalyError, match=r"take: its saved 'indices', int64\(2,\), was changed"):
            picked.sum().backward()
    squared = minidl.fused(lambda a: (a * a, 2 * a), lambda g, saved, inputs, needs: (g * saved,),
                           reference=lambda a: a * a, name="squared")
    with debug.detect_anomaly():
        y = squared(x)
        _change(y.node.params["saved"])
        with pytest.raises(AnomalyError, match="squared: its saved 'saved'"):
            y.sum().backward()


def test_an_optimizer_step_between_forward_and_backward():
    model = nn.Linear(2, 1)
    optimizer = minidl.optim.SGD(model.parameters(), lr=0.1)
    x = leaf(np.ones((3, 2)), np.float32)
    with debug.detect_anomaly():
        first, second = model(x).sum(), model(x).sum()
        first.backward()
        optimizer.step()
        with pytest.raises(AnomalyError, match=r"linear: its argument 1, float32\(1, 2\), was changed"):
            second.backward()


# ---------------------------------------------------------------------------------------------- state

def test_off_there_is_nothing():
    x = leaf([-1.0])
    with debug.detect_anomaly():
        y = x * 2.0
    assert clean()
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.log(x).data).all()
    _change(x.data)
    y.backward()


def test_nesting_and_exceptions_leave_it_clean():
    with debug.detect_anomaly():
        with debug.detect_anomaly():
            assert len(watchers()) == 1
        with pytest.raises(AnomalyError):
            np.log(leaf([-1.0]))
        assert len(watchers()) == 1
    assert clean()
    with pytest.raises(ZeroDivisionError), debug.detect_anomaly():
        raise ZeroDivisionError
    assert clean()
    crash = minidl.primitive(lambda x: x * 1.0, lambda g, out, inputs, needs: (1 / 0,), name="crash")
    with debug.detect_anomaly():
        with pytest.raises(ZeroDivisionError):
            crash(leaf([1.0])).backward()
        with pytest.raises(AnomalyError, match=r"log.*np.log\(leaf\(\[-2.0\]\)\)"):
            np.log(leaf([-2.0]))


def test_a_block_can_be_entered_once_at_a_time():
    block = debug.profile()
    with block, pytest.raises(RuntimeError, match="entered already"), block:
        pass
    assert clean()
    with block:
        pass
    assert clean()


def test_it_holds_for_its_thread_only():
    inside, done = threading.Event(), threading.Event()
    seen = []

    def watched():
        with debug.detect_anomaly():
            inside.set()
            done.wait(10)
            try:
                np.log(leaf([-1.0]))
            except AnomalyError as error:
                seen.append(error)

    worker = threading.Thread(target=watched)
    worker.start()
    inside.wait(10)
    with np.errstate(invalid="ignore"):
        np.log(leaf([-1.0]))
    done.set()
    worker.join()
    assert len(seen) == 1
    assert clean()


def test_graphs_die_by_reference_counts():
    gc.collect()
    gc.disable()
    try:
        with debug.detect_anomaly():
            x = leaf(np.ones(3))
            out = (np.sin(x) * x).sum()
            out.backward(create_graph=True)
            x.grad = None
            watched = [weakref.ref(out), weakref.ref(out.data)]
            del out
            assert [ref() for ref in watched] == [None, None]
    finally:
        gc.enable()


@given(arrays((3,)))
def test_both_modes_together(x):
    with debug.profile() as spent, debug.detect_anomaly():
        (np.tanh(leaf(x)) * 2.0).sum().backward()
    assert {(r.op, r.direction, r.calls) for r in spent.rows()} == {
        (op, d, 1) for op in ("tanh", "multiply", "sum") for d in ("forward", "backward")}

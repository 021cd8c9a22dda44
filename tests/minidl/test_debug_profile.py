"""`profile`: calls, time and bytes of each operation."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import minidl
from minidl import debug, engine, nn, ops, tensor


def leaf(values, dtype=float):
    return tensor(np.asarray(values, dtype), requires_grad=True)


def slow_op():
    def forward(x):
        time.sleep(0.004)
        return x * 1.0

    def rule(g, out, inputs, needs):
        time.sleep(0.002)
        return (ops.multiply(g, 1.0),)  # part of the rule, not an operation of its own

    return minidl.primitive(forward, rule, name="slow")


def numbers(spent):
    return {(row.op, row.direction): (row.calls, row.bytes) for row in spent.rows()}


def test_calls_bytes_and_time():
    x = leaf(np.ones((4, 2)))
    slow = slow_op()
    with debug.profile() as spent:
        for _ in range(3):
            slow(x).sum().backward()
    assert numbers(spent) == {("slow", "forward"): (3, 3 * 64), ("slow", "backward"): (3, 3 * 64),
                              ("sum", "forward"): (3, 3 * 8), ("sum", "backward"): (3, 0)}  # a broadcast view of g
    seconds = {(row.op, row.direction): row.seconds for row in spent.rows()}
    assert seconds["slow", "forward"] >= 0.012
    assert seconds["slow", "backward"] >= 0.006
    assert list(seconds.values()) == sorted(seconds.values(), reverse=True)
    assert sum(row.seconds for row in spent.rows()) <= spent.seconds


def test_the_table():
    x = leaf(np.ones((4, 2)))
    with debug.profile() as spent:
        slow_op()(x).sum().backward()
    lines = str(spent).splitlines()
    assert lines[1].split() == ["op", "calls", "ms", "MB", "calls", "ms", "MB"]
    assert lines[2].split()[:2] == ["slow", "1"]
    assert [line.split("  ")[0] for line in lines[-2:]] == ["all ops", "outside of ops"]
    assert len({len(line.rstrip()) for line in lines[2:]}) == 1  # aligned
    assert str(debug.profile()).splitlines()[-1].startswith("outside of ops")


def test_views_cost_no_memory_and_rows_are_counted():
    table = leaf(np.ones((5, 3)))
    with debug.profile() as spent:
        rows = ops.embedding(np.array([1, 4]), table)
        ops.transpose(rows).reshape(-1)[2:].sum().backward()
    found = numbers(spent)
    assert found["transpose", "forward"][1] == found["getitem", "forward"][1] == 0
    assert found["embedding", "forward"][1] == 2 * 3 * 8
    assert found["embedding", "backward"][1] == 2 * 3 * 8 + 2 * 8


def test_create_graph_is_not_counted_as_forward():
    x = leaf([1.0, 2.0])
    with debug.profile() as spent:
        np.sin(x).sum().backward(create_graph=True)
        slope, x.grad = x.grad, None
        slope.sum().backward()
    found = numbers(spent)
    assert found["sin", "forward"][0] == 1
    assert found["sum", "forward"][0] == 2
    assert ("multiply", "forward") not in found
    assert found["multiply", "backward"][0] == 1  # its derivative, at order 2


def test_graphs_from_before_the_block_and_errors_inside():
    x = leaf([1.0, 2.0])
    out = np.sin(x).sum()
    with debug.profile() as spent:
        out.backward()
        with pytest.raises(ValueError, match="add"):
            x + leaf(np.ones(3))
        np.cos(x)
    assert {row.op for row in spent.rows()} == {"sin", "sum", "cos"}
    assert engine._observer is None


def test_two_profiles_and_another_thread():
    x = leaf([1.0, 2.0])
    with debug.profile() as outer:
        np.sin(x)
        with debug.profile() as inner:
            np.cos(x)
            worker = threading.Thread(target=lambda: np.tan(x))
            worker.start()
            worker.join()
        np.sin(x)
    assert numbers(outer) == {("sin", "forward"): (2, 32), ("cos", "forward"): (1, 16)}
    assert numbers(inner) == {("cos", "forward"): (1, 16)}


def test_blocks_add_up():
    x = leaf([1.0])
    spent = debug.profile()
    for _ in range(2):
        with spent:
            np.sin(x)
    assert numbers(spent) == {("sin", "forward"): (2, 16)}


def test_values_do_not_change():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3)
    plain = minidl.grad(lambda t: (model(t) ** 2).sum())(x)
    with debug.profile():
        np.testing.assert_array_equal(minidl.grad(lambda t: (model(t) ** 2).sum())(x), plain)

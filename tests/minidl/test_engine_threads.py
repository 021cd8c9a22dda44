"""Threads that differentiate into the same leaves: nothing is lost, and what is read is whole."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.rowgrad import RowGrad

THREADS, TIMES = 4, 100


@pytest.fixture(autouse=True)
def _switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def _together(work, count=THREADS):
    errors = []

    def run(i):
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors


def _dense(g):
    return g.to_dense() if isinstance(g, RowGrad) else g.data if isinstance(g, minidl.Tensor) else g


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("size", [1, 1000])
def test_dense_gradients_from_threads_add_up(size, create_graph):
    w = minidl.tensor(np.ones(size), requires_grad=True)
    _together(lambda i: [(w * float(i + 1)).sum().backward(create_graph=create_graph) for _ in range(TIMES)])
    assert (_dense(w.grad) == TIMES * sum(range(1, THREADS + 1))).all()  # integers: exact in any order
    w.grad = None


def test_rows_from_threads_add_up():
    table = minidl.tensor(np.ones((50, 3)), requires_grad=True)

    def work(i):
        rng = np.random.default_rng(i)
        for _ in range(TIMES):
            ops.embedding(rng.integers(0, 50, 7), table).sum().backward()

    _together(work)
    assert isinstance(table.grad, RowGrad)
    wanted = sum(np.bincount(rng.integers(0, 50, 7), minlength=50)
                 for rng in map(np.random.default_rng, range(THREADS)) for _ in range(TIMES))
    np.testing.assert_array_equal(table.grad.to_dense(), np.repeat(wanted[:, None], 3, axis=1))


def test_rows_and_dense_gradients_mix():
    table = minidl.tensor(np.ones((5, 2)), requires_grad=True)
    _together(lambda i: [(ops.embedding(np.array([1, 1]), table) if i % 2 else table * 3.0).sum().backward()
                         for _ in range(TIMES)])
    wanted = np.full((5, 2), 3.0 * TIMES * 2)
    wanted[1] += 2 * TIMES * 2
    np.testing.assert_array_equal(_dense(table.grad), wanted)


def test_one_graph_from_many_threads():
    w = minidl.tensor(np.arange(4.0), requires_grad=True)
    out = (w * w + w).sum()
    _together(lambda i: [out.backward() for _ in range(TIMES)])
    np.testing.assert_array_equal(w.grad, THREADS * TIMES * (2 * np.arange(4.0) + 1))


def test_a_gradient_that_is_read_is_whole_and_stays_as_it_is():
    w = minidl.tensor(np.zeros(20_000), requires_grad=True)
    done = threading.Event()
    seen = []

    def work(i):
        if i:
            for _ in range(TIMES):
                w.sum().backward()
            return done.set()
        while not done.is_set():
            g = w.grad
            if g is not None:
                seen.append((g, g[0]))
                assert (g == g[0]).all()

    _together(work, 2)
    assert w.grad[0] == TIMES
    assert all((g == first).all() for g, first in seen[-20:])

"""Recurrent layers as ops: padding, directions, layouts, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ShapeError
from minidl.ops import recurrent
from minidl.ops.recurrent import gru, lstm, rnn

GATES = {rnn: 1, gru: 3, lstm: 4}
OPS = st.sampled_from(list(GATES))


def parameters(op: Any, features: int, size: int, rng: Any, dtype: Any = np.float64) -> list[np.ndarray]:
    rows = GATES[op] * size
    shapes = [(rows, features), (rows, size), (rows,), (rows,)]
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


def states(op: Any, samples: int, size: int, rng: Any) -> list[np.ndarray]:
    return [rng.uniform(-1, 1, (samples, size)) for _ in range(2 if op is lstm else 1)]


def flat(result: Any) -> list[Any]:
    output, final = result
    return [output, *(final if isinstance(final, tuple) else (final,))]


def raw(values: Any) -> list[np.ndarray]:
    return [v.data if isinstance(v, minidl.Tensor) else v for v in values]


@st.composite
def problems(draw: Any) -> Any:
    op, steps, samples, features, size = draw(OPS), *(draw(st.integers(1, 5)) for _ in range(4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return (op, rng.uniform(-1, 1, (steps, samples, features)), parameters(op, features, size, rng),
            states(op, samples, size, rng), rng.integers(0, steps + 1, samples), draw(st.booleans()))


@given(problems())
def test_padded_sequences_are_as_if_each_was_alone(problem: Any) -> None:
    op, x, weights, initial, lengths, reverse = problem
    steps = len(x)
    for k, length in enumerate(lengths):
        x[length:, k] = np.nan
    leaves = [minidl.tensor(a, requires_grad=True) for a in (x, *weights, *initial)]
    together = flat(op(*leaves, lengths=lengths, reverse=reverse))
    rng = np.random.default_rng(0)
    upstream = [rng.uniform(-1, 1, t.shape) for t in together]
    sum((t * g).sum() for t, g in zip(together, upstream, strict=True)).backward()
    expected = [np.zeros(leaf.shape) for leaf in leaves]
    for k, length in enumerate(lengths):
        mine = [x[:length, k:k + 1], *weights, *(s[k:k + 1] for s in initial)]
        single = [minidl.tensor(a, requires_grad=True) for a in mine]
        alone = flat(op(*single, reverse=reverse))
        np.testing.assert_allclose(together[0].data[:length, k:k + 1], alone[0].data, atol=1e-13)
        assert not together[0].data[length:, k].any()
        for one, other in zip(together[1:], alone[1:], strict=True):
            np.testing.assert_allclose(one.data[k:k + 1], other.data, atol=1e-13)
        loss = (alone[0] * upstream[0][:length, k:k + 1]).sum()
        for s, g in zip(alone[1:], upstream[1:], strict=True):
            loss = loss + (s * g[k:k + 1]).sum()
        loss.backward()
        expected[0][:length, k:k + 1] += single[0].grad
        for total, leaf in zip(expected[1:5], single[1:5], strict=True):
            total += 0 if leaf.grad is None else leaf.grad
        for total, leaf in zip(expected[5:], single[5:], strict=True):
            total[k:k + 1] += leaf.grad
    for leaf, total in zip(leaves, expected, strict=True):
        np.testing.assert_allclose(leaf.grad, total, atol=1e-12)
    full = raw(flat(op(np.nan_to_num(x), *weights, *initial, lengths=np.full(x.shape[1], steps), reverse=reverse)))
    for a, b in zip(full, raw(flat(op(np.nan_to_num(x), *weights, *initial, reverse=reverse))), strict=True):
        np.testing.assert_array_equal(a, b)


@given(problems())
def test_reverse_is_the_flipped_sequence(problem: Any) -> None:
    op, x, weights, initial, _, _ = problem
    back, ahead = (raw(flat(op(y, *weights, *initial, reverse=r))) for y, r in ((x, True), (x[::-1], False)))
    np.testing.assert_allclose(back[0], ahead[0][::-1], atol=1e-14)
    for a, b in zip(back[1:], ahead[1:], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)


@given(problems(), st.integers(0, 5))
def test_a_sequence_can_be_cut(problem: Any, at: int) -> None:
    op, x, weights, initial, _, _ = problem
    whole = raw(flat(op(x, *weights, *initial)))
    first = raw(flat(op(x[:at], *weights, *initial)))
    second = raw(flat(op(x[at:], *weights, *first[1:])))
    np.testing.assert_allclose(whole[0], np.concatenate([first[0], second[0]]), atol=1e-14)
    for a, b in zip(whole[1:], second[1:], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)


@pytest.mark.parametrize("op", list(GATES))
@pytest.mark.parametrize(("steps", "samples", "features"), [(0, 3, 2), (3, 0, 2), (0, 0, 2), (2, 3, 0)])
@pytest.mark.parametrize("create_graph", [False, True])
def test_nothing_to_do(op: Any, steps: int, samples: int, features: int, create_graph: bool) -> None:
    rng = np.random.default_rng(0)
    arrays = [np.zeros((steps, samples, features)), *parameters(op, features, 4, rng), *states(op, samples, 4, rng)]
    leaves = [minidl.tensor(a, requires_grad=True) for a in arrays]
    found = flat(op(*leaves))
    assert found[0].shape == (steps, samples, 4)
    if steps == 0:
        for state, start in zip(found[1:], arrays[5:], strict=True):
            np.testing.assert_array_equal(state.data, start)
    sum(t.sum() for t in found).backward(create_graph=create_graph)
    for leaf in leaves:
        assert leaf.grad is not None
        assert leaf.grad.shape == leaf.shape
    bare = [minidl.tensor(a, requires_grad=True) for a in arrays[:3]]
    assert all(not t.data.any() for t in flat(op(*bare, lengths=np.zeros(samples, int))))


@pytest.mark.parametrize("op", list(GATES))
def test_the_gradient_of_a_part_and_twice(op: Any) -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (4, 3, 2))
    leaf = minidl.tensor(parameters(op, 2, 3, rng)[1], requires_grad=True)
    other = parameters(op, 2, 3, rng)
    loss = op(x, other[0], leaf)[0].sum()
    loss.backward()
    first = leaf.grad.copy()
    loss.backward()
    np.testing.assert_array_equal(leaf.grad, 2 * first)


@pytest.mark.parametrize("op", list(GATES))
def test_precisions(op: Any) -> None:
    rng = np.random.default_rng(4)
    x, weights = rng.uniform(-1, 1, (5, 3, 2)), parameters(op, 2, 3, rng)
    exact = op(x, *weights)[0]
    single = op(x.astype(np.float32), *(w.astype(np.float32) for w in weights))[0]
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=2e-6)
    leaf = minidl.tensor(x.astype(np.float32), requires_grad=True)
    mixed = op(leaf, *weights)[0]
    assert mixed.dtype == np.float64
    mixed.sum().backward()
    assert leaf.grad.dtype == np.float32
    np.testing.assert_allclose(op(x.astype(">f8"), *weights)[0], exact, rtol=1e-14)
    assert op(np.ones((2, 3, 2), int), *weights)[0].dtype == np.float64


def test_what_was_recorded_does_not_change_with_lengths() -> None:
    rng = np.random.default_rng(5)
    leaf = minidl.tensor(rng.uniform(-1, 1, (4, 2, 2)), requires_grad=True)
    weights, lengths = parameters(gru, 2, 3, rng), np.array([4, 2])
    loss = gru(leaf, *weights, lengths=lengths)[0].sum()
    lengths[:] = 0
    loss.backward()
    assert leaf.grad[:2].all()


X, W, U = np.zeros((4, 3, 2)), np.zeros((15, 2)), np.zeros((15, 5))


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: gru(X[0], W, U), ShapeError, r"gru: x has shape \(3, 2\); it has to be \(steps, samples, features\)"),
    (lambda: gru(X, W[:, :1], U), ShapeError, r"gru: weight_ih has shape \(15, 1\); \(15, 2\) goes with x"),
    (lambda: gru(X, W, U[0]), ShapeError, r"weight_hh has shape \(5,\)"),
    (lambda: gru(X, W, U[:14]), ShapeError, r"weight_hh has shape \(14, 5\); \(15, 5\)"),
    (lambda: gru(X, W, U, np.zeros(5)), ShapeError, r"bias_ih has shape \(5,\)"),
    (lambda: gru(X, W, U, None, np.zeros(5)), ShapeError, r"bias_hh has shape \(5,\)"),
    (lambda: gru(X, W, U, h0=np.zeros((1, 3, 5))), ShapeError, r"h0 has shape \(1, 3, 5\); \(3, 5\)"),
    (lambda: lstm(X, W, U), ShapeError, r"lstm: weight_ih has shape \(15, 2\); \(20, 2\)"),
    (lambda: gru(X, W, U, lengths=[1, 2]), ShapeError, "one for each of the 3 samples"),
    (lambda: gru(X, W, U, lengths=[1, 2, 5]), ValueError, "lengths go from 1 to 5, with 4 steps"),
    (lambda: gru(X, W, U, lengths=[1, -1, 4]), ValueError, "lengths go from -1 to 4"),
    (lambda: gru(X, W, U, lengths=[1.0, 1.0, 4.0]), IndexError, "use integers"),
    (lambda: rnn(X, W[:5], U[:5], nonlinearity="sin"), ValueError, "use 'tanh' or 'relu'"),
])
def test_errors(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


def test_the_reference_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    x = rng.uniform(-1, 1, (4, 5, 2))
    for op in GATES:
        weights = parameters(op, 2, 3, rng)
        ours = minidl.grad(lambda x, op=op, weights=weights: op(x, *weights, lengths=[4, 0, 1, 3, 4])[0].sum())(x)
        with monkeypatch.context() as patch:
            patch.setattr(recurrent, "_kernels", recurrent._kernels.module(numba=False))
            again = minidl.grad(lambda x, op=op, weights=weights: op(x, *weights, lengths=[4, 0, 1, 3, 4])[0].sum())(x)
        np.testing.assert_allclose(ours, again, atol=1e-13)

"""Linear recurrences: the loop in complex numbers, cuts, precisions, nothing to do, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ShapeError
from minidl.ops import scan
from minidl.ops.scan import linear_scan


def looped(x: np.ndarray, decay: np.ndarray, h0: np.ndarray) -> np.ndarray:
    """The same in NumPy's complex numbers."""
    def joined(a: np.ndarray) -> np.ndarray:
        n = a.shape[-1] // 2
        return a[..., :n] + 1j * a[..., n:]

    h, states = joined(h0), []
    for t in range(x.shape[-2]):
        h = joined(decay) * h + joined(x)[..., t, :]
        states.append(np.concatenate([h.real, h.imag], axis=-1))
    return np.stack(states, axis=-2)


def problem(seed: int, shape: tuple[int, ...], reach: float = 0.7) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    width = shape[-1]
    return [rng.normal(size=shape), rng.uniform(-reach, reach, width), rng.normal(size=(*shape[:-2], width))]


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 4), max_size=2), st.integers(1, 60), st.integers(1, 20))
def test_states_are_those_of_the_loop(seed: int, leading: list[int], steps: int, n: int) -> None:
    args = problem(seed, (*leading, steps, 2 * n))
    exact = looped(*args)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(linear_scan(*args), exact, rtol=0, atol=1e-11 * scale)
    single = [a.astype(np.float32) for a in args]
    found = linear_scan(*single)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, looped(*(a.astype(np.float64) for a in single)), rtol=0, atol=1e-5 * scale)


@given(st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_a_sequence_can_be_cut(seed: int, at: int) -> None:
    x, decay, h0 = problem(seed, (3, 6, 4))
    whole, first = linear_scan(x, decay, h0), linear_scan(x[:, :at], decay, h0)
    second = linear_scan(x[:, at:], decay, first[:, -1] if at else h0)
    np.testing.assert_array_equal(whole, np.concatenate([first, second], axis=1))


def test_bits_do_not_depend_on_samples_beside() -> None:
    x, decay, h0 = problem(1, (21, 9, 10))
    np.testing.assert_array_equal(linear_scan(x, decay, h0)[7:8], linear_scan(x[7:8], decay, h0[7:8]))


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (0, 4), (2, 3, 0), (3, 2)])
@pytest.mark.parametrize("create_graph", [False, True])
def test_nothing_to_do(shape: tuple[int, ...], create_graph: bool) -> None:
    leaves = [minidl.tensor(a, requires_grad=True) for a in problem(0, shape)]
    found = linear_scan(*leaves)
    assert found.shape == shape
    found.sum().backward(create_graph=create_graph)
    assert all(leaf.grad.shape == leaf.shape for leaf in leaves)


def test_precisions() -> None:
    args = problem(4, (2, 5, 6))
    exact = linear_scan(*args)
    leaf = minidl.tensor(args[0].astype(np.float32), requires_grad=True)
    mixed = linear_scan(leaf, *args[1:])
    assert mixed.dtype == np.float64
    mixed.sum().backward()
    assert leaf.grad.dtype == np.float32
    np.testing.assert_array_equal(linear_scan(args[0].astype(">f8"), *args[1:]), exact)
    assert linear_scan(np.ones((2, 3, 2), int), np.zeros(2)).dtype == np.float64


def test_the_reference_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    args = problem(6, (19, 5, 6))

    def gradients() -> list[np.ndarray]:
        return list(minidl.grad(lambda *a: (linear_scan(*a) ** 2).sum(), argnums=(0, 1, 2))(*args))

    ours = gradients()
    monkeypatch.setattr(scan, "_kernels", scan._kernels.module(numba=False))
    for one, other in zip(ours, gradients(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


X = np.zeros((3, 4, 6))


@pytest.mark.parametrize(("call", "says"), [
    (lambda: linear_scan(X[0, 0], np.zeros(6)), r"x has shape \(6,\); it has to be \(\.\.\., steps, 2 N\)"),
    (lambda: linear_scan(X[..., :5], np.zeros(5)), r"x has shape \(3, 4, 5\)"),
    (lambda: linear_scan(X, np.zeros(3)), r"decay has shape \(3,\); \(6,\) goes with x of shape \(3, 4, 6\)"),
    (lambda: linear_scan(X, np.zeros(6), np.zeros(6)), r"h0 has shape \(6,\); \(3, 6\) goes with x"),
])
def test_errors(call: Any, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        call()

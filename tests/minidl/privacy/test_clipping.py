"""Clipped sums of gradients against a loop over the examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import GradientError, RowGrad, nn, ops
from minidl.privacy import add_noise, clipped_backward
from minidl.testing.oracles import raw

N = 6  # rows of tables


def dense(g: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape) if g is None else g.to_dense() if isinstance(g, RowGrad) else raw(g)


def loop(make: Any, parameters: list[Any], count: int, max_norm: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Norms and the clipped sum, by a backward pass for each example alone."""
    norms, total = [], [np.zeros(p.shape) for p in parameters]
    for b in range(count):
        for p in parameters:
            p.grad = None
        make()[b].backward()
        each = [dense(p.grad, p.shape) for p in parameters]
        norms.append(np.sqrt(sum((g**2).sum() for g in each)))
        for t, g in zip(total, each, strict=True):
            t += g * min(1, (1 - 1e-5) * max_norm / norms[-1] if norms[-1] else 1)
    for p in parameters:
        p.grad = None
    return np.array(norms), total


def agrees(make: Any, parameters: Any, max_norm: float) -> None:
    parameters = list(parameters)
    losses = make()
    wanted, total = loop(make, parameters, len(losses), max_norm)
    found = clipped_backward(losses, parameters, max_norm)
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(minidl.per_example_norms(losses, parameters), wanted, rtol=1e-7, atol=1e-9)
    for p, t in zip(parameters, total, strict=True):
        np.testing.assert_allclose(dense(p.grad, p.shape), t, rtol=1e-7, atol=1e-9)
    norm = np.sqrt(sum((dense(p.grad, p.shape)**2).sum() for p in parameters))
    assert norm <= len(losses) * max_norm * (1 + 1e-9)


def squared(out: Any) -> Any:
    return (ops.square(out) * np.linspace(0.5, 2, out.size).reshape(out.shape)).reshape((len(out), -1)).sum(axis=1)


class First(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x)[0]


class Tied(nn.Module):
    """A table that is read, and scores all rows."""

    def __init__(self, width: int, generator: np.random.Generator) -> None:
        self.table, self.inner = nn.Embedding(N, width, generator=generator), nn.Linear(width, width)

    def forward(self, items: Any) -> Any:
        return ops.tanh(self.inner(self.table(items).sum(axis=1))) @ self.table.weight.T


class Both(nn.Module):
    """A table that is read in two places, and a bag of it."""

    def __init__(self, width: int, generator: np.random.Generator) -> None:
        self.table = nn.Embedding(N, width, generator=generator)

    def forward(self, items: Any) -> Any:
        flat, ends = items.ravel(), np.arange(0, items.size + 1, items.shape[1])
        bag = ops.embedding_bag(flat, self.table.weight, ends[:-1], "sum")
        return ops.tanh(self.table(items)).sum(axis=1) * bag


LAYERS: dict[str, Any] = {
    "linear": lambda d, g: nn.Sequential(nn.Linear(d, 3), nn.Tanh(), nn.Linear(3, 9)),
    "shared": lambda d, g: nn.Sequential(layer := nn.Linear(d, d), nn.Tanh(), layer),
    "layer norm": lambda d, g: nn.Sequential(nn.Linear(d, 2 * d), nn.LayerNorm(2 * d), nn.PReLU()),
    "gru": lambda d, g: First(nn.GRU(d, 3, batch_first=True)),
    "lstm": lambda d, g: First(nn.LSTM(d, 3, batch_first=True)),
    "lru": lambda d, g: First(nn.LRU(d, 3)),
    "attention": lambda d, g: nn.TransformerEncoderLayer(d, 1, 3, dropout=0.0, batch_first=True),
    "tied": lambda d, g: Tied(d, g),
    "read twice": lambda d, g: Both(d, g),
    "embedding": lambda d, g: nn.Sequential(nn.Embedding(N, d, generator=g), nn.Linear(d, 2)),
}


@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=20)
@given(seed=st.integers(0, 99), count=st.integers(1, 4), steps=st.integers(1, 4), width=st.integers(1, 4),
       max_norm=st.floats(0.05, 20))
def test_norms_and_sums_are_those_of_a_loop(name: str, seed: int, count: int, steps: int, width: int,
                                            max_norm: float) -> None:
    rng = np.random.default_rng(seed)
    net = LAYERS[name](width, rng).double()
    for p in net.parameters():
        p.data[...] = rng.normal(size=p.shape)
    x = (rng.integers(0, N, (count, steps + 1)) if name in ("tied", "read twice", "embedding") else
         rng.normal(size=(count, steps, width)))
    agrees(lambda: squared(net(x)), net.parameters(), max_norm)


def test_rows_that_an_example_reads_twice_are_summed_before_the_norm() -> None:
    table = minidl.tensor(np.zeros((N, 1)), requires_grad=True)
    losses = ops.embedding(np.array([[2, 2], [2, 3]]), table).sum(axis=(1, 2))
    np.testing.assert_allclose(minidl.per_example_norms(losses, [table]), [2, np.sqrt(2)])


def test_one_clip_over_all_parameters_together() -> None:
    a, b = (minidl.tensor(np.zeros(1), requires_grad=True) for _ in range(2))
    clipped_backward((3 * a + 4 * b) * np.ones(1), [a, b], 1.0)
    np.testing.assert_allclose([a.grad[0], b.grad[0]], [0.6, 0.8], rtol=2e-5)


def test_without_a_clip_it_is_an_ordinary_backward_pass_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    net, x = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), rng.normal(size=(7, 4)).astype(np.float32)
    squared(net(x)).mean().backward()
    wanted = [p.grad.copy() for p in net.parameters()]
    net.zero_grad()
    losses = squared(net(x))
    norms = clipped_backward(losses, net.parameters(), np.inf, scale=1 / len(losses))
    assert not norms.any()
    for p, g in zip(net.parameters(), wanted, strict=True):
        np.testing.assert_array_equal(p.grad, g)


def test_wide_layers_are_measured_without_their_gradients() -> None:
    rng = np.random.default_rng(0)
    for steps in (1, 2):
        layer, x = nn.Linear(40, 300).double(), rng.normal(size=(5, steps, 40))
        agrees(lambda layer=layer, x=x: squared(layer(x)), layer.parameters(), 0.5)


def test_batch_norm_is_refused_in_training_and_not_in_evaluation() -> None:
    net, x = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), np.ones((4, 3), np.float32)
    with pytest.raises(GradientError, match="batch_norm mixes the examples of a batch"):
        clipped_backward(squared(net(x)), net.parameters(), 1.0)
    net.eval()
    clipped_backward(squared(net(x)), net.parameters(), 1.0)


def test_a_gradient_that_is_not_finite_and_a_norm_of_nothing_are_refused() -> None:
    w = minidl.tensor(np.zeros(2), requires_grad=True)
    with np.errstate(all="ignore"), pytest.raises(GradientError, match="the gradient of an example is not finite"):
        clipped_backward((np.array([[1.0, 0.0], [1e200, 0.0]]) * (w + 1)).sum(axis=1), [w], 1.0)
    with pytest.raises(ValueError, match="max_norm=0 has to be above 0"):
        clipped_backward(np.ones((2, 2)) @ w, [w], 0)


def test_noise_reaches_every_element() -> None:
    table, other = (minidl.tensor(np.zeros((1000, 8), np.float32), requires_grad=True) for _ in range(2))
    ops.embedding(np.array([3, 3]), table).sum().backward()
    add_noise([table, other], 0.5, np.random.default_rng(0))
    assert table.grad.dtype == np.float32
    assert table.grad[3].mean() == pytest.approx(2, abs=0.6)
    for g in (np.delete(table.grad, 3, 0), other.grad):
        assert g.std() == pytest.approx(0.5, rel=0.05)
        assert abs(g.mean()) < 0.02
    before = other.grad
    add_noise([other], 0.0, np.random.default_rng(0))
    assert other.grad is before
    with pytest.raises(ValueError, match="deviation=-1"):
        add_noise([other], -1, np.random.default_rng(0))

"""`per_example_grads` against a loop over the examples."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import minidl
from minidl import GradientError, RowGrad, nn, ops
from minidl.engine import pull_back
from minidl.ops import per_example
from minidl.testing.oracles import raw

RNG = np.random.default_rng(0)
B = 6


def one_by_one(losses: Any, parameters: Any) -> list[np.ndarray]:
    """A backward pass for each loss."""
    found = [pull_back([(losses, np.eye(len(losses), dtype=losses.dtype)[b])], [p.node for p in parameters])
             for b in range(len(losses))]
    return [np.stack([np.zeros(p.shape) if (g := f.get(p.node)) is None else
                      g.to_dense() if isinstance(g, RowGrad) else raw(g) for f in found]) for p in parameters]


def agrees(losses: Any, parameters: Any, rtol: float = 1e-9) -> list[Any]:
    parameters = list(parameters)
    found = minidl.per_example_grads(losses, parameters)
    for got, wanted, p in zip(found, one_by_one(losses, parameters), parameters, strict=True):
        assert got.dtype == p.dtype
        dense = got.to_dense().reshape(wanted.shape) if isinstance(got, RowGrad) else got
        np.testing.assert_allclose(dense, wanted, rtol=rtol, atol=rtol * max(1e-3, np.abs(wanted).max(initial=0)))
    return found


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def items(n: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, n, shape)


def squared(out: Any) -> Any:
    """One loss an example, (B, ...) -> (B,), that depends on every element."""
    return (ops.square(out) * np.arange(1.0, 1 + out.size).reshape(out.shape)).reshape((len(out), -1)).sum(axis=1)


NETS: dict[str, tuple[Any, Any]] = {  # module or (function, parameters), input
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3, bias=False), nn.Tanh(), nn.Linear(3, 2)),
            normal(B, 4)),
    "a layer used twice": (lambda: nn.Sequential(layer := nn.Linear(4, 4), nn.Tanh(), layer), normal(B, 4)),
    "linear on sequences": (lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)), normal(B, 3, 4)),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.PReLU()), normal(B, 3, 4)),
    "rms and group norm": (lambda: nn.Sequential(nn.GroupNorm(2, 4), nn.RMSNorm(3)), normal(B, 4, 3)),
    "batch norm in training": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)),
                               normal(B, 4)),
    "batch norm in evaluation": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval(), normal(B, 4)),
    "embedding": (lambda: nn.Sequential(nn.Embedding(7, 4, padding_idx=2), nn.Linear(4, 2)), items(7, B, 5)),
    "bag": (lambda: nn.Sequential(nn.EmbeddingBag(7, 4), nn.Linear(4, 2)), items(7, B, 5)),
    "bag of maxima": (lambda: nn.EmbeddingBag(7, 4, mode="max"), items(7, B, 3)),
    "attention": (lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True), normal(B, 3, 4)),
    "conv": (lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3, 2)),
             normal(B, 2, 4, 4)),
    "conv, transposed and grouped": (lambda: nn.Sequential(
        nn.ConvTranspose2d(2, 4, 2, bias=False), nn.ReLU(), nn.Conv2d(4, 4, 2, groups=2), nn.BatchNorm2d(4)).eval(),
        normal(B, 2, 3, 3)),
    "gru": (lambda: Called(nn.GRU(3, 4, batch_first=True)), normal(B, 5, 3)),
    "lru": (lambda: Called(nn.LRU(3, 4)), normal(B, 5, 3)),
    "gru, time first": (lambda: Turned(nn.GRU(3, 4)), normal(B, 5, 3)),
    "lstm": (lambda: Called(nn.LSTM(3, 2, num_layers=2, batch_first=True)), normal(B, 4, 3)),
    "time first": (lambda: Turned(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))), normal(B, 5, 3)),
    "as many steps as examples": (lambda: Turned(nn.Sequential(nn.Linear(3, 4), nn.Tanh())), normal(B, B, 3)),
    "bilinear": (lambda: nn.Sequential(Pair(nn.Bilinear(4, 4, 3))), normal(B, 4)),
}


class Called(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x)[0]


class Pair(Called):
    def forward(self, x: Any) -> Any:
        return self.inner(x, x)


class Turned(Called):
    def forward(self, x: Any) -> Any:
        out = self.inner(minidl.tensor(x).swapaxes(0, 1))
        return (out[0] if isinstance(out, tuple) else out).swapaxes(0, 1)


@pytest.mark.parametrize("name", NETS)
def test_networks(name: str) -> None:
    make, x = NETS[name]
    net = make().double()
    agrees(squared(net(x)), net.parameters())


@pytest.mark.parametrize("name", ["mlp", "layer norm", "attention", "embedding"])
def test_single_precision(name: str) -> None:
    make, x = NETS[name]
    net = make()
    agrees(squared(net(x.astype(np.float32) if x.dtype == float else x)), net.parameters(), 2e-5)


W, V = (minidl.tensor(normal(*shape), requires_grad=True) for shape in ((4, 4), (4,)))
ROW, TABLE, S = (minidl.tensor(normal(*shape), requires_grad=True) for shape in ((B, 4), (7, 4), ()))
X, ITEMS = normal(B, 4), items(7, B, 3)
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "right operand": (lambda: ops.tanh(X @ W), [W]),
    "right operand of a stack": (lambda: ops.tanh(normal(B, 3, 4) @ W), [W]),
    "left operand": (lambda: ops.tanh(W @ X.T).T, [W]),
    "transposed": (lambda: ops.tanh(X @ W.T) @ W, [W]),
    "tied table": (lambda: (ops.tanh(ops.embedding(ITEMS, TABLE).sum(axis=1)) @ TABLE.T), [TABLE]),
    "a vector of weights": (lambda: ops.tanh(X @ V)[:, None], [V]),
    "scaled and moved": (lambda: (X * V + V) / ops.exp(V) - ops.maximum(V, X), [V]),
    "one number": (lambda: ops.power(ops.abs(X), ops.exp(S)) * S, [S]),
    "a row an example": (lambda: ROW * X + ops.tanh(ROW), [ROW]),
    "a row an example, mixed": (lambda: ops.flip(ROW, 0) * X, [ROW]),
    "rows by index": (lambda: TABLE[ITEMS] * ops.take(TABLE, ITEMS, axis=0) + ops.gather(TABLE, ITEMS), [TABLE]),
    "negative index": (lambda: TABLE[ITEMS - 7], [TABLE]),
    "a column": (lambda: X * TABLE[:, 0][ITEMS[:, :1]], [TABLE]),
    "bags with factors": (lambda: ops.embedding_bag(ITEMS.ravel(), TABLE, np.array([0, 2, 2, 9, 10, 18, 18])[:B],
                                                    "sum", normal(ITEMS.size)), [TABLE]),
    "two bags an example": (lambda: ops.embedding_bag(items(7, 2 * B, 3), TABLE).reshape((B, 2, 4)), [TABLE]),
    "two bags in turns": (lambda: ops.embedding_bag(items(7, 2 * B, 3), TABLE).reshape((2, B, 4)).swapaxes(0, 1),
                          [TABLE]),
    "in-batch negatives": (lambda: ops.tanh(X @ W) @ (X @ W).T, [W]),
    "a mean that all share": (lambda: (X * V) - (X * V).mean(axis=0), [V]),
    "not reached": (lambda: X @ W, [W, V]),
    "constant for one": (lambda: ops.where(np.arange(B)[:, None] > 0, X @ W, 0.0), [W]),
    "sampled": (lambda: ops.sampled_matmul(X @ W, TABLE, ITEMS.ravel(), np.arange(0, 3 * B + 1, 3)).reshape((B, 3)),
                [W, TABLE]),
    "checkpoint": (lambda: minidl.checkpoint(lambda x: ops.tanh(x @ W), X), [W]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    make, parameters = FUNCTIONS[name]
    agrees(squared(make()), parameters)


def test_with_respect_to_what_is_not_a_leaf() -> None:
    hidden = ops.tanh(X @ W)
    agrees(squared(hidden @ W), [hidden, W])


def test_half_precision_is_gone_through_one_by_one() -> None:
    half = minidl.tensor(V.data.astype(np.float16), requires_grad=True)
    agrees(squared(ops.tanh(X.astype(np.float16) * half)), [half], 1e-2)


def test_one_example_and_none() -> None:
    for n in (1, 0):
        losses = squared(ops.tanh(X[:n] @ W)) if n else (X[:0] @ W).sum(axis=1)
        assert minidl.per_example_grads(losses, [W])[0].shape == (n, 4, 4)
    agrees(squared(ops.tanh(X[:1] @ W)), [W])


def test_the_sum_over_examples_is_the_gradient_and_grad_is_left_alone() -> None:
    net = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2)).double()
    losses = squared(net(ITEMS))
    table, weight, bias = minidl.per_example_grads(losses, net.parameters())
    assert net[0].weight.grad is None
    losses.sum().backward()
    np.testing.assert_allclose(weight.sum(axis=0), net[2].weight.grad)
    np.testing.assert_allclose(bias.sum(axis=0), net[2].bias.grad)
    assert isinstance(table, RowGrad)
    assert table.shape == (B * 7, 4)
    assert len(table.indices) == ITEMS.size
    np.testing.assert_allclose(table.to_dense().reshape(B, 7, 4).sum(axis=0), net[0].weight.grad.to_dense())


@pytest.mark.parametrize("name", ["mlp", "linear on sequences", "layer norm", "rms and group norm", "embedding", "bag",
                                  "attention", "time first"])
def test_usual_layers_are_not_gone_through_one_by_one(name: str) -> None:
    make, x = NETS[name]
    net = make().double()
    losses, calls = squared(net(x)), []
    original = per_example._Call.__call__

    def counting(self: Any, g: Any, needs: Any) -> Any:
        calls.append(self.node)
        return original(self, g, needs)

    with patch.object(per_example._Call, "__call__", counting):
        minidl.per_example_grads(losses, net.parameters())
    assert max(calls.count(node) for node in calls) <= 2 or name == "attention"
    assert len(calls) <= 2 * len(set(calls)) + (4 * B if name == "attention" else 0)  # parts of in_proj: one by one


def test_a_parameter_that_was_changed_is_an_error() -> None:
    layer = nn.Linear(4, 4)
    losses = squared(layer(layer(X.astype(np.float32))))
    nn.init.zeros_(layer.weight)
    with pytest.raises(GradientError, match="has been changed since the forward pass"):
        minidl.per_example_grads(losses, layer.parameters())


@pytest.mark.parametrize(("call", "says"), [
    (lambda: minidl.per_example_grads((X @ W).sum(), [W]), r"losses have shape \(\)"),
    (lambda: minidl.per_example_grads(X @ W, [W]), r"losses have shape \(6, 4\)"),
    (lambda: minidl.per_example_grads(X[0], [W]), "have to be a Tensor"),
    (lambda: minidl.per_example_grads(minidl.tensor(X[0]), [W]), "do not depend on anything"),
    (lambda: minidl.per_example_grads((X @ W).sum(axis=1), [minidl.tensor(X)]), "requires_grad=False; leave it out"),
])
def test_what_has_no_such_gradients(call: Any, says: str) -> None:
    with pytest.raises(GradientError, match=f"per_example_grads: .*{says}"):
        call()

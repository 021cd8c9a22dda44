"""TransformerEncoderLayer against a NumPy version written out head by head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minidl import nn
from minidl.testing.checking import gradcheck

RNG = np.random.default_rng(0)
N, L, E, H, F = 2, 4, 6, 3, 5


def _normal(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + 1e-5) * weight + bias


def _attended(p: dict[str, np.ndarray], x: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """One sequence (L, E); `hidden` (L, L) says which keys a query does not see."""
    q, k, v = np.split(x @ p["self_attn.in_proj_weight"].T + p["self_attn.in_proj_bias"], 3, axis=1)
    heads = []
    for h in range(H):
        cut = slice(h * E // H, (h + 1) * E // H)
        scores = np.where(hidden, -np.inf, q[:, cut] @ k[:, cut].T / np.sqrt(E / H))
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ v[:, cut])
    return np.concatenate(heads, axis=1) @ p["self_attn.out_proj.weight"].T + p["self_attn.out_proj.bias"]


def _layer(p: dict[str, np.ndarray], x: np.ndarray, hidden: np.ndarray, norm_first: bool) -> np.ndarray:
    def norm(i: int, x: np.ndarray) -> np.ndarray:
        return _normal(x, p[f"norm{i}.weight"], p[f"norm{i}.bias"])

    def fed(x: np.ndarray) -> np.ndarray:
        return (np.maximum(x @ p["linear1.weight"].T + p["linear1.bias"], 0) @ p["linear2.weight"].T
                + p["linear2.bias"])

    if norm_first:
        x = x + _attended(p, norm(1, x), hidden)
        return x + fed(norm(2, x))
    x = norm(1, x + _attended(p, x, hidden))
    return norm(2, x + fed(x))


def layer(**options: Any) -> nn.TransformerEncoderLayer:
    made = nn.TransformerEncoderLayer(E, H, F, dtype=np.float64, generator=np.random.default_rng(1), **options)
    for p in made.parameters():
        p.data[...] = RNG.normal(size=p.shape) / 2
    return made.eval()


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_it_is_the_formula(norm_first: bool, batch_first: bool) -> None:
    net, x = layer(norm_first=norm_first, batch_first=batch_first), RNG.normal(size=(N, L, E))
    later, padded = np.triu(np.ones((L, L), bool), 1), np.arange(L) >= np.array([[4], [3]])
    given = x if batch_first else x.swapaxes(0, 1)
    nothing = np.zeros((N, L, L), bool)
    for kwargs, hidden in (({}, nothing), ({"is_causal": True}, nothing | later),
                           ({"src_mask": later}, nothing | later),
                           ({"src_key_padding_mask": padded}, nothing | padded[:, None]),
                           ({"src_key_padding_mask": padded, "is_causal": True}, later | padded[:, None])):
        wanted = np.stack([_layer(net.state_dict(), a, h, norm_first) for a, h in zip(x, hidden, strict=True)])
        got = net(given, **kwargs).data
        np.testing.assert_allclose(got if batch_first else got.swapaxes(0, 1), wanted, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(net(x[0]).data, _layer(net.state_dict(), x[0], nothing[0], norm_first), rtol=1e-11)


def test_the_names_are_those_of_torch() -> None:
    assert list(layer().state_dict()) == [
        "self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight", "self_attn.out_proj.bias",
        "linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias", "norm1.weight", "norm1.bias",
        "norm2.weight", "norm2.bias"]
    assert not any(name.endswith("bias") for name in layer(bias=False).state_dict())


def test_its_gradient() -> None:
    net, x = layer(activation="gelu", norm_first=True), RNG.normal(size=(L, 1, E))
    gradcheck(lambda x: net(x, is_causal=True), [x])


def test_dropout_is_in_all_three_places_and_follows_the_generator() -> None:
    x = np.ones((N, L, E), np.float32)
    first, second = (nn.TransformerEncoderLayer(E, H, F, 0.5, generator=np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first(x).data, second(x).data)
    assert not np.array_equal(first(x).data, first(x).data)
    assert np.array_equal(first.eval()(x).data, first(x).data)
    with pytest.raises(ValueError, match="activation='tanh'"):
        nn.TransformerEncoderLayer(E, H, activation="tanh")
    assert nn.TransformerEncoderLayer(E, H, activation=np.tanh)(x).shape == x.shape

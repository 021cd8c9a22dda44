"""Layers, activations and losses as modules: they are the functions of `minidl.ops` with parameters."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import RowGrad, nn, ops


def test_linear_is_a_product_and_a_sum() -> None:
    rng = np.random.default_rng(0)
    layer, x = nn.Linear(4, 3, dtype=np.float64), rng.normal(size=(2, 5, 4))
    np.testing.assert_allclose(layer(x).data, np.einsum("...i,oi->...o", x, layer.weight.data) + layer.bias.data)
    bare = nn.Linear(4, 3, bias=False)
    assert bare.bias is None
    assert bare.weight.shape == (3, 4)
    assert bare.weight.dtype == np.float32
    assert nn.Linear(0, 2)(np.zeros((3, 0), np.float32)).shape == (3, 2)


@pytest.mark.parametrize("make", [lambda g: nn.Linear(100, 50, generator=g),
                                  lambda g: nn.Embedding(100, 50, generator=g),
                                  lambda g: nn.EmbeddingBag(100, 50, generator=g)])
def test_initial_values_are_those_of_torch_and_follow_the_seed(make: Any) -> None:
    first, second, third = make(np.random.default_rng(1)), make(np.random.default_rng(1)), make(None)
    assert np.array_equal(first.weight.data, second.weight.data)
    assert not np.array_equal(first.weight.data, third.weight.data)
    if isinstance(first, nn.Linear):
        for p in first.parameters():  # uniform in +-1/sqrt(100)
            assert np.abs(p.data).max() <= 0.1
            assert np.abs(p.data).max() > 0.09
            assert abs(p.data.std() - 0.1 / 3**0.5) < 0.01
    else:
        assert abs(first.weight.data.std() - 1) < 0.05


def test_the_default_generator_follows_manual_seed() -> None:
    runs = []
    for _ in range(2):
        nn.manual_seed(5)
        runs.append([nn.Linear(3, 3).weight.data, nn.Dropout()(np.ones(20))])
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


def test_embeddings_have_row_gradients_and_padding_that_stays_zero() -> None:
    layer = nn.Embedding(5, 2, padding_idx=-1)
    assert layer.padding_idx == 4
    assert not layer.weight.data[4].any()
    out = layer(np.array([[0, 4], [0, 1]]))
    assert out.shape == (2, 2, 2)
    out.sum().backward()
    assert isinstance(layer.weight.grad, RowGrad)
    assert layer.weight.grad.to_dense().tolist() == [[2, 2], [1, 1], [0, 0], [0, 0], [0, 0]]
    assert repr(layer) == "Embedding(5, 2, padding_idx=4)"
    with pytest.raises(IndexError, match="padding_idx=5"):
        nn.Embedding(5, 2, padding_idx=5)
    with pytest.raises(IndexError, match="index 7"):
        layer(np.array([7]))


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bags_are_reduced_embeddings(mode: str) -> None:
    bag = nn.EmbeddingBag(6, 3, mode=mode, dtype=np.float64)
    indices = np.array([[0, 1, 1], [5, 2, 0]])
    expected = getattr(bag.weight.data[indices], mode)(axis=1)
    np.testing.assert_allclose(bag(indices).data, expected)
    np.testing.assert_allclose(bag(indices.ravel(), offsets=np.array([0, 3])).data, expected)
    flat = nn.EmbeddingBag(6, 3, mode=mode, include_last_offset=True, dtype=np.float64)
    flat.load_state_dict(bag.state_dict())
    np.testing.assert_allclose(flat(indices.ravel(), offsets=np.array([0, 3, 6])).data, expected)
    assert repr(bag) == f"EmbeddingBag(6, 3, mode='{mode}')"
    if mode == "sum":
        factors = np.arange(6.0).reshape(2, 3)
        np.testing.assert_allclose(bag(indices, per_sample_weights=factors).data,
                                   (bag.weight.data[indices] * factors[..., None]).sum(axis=1))


def test_bags_leave_their_padding_out() -> None:
    bag = nn.EmbeddingBag(6, 3, mode="max", padding_idx=-6)
    assert bag.padding_idx == 0
    assert not bag.weight.data[0].any()
    np.testing.assert_array_equal(bag(np.array([[0, 2, 0]])).data, bag.weight.data[[2]])
    assert repr(bag) == "EmbeddingBag(6, 3, padding_idx=0, mode='max')"


# ------------------------------------------------------------------------------------------- dropout

@given(st.floats(0, 1), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32))
def test_dropout_zeroes_or_scales(p: float, dtype: Any, seed: int) -> None:
    x = minidl.tensor(np.full((20, 5), 2, dtype), requires_grad=True)
    layer = nn.Dropout(p, generator=np.random.default_rng(seed))
    out = layer(x)
    assert out.dtype == dtype
    scale = 1 / (1 - p) if p < 1 else 0
    kept = out.data != 0
    np.testing.assert_allclose(out.data[kept], np.full(kept.sum(), 2 * scale, dtype), rtol=1e-6)
    out.sum().backward()
    np.testing.assert_allclose(x.grad, out.data / 2)
    again = nn.Dropout(p, generator=np.random.default_rng(seed))(x.data)
    assert np.array_equal(again, out.data)
    assert layer.eval()(x) is x


def test_dropout_keeps_the_mean() -> None:
    out = nn.Dropout(0.3, generator=np.random.default_rng(0))(np.ones(100_000, np.float32))
    assert abs(out.mean() - 1) < 0.01
    assert abs((out == 0).mean() - 0.3) < 0.01


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_dropout_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="is not a probability"):
        nn.Dropout(p)
    with pytest.raises(ValueError, match="is not a probability"):
        nn.functional.dropout(np.ones(2), p)


# ---------------------------------------------------------------------------------------- containers

def test_sequential_runs_in_order_and_names_like_torch() -> None:
    x = np.ones((2, 4), np.float32)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert np.array_equal(model(x).data, model[2](model[1](model[0](x))).data)
    assert len(model) == 3
    assert [type(m) for m in model] == [nn.Linear, nn.ReLU, nn.Linear]
    named = nn.Sequential({"in": nn.Linear(4, 3), "act": nn.Identity(5, x=1)})
    assert list(named.state_dict()) == ["in.weight", "in.bias"]
    assert np.array_equal(named(x).data, named[0](x).data)


def test_a_module_list_is_a_list_whose_parameters_are_found() -> None:
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
    layers.append(nn.Linear(2, 2, bias=False))
    layers[-1] = nn.Linear(2, 5)
    assert len(layers) == 3
    assert layers[2].out_features == 5
    assert list(layers.state_dict()) == [f"{i}.{n}" for i in range(3) for n in ("weight", "bias")]
    assert len(list(layers)) == 3


# ----------------------------------------------------------------------------- activations and losses

ACTIVATIONS = {nn.ReLU: {}, nn.LeakyReLU: {"negative_slope": 0.2}, nn.ELU: {"alpha": 0.5}, nn.SELU: {},
               nn.GELU: {"approximate": "tanh"}, nn.SiLU: {}, nn.Sigmoid: {}, nn.Tanh: {},
               nn.Softplus: {"beta": 2.0, "threshold": 1.0}, nn.Softmax: {"axis": 0}, nn.LogSoftmax: {"axis": 0}}


@pytest.mark.parametrize("make", ACTIVATIONS)
def test_activations_are_the_ops_with_their_options(make: Any) -> None:
    x, options = np.random.default_rng(0).normal(size=(3, 4)), ACTIVATIONS[make]
    name = {"LeakyReLU": "leaky_relu", "LogSoftmax": "log_softmax"}.get(make.__name__, make.__name__.lower())
    op = getattr(ops, name)
    assert np.array_equal(make(**options)(x), op(x, **options))
    assert np.array_equal(make()(x), op(x))
    assert all(f"{k}={v!r}" in repr(make(**options)) for k, v in options.items())


_RNG = np.random.default_rng(2)
_X, _T, _P = _RNG.normal(size=(4, 3)), _RNG.normal(size=(4, 3)), _RNG.uniform(0.1, 0.9, size=(4, 3))
_W, _C = _RNG.uniform(0.5, 2, size=(4, 3)), np.array([0, 2, 1, 1])
LOSSES = [
    (nn.MSELoss, "mse_loss", (_X, _T), {}),
    (nn.L1Loss, "l1_loss", (_X, _T), {}),
    (nn.HuberLoss, "huber_loss", (_X, _T), {"delta": 0.3}),
    (nn.SmoothL1Loss, "smooth_l1_loss", (_X, _T), {"beta": 0.3}),
    (nn.BCELoss, "binary_cross_entropy", (_P, _P), {"weight": _W}),
    (nn.BCEWithLogitsLoss, "binary_cross_entropy_with_logits", (_X, _P), {"weight": _W, "pos_weight": _W[0]}),
    (nn.CrossEntropyLoss, "cross_entropy", (_X, _C), {"weight": _W[0], "ignore_index": 1, "label_smoothing": 0.1}),
    (nn.NLLLoss, "nll_loss", (_X, _C), {"weight": _W[0], "ignore_index": 1}),
    (nn.KLDivLoss, "kl_div", (_X, _T), {"log_target": True}),
    (nn.BPRLoss, "bpr_loss", (_X, _T), {}),
    (nn.HingeLoss, "hinge_loss", (_X, _T), {"margin": 0.3}),
]


@pytest.mark.parametrize(("make", "name", "args", "options"), LOSSES, ids=[name for _, name, _, _ in LOSSES])
def test_losses_are_the_ops_with_their_options(make: Any, name: str, args: Any, options: Any) -> None:
    op, plain = getattr(ops, name), [a if a is not args[1] or name != "kl_div" else np.exp(a) for a in args]
    assert make()(*plain) == op(*plain)
    assert set(inspect.signature(make).parameters) == {"reduction", *options}
    for reduction in ("sum", "none"):
        assert np.array_equal(make(**options, reduction=reduction)(*args), op(*args, **options, reduction=reduction))


def test_all_functions_of_functional_are_ops() -> None:
    for name in set(nn.functional.__all__) - {"dropout"}:
        assert getattr(nn.functional, name) is getattr(ops, name)

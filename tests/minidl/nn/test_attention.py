"""Multi-head attention: head by head it is the plain one; masks, layouts, refusals."""

import numpy as np
import pytest

from minidl import nn, ops
from minidl.errors import ShapeError

RNG = np.random.default_rng(0)
N, L, S, E, H = 2, 4, 5, 6, 3


def made(**options):
    module = nn.MultiheadAttention(E, H, dtype=np.float64, **options)
    for p in module.parameters():
        p.data[...] = RNG.normal(size=p.shape)
    return module


def inputs(kdim=E, vdim=E):
    return RNG.normal(size=(N, L, E)), RNG.normal(size=(N, S, kdim)), RNG.normal(size=(N, S, vdim))


def naive(module, q, k, v, banned):
    """Sequence by sequence and head by head; `banned` (N, H, L, S)."""
    if module.in_proj_weight is None:
        weights = [p.data for p in (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)]
    else:
        weights = np.split(module.in_proj_weight.data, 3)
    biases = [np.zeros(E)] * 3 if module.in_proj_bias is None else np.split(module.in_proj_bias.data, 3)
    q, k, v = (a @ w.T + b for a, w, b in zip((q, k, v), weights, biases, strict=True))
    mixed, probabilities = np.zeros((N, L, E)), np.zeros((N, H, L, S))
    for n in range(N):
        for h in range(H):
            part = slice(h * E // H, (h + 1) * E // H)
            e = np.exp(q[n, :, part] @ k[n, :, part].T / np.sqrt(E // H)) * ~banned[n, h]
            probabilities[n, h] = e / np.maximum(e.sum(axis=1, keepdims=True), 1e-300)
            mixed[n, :, part] = probabilities[n, h] @ v[n, :, part]
    bias = 0 if module.out_proj.bias is None else module.out_proj.bias.data
    return mixed @ module.out_proj.weight.data.T + bias, probabilities


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"kdim": 3, "vdim": 2}, {"kdim": 3, "bias": False}])
@pytest.mark.parametrize("masked", ["", "keys", "pairs", "heads", "causal", "both"])
def test_heads_attend_by_themselves(options, masked):
    module = made(batch_first=True, **options)
    q, k, v = inputs(module.kdim, module.vdim)
    banned, masks = np.zeros((N, H, L, S), bool), {}
    if masked in ("keys", "both"):
        masks["key_padding_mask"] = RNG.random((N, S)) < 0.4
        banned |= masks["key_padding_mask"][:, None, None]
    if masked in ("pairs", "both"):
        masks["attn_mask"] = RNG.random((L, S)) < 0.4
        banned |= masks["attn_mask"]
    if masked == "heads":
        masks["attn_mask"] = RNG.random((N * H, L, S)) < 0.4
        banned |= masks["attn_mask"].reshape(N, H, L, S)
    if masked == "causal":
        masks["is_causal"] = True
        banned |= ~np.tri(L, S, dtype=bool)
    wanted, probabilities = naive(module, q, k, v, banned)
    out, weights = module(q, k, v, average_attn_weights=False, **masks)
    np.testing.assert_allclose(out.data, wanted, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(weights.data, probabilities, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(module(q, k, v, **masks)[1].data, probabilities.mean(axis=1), atol=1e-12)
    fast, none = module(q, k, v, need_weights=False, **masks)
    assert none is None
    np.testing.assert_allclose(fast.data, wanted, rtol=1e-10, atol=1e-12)


def test_floating_masks_are_added():
    module = made(batch_first=True)
    q, k, v = inputs()
    mask = RNG.random((L, S)) < 0.4
    added = np.where(mask, -np.inf, 0)
    for need in (True, False):
        np.testing.assert_allclose(module(q, k, v, attn_mask=added, need_weights=need)[0].data,
                                   module(q, k, v, attn_mask=mask, need_weights=need)[0].data)


def test_layouts_of_the_batch():
    first, last = made(batch_first=True), made()
    last.load_state_dict(first.state_dict())
    q, k, v = inputs()
    out, weights = first(q, k, v)
    other, same = last(*(a.swapaxes(0, 1) for a in (q, k, v)))
    np.testing.assert_allclose(other.data.swapaxes(0, 1), out.data)
    np.testing.assert_allclose(same.data, weights.data)
    alone, one = first(q[1], k[1], v[1], key_padding_mask=np.zeros(S, bool))
    np.testing.assert_allclose(alone.data, out.data[1])
    np.testing.assert_allclose(one.data, weights.data[1])


def test_one_product_for_self_attention_gives_the_same_gradients():
    module = made(batch_first=True)
    x, copy = RNG.normal(size=(N, L, E)), []
    for key in (x, x.copy()):
        module.zero_grad()
        (module(x, key, key, need_weights=False)[0] ** 2).sum().backward()
        copy.append([p.grad for p in module.parameters()])
    for a, b in zip(*copy, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_dropout_is_for_training_and_follows_its_generator():
    module = made(batch_first=True, dropout=0.5)
    q, k, v = inputs()
    for need in (True, False):
        runs = []
        for _ in range(2):
            module.generator = np.random.default_rng(4)
            runs.append(module(q, k, v, need_weights=need)[0].data)
        assert np.array_equal(*runs)
        module.eval()
        assert not np.allclose(module(q, k, v, need_weights=need)[0].data, runs[0])
        module.train()
    np.testing.assert_allclose(module.eval()(q, k, v)[0].data, module(q, k, v, need_weights=False)[0].data)


def test_state_and_initial_values_are_those_of_torch():
    module = nn.MultiheadAttention(64, 2, generator=np.random.default_rng(0))
    assert {k: v.shape for k, v in module.state_dict().items()} == {
        "in_proj_weight": (192, 64), "in_proj_bias": (192,), "out_proj.weight": (64, 64), "out_proj.bias": (64,)}
    bound = np.sqrt(6 / (64 + 192))
    assert 0.95 * bound < np.abs(module.in_proj_weight.data).max() <= bound
    assert not module.in_proj_bias.data.any()
    assert not module.out_proj.bias.data.any()
    assert 0.95 / 8 < np.abs(module.out_proj.weight.data).max() <= 1 / 8
    again = nn.MultiheadAttention(64, 2, generator=np.random.default_rng(0))
    assert all(np.array_equal(a, b) for a, b in zip(module.state_dict().values(), again.state_dict().values(),
                                                    strict=True))
    names = list(nn.MultiheadAttention(4, 2, kdim=3).state_dict())
    assert names[:4] == ["q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias"]


@pytest.mark.parametrize(("options", "says"), [
    ({"num_heads": 4}, "multiple of num_heads=4"), ({"num_heads": 0}, "multiple of"),
    ({"num_heads": 2, "add_bias_kv": True}, "not supported"), ({"num_heads": 2, "dropout": 2.0}, "probability"),
])
def test_options_that_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        nn.MultiheadAttention(6, **options)


def test_shapes_that_do_not_fit():
    module, (q, k, v) = made(batch_first=True), inputs()
    with pytest.raises(ShapeError, match="three axes"):
        module(q, k[0], v[0])
    with pytest.raises(ShapeError, match="differ in the batch"):
        module(q, k[:1], v[:1])
    with pytest.raises(ShapeError, match=r"attn_mask has shape \(5, 4\); it has to be \(4, 5\) or \(6, 4, 5\)"):
        module(q, k, v, attn_mask=np.zeros((S, L), bool))
    with pytest.raises(TypeError, match="key_padding_mask has dtype int64"):
        module(q, k, v, key_padding_mask=np.zeros((N, S), int))


def test_a_block_with_the_norms_last_learns():
    """The other order (Vaswani et al.); the docstring shows the norms first."""
    attend, norm = nn.MultiheadAttention(8, 2, batch_first=True), nn.LayerNorm(8)
    x = RNG.normal(size=(2, 3, 8)).astype(np.float32)
    ops.square(norm(x + attend(x, x, x, need_weights=False, is_causal=True)[0]) - 1).sum().backward()
    assert all(p.grad is not None and np.isfinite(p.grad).all() for p in attend.parameters())

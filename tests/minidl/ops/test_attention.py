"""Attention: kernels, masks, refusals. Derivatives are proved by the op table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops, runtime
from minidl.errors import ShapeError
from minidl.ops.attention import _kernels

F4, F8 = np.float32, np.float64
attend = ops.scaled_dot_product_attention
needs_numba = pytest.mark.skipif(not runtime.numba_enabled(), reason="Numba is absent")


def run(kernels, q, k, v, g, bias, keep, causal):
    out, p = kernels.attention(q, k, v, bias, keep, causal, 0.3)
    made = [np.full_like(a, np.nan) for a in (q, k, v)]
    return [out, p, kernels.attention_gradient(g, q, k, v, p, keep, causal, 0.3, *made), *made]


@st.composite
def calls(draw):
    groups, t, s = draw(st.integers(1, 4)), draw(st.integers(1, 40)), draw(st.integers(1, 40))
    d, e = draw(st.integers(0, 40)), draw(st.integers(1, 40))
    dtype, rng = draw(st.sampled_from([F4, F8])), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    q, k, v, g = (rng.normal(size=size) for size in ((groups, t, d), (groups, s, d), (groups, s, e), (groups, t, e)))
    bias = rng.normal(size=(draw(st.sampled_from([0, 1, groups])), t, s))
    bias[rng.random(bias.shape) < 0.3] = -np.inf
    keep = (rng.random((draw(st.sampled_from([0, groups])), t, s)) < 0.6) / 0.6
    return *(a.astype(dtype) for a in (q, k, v, g, bias, keep)), draw(st.booleans())


@needs_numba
@given(calls())
def test_kernels_equal_their_reference(call):
    dtype = call[0].dtype
    tolerance = 1e-4 if dtype == F4 else 1e-11
    for a, b in zip(run(_kernels.module(True), *call), run(_kernels.module(False), *call), strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@needs_numba
def test_bits_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    q, k, v, g = rng.normal(size=(4, 8, 37, 33)).astype(F4)
    none = np.empty((0, 37, 37), F4)
    before, seen = runtime.threads(), []
    try:
        for threads in (1, min(2, before)):
            runtime.set_threads(threads)
            seen.append([a.tobytes() for a in run(_kernels, q, k, v, g, none, none, True)])
    finally:
        runtime.set_threads(before)
    assert seen[0] == seen[1]


def _cases():
    rng = np.random.default_rng(1)
    return [rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(2, 3, 6, 4)), rng.normal(size=(2, 3, 6, 2))]


@pytest.mark.parametrize("shape", [(6,), (5, 6), (1, 6), (2, 1, 5, 6), (2, 1, 1, 6), (1, 3, 5, 6), (3, 5, 1),
                                   (2, 3, 5, 6)])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_masks_broadcast(shape, kind):
    q, k, v = _cases()
    rng = np.random.default_rng(2)
    mask = rng.random(shape) < 0.8 if kind == "bool" else rng.normal(size=shape)
    whole = np.broadcast_to(mask, (2, 3, 5, 6))
    np.testing.assert_array_equal(attend(q, k, v, mask), attend(q, k, v, whole.copy()))
    scores = q @ k.swapaxes(-1, -2) / 2 + (np.where(whole, 0, -np.inf) if kind == "bool" else whole)
    p = np.exp(scores) / np.maximum(np.exp(scores).sum(axis=-1, keepdims=True), 1e-300)
    np.testing.assert_allclose(attend(q, k, v, mask), p @ v, rtol=1e-11, atol=1e-13)


def test_leading_axes_broadcast():
    q, k, v = _cases()
    np.testing.assert_allclose(attend(q, k[:, :1], v[:1]), attend(q, np.repeat(k[:, :1], 3, 1), np.repeat(v[:1], 2, 0)))


@pytest.mark.parametrize("dtype", [F4, F8])
def test_a_query_without_keys_gets_zeros(dtype):
    q, k, v = (minidl.tensor(a.astype(dtype), requires_grad=True) for a in _cases())
    mask = np.ones((5, 6), bool)
    mask[2] = False
    out = attend(q, k, v, mask)
    assert not out.data[..., 2, :].any()
    assert out.dtype == dtype
    (out * out).sum().backward()
    assert not q.grad[..., 2, :].any()
    assert all(np.isfinite(a.grad).all() for a in (q, k, v))
    assert attend(np.ones((3, 2)), np.ones((0, 2)), np.ones((0, 4))).tolist() == [[0] * 4] * 3


def test_nan_is_not_hidden():
    q, k, v = _cases()
    k[0, 0, 3] = np.nan
    out = attend(q, k, v, is_causal=True)
    assert np.isnan(out[0, 0, 3:]).all()
    assert np.isfinite(out[0, 0, :3]).all()
    assert np.isfinite(out[1:]).all()


def test_large_scores_do_not_overflow():
    q = np.array([[1e4, 0.0]], F4)
    k, v = np.array([[1e4, 0.0], [0.0, 0.0]], F4), np.array([[1.0], [2.0]], F4)
    assert attend(q, k, v).tolist() == [[1.0]]


def test_dropout_follows_its_generator_and_keeps_the_mean():
    q, k, v = (np.zeros((1, 400, 2)), np.zeros((1, 300, 2)), np.ones((1, 300, 1)))
    first, second = (attend(q, k, v, dropout_p=0.25, generator=np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
    assert abs(first.mean() - 1) < 0.01
    assert first.std() > 0.01
    assert not attend(q, k, v, dropout_p=1.0, generator=np.random.default_rng(3)).any()
    with pytest.raises(ValueError, match="needs generator="):
        attend(q, k, v, dropout_p=0.1)
    with pytest.raises(ValueError, match="not a probability"):
        attend(q, k, v, dropout_p=1.5)


@pytest.mark.parametrize(("args", "error", "says"), [
    ((np.ones((2, 3)), np.ones((2, 4)), np.ones((2, 4))), ShapeError, "have to be"),
    ((np.ones((2, 3)), np.ones((2, 3)), np.ones((4, 3))), ShapeError, "have to be"),
    ((np.ones(3), np.ones((2, 3)), np.ones((2, 3))), ShapeError, "have to be"),
    ((np.ones((2, 2, 3)), np.ones((3, 2, 3)), np.ones((3, 2, 3))), ShapeError, "do not broadcast"),
    ((np.ones((2, 3)), np.ones((4, 3)), np.ones((4, 3)), np.ones((3, 4))), ShapeError, r"attn_mask of shape \(3, 4\)"),
    ((np.ones((2, 3)), np.ones((4, 3)), np.ones((4, 3)), np.ones((2, 4), int)), TypeError, "dtype int64"),
])
def test_refusals(args, error, says):
    with pytest.raises(error, match=says):
        attend(*args)


def test_bilinear_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"bilinear: input1 \(2, 3\)"):
        ops.bilinear(np.ones((2, 3)), np.ones((2, 4)), np.ones((5, 4, 3)))
    with pytest.raises(ShapeError, match="bias"):
        ops.bilinear(np.ones((2, 3)), np.ones((2, 4)), np.ones((5, 3, 4)), np.ones(4))

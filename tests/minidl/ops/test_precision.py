"""Float16 against float64: whatever is summed, and all ops; and norms of what has no square."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import RowGrad, nn, ops
from minidl.testing.oracles import raw
from minidl.testing.table import table

F2 = np.float16
EPS = 2.0**-11


def pulled(function, args, kwargs=None, wrt=None):
    """Value and gradients, for an upstream of ones."""
    wrt = range(len(args)) if wrt is None else wrt
    given = [minidl.tensor(a, requires_grad=True) if i in wrt else a for i, a in enumerate(args)]
    out = function(*given, **(kwargs or {}))
    out.backward(np.ones(out.shape, out.dtype))
    grads = [given[i].grad for i in wrt]
    return [out.data, *(g.to_dense() if isinstance(g, RowGrad) else raw(g) for g in grads)]


def turned(value, dtype):
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


# ------------------------------------------------------------------------------------------------ all ops

NOT_HALF = {"inv", "solve", "solve[vector]", "cholesky", "det"}  # LAPACK has none, and says so


@pytest.mark.parametrize("name", [n for n in table() if n not in NOT_HALF])
@settings(max_examples=settings.default.max_examples // 2)  # of hundreds of ops, whose rules are proved elsewhere
@given(data=st.data())
def test_every_op_takes_float16_and_is_near_to_float64(name, data):
    row = table()[name]
    case = data.draw(row.cases)
    if not case.wrt or not all(isinstance(case.args[i], np.ndarray) for i in case.wrt):
        return
    single = [turned(a, F2) for a in case.args], {k: turned(v, F2) for k, v in case.kwargs.items()}
    exact = [turned(a, float) for a in single[0]], {k: turned(v, float) for k, v in single[1].items()}
    found, wanted = (pulled(row.function, *call, case.wrt) for call in (single, exact))
    for got, want in zip(found, wanted, strict=True):
        assert got.dtype == F2 or not row.float32
        scale = max(float(np.abs(want).max(initial=0)), 1.0)
        assert np.abs(got - want).max(initial=0) <= 64 * EPS * scale


# --------------------------------------------------------------------------------------------- long sums

RNG = np.random.default_rng(0)
FORTY = RNG.uniform(30, 50, (4096, 3)).astype(F2)
LEAST = np.full((5000, 3), 0.5, F2)  # 2,048 and more need another last digit than these
ONES = np.ones((5000, 3), F2)
NORMAL = RNG.normal(size=(4096, 5)).astype(F2)
WIDE = (20 * NORMAL).astype(F2)
FIRST, ZEROS = np.zeros(5000, int), np.zeros((5000, 3), int)


def mean_loss(loss, target, **kwargs):
    return lambda x: loss(x, target.astype(x.dtype) if target.dtype.kind == "f" else target, **kwargs)


LONG = {
    "sum": (ops.sum, LEAST), "sum down": (lambda x: ops.sum(x, axis=0), LEAST),
    "sum in the middle": (lambda x: ops.sum(x, axis=1), LEAST[None]),
    "sum of Fortran order": (lambda x: ops.sum(x, axis=0), np.asfortranarray(LEAST)),
    "sum_to": (lambda x: ops.sum_to(x, (3,)), LEAST), "cumsum": (lambda x: ops.cumsum(x, axis=0), LEAST),
    "mean": (ops.mean, FORTY), "mean down": (lambda x: ops.mean(x, axis=0), FORTY),
    "var": (ops.var, 5 * FORTY), "std": (ops.std, 10 * FORTY), "norm": (lambda x: ops.norm(x, axis=0), FORTY),
    "norm of large": (ops.norm, np.array([3e4, 4e4], F2)), "norm of small": (ops.norm, np.array([3e-5, 4e-5], F2)),
    "norm of cubes": (lambda x: ops.norm(x, 3, axis=0), FORTY),
    "cumprod": (ops.cumprod, np.array([30, 300, 0.5, 1e-3], F2)),
    "prod": (ops.prod, np.array([300, 300, 0.5, 1e-3], F2)),
    "logsumexp": (lambda x: ops.logsumexp(x, axis=0), np.tile(NORMAL, (17, 1))),
    "softmax": (lambda x: ops.softmax(x, axis=0), np.tile(NORMAL, (17, 1))),
    "log_softmax": (lambda x: ops.log_softmax(x, axis=0), np.tile(NORMAL, (17, 1))),
    "layer_norm": (lambda x: ops.layer_norm(x, x.shape), 20 * FORTY),
    "rms_norm": (lambda x: ops.rms_norm(x, x.shape), 20 * FORTY),
    "group_norm": (lambda x: ops.group_norm(x, 1), 20 * FORTY.T[None]),
    "batch_norm": (lambda x: ops.batch_norm(x, None, None, training=True), 20 * FORTY),
    "batch_norm of lines": (lambda x: ops.batch_norm(x, None, None, training=True), 20 * FORTY.T[None]),
    "matmul": (ops.matmul, LEAST.T, ONES), "linear": (ops.linear, LEAST, np.ones((2, 3), F2), np.ones(2, F2)),
    "linear of many": (ops.linear, LEAST.T, ONES.T, np.ones(3, F2)), "row_dot": (ops.row_dot, LEAST.T, ONES.T),
    "einsum": (lambda x: ops.einsum("ij->j", x), LEAST), "outer": (ops.outer, LEAST[:, 0], np.ones(3, F2)),
    "einsum of three": (lambda *a: ops.einsum("ij,jk,kl->il", *a), LEAST.T, ONES, np.ones((3, 2), F2)),
    "conv2d": (ops.conv2d, LEAST[:, :1].reshape(1, 50, 10, 10), np.ones((2, 50, 10, 10), F2), np.ones(2, F2)),
    "conv2d of a large image": (ops.conv2d, LEAST.reshape(3, 1, 50, 100), np.ones((1, 1, 2, 2), F2), np.ones(1, F2)),
    "conv_transpose2d": (ops.conv_transpose2d, LEAST.reshape(3, 1, 50, 100), np.ones((1, 1, 2, 2), F2), np.ones(1, F2)),
    "avg_pool2d": (lambda x: ops.avg_pool2d(x, (64, 64)), FORTY[:, 0].reshape(1, 64, 64)),
    "avg_pool1d": (lambda x: ops.avg_pool1d(x, 3000, 1), np.ones((1, 1, 6001), F2)),
    "adaptive_avg_pool2d": (lambda x: ops.adaptive_avg_pool2d(x, 1), FORTY.reshape(3, 64, 64)),
    "fold": (lambda x: ops.fold(x, (60, 60), 50), np.ones((1, 2500, 121), F2)),
    "scatter_add": (lambda x: ops.scatter_add(np.zeros((2, 3), x.dtype), FIRST, x), LEAST),
    "embedding_bag": (lambda x: ops.embedding_bag(FIRST, x, np.array([0]), mode="sum"), np.full((2, 3), 0.5, F2)),
    "embedding_bag, mean": (lambda x: ops.embedding_bag(FIRST, x, np.array([0])), FORTY[:2]),
    "read at an index": (lambda x: x[FIRST], FORTY[:2]), "take": (lambda x: ops.take(x, FIRST, 0), FORTY[:2]),
    "read by row": (lambda x: ops.embedding(FIRST, x), FORTY[:2]),
    "take_along_axis": (lambda x: ops.take_along_axis(x, ZEROS, 0), FORTY[:2]),
    "sampled_matmul": (lambda x, w: ops.sampled_matmul(x, w, FIRST[:4], np.array([0, 4, 4, 4])), LEAST.T, ONES.T),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (5000, 3)), np.ones(3, F2)),
    "scaled_dot_product_attention": (ops.scaled_dot_product_attention, NORMAL[None], NORMAL[None], NORMAL[None]),
    "cosine_similarity": (lambda a, b: ops.cosine_similarity(a, b, dim=0), FORTY, FORTY[::-1].copy()),
    "pairwise_distance": (lambda a: ops.pairwise_distance(a, 0 * a), FORTY.T.copy()),
    "pairwise_distance, cubes": (lambda a: ops.pairwise_distance(a, 0 * a, p=3.0), FORTY.T.copy()),
    "mse_loss": (mean_loss(ops.mse_loss, ONES[:4096]), FORTY), "l1_loss": (mean_loss(ops.l1_loss, ONES[:4096]), FORTY),
    "mse_loss, weights": (mean_loss(ops.mse_loss, 0 * NORMAL, weight=np.full(5, 30.0)), NORMAL),
    "huber_loss": (mean_loss(ops.huber_loss, ONES[:4096]), FORTY),
    "bce": (mean_loss(ops.binary_cross_entropy_with_logits, 0 * FORTY), FORTY),
    "bpr_loss": (lambda x: ops.bpr_loss(0 * x, x), FORTY), "hinge_loss": (lambda x: ops.hinge_loss(0 * x, x), FORTY),
    "cross_entropy": (mean_loss(ops.cross_entropy, np.zeros(4096, int)), WIDE),
    "cross_entropy, weights": (mean_loss(ops.cross_entropy, np.zeros(4096, int), weight=np.full(5, 30.0)), WIDE),
    "nll_loss": (mean_loss(ops.nll_loss, np.zeros(4096, int)), -np.abs(WIDE)),
    "kl_div": (mean_loss(ops.kl_div, np.full((4096, 5), 0.5)), WIDE),
    "multinomial_loss": (mean_loss(ops.multinomial_loss, np.full((4096, 5), 0.5)), WIDE),
    "sampled_softmax_loss": (ops.sampled_softmax_loss, WIDE[:, 0], NORMAL),
    "gaussian_nll_loss": (lambda x, v: ops.gaussian_nll_loss(x, 0 * x, v), FORTY, ONES[:4096]),
    "soft_margin_loss": (mean_loss(ops.soft_margin_loss, -ONES[:4096]), FORTY),
}


@pytest.mark.parametrize("name", LONG)
def test_long_sums_of_float16_are_those_of_float64_rounded(name):
    function, *args = LONG[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pulled(function, args)
    for got, want in zip(found, pulled(function, [a.astype(float) for a in args]), strict=True):
        assert got.dtype == F2
        top = np.abs(want).max()
        assert top < 65504, "not representable"
        assert np.abs(got - want).max() <= 16 * max(EPS * top, 2.0**-25)


def test_what_float16_does_not_hold_is_infinite():
    with np.errstate(over="ignore"):
        assert ops.sum(np.full(5000, 40, F2)) == np.inf
    assert ops.sum(np.ones(5000, F2), keepdims=True).dtype == F2
    assert ops.norm(np.full(3, 100, np.int8)) == np.sqrt(30000)


# ------------------------------------------------------------------------- norms of what has no square

SIZES = [1e30, 1e-30, 3e-39], [1e200, 1e-200, 5e-310]


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, s) for s in SIZES[0]] + [(np.float64, s) for s in SIZES[1]])
@given(seed=st.integers(0, 2**32 - 1), axis=st.sampled_from([None, 0, 1, (0, 1)]), keepdims=st.booleans())
def test_norms_are_those_of_numbers_of_ordinary_size(dtype, size, seed, axis, keepdims):
    x = np.random.default_rng(seed).uniform(0.5, 2, (3, 4))
    x[1] = 0
    wanted, slope = pulled(lambda a: ops.norm(a, axis=axis, keepdims=keepdims), [x])
    scaled = (x * size).astype(dtype)
    found, gradient = pulled(lambda a: ops.norm(a, axis=axis, keepdims=keepdims), [scaled])
    assert found.dtype == gradient.dtype == dtype
    rtol = 1e-5 if size > np.finfo(dtype).tiny else 1e-4
    with np.errstate(under="ignore"):
        np.testing.assert_allclose(found / size, wanted, rtol=rtol)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e30), (np.float64, 1e200), (np.float64, 1e-4)])
def test_distances_and_cosines_are_those_of_numbers_of_ordinary_size(dtype, size):
    a, b = RNG.normal(size=(2, 4, 6))
    big = [(v * size).astype(dtype) for v in (a, b)]
    for p in (1.0, 2.0, 3.0, 0.5, np.inf):
        wanted = pulled(lambda *v, p=p: ops.pairwise_distance(*v, p=p, eps=0.0), [a, b])
        found = pulled(lambda *v, p=p: ops.pairwise_distance(*v, p=p, eps=0.0), big)
        np.testing.assert_allclose(found[0] / size, wanted[0], rtol=1e-5)
        for got, want in zip(found[1:], wanted[1:], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    wanted, found = pulled(ops.cosine_similarity, [a, b]), pulled(ops.cosine_similarity, big)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5)
    for got, want in zip(found[1:], wanted[1:], strict=True):
        np.testing.assert_allclose(got * size, want, rtol=1e-4, atol=1e-6)


def test_norms_keep_what_is_not_finite_and_nothing_has_no_slope():
    with np.errstate(invalid="ignore"):
        assert ops.norm(np.array([np.inf, 1e200])) == np.inf
        assert np.isnan(ops.norm(np.array([np.nan, 1e200])))
    assert ops.norm(np.zeros((0, 2)), axis=0).tolist() == [0, 0]
    found = pulled(ops.norm, [np.zeros(3)])
    assert found[0] == 0
    assert found[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e30), (np.float64, 1e200), (np.float16, 3e4),
                                             (np.float32, 1e38)])
@pytest.mark.parametrize("order", [2.0, 1.0, 3.0, np.inf])
def test_gradients_of_any_size_are_clipped(dtype, size, order):
    leaves = [minidl.tensor(np.zeros(n, dtype), requires_grad=True) for n in (4000, 3)]
    parts = [RNG.uniform(0.5, 1, leaf.shape) for leaf in leaves]
    for leaf, part in zip(leaves, parts, strict=True):
        leaf.grad = (part * size).astype(dtype)
    wanted = np.linalg.norm(np.concatenate(parts), order)
    assert np.isclose(nn.utils.clip_grad_norm_(leaves, 2.0, order) / size, wanted, rtol=2e-3)
    for leaf, part in zip(leaves, parts, strict=True):
        np.testing.assert_allclose(leaf.grad, part / wanted * 2, rtol=4e-3, atol=1e-6)


def test_small_gradients_have_a_norm():
    leaf = minidl.tensor(np.zeros(2, np.float32), requires_grad=True)
    leaf.grad = np.array([3e-30, 4e-30], np.float32)
    assert np.isclose(nn.utils.clip_grad_norm_([leaf], 1.0), 5e-30)
    leaf.grad = np.zeros(2, np.float32)
    assert nn.utils.clip_grad_norm_([leaf], 1.0) == 0

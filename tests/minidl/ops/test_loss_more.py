"""Losses of margins, distances, likelihoods, counts and samples: identities, edges, what they refuse.

Values and derivatives are proved by the op table.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import GradientError, ShapeError, grad, ops, tensor
from minidl.testing.strategies import arrays, indices, shapes

F4, F8 = np.float32, np.float64
REDUCTIONS = ["mean", "sum", "none"]
RNG = np.random.default_rng(7)
X, T, Y = RNG.normal(size=(4, 3)), RNG.uniform(0.5, 2, size=(4, 3)), RNG.choice([-1, 1], (4, 3))
CLASSES = np.array([0, 2, 1, 1])
CALLS = {  # name: (differentiable arguments, others, shape of the losses)
    "margin_ranking_loss": ((X, X[::-1].copy()), (Y,), (4, 3)),
    "hinge_embedding_loss": ((T,), (Y,), (4, 3)),
    "soft_margin_loss": ((X,), (Y,), (4, 3)),
    "multi_margin_loss": ((X,), (CLASSES,), (4,)),
    "multilabel_soft_margin_loss": ((X, T / 2), (), (4,)),
    "poisson_nll_loss": ((X, T), (), (4, 3)),
    "gaussian_nll_loss": ((X, X + 1, T), (), (4, 3)),
    "cosine_embedding_loss": ((X, T), (Y[:, 0],), (4,)),
    "triplet_margin_loss": ((X, T, X[::-1].copy()), (), (4,)),
    "multinomial_loss": ((X, T), (), (4,)),
    "sampled_softmax_loss": ((X[:, 0].copy(), X), (), (4,)),
}


@pytest.mark.parametrize("name", CALLS)
def test_reductions_agree(name):
    inputs, others, shape = CALLS[name]
    f = getattr(ops, name)
    each = f(*inputs, *others, reduction="none")
    assert each.shape == shape
    assert float(f(*inputs, *others, reduction="sum")) == pytest.approx(each.sum(), rel=1e-13)
    assert float(f(*inputs, *others)) == pytest.approx(each.mean(), rel=1e-13)
    with pytest.raises(ValueError, match=rf"{name}: reduction='avg'"):
        f(*inputs, *others, reduction="avg")


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_single_precision_stays_single(name, reduction):
    inputs, others, _ = CALLS[name]
    leaves = [tensor(a, requires_grad=True, dtype=F4) for a in inputs]
    out = getattr(ops, name)(*leaves, *others, reduction=reduction)
    assert out.dtype == F4
    out.sum().backward()
    assert all(leaf.grad.dtype == F4 and np.isfinite(leaf.grad).all() for leaf in leaves)
    wanted = getattr(ops, name)(*inputs, *others, reduction=reduction)
    np.testing.assert_allclose(out.data, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CALLS)
def test_nothing_to_lose(name):
    """Of no samples the sum is 0, the mean is NaN, and gradients are empty."""
    inputs, others, shape = CALLS[name]
    inputs, others = [a[:0] for a in inputs], [a[:0] for a in others]
    f = getattr(ops, name)
    assert float(f(*inputs, *others, reduction="sum")) == 0
    assert np.isnan(f(*inputs, *others))
    assert f(*inputs, *others, reduction="none").shape == (0, *shape[1:])
    gradients = grad(lambda *a: f(*a, *others, reduction="sum"), argnums=tuple(range(len(inputs))))(*inputs)
    assert [g.shape for g in gradients] == [a.shape for a in inputs]


@pytest.mark.parametrize(("error", "call", "message"), [
    (ShapeError, lambda: ops.margin_ranking_loss(X, X[:2], Y), r"margin_ranking_loss: input1 has .* but input2"),
    (ShapeError, lambda: ops.margin_ranking_loss(X, X, Y[0]), r"margin_ranking_loss: target has shape \(3,\)"),
    (ValueError, lambda: ops.margin_ranking_loss(X, X, Y * 0), r"margin_ranking_loss: target holds 0.*2 \* target"),
    (ValueError, lambda: ops.hinge_embedding_loss(X, X), r"hinge_embedding_loss: target holds .* 1 or -1"),
    (ValueError, lambda: ops.soft_margin_loss(X, X * np.nan), r"soft_margin_loss: target holds nan"),
    (GradientError, lambda: ops.soft_margin_loss(X, tensor(Y * 1.0, requires_grad=True)),
     r"soft_margin_loss: target is a constant"),
    (ValueError, lambda: ops.multi_margin_loss(X, CLASSES, p=3), r"multi_margin_loss: p is 3"),
    (IndexError, lambda: ops.multi_margin_loss(X, CLASSES - 1), r"multi_margin_loss: .*class -1 at .*0 to 2$"),
    (ShapeError, lambda: ops.multi_margin_loss(X, CLASSES, weight=np.ones(2)), r"multi_margin_loss: weight has"),
    (ShapeError, lambda: ops.multilabel_soft_margin_loss(X[:, :0], X[:, :0]), r"multilabel.*: .*no classes"),
    (ShapeError, lambda: ops.gaussian_nll_loss(X, X, np.ones(4)[None]), r"gaussian_nll_loss: var has shape \(1, 4\)"),
    (ValueError, lambda: ops.gaussian_nll_loss(X, X, -T), r"gaussian_nll_loss: var holds -"),
    (ShapeError, lambda: ops.cosine_similarity(X, X, dim=2), r"cosine_similarity: dim=2 .* \(4, 3\)"),
    (ShapeError, lambda: ops.cosine_similarity(X, X.T), r"cosine_similarity: the shapes .* do not broadcast"),
    (ShapeError, lambda: ops.pairwise_distance(X, X.T), r"pairwise_distance: the shapes .* do not broadcast"),
    (ShapeError, lambda: ops.pairwise_distance(np.array(1.0), np.array(2.0)), r"pairwise_distance: .* 0-d"),
    (ValueError, lambda: ops.pairwise_distance(X, X, p=0), r"pairwise_distance: p is 0"),
    (ShapeError, lambda: ops.cosine_embedding_loss(X[None], X[None], Y[0]), r"cosine_embedding_loss: .*\(1, 4, 3\)"),
    (ShapeError, lambda: ops.cosine_embedding_loss(X, X, Y), r"cosine_embedding_loss: target has shape \(4, 3\)"),
    (ShapeError, lambda: ops.triplet_margin_loss(X, X, X[0]), r"triplet_margin_loss: anchor has .* but negative"),
    (ValueError, lambda: ops.triplet_margin_loss(X, X, X, margin=0.0), r"triplet_margin_loss: margin is 0.0"),
    (ShapeError, lambda: ops.multinomial_loss(X, T[:, :2]), r"multinomial_loss: input has shape \(4, 3\) but target"),
    (ShapeError, lambda: ops.multinomial_loss(X[:, :0], T[:, :0]), r"multinomial_loss: .*no classes"),
    (ValueError, lambda: ops.multinomial_loss(X, T, counts=T), r"multinomial_loss: counts go with offsets"),
    (ShapeError, lambda: ops.multinomial_loss(X, CLASSES, offsets=np.arange(3)), r"multinomial_loss: .*\(5,\)"),
    (ShapeError, lambda: ops.multinomial_loss(X[0], CLASSES, offsets=np.arange(1)), r"multinomial_loss: input has"),
    (ValueError, lambda: ops.multinomial_loss(X, CLASSES, offsets=[0, 2, 1, 4]), r"multinomial_loss: offsets must"),
    (ValueError, lambda: ops.multinomial_loss(X, CLASSES, offsets=[1, 2, 3, 4]), r"multinomial_loss: offsets must"),
    (ValueError, lambda: ops.multinomial_loss(X, CLASSES, offsets=[0, 1, 2, 3, 3]), r"multinomial_loss: offsets must"),
    (IndexError, lambda: ops.multinomial_loss(X, CLASSES + 1, offsets=[0, 1, 2, 3]), r"class 3 at position 1.*0 to 2"),
    (IndexError, lambda: ops.multinomial_loss(X, CLASSES - 1, offsets=[0, 1, 2, 3]), r"class -1 at position 0"),
    (ShapeError, lambda: ops.multinomial_loss(X, CLASSES, [0, 1, 2, 3], np.ones(3)), r"counts have shape \(3,\)"),
    (ShapeError, lambda: ops.sampled_softmax_loss(X, X), r"sampled_softmax_loss: positive has shape \(4, 3\)"),
    (ShapeError, lambda: ops.sampled_softmax_loss(X[:, 0], X[:, :0]), r"sampled_softmax_loss: .*not empty"),
    (ShapeError, lambda: ops.sampled_softmax_loss(X[:, 0], X, negative_log_q=np.ones(4)), r"negative_log_q has shape"),
    (ShapeError, lambda: ops.sampled_softmax_loss(X[:, 0], X, np.ones(3)), r"positive_log_q has shape \(3,\)"),
    (ShapeError, lambda: ops.sampled_softmax_loss(X[:, 0], X, hits=np.ones(4, bool)), r"hits has shape \(4,\)"),
    (TypeError, lambda: ops.sampled_softmax_loss(X[:, 0], X, hits=np.ones(3)), r"hits have dtype float64"),
])
def test_what_is_refused(error, call, message):
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------------------------------------- margins

@given(arrays(shapes(min_side=1), -2, 2), st.data(), st.sampled_from([0.0, 0.5]))
def test_margin_ranking_is_the_hinge_in_the_order_of_the_target(a, data, margin):
    b, y = data.draw(arrays(a.shape, -2, 2)), np.where(data.draw(arrays(a.shape, -1, 1)) > 0, 1, -1)
    wanted = ops.hinge_loss(np.where(y > 0, a, b), np.where(y > 0, b, a), margin=margin, reduction="none")
    np.testing.assert_allclose(ops.margin_ranking_loss(a, b, y, margin, "none"), wanted, rtol=1e-12, atol=1e-15)


@given(arrays(shapes(), -5, 5), st.data())
def test_soft_margin_is_the_binary_cross_entropy_of_logits(x, data):
    y = np.where(data.draw(arrays(x.shape, -1, 1)) > 0, 1, -1)
    wanted = ops.binary_cross_entropy_with_logits(x, (y + 1) // 2, reduction="none")
    np.testing.assert_allclose(ops.soft_margin_loss(x, y, "none"), wanted, rtol=1e-12, atol=1e-15)


def test_margins_of_classes():
    x = np.array([[0.1, 0.2, 0.4, 0.8]])
    assert float(ops.multi_margin_loss(x, np.array([3]))) == pytest.approx((0.3 + 0.4 + 0.6) / 4)
    assert float(ops.multi_margin_loss(x[0], np.array(3), p=2)) == pytest.approx((0.09 + 0.16 + 0.36) / 4)
    assert float(ops.multi_margin_loss(np.zeros((2, 1)), np.array([0, 0]))) == 0  # no other class


# ------------------------------------------------------------------------------------------- likelihoods

def test_poisson_with_stirlings_term_is_nearly_the_likelihood():
    t, rate = np.array([2.0, 5.0, 20.0]), np.array([3.0, 4.0, 18.0])
    exact = [r - n * math.log(r) + math.lgamma(n + 1) for n, r in zip(t, rate, strict=True)]
    np.testing.assert_allclose(ops.poisson_nll_loss(np.log(rate), t, full=True, reduction="none"), exact, atol=0.05)
    np.testing.assert_allclose(ops.poisson_nll_loss(rate, t, log_input=False, full=True, reduction="none"), exact,
                               atol=0.05)
    few = np.array([0.0, 1.0])  # left out, and log 0 with it
    assert np.array_equal(ops.poisson_nll_loss(np.zeros(2), few, full=True, reduction="none"), [1.0, 1.0])
    assert np.isfinite(grad(lambda t: ops.poisson_nll_loss(np.zeros(2), t, full=True))(few)).all()


def test_small_variances_count_as_eps_but_keep_their_gradient():
    f = lambda v: ops.gaussian_nll_loss(np.array([1.0]), np.zeros(1), v, eps=0.5)  # noqa: E731
    assert float(f(np.zeros(1))) == pytest.approx((math.log(0.5) + 2) / 2)
    np.testing.assert_allclose(grad(f)(np.zeros(1)), [(1 / 0.5 - 1 / 0.25) / 2])
    assert float(f(2.0)) == float(f(np.array([2.0])))


# --------------------------------------------------------------------------------------------- distances

@given(arrays(shapes(min_dims=2, max_dims=2, min_side=1), -2, 2), st.data(),
       st.sampled_from([0.5, 1, 1.5, 2, 3.0, math.inf]))
def test_distances_are_norms(a, data, p):
    b = data.draw(arrays(a.shape, -2, 2))
    wanted = np.linalg.norm(a - b + 1e-6, p, axis=1)
    np.testing.assert_allclose(ops.pairwise_distance(a, b, p), wanted, rtol=1e-10, atol=1e-15)
    assert ops.pairwise_distance(a, b, p, keepdim=True).shape == (len(a), 1)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
def test_equal_vectors_have_no_slope(p):
    a = np.ones((2, 3))
    assert np.array_equal(grad(lambda x: ops.pairwise_distance(x, a, p, eps=0.0).sum())(a), np.zeros((2, 3)))


@given(arrays(shapes(min_dims=2, max_dims=2, min_side=2), 0.1, 2), st.floats(0.1, 9))
def test_cosine_similarity_knows_only_directions(a, factor):
    b = a[::-1] - 1
    once = ops.cosine_similarity(a, b)
    np.testing.assert_allclose(ops.cosine_similarity(factor * a, b), once, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ops.cosine_similarity(a, a), np.ones(len(a)), rtol=1e-12)
    np.testing.assert_allclose(ops.cosine_similarity(a.T, b.T, dim=0), once, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ops.cosine_similarity(a, b[0], dim=-1), ops.cosine_similarity(a, b[:1]), rtol=1e-12)


def test_cosine_similarity_of_a_number_that_stands_for_a_vector():
    x, one = np.array([[3.0, 4.0]]), np.array([[2.0]])  # as if it were [2, 2]
    assert float(ops.cosine_similarity(x, one)[0]) == pytest.approx(7 / (5 * math.sqrt(2)))
    g = grad(lambda x: ops.cosine_similarity(x, one).sum())(x)
    np.testing.assert_allclose(g, grad(lambda x: ops.cosine_similarity(x, np.full((1, 2), 2.0)).sum())(x))


def test_the_swap_takes_the_nearer_negative():
    a, b, c = np.array([0.0]), np.array([2.0]), np.array([3.0])
    plain = ops.triplet_margin_loss(a, b, c, margin=1.5, eps=0.0)  # 2 - 3 + 1.5
    swapped = ops.triplet_margin_loss(a, b, c, margin=1.5, eps=0.0, swap=True)  # 2 - 1 + 1.5
    assert (float(plain), float(swapped)) == (0.5, 2.5)


# ---------------------------------------------------------------------------------------- counted classes

@st.composite
def baskets(draw):
    """Logits, and counts of classes: dense, and as classes with the ends of rows, all of them of a row together."""
    x = draw(arrays(shapes(min_dims=2, max_dims=2, min_side=1, max_side=6), -4, 4))
    dense = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).poisson(0.7, x.shape)
    rows, classes = np.nonzero(dense)
    ends = np.concatenate([[0], np.cumsum(np.count_nonzero(dense, axis=1))])
    return x, dense, rows, classes, ends


@given(baskets(), st.sampled_from(REDUCTIONS), st.sampled_from([F4, F8]), st.booleans())
def test_sparse_counts_are_dense_counts(case, reduction, dtype, with_end):
    x, dense, rows, classes, ends = case
    x = np.array(x, dtype)
    counts, offsets = dense[rows, classes], ends if with_end else ends[:-1]
    repeated = np.repeat(classes, counts)  # each class as often as it was counted
    cuts = np.concatenate([[0], np.cumsum(dense.sum(axis=1))])
    wanted, back = minidl.vjp(lambda x: ops.multinomial_loss(x, dense, reduction=reduction), x)
    u = np.linspace(1, 2, np.size(wanted)).reshape(np.shape(wanted)).astype(dtype)
    for args in ((classes, offsets, counts), (repeated, cuts)):
        value, pull = minidl.vjp(lambda x, args=args: ops.multinomial_loss(x, *args, reduction=reduction), x)
        tolerance = 1e-5 if dtype is F4 else 1e-11
        assert value.dtype == dtype
        np.testing.assert_allclose(value, wanted, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(pull(u)[0], back(u)[0], rtol=tolerance, atol=10 * tolerance)


@given(arrays(shapes(min_dims=2, max_dims=2, min_side=1), -4, 4), st.data())
def test_one_class_a_row_is_the_cross_entropy(x, data):
    t = np.asarray(data.draw(indices(x.shape[1], (len(x),), negative=False))).astype(np.int64)
    wanted, back = minidl.vjp(lambda x: ops.cross_entropy(x, t), x)
    value, pull = minidl.vjp(lambda x: ops.multinomial_loss(x, t, np.arange(len(x))), x)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    np.testing.assert_allclose(pull(np.array(1.0))[0], back(np.array(1.0))[0], rtol=1e-12)


def test_masked_classes_that_were_not_counted_cost_nothing():
    x = np.array([[-np.inf, 0.0, 0.0]])
    for args in ((np.array([[0.0, 1.0, 1.0]]),), (np.array([1, 2]), np.array([0]))):
        assert float(ops.multinomial_loss(x, *args)) == pytest.approx(2 * math.log(2))
        g = grad(lambda x, args=args: ops.multinomial_loss(x, *args))(x)
        np.testing.assert_allclose(g, np.zeros((1, 3)), atol=1e-15)


def test_logits_far_out():
    x = np.array([[1e4, 0.0, 0.0]], F4)
    for args in ((np.array([[1.0, 1.0, 0.0]]),), (np.array([0, 1]), np.array([0]))):
        assert float(ops.multinomial_loss(x, *args)) == 1e4
        np.testing.assert_allclose(grad(lambda x, args=args: ops.multinomial_loss(x, *args))(x), [[1, -1, 0]])


# ----------------------------------------------------------------------------------------- sampled classes

@given(arrays(shapes(min_dims=2, max_dims=2, min_side=2, max_side=5), -4, 4), st.sampled_from(REDUCTIONS), st.data())
def test_all_other_classes_as_samples_are_the_cross_entropy(x, reduction, data):
    """With every class among the samples, and the positive masked as a hit, nothing is left to chance."""
    n, width = x.shape
    t = np.asarray(data.draw(indices(width, (n,), negative=False))).astype(np.int64)
    hits = np.arange(width) == t[:, None]
    right = np.arange(n), t
    got, pull = minidl.vjp(lambda x: ops.sampled_softmax_loss(x[right], x, hits=hits, reduction=reduction), x)
    wanted, back = minidl.vjp(lambda x: ops.cross_entropy(x, t, reduction=reduction), x)
    u = np.linspace(1, 2, np.size(wanted)).reshape(np.shape(wanted))
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(pull(u)[0], back(u)[0], rtol=1e-9, atol=1e-12)


def test_the_correction_makes_the_partition_function_right():
    """e^s / (K q), averaged over samples of q, is the sum of e^s over all items: the loss tends to the full softmax."""
    rng = np.random.default_rng(0)
    scores, q = rng.normal(size=50), rng.dirichlet(np.ones(50))
    sampled = rng.choice(50, 200_000, p=q)
    full = np.log(np.exp(scores).sum() + np.exp(scores[3])) - scores[3]  # the positive counts beside the samples
    corrected = ops.sampled_softmax_loss(scores[3:4], scores[None, sampled],
                                          negative_log_q=np.log(sampled.size * q[sampled]))
    plain = ops.sampled_softmax_loss(scores[3:4], scores[None, sampled], negative_log_q=np.log(sampled.size / 50))
    assert float(corrected) == pytest.approx(full, abs=0.02)
    assert abs(float(plain) - full) > 0.05


@pytest.mark.parametrize("dtype", [F4, F8])
def test_nothing_but_hits(dtype):
    p, n = np.array([1.0, -2.0], dtype), np.array([[3.0, 4.0], [5.0, 6.0]], dtype)
    hits = np.array([[True, True], [True, False]])
    f = lambda p, n: ops.sampled_softmax_loss(p, n, hits=hits, reduction="sum")  # noqa: E731
    np.testing.assert_allclose(f(p, n), np.log1p(np.exp(8.0)), rtol=1e-6)
    gp, gn = grad(f, argnums=(0, 1))(p, n)
    assert gp[0] == 0
    assert np.array_equal(gn[hits], np.zeros(3))
    second = grad(lambda n: grad(f, argnums=1)(p, n).sum())(n)
    assert np.isfinite(second).all()


def test_a_certain_positive_keeps_its_digits():
    """The loss is log(1 + tiny), not log(sum) - score."""
    got = ops.sampled_softmax_loss(np.array([30.0], F4), np.array([[0.0, 0.0]], F4))
    assert float(got) == pytest.approx(2 * math.exp(-30), rel=1e-5)

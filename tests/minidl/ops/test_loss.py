"""Losses: identities between them, what they refuse. Derivatives are proved by the op table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import GradientError, ShapeError, Tensor, grad, ops, tensor
from minidl.testing.strategies import arrays, indices, shapes

F4, F8 = np.float32, np.float64
PAIRS = {"mse_loss": ops.mse_loss, "l1_loss": ops.l1_loss, "huber_loss": ops.huber_loss,
         "smooth_l1_loss": ops.smooth_l1_loss, "binary_cross_entropy": ops.binary_cross_entropy,
         "binary_cross_entropy_with_logits": ops.binary_cross_entropy_with_logits, "bpr_loss": ops.bpr_loss,
         "hinge_loss": ops.hinge_loss, "kl_div": ops.kl_div}
REDUCTIONS = ["mean", "sum", "none"]


def pair(dtype=F8, shape=(4,)):
    rng = np.random.default_rng(3)
    return rng.uniform(0.1, 0.9, shape).astype(dtype), rng.uniform(0.1, 0.9, shape).astype(dtype)


# --------------------------------------------------------------------------- what all pairs have in common

@pytest.mark.parametrize("name", PAIRS)
def test_no_loss_broadcasts(name):
    x, t = pair()
    with pytest.raises(ShapeError, match=rf"^{name}: .*\(4, 1\).*\(4,\).*reshape\(4, 1\)"):
        PAIRS[name](x[:, None], t)
    with pytest.raises(ShapeError, match=rf"^{name}: .*do not broadcast"):
        PAIRS[name](tensor(x, requires_grad=True), 0.5)


@pytest.mark.parametrize("name", PAIRS)
def test_reductions_agree(name):
    x, t = pair(shape=(3, 2))
    each = PAIRS[name](x, t, reduction="none")
    assert each.shape == (3, 2)
    assert float(PAIRS[name](x, t, reduction="sum")) == pytest.approx(each.sum(), rel=1e-14)
    assert float(PAIRS[name](x, t)) == pytest.approx(each.mean(), rel=1e-14)
    with pytest.raises(ValueError, match=rf"{name}: reduction='avg'.*'mean', 'sum' or 'none'"):
        PAIRS[name](x, t, reduction="avg")


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("target", [F8, F4, np.int64, np.uint8])
def test_a_constant_target_takes_the_inputs_dtype(name, reduction, target):
    x, t = pair(F4)
    x = tensor(x, requires_grad=True)
    if name in ("bpr_loss", "hinge_loss"):
        target = F4
    loss = PAIRS[name](x, np.round(t).astype(target), reduction=reduction)
    assert isinstance(loss, Tensor)
    assert loss.dtype == F4
    loss.sum().backward()
    assert x.grad.dtype == F4


@pytest.mark.parametrize("name", PAIRS)
def test_empty_losses(name):
    nothing = np.zeros((0, 2))
    assert float(PAIRS[name](nothing, nothing, reduction="sum")) == 0
    assert np.isnan(PAIRS[name](nothing, nothing))  # the mean of nothing
    assert PAIRS[name](nothing, nothing, reduction="none").shape == (0, 2)


@pytest.mark.parametrize("name", PAIRS)
def test_lists_numbers_and_zero_dimensions(name):
    got = float(PAIRS[name]([0.25, 0.5], [1, 0]))
    assert got == pytest.approx(float(PAIRS[name](np.array([0.25, 0.5]), np.array([1.0, 0.0]))))
    assert PAIRS[name](np.array(0.25), np.array(1.0)).shape == ()


# --------------------------------------------------------------------------------------------- identities

@given(arrays(shapes(min_side=1), -3, 3), st.sampled_from([0.25, 1.0, 2.0]), st.data())
def test_huber_family(x, width, data):
    t = data.draw(arrays(x.shape, -3, 3))
    d = np.abs(x - t)
    wanted = np.where(d <= width, d * d / 2, width * (d - width / 2))
    np.testing.assert_allclose(ops.huber_loss(x, t, "none", width), wanted, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(ops.smooth_l1_loss(x, t, "none", width), wanted / width, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("f", "message"), [
    (lambda x: ops.huber_loss(x, x, delta=0.0), "huber_loss: delta is 0.0"),
    (lambda x: ops.smooth_l1_loss(x, x, beta=-1.0), "smooth_l1_loss: beta is -1.0"),
    (lambda x: ops.cross_entropy(x, np.array(0), label_smoothing=1.5), "cross_entropy: label_smoothing is 1.5"),
    (lambda x: ops.binary_cross_entropy(x * 2, x), r"binary_cross_entropy: input holds values.*with_logits"),
    (lambda x: ops.cross_entropy(x, np.array(0), reduction="batchmean"), "cross_entropy: reduction='batchmean'"),
])
def test_parameters_are_checked(f, message):
    with pytest.raises(ValueError, match=message):
        f(np.array([0.5, 1.0]))


@given(arrays(shapes(min_side=1), -9, 9), st.data())
def test_binary_cross_entropies_agree(x, data):
    t = data.draw(arrays(x.shape, 0, 1))
    weight, pos_weight = data.draw(arrays(x.shape, 0.5, 2)), data.draw(arrays(x.shape[-1:], 0.5, 2))
    logits = ops.binary_cross_entropy_with_logits
    np.testing.assert_allclose(logits(x, t), ops.binary_cross_entropy(ops.sigmoid(x), t), rtol=1e-10)
    np.testing.assert_allclose(logits(x, t, weight, "none"), weight * logits(x, t, reduction="none"), rtol=1e-12)
    positive, negative = logits(x, np.ones_like(x), reduction="none"), logits(x, np.zeros_like(x), reduction="none")
    np.testing.assert_allclose(logits(x, t, pos_weight=pos_weight, reduction="none"),
                               pos_weight * t * positive + (1 - t) * negative, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(ops.bpr_loss(x, np.zeros_like(x)), positive.mean(), rtol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [F4, F8])
def test_binary_losses_far_out(reduction, dtype):
    x = np.array([-1000.0, 1000.0, -1000.0, 1000.0, 0.0], dtype)
    t = np.array([0.0, 1.0, 1.0, 0.0, 0.5], dtype)
    exact = np.array([0, 0, 1000, 1000, np.log(2)], dtype)
    got = ops.binary_cross_entropy_with_logits(x, t, reduction=reduction)
    np.testing.assert_allclose(got, {"none": exact, "sum": exact.sum(), "mean": exact.mean()}[reduction], rtol=1e-6)
    g = grad(lambda x: ops.binary_cross_entropy_with_logits(x, t, reduction=reduction).sum())(x)
    np.testing.assert_allclose(g * (5 if reduction == "mean" else 1), [0, 0, -1, 1, 0], atol=1e-7)
    assert np.isfinite(ops.bpr_loss(x, -x, reduction=reduction)).all()


def test_binary_cross_entropy_at_certain_and_wrong_probabilities():
    x, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(ops.binary_cross_entropy(x, t, reduction="none"), [0, 0, 100, 100])
    assert np.isfinite(grad(lambda x: ops.binary_cross_entropy(x, t))(x)).all()
    assert np.isnan(ops.binary_cross_entropy(np.array([np.nan]), np.array([1.0])))


def test_hinge_loss_counts_what_is_missing_to_the_margin():
    got = ops.hinge_loss(np.array([3.0, 0.5, 0.0]), np.array([0.0, 0.0, 2.0]), reduction="none")
    np.testing.assert_array_equal(got, [0, 0.5, 3])


def test_kl_div_is_a_divergence():
    p, q = np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.25, 0.75], [1.0, 0.0]])
    wanted = (0.25 * np.log(0.5) + 0.75 * np.log(1.5) + np.log(1 / 0.9)) / 2
    assert float(ops.kl_div(np.log(p), q, reduction="batchmean")) == pytest.approx(wanted)
    assert float(ops.kl_div(np.log(p), np.log(p), reduction="sum", log_target=True)) == 0
    with pytest.raises(ShapeError, match=r"kl_div: reduction='batchmean' needs a batch axis"):
        ops.kl_div(np.array(0.0), np.array(0.5), reduction="batchmean")


# --------------------------------------------------------------------------------------------- weights

@pytest.mark.parametrize("f", [
    lambda x, w: ops.mse_loss(x, x + 1, weight=w),
    lambda x, w: ops.l1_loss(x, x + 1, weight=w),
    lambda x, w: ops.huber_loss(x, x + 1, weight=w),
    lambda x, w: ops.binary_cross_entropy(x, x, weight=w),
    lambda x, w: ops.binary_cross_entropy_with_logits(x, x, weight=w),
    lambda x, w: ops.binary_cross_entropy_with_logits(x, x, pos_weight=w)])
def test_weights_fit_and_are_constants(f):
    x = np.full((2, 3), 0.5)
    assert float(f(x, np.ones(3))) == pytest.approx(float(f(x, tensor(1.0))))
    with pytest.raises(ShapeError, match=r"weight has shape \(2,\), which does not broadcast to .*\(2, 3\)"):
        f(x, np.ones(2))
    with pytest.raises(ShapeError, match=r"weight has shape \(1, 2, 3\)"):
        f(x, np.ones((1, 2, 3)))
    with pytest.raises(GradientError, match=r"weight is a constant"):
        f(x, tensor(np.ones(3), requires_grad=True))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@given(arrays(shapes(min_side=1), -2, 2), st.data())
def test_weights_of_errors(reduction, x, data):
    """The mean divides by the weights, but for huber_loss, where PyTorch divides by the number."""
    t, weight = data.draw(arrays(x.shape, -2, 2)), data.draw(arrays(x.shape[-1:], 0.5, 2))
    full = np.broadcast_to(weight, x.shape)
    for loss in (ops.mse_loss, ops.l1_loss, ops.huber_loss):
        each = full * loss(x, t, reduction="none")
        mean = each.mean() if loss is ops.huber_loss else np.average(loss(x, t, reduction="none"), weights=full)
        wanted = {"none": each, "sum": each.sum(), "mean": mean}[reduction]
        np.testing.assert_allclose(loss(x, t, reduction=reduction, weight=weight), wanted, rtol=1e-12, atol=1e-15)


def test_class_weights_have_the_length_of_the_classes():
    x = np.zeros((2, 3))
    for t in (np.array([0, 1]), np.full((2, 3), 1 / 3)):
        with pytest.raises(ShapeError, match=r"cross_entropy: weight has shape \(2,\), but there are 3 classes"):
            ops.cross_entropy(x, t, weight=np.ones(2))


# --------------------------------------------------------------------------------------- classes

def classes(min_classes=1):
    """Logits (N, C, d1, ...) and class indices."""
    shape = shapes(min_dims=2, max_dims=4, min_side=1, max_side=3).map(lambda s: (s[0], s[1] + min_classes - 1, *s[2:]))
    return arrays(shape, -4, 4).flatmap(lambda x: st.tuples(
        st.just(x), indices(x.shape[1], x.shape[:1] + x.shape[2:], negative=False)))


@given(classes(), st.sampled_from(REDUCTIONS), st.sampled_from([0.0, 0.1]), st.booleans())
def test_cross_entropy_of_classes_is_that_of_one_hot_rows(case, reduction, smoothing, as_tensor):
    x, t = case
    hot = np.moveaxis(np.eye(x.shape[1])[np.asarray(t).astype(int)], -1, 1)
    got = ops.cross_entropy(x, tensor(t) if as_tensor else t, reduction=reduction, label_smoothing=smoothing)
    wanted = ops.cross_entropy(x, hot, reduction=reduction, label_smoothing=smoothing)
    np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-14)
    if not smoothing:
        again = ops.nll_loss(ops.log_softmax(x, axis=1), t, reduction=reduction)
        np.testing.assert_allclose(got, again, rtol=1e-11, atol=1e-14)


@given(classes(2), st.data())
def test_ignored_targets_count_nothing(case, data):
    x, t = case
    weight = data.draw(st.none() | arrays((x.shape[1],), 0.5, 2))
    t = np.asarray(t).astype(np.int64)
    drop = np.random.default_rng(t.size).random(t.shape) < 0.5
    rows, kept = np.moveaxis(x, 1, -1)[~drop], t[~drop]
    masked = np.where(drop, -100, t)
    for loss, logits in ((ops.cross_entropy, x), (ops.nll_loss, -np.abs(x))):
        chosen = rows if loss is ops.cross_entropy else -np.abs(rows)
        total = loss(logits, masked, weight=weight, reduction="sum")
        np.testing.assert_allclose(total, loss(chosen, kept, weight=weight, reduction="sum"), rtol=1e-11, atol=1e-13)
        mean = loss(logits, masked, weight=weight)
        np.testing.assert_allclose(mean, loss(chosen, kept, weight=weight), rtol=1e-11, atol=1e-13)
        g = grad(lambda x, loss=loss: loss(x, masked, weight=weight, reduction="sum"))(x)
        assert (np.moveaxis(g, 1, -1)[drop] == 0).all()


def test_no_target_counts():
    x = np.zeros((2, 3))
    assert np.isnan(ops.cross_entropy(x, np.array([-100, -100])))
    assert float(ops.cross_entropy(x, np.array([-100, -100]), reduction="sum")) == 0
    assert np.isnan(ops.cross_entropy(np.zeros((0, 3)), np.zeros(0, int), weight=np.ones(3)))


@pytest.mark.parametrize("loss", [ops.cross_entropy, ops.nll_loss])
def test_targets_are_validated(loss):
    name, x = loss.__name__, np.zeros((2, 3))
    for value, dtype in ((3, np.uint8), (-1, np.int64), (2**64 - 1, np.uint64)):
        with pytest.raises(IndexError, match=rf"^{name}: target holds class {value} at position \(1,\).*3 classes"):
            loss(tensor(x, requires_grad=True), np.array([0, value], dtype))
    with pytest.raises(ShapeError, match=rf"^{name}: input of shape \(2, 3\) needs class indices of shape \(2,\)"):
        loss(x, np.array([0, 1, 2]))
    with pytest.raises(ShapeError, match=rf"^{name}: input is 0-d"):
        loss(np.array(1.0), np.array(0))
    with pytest.raises(ShapeError, match=rf"^{name}: .*no classes"):
        loss(np.zeros((2, 0)), np.array([-100, -100]))
    with pytest.raises(ShapeError, match=r"^cross_entropy: .*no classes"):
        ops.cross_entropy(np.zeros((2, 0)), np.zeros((2, 0)))


def test_target_dtypes():
    with pytest.raises(TypeError, match=r"cross_entropy: target has dtype bool"):
        ops.cross_entropy(np.zeros((2, 3)), np.array([True, False]))
    with pytest.raises(ShapeError, match=r"cross_entropy: input has shape \(2, 3\) but target has shape \(2,\)"):
        ops.cross_entropy(np.zeros((2, 3)), np.array([0.0, 1.0]))
    with pytest.raises(TypeError, match=r"nll_loss: target has dtype float64"):
        ops.nll_loss(np.zeros((2, 3)), np.array([0.0, 1.0]))


@pytest.mark.parametrize("dtype", [F4, F8])
def test_cross_entropy_far_out(dtype):
    x = np.array([[1000.0, 0.0, -np.inf], [0.0, -1000.0, 0.0], [-1e4, -1e4, -1e4]], dtype)
    t = np.array([0, 1, 2])
    got = ops.cross_entropy(x, t, reduction="none")
    np.testing.assert_allclose(got, np.array([0, 1000 + np.log(2), np.log(3)]), rtol=1e-6)
    g = grad(lambda x: ops.cross_entropy(x, t, reduction="sum"))(x)
    np.testing.assert_allclose(g, [[0, 0, 0], [0.5, -1, 0.5], [1 / 3, 1 / 3, -2 / 3]], atol=1e-6)
    assert got.dtype == g.dtype == dtype
    assert np.isnan(ops.cross_entropy(np.array([[np.nan, 1.0]], dtype), np.array([1])))


def test_the_gradient_of_a_sure_and_right_guess_keeps_its_digits():
    """1 - p is summed from the other classes, not subtracted."""
    x = np.array([[30.0, 0.0, 1.0]], F4)
    g = grad(lambda x: ops.cross_entropy(x, np.array([0])))(x)
    exact = grad(lambda x: ops.cross_entropy(x, np.array([0])))(x.astype(F8))
    np.testing.assert_allclose(g, exact, rtol=1e-5)
    assert abs(float(g.sum())) <= 1e-6 * abs(float(g[0, 0]))


@pytest.mark.parametrize("dtype", [np.float16, ">f4"])
def test_other_floats(dtype):
    """Half precision is computed in single; foreign byte order is read right."""
    x, t = (a.astype(dtype) for a in pair())
    wanted = ops.mse_loss(x.astype(F8), t.astype(F8))
    loss = ops.mse_loss(x, t)
    assert loss.dtype == np.dtype(dtype).newbyteorder("=")
    assert float(loss) == pytest.approx(float(wanted), rel=2e-3)
    assert float(ops.cross_entropy(x[None], np.array([1], ">i4"))) == pytest.approx(
        float(ops.cross_entropy(x[None].astype(F8), np.array([1]))), rel=2e-3)


@pytest.mark.parametrize("loss", [ops.mse_loss, ops.bpr_loss, ops.binary_cross_entropy_with_logits, ops.cross_entropy,
                                  ops.multinomial_loss])
def test_the_graph_and_the_profile_name_the_loss(loss):
    x = minidl.tensor(np.ones((2, 3)), requires_grad=True)
    with minidl.debug.profile() as profile:
        value = loss(x, np.ones((2, 3)))
    assert loss.__name__ in str(minidl.debug.graph(value))
    assert loss.__name__ in {row.op for row in profile.rows()}

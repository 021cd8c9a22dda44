"""RowGrad: its arithmetic is that of the dense array, and contributions merge as they come."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import GradientError, RowGrad, ShapeError, nn, ops
from minidl.nn.utils import clip_grad_norm_, clip_grad_value_
from minidl.rowgrad import flat_norm

N, D = 5, 3


@st.composite
def gradients(draw, dtype=None):
    dtype = dtype or draw(st.sampled_from([np.float32, np.float64]))
    indices = np.array(draw(st.lists(st.integers(0, N - 1), max_size=8)), np.int64)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return RowGrad(indices, rng.normal(size=(len(indices), D)).astype(dtype), (N, D))


def same(got, expected, rows=None):
    """The value, the dtype, and whether it is still a RowGrad; zeros may differ in their sign."""
    if rows is not None:
        assert isinstance(got, RowGrad) == rows
    dense = np.asarray(got)
    np.testing.assert_array_equal(dense, expected)
    assert dense.dtype == expected.dtype


FACTORS = [3, 0.1, np.float64(0.1), np.float32(0.1), np.array(0.1), np.arange(1.0, D + 1),
           np.arange(1.0, N + 1)[:, None], np.full((1, 1), 2.0), np.arange(1.0, N * D + 1).reshape(N, D)]


@given(gradients(), st.sampled_from(FACTORS))
def test_scaling_is_that_of_the_dense_array(g, x):
    dense = g.to_dense()
    same(g * x, dense * x, rows=True)
    same(x * g, x * dense, rows=True)
    same(g / x, dense / x, rows=True)
    scaled = g.copy()
    scaled *= 0.1
    scaled /= 3
    dense *= 0.1
    dense /= 3
    same(scaled, dense, rows=True)


@given(gradients())
def test_what_keeps_zero_keeps_rows(g):
    dense = g.to_dense()
    for f in (operator.neg, operator.pos, abs, np.abs, np.square, np.sign, lambda x: x ** 2, lambda x: x ** np.int64(3),
              lambda x: np.sqrt(abs(x)), lambda x: x.astype(np.float64), lambda x: x.copy(), copy.copy, copy.deepcopy,
              lambda x: pickle.loads(pickle.dumps(x))):
        same(f(g), f(dense), rows=True)


@given(gradients(), gradients())
def test_sums_and_products_of_two(g, h):
    a, b = g.to_dense(), h.to_dense()
    for f in (operator.add, operator.sub, operator.mul):
        same(f(g, h), f(a, b), rows=True)
    same(g + g - g, a + a - a, rows=True)
    total = g.copy()
    total += h.astype(g.dtype)
    same(total, a + b.astype(a.dtype), rows=True)


@given(gradients(), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32))
def test_sums_with_arrays(g, dtype, seed):
    w, dense = np.random.default_rng(seed).normal(size=(N, D)).astype(dtype), g.to_dense()
    for x in (w, w[0], w[:, :1], 2.0, np.stack([w, w])):
        for f in (operator.add, operator.sub):
            same(f(g, x), f(dense, x), rows=False)
            same(f(x, g), f(x, dense), rows=False)
    a, b = w.copy(), w.copy()
    a -= 0.1 * g
    b -= 0.1 * dense
    same(a, b)
    a += g
    b += dense
    same(a, b)
    np.subtract(w, g, out=a)
    same(a, np.subtract(w, dense, out=b))
    np.multiply(g, 2, out=a)
    same(a, np.multiply(dense, 2, out=b))


def test_an_update_touches_only_the_rows():
    w = np.full((3, 2), np.nan, np.float32)
    w[1] = 1
    before = w.view(np.int32).copy()
    w -= 0.5 * RowGrad(np.array([1, 1]), np.ones((2, 2), np.float32), (3, 2))
    assert w[1].tolist() == [0.0, 0.0]
    assert np.array_equal(w.view(np.int32)[[0, 2]], before[[0, 2]])
    with pytest.raises(TypeError, match="Cannot cast"):
        np.zeros((3, 2), int).__isub__(RowGrad(np.array([1]), np.ones((1, 2)), (3, 2)))


@given(gradients())
def test_norms_and_reductions_are_dense(g):
    dense = g.to_dense()
    wide = dense.astype(np.float64).ravel()
    for p in (1, 2, 3.5, np.inf):
        np.testing.assert_allclose(g.norm(p), np.linalg.norm(wide, p), rtol=1e-14)
    np.testing.assert_array_equal(np.linalg.norm(g), np.linalg.norm(dense))
    for axis in (None, 0, 1, -1, -2, (0, 1)):
        for f in (np.sum, np.max, np.min, np.mean, np.std):
            np.testing.assert_allclose(f(g, axis=axis), f(dense, axis=axis), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(g.sum(axis, keepdims=True), dense.sum(axis, keepdims=True), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(abs(g).max(axis), abs(dense).max(axis))
    for f in (operator.eq, operator.ne, operator.lt, operator.ge):
        same(f(g, 0.0), f(dense, 0.0), rows=False)
        same(f(g, g), f(dense, dense), rows=False)
    for f in (np.isnan, np.isfinite, lambda x: np.maximum(x, 0.1), lambda x: np.clip(x, -0.1, 0.1)):
        same(f(g), f(dense), rows=False)
    assert (np.allclose(g, dense), g.shape, g.ndim, len(g)) == (True, (N, D), 2, N)
    assert np.asarray(g, np.float16).dtype == np.float16


def test_norms_neither_overflow_nor_vanish():
    for size in (1e300, 1e-300):
        g = RowGrad(np.array([0, 0, 1]), np.array([[1.0], [2.0], [4.0]]) * size, (2, 1))
        assert g.norm() == pytest.approx(5 * size, rel=1e-15)
    assert RowGrad(np.array([0]), np.full((1, 1), 3e38, np.float32), (2, 1)).norm(1) == pytest.approx(3e38)
    assert RowGrad(np.zeros(0, int), np.zeros((0, 1)), (2, 1)).norm() == 0
    assert np.isnan(RowGrad(np.array([0]), np.array([[np.nan]]), (2, 1)).norm())


@given(st.sampled_from([np.float32, np.float64]), st.sampled_from([0.5, 1, 2, 3, 4, 10, 50, 1000, np.inf]),
       st.integers(-40, 37), st.sampled_from([1, 7, 500]), st.integers(0, 9))
def test_flat_norms_are_those_of_long_numbers(dtype, order, power, n, seed):
    """Of numbers of any size, also where powers are partly too small to be normal numbers."""
    values = np.random.default_rng(seed).normal(size=n).astype(dtype) * dtype(10.0 ** power)
    top = np.abs(values).max().astype(np.longdouble)
    parts = np.abs(values).astype(np.longdouble) / (top or 1)
    expected = top * (parts.max() if order == np.inf else (parts ** order).sum() ** np.longdouble(1 / order))
    close = {"rel": 1e-5 if dtype == np.float32 else 1e-12, "abs": 1e-300}
    assert flat_norm(values, order) == pytest.approx(float(expected), **close)


@pytest.mark.parametrize("x", [2, True, 2 ** 70, 0.5, np.float32(2), np.float64(2), np.int64(2), np.bool_(True),
                               np.float16(0.5), np.array(2.0), np.array(2)], ids=repr)
@given(g=gradients())
def test_numbers_of_all_kinds_scale_and_are_powers(x, g):
    dense = g.to_dense()
    same(g * x, dense * x)
    same(x * g, x * dense)
    same(g / x, dense / x)
    if x < 100:
        same(abs(g) ** x, abs(dense) ** x)


@pytest.mark.parametrize(("f", "kind", "said"), [
    (lambda g: g * 1j, TypeError, r"np.multiply with complex128\(\) .*: its factors and divisors are real numbers"),
    (lambda g: "a" * g, TypeError, "real numbers"), (lambda g: g / None, TypeError, "real numbers"),
    (lambda g: g * np.timedelta64(1, "s"), TypeError, "real numbers"),
    (lambda g: g.__imul__(1j), TypeError, "real numbers"),
    (lambda g: g * np.ones(4), ShapeError, r"float64\(4,\): it does not broadcast to \(3, 2\)"),
    (lambda g: g * np.ones((5, 3, 2)), TypeError, r"float64\(5, 3, 2\) .*: it does not broadcast to \(3, 2\)"),
    (lambda g: g // 2, TypeError, "none of those that are computed row by row"),
    (lambda g: g ** np.float32(-1), TypeError, "row by row"), (lambda g: g ** 1j, TypeError, "row by row")])
def test_the_reason_is_the_right_one(f, kind, said):
    with pytest.raises(kind, match=said):
        f(RowGrad(np.array([0]), np.ones((1, 2)), (3, 2)))


def test_rows_can_be_changed_in_place():
    g = RowGrad(np.array([0, 2]), np.ones((2, 2)), (3, 2))
    g.rows *= 3
    assert g.sum() == 12
    with pytest.raises(ValueError, match="read-only"):
        g.read_only().rows = np.zeros((2, 2))


@pytest.mark.parametrize("f", [
    lambda g: g @ np.ones((2, 2)), lambda g: np.ones((3, 3)) @ g, lambda g: 1 / g, lambda g: g / g, lambda g: g // 2,
    lambda g: g[0], lambda g: g.T, lambda g: g.reshape(-1), lambda g: g.mean(), lambda g: list(g), np.exp, bool,
    lambda g: g * np.nan, lambda g: g * np.inf, lambda g: g / 0, lambda g: g / np.array([1, 0]), lambda g: g ** -1,
    lambda g: g * np.ones((7, 3, 2)), lambda g: g.__setitem__(0, 1), lambda g: g.__iadd__(np.ones((3, 2))),
    lambda g: g * "x", lambda g: np.add.accumulate(g), lambda g: np.array(g, copy=False), lambda g: g.norm(-1),
    lambda g: g * (g * 1e308 * 10), lambda g: np.add(np.ones((3, 2)), 1, out=g)])
@pytest.mark.filterwarnings("ignore:overflow")
def test_everything_else_names_to_dense(f):
    with pytest.raises((TypeError, ValueError, AttributeError), match="to_dense"):
        f(RowGrad(np.array([0]), np.ones((1, 2)), (3, 2)))


def test_what_is_no_gradient_of_a_table_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\); 1 indices into a table of shape \(4, 2\) need \(1, 2\)"):
        RowGrad(np.array([0]), np.ones((2, 3)), (4, 2))
    with pytest.raises(ValueError, match=r"tables of shapes \(4, 2\) and \(3, 2\)"):
        _ = RowGrad(np.array([0]), np.ones((1, 2)), (4, 2)) + RowGrad(np.array([0]), np.ones((1, 2)), (3, 2))


# ------------------------------------------------------------------------------------------ in the engine

def _embedding(seed=0):
    return nn.Embedding(N, D, dtype=np.float64, generator=np.random.default_rng(seed))


def test_gradient_descent_by_hand():
    e = _embedding()
    expected = e.weight.data.copy()
    e(np.array([1, 3, 1])).sum().backward()
    e.weight.data -= 0.1 * e.weight.grad
    with minidl.no_grad():
        e.weight -= 0.1 * e.weight.grad
    expected[[1, 3]] -= [[0.2], [0.1]]
    expected[[1, 3]] -= [[0.2], [0.1]]
    np.testing.assert_allclose(e.weight.data, expected, rtol=1e-15)
    e.weight.grad *= 0.5
    assert e.weight.grad.sum() == 1.5 * D


@pytest.mark.parametrize(("hook", "kind"), [
    (lambda g: 2 * g, RowGrad), (lambda g: g / g.norm(), RowGrad), (lambda g: g.to_dense(), np.ndarray),
    (lambda g: g + np.ones((N, D)), np.ndarray), (lambda g: None, RowGrad), (lambda g: g, RowGrad)])
def test_hooks_compute_and_answer_with_either_kind(hook, kind):
    plain, hooked = _embedding(), _embedding()
    hooked.weight.register_hook(hook)
    for e in (plain, hooked):
        e(np.array([1, 3, 1])).sum().backward()
    expected = hook(plain.weight.grad)
    assert type(hooked.weight.grad) is kind
    np.testing.assert_array_equal(hooked.weight.grad, plain.weight.grad if expected is None else expected)
    hooked.weight.grad *= 2.0  # it is the user's own


def test_hooks_cannot_change_a_gradient_in_place():
    e = _embedding()
    e.weight.register_hook(lambda g: g.__imul__(2.0))
    with pytest.raises(ValueError, match="read-only"):
        e(np.array([1])).sum().backward()
    e = _embedding()
    e.weight.register_hook(lambda g: np.ones(2))
    with pytest.raises(GradientError, match="a hook returned shape"):
        e(np.array([1])).sum().backward()


def test_rows_and_tensors():
    w = minidl.tensor(np.ones((3, 2)), requires_grad=True)
    g = RowGrad(np.array([1, 1]), np.ones((2, 2)), (3, 2))
    for out in (w * g, g * w):
        out.sum().backward()
        np.testing.assert_array_equal(w.grad, g.to_dense())
        w.grad = None
    for out in (w + g, g + w, w - g, g - w):
        assert isinstance(out, minidl.Tensor)
    w.grad = g
    (w * w).sum().backward(create_graph=True)
    np.testing.assert_array_equal(w.grad.data, g.to_dense() + 2)
    w.grad = None


@given(st.sampled_from([1.0, 2.0, np.inf]), gradients(np.float64))
def test_clipping_counts_each_row_once(p, g):
    by_rows, dense = (minidl.tensor(np.zeros((N, D)), requires_grad=True) for _ in range(2))
    by_rows.grad, dense.grad = g.copy(), g.to_dense()
    assert clip_grad_norm_([by_rows], 0.5, p) == pytest.approx(clip_grad_norm_([dense], 0.5, p), rel=1e-12)
    np.testing.assert_allclose(by_rows.grad, dense.grad, rtol=1e-12)
    by_rows.grad, dense.grad = g.copy(), g.to_dense()
    clip_grad_value_([by_rows], 0.1)
    clip_grad_value_([dense], 0.1)
    np.testing.assert_array_equal(by_rows.grad, dense.grad)


# ----------------------------------------------------------------------------------------------- merging

@given(st.lists(st.tuples(st.integers(0, 300), st.booleans(), st.booleans()), min_size=1, max_size=25),
       st.sampled_from([np.float16, np.float32, np.float64]), st.integers(1, 60), st.integers(0, 2**32))
def test_bits_do_not_depend_on_when_contributions_merge(steps, dtype, n, seed):
    """Sums are taken in the order of contributions; memory is bounded, and nobody sees what another one holds."""
    rng = np.random.default_rng(seed)
    total, every, kept = RowGrad(np.zeros(0, int), np.zeros((0, 2), dtype), (n, 2)), [], []
    for count, look, spoil in steps:
        rows = rng.normal(size=(count, 2)).astype(dtype)
        part = RowGrad(rng.integers(0, n, count), rows, (n, 2))
        every.append((part.indices.copy(), rows.copy()))
        total = total.append(part)
        if look:
            kept.append((total, total.indices.copy(), total.rows.copy()))
        if spoil:
            rows[...] = np.nan  # the contribution's own memory
            assert dtype == np.float16 or len(total.indices) <= max(1024, 2 * n)  # whose sums are rounded once, at last
    indices, rows = (np.concatenate(a) for a in zip(*every, strict=True))
    expected = RowGrad(indices, rows, (n, 2)).coalesce()
    got = total.coalesce()
    assert np.array_equal(got.indices, expected.indices)
    assert got.rows.tobytes() == expected.rows.tobytes()
    for gradient, indices, rows in kept:
        assert np.array_equal(gradient.indices, indices)
        assert np.array_equal(gradient.rows, rows)


def test_sums_of_one_gradient_are_apart():
    a, b, c = (RowGrad(np.array([i]), np.full((1, 1), 10.0 ** i), (3, 1)) for i in range(3))
    ab = a.append(b)
    abc, aba = ab.append(c), ab.append(a)
    ab.rows[...] = 7
    a.rows[...] = 7
    assert np.asarray(ab).ravel().tolist() == [7, 7, 0]
    assert np.asarray(abc).ravel().tolist() == [1, 10, 100]
    assert np.asarray(aba).ravel().tolist() == [2, 10, 0]


def test_many_backward_passes_hold_few_rows():
    e = nn.Embedding(700, 2)
    rng = np.random.default_rng(0)
    counts = np.zeros(700)
    for _ in range(200):
        picks = rng.integers(0, 700, 64)
        e(picks).sum().backward()
        np.add.at(counts, picks, 1)
    assert len(e.weight.grad.indices) <= 2 * 700
    np.testing.assert_array_equal(np.asarray(e.weight.grad)[:, 0], counts)
    table = minidl.tensor(np.zeros((700, 2)), requires_grad=True)
    sum(ops.embedding(rng.integers(0, 700, 64), table).sum() for _ in range(200)).backward()  # within one pass, too
    assert len(table.grad.indices) <= 2 * 700
    assert table.grad.sum() == 200 * 64 * 2

"""Tensor as an array: construction, operators, methods, conversion, and what it refuses."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import GradientError, Tensor, nn, ops, tensor
from minidl.data import default_collate, pad_sequence
from minidl.tensors import as_array
from minidl.testing.strategies import arrays, broadcastable, index_for, shapes

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


# -------------------------------------------------------------------------------------- construction

@given(arrays())
def test_made_by_copying(x):
    t = tensor(x)
    assert np.array_equal(t.data, x)
    assert not np.shares_memory(t.data, x)
    assert t.dtype == x.dtype
    assert (t.shape, t.ndim, t.size) == (x.shape, x.ndim, x.size)
    assert not t.requires_grad
    assert t.is_leaf


def test_made_from_numbers_sequences_and_tensors():
    assert tensor(1.5).shape == ()
    assert tensor([[1, 2], [3, 4]]).dtype == np.int64
    assert tensor([1, 2], dtype=np.float32).dtype == np.float32
    assert tensor(tensor([1.0]), requires_grad=True).requires_grad


@pytest.mark.parametrize("order", [">", "<"])
def test_byte_order_is_native(order):
    x = np.array([1.0, 2.0], np.dtype(float).newbyteorder(order))
    t = tensor(x, requires_grad=True)
    assert t.dtype.isnative
    (t * x).sum().backward()
    np.testing.assert_array_equal(t.grad, [1.0, 2.0])
    assert as_array(x).dtype.isnative


def test_misaligned_arrays_work():
    raw = np.zeros(25, np.uint8)[1:]
    x = raw.view(float)
    assert not x.flags.aligned
    x[...] = [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(minidl.grad(lambda t: (t * t).sum())(x), [2.0, 4.0, 6.0])


# ----------------------------------------------------------------------------------------- operators

def raw(x):
    """What NumPy is given: the array that a Tensor holds, since NumPy's power rounds differently in other layouts."""
    return x.data if isinstance(x, Tensor) else x


@given(st.sampled_from(BINARY), broadcastable(2), st.data())
def test_operators_agree_with_numpy(op, pair, data):
    x, y = (data.draw(arrays(s, low=0.5, high=2)) for s in pair)
    for a, b in ((tensor(x), tensor(y)), (tensor(x), y), (x, tensor(y))):
        got = op(a, b)
        assert isinstance(got, Tensor)
        np.testing.assert_array_equal(raw(a), x)
        np.testing.assert_array_equal(got.data, op(raw(a), raw(b)))


@given(st.sampled_from(BINARY), arrays(low=0.5, high=2))
def test_operators_with_python_numbers(op, x):
    t = tensor(x)
    np.testing.assert_array_equal(op(t, 3).data, op(t.data, 3))
    np.testing.assert_array_equal(op(3, t).data, op(3, t.data))
    low = x.astype(np.float32)
    assert op(tensor(low), 3).dtype == np.float32
    assert op(3.0, tensor(low)).dtype == np.float32


def test_matmul_from_both_sides():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    for x, y in ((tensor(a), b), (a, tensor(b)), (tensor(a), tensor(b))):
        got = x @ y
        assert isinstance(got, Tensor)
        np.testing.assert_array_equal(got.data, a @ b)


@given(arrays())
def test_unary_operators(x):
    np.testing.assert_array_equal((-tensor(x)).data, -x)
    np.testing.assert_array_equal(abs(tensor(x)).data, abs(x))


@given(broadcastable(2), st.data())
def test_comparisons_give_plain_arrays(pair, data):
    x, y = (data.draw(arrays(s)) for s in pair)
    for op in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
        for b in (y, tensor(y)):
            got = op(tensor(x, requires_grad=True), b)
            assert not isinstance(got, Tensor)
            np.testing.assert_array_equal(got, op(x, y))


def test_hashable_by_identity():
    a, b = tensor([1.0]), tensor([1.0])
    assert len({a, b, a}) == 2


@given(shapes(), st.data())
def test_indexing(shape, data):
    x = data.draw(arrays(shape))
    index = data.draw(index_for(shape))
    np.testing.assert_array_equal(tensor(x)[index].data, x[index])


def test_iteration_and_length():
    t = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(t) == 2
    assert [row.data.tolist() for row in t] == [[1.0, 2.0], [3.0, 4.0]]


# ------------------------------------------------------------------------------------------- methods

@given(arrays(shapes(min_dims=1, min_side=2)))
def test_methods_agree_with_numpy(x):
    t = tensor(x)
    for name in ("sum", "mean", "max", "min", "var", "std"):
        for keywords in ({}, {"axis": 0}, {"axis": -1, "keepdims": True}):
            expected = getattr(x, name)(**keywords)
            np.testing.assert_allclose(getattr(t, name)(**keywords).data, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(t.T.data, x.T)
    np.testing.assert_array_equal(t.reshape(-1).data, x.reshape(-1))
    np.testing.assert_array_equal(t.reshape((1, -1)).data, x.reshape((1, -1)))
    np.testing.assert_array_equal(t.reshape(1, -1).data, x.reshape(1, -1))
    np.testing.assert_array_equal(t.transpose().data, x.transpose())
    np.testing.assert_array_equal(t.swapaxes(0, -1).data, x.swapaxes(0, -1))
    np.testing.assert_array_equal(t[None].squeeze(0).data, x)
    assert t.astype(np.float32).dtype == np.float32


def test_transpose_takes_axes_in_both_ways():
    x = np.arange(24.0).reshape(2, 3, 4)
    for got in (tensor(x).transpose(2, 0, 1), tensor(x).transpose((2, 0, 1)), tensor(x).transpose([2, 0, 1])):
        np.testing.assert_array_equal(got.data, x.transpose(2, 0, 1))


# ---------------------------------------------------------------------------------------- conversion

def test_numbers():
    t = tensor(2.5)
    assert float(t) == 2.5
    assert int(t) == 2
    assert t.item() == 2.5
    assert bool(t)


def test_nothing_detaches_silently():
    x = tensor([1.0, 2.0], requires_grad=True)
    for convert in (lambda t: t.numpy(), np.asarray, np.array):
        with pytest.raises(GradientError, match="detach"):
            convert(x * 2)
    assert np.array_equal(x.detach().numpy(), [1.0, 2.0])
    assert not x.detach().requires_grad
    assert np.shares_memory(x.detach().data, x.data)
    np.testing.assert_array_equal(np.asarray(tensor([1.0])), [1.0])


def test_an_assignment_to_an_element_does_not_detach():
    t = minidl.tensor([1.0, 2.0], requires_grad=True)
    array, numbers = np.zeros(2), np.zeros(2, int)
    for target in (array, numbers):
        with pytest.raises((ValueError, GradientError)) as caught:
            target[0] = t[1]
        said = caught.value if isinstance(caught.value, GradientError) else caught.value.__cause__
        assert isinstance(said, GradientError)
        assert "item()" in str(said)  # NumPy wraps it for what has a length
    with pytest.raises(GradientError, match="differentiation"):
        array[:] = t
    assert not array.any()
    assert not numbers.any()
    array[0], numbers[0] = t[1].item(), minidl.tensor(3.0)
    assert (array[0], numbers[0], float(t[1]), int(t[1])) == (2.0, 3, 2.0, 2)  # said so, or a constant


@pytest.mark.parametrize("values", [["a"], np.array(["2020-01-01"], "M8[D]"), np.array([1], "m8[s]"), [None], [b"x"],
                                    np.zeros(2, "i4,f4"), [Ellipsis], "text", {"a": 1}], ids=repr)
def test_what_is_no_number_is_refused(values):
    with pytest.raises(TypeError, match="tensor: a has dtype"):
        minidl.tensor(values)


@pytest.mark.parametrize("values", [[True], [1], [1.0], [1j], np.array([1], np.uint8), np.array([1], np.float16), []])
def test_all_numbers_are_taken(values):
    assert np.array_equal(minidl.tensor(values).data, np.asarray(values))
    assert minidl.tensor(np.array(["1.5"]), dtype=float).data[0] == 1.5
    assert minidl.tensor([2, None], dtype=float).size == 2


MASKED = np.ma.array([1.0, 2.0, 9.0], mask=[False, False, True])
ROWS = minidl.RowGrad(np.array([0]), np.ones((1, 1)), (3, 1))


def filled(values):
    minidl.tensor(np.ones(3))[...] = values


def plus(values):
    t = minidl.tensor(np.ones(3))
    t += values


def minus(values):
    t = minidl.tensor(np.ones(3))
    t -= values


def times(values):
    t = minidl.tensor(np.ones(3))
    t *= values


def over(values):
    t = minidl.tensor(np.ones(3))
    t /= values


def hooked(hook):
    y = minidl.tensor(np.ones(3), requires_grad=True) * 2
    y.register_hook(hook)
    y.sum().backward()


X = minidl.tensor(np.ones(3), requires_grad=True)


@pytest.mark.parametrize("use", [
    lambda: minidl.tensor(MASKED), lambda: nn.Parameter(MASKED), lambda: ops.sum(MASKED), lambda: ops.mean(MASKED),
    lambda: X * MASKED, lambda: X + MASKED, lambda: np.add(MASKED, X), lambda: ops.exp(MASKED), lambda: X @ MASKED,
    lambda: ops.mse_loss(X, MASKED), lambda: ops.mse_loss(MASKED, X), lambda: ops.where(MASKED > 1, X, X),
    lambda: ops.where([True], X, MASKED), lambda: X[MASKED > 1], lambda: ops.concatenate([X, MASKED]),
    lambda: ops.embedding(MASKED.astype(int), np.ones((10, 2))), lambda: X.backward(MASKED), lambda: ops.relu(MASKED),
    lambda: ops.binary_cross_entropy_with_logits(X, MASKED), lambda: nn.Linear(3, 1)(MASKED),
    lambda: ops.cross_entropy(np.ones((3, 4)), MASKED.astype(int) % 4),
    lambda: ops.take_along_axis(X, MASKED.astype(int), 0), lambda: minidl.grad(ops.sum)(MASKED),
    lambda: minidl.tensor([MASKED, MASKED]), lambda: ops.sum([[MASKED], [MASKED]]), lambda: nn.Parameter((MASKED,)),
    lambda: minidl.tensor([1.0, np.ma.masked]), lambda: setattr(minidl.tensor(X), "data", MASKED),
    lambda: setattr(X, "grad", MASKED),
    lambda: ops.clip(X, MASKED), lambda: ops.clip(X, None, MASKED), lambda: ops.clip(np.ones(3), a_max=MASKED),
    lambda: ops.leaky_relu(X, MASKED[2]), lambda: ops.repeat(X, MASKED.astype(int)), lambda: X[[MASKED.astype(int)]],
    lambda: ops.batch_norm(np.ones((2, 3)), MASKED, np.ones(3)), lambda: ops.pad(X, 1, constant_values=MASKED[2]),
    lambda: ops.bilinear(np.ones((1, 2)), np.ones((1, 2)), np.ones((3, 2, 2)), MASKED),
    lambda: ops.sampled_softmax_loss(np.ones((3,)), np.ones((3, 3)), hits=MASKED > 1),
    lambda: filled(MASKED), lambda: filled([MASKED]), lambda: plus(MASKED), lambda: minus(MASKED),
    lambda: times(MASKED), lambda: over(MASKED), lambda: X > MASKED, lambda: X == MASKED,
    lambda: minidl.tensor(np.ones(3)).__setitem__(MASKED > 1, 0.0), lambda: nn.Module().register_buffer("b", MASKED),
    lambda: nn.init.constant_(minidl.tensor(np.ones(3)), MASKED), lambda: nn.init.uniform_(X.detach(), MASKED, 10.0),
    lambda: nn.utils.vector_to_parameters(MASKED, [X]), lambda: minidl.io.save("x.npz", {"w": MASKED}),
    lambda: nn.LayerNorm(3).load_state_dict({"weight": MASKED, "bias": np.ones(3)}),
    lambda: nn.BCEWithLogitsLoss(pos_weight=MASKED)(X, np.ones(3)), lambda: default_collate([MASKED, MASKED]),
    lambda: default_collate([np.ones(3), MASKED]), lambda: pad_sequence([MASKED]),
    lambda: ROWS * MASKED[:, None], lambda: np.add(MASKED[:, None], ROWS), lambda: ROWS / MASKED[2],
    lambda: minidl.RowGrad(np.arange(3), MASKED[:, None], (3, 1)), lambda: hooked(lambda g: np.ma.array(g, mask=True))])
def test_masks_are_not_dropped(use):
    with pytest.raises(TypeError, match=r"masked array.*filled.*compressed"):
        use()


def test_numpy_functions_dispatch():
    x = tensor([0.5, 1.5], requires_grad=True)
    for got in (np.exp(x), np.sum(x), np.concatenate([x, x]), np.where(np.array([True, False]), x, 0.0)):
        assert isinstance(got, Tensor)
        assert got.requires_grad
    with pytest.raises(TypeError):
        np.fft.fft(x)


def test_repr():
    assert repr(tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(tensor([1.0], requires_grad=True)) == "tensor([1.], requires_grad=True)"


# ------------------------------------------------------------------------------------- requires_grad

def test_requires_grad_can_be_switched_on_leaves_only():
    x = tensor([1.0])
    x.requires_grad = True
    y = x * 2
    assert y.requires_grad
    assert not y.is_leaf
    with pytest.raises(GradientError, match="detach"):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * 2).requires_grad
    with pytest.raises(GradientError, match="floating"):
        tensor([1]).requires_grad = True


def test_grad_is_settable_on_leaves_and_checked():
    x = tensor([1.0, 2.0], requires_grad=True)
    assert x.grad is None
    x.grad = np.ones(2)
    x.grad = None
    with pytest.raises(GradientError, match=r"shape \(3,\)"):
        x.grad = np.ones(3)
    y = x * 2
    assert y.grad is None
    with pytest.raises(GradientError, match="leaf"):
        y.grad = np.ones(2)
    with pytest.raises(GradientError, match="leaf"):
        tensor([1.0]).grad = np.ones(1)


def test_hooks_need_a_gradient():
    with pytest.raises(GradientError, match="requires_grad=False"):
        tensor([1.0]).register_hook(lambda g: g)


def test_no_new_attributes():
    with pytest.raises(AttributeError):
        tensor([1.0]).colour = "red"


def test_freezing_loses_no_gradient():
    layer, x = nn.Linear(2, 1), np.ones((1, 2), np.float32)
    seen = []
    layer.weight.register_hook(lambda g: seen.append(1))
    (2 * layer(x)).sum().backward()
    before = layer(x).sum()
    layer.requires_grad_(False)
    assert layer.weight.grad is None
    layer.requires_grad_(True)
    assert layer.weight.grad.tolist() == [[2.0, 2.0]]
    before.backward()  # a graph from before leads to the same leaf
    assert layer.weight.grad.tolist() == [[3.0, 3.0]]
    assert seen == [1, 1]


@pytest.mark.parametrize("forget", [lambda m: m.zero_grad(), lambda m: minidl.optim.SGD(m.parameters()).zero_grad(),
                                    lambda m: [setattr(p, "grad", None) for p in m.parameters()],
                                    lambda m: m.to(np.float32)])
def test_gradients_of_frozen_parameters_can_be_forgotten(forget):
    layer = nn.Linear(2, 1)
    layer(np.ones((1, 2), np.float32)).sum().backward()
    layer.requires_grad_(False)
    forget(layer)
    layer.requires_grad_(True)
    assert layer.weight.grad is layer.bias.grad is None


def test_hooks_outlive_a_cast():
    layer = nn.Linear(2, 1)
    layer.weight.register_hook(lambda g: 3 * g)
    layer.double()(np.ones((1, 2))).sum().backward()
    assert layer.weight.grad.tolist() == [[3.0, 3.0]]


@pytest.mark.parametrize(("method", "args", "wanted"), [
    ("exp", (), np.exp), ("log", (), np.log), ("clip", (1.0, 2.0), lambda x: np.clip(x, 1, 2)),
    ("cumsum", (1,), lambda x: np.cumsum(x, 1)), ("ravel", (), np.ravel), ("flatten", (), np.ravel),
    ("flatten", (1,), lambda x: x.reshape(2, 3)), ("flatten", (0, 1), lambda x: x.reshape(2, 3)),
    ("prod", (0,), lambda x: np.prod(x, 0)), ("norm", (2, 0), lambda x: np.linalg.norm(x, 2, 0)),
    ("unsqueeze", (1,), lambda x: x[:, None]), ("unsqueeze", (-1,), lambda x: x[..., None])])
def test_methods_are_the_ops(method, args, wanted):
    x = np.arange(1.0, 7.0).reshape(2, 1, 3)
    t = minidl.tensor(x, requires_grad=True)
    out = getattr(t, method)(*args)
    assert out.requires_grad
    np.testing.assert_allclose(out.data, wanted(x), rtol=1e-15)


def test_argmax_as_a_method_gives_integers():
    assert minidl.tensor([[1.0, 3.0], [2.0, 0.0]], requires_grad=True).argmax(dim=1).tolist() == [1, 0]
    assert minidl.tensor([2.0]).flatten().shape == minidl.tensor(2.0).flatten().shape == (1,)
    with pytest.raises(IndexError, match="flatten: start_dim=2"):
        minidl.tensor([2.0]).flatten(2)

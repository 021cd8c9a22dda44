"""Rearranging beyond the op table: argument forms, views, dtypes, errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.testing.strategies import arrays, shapes

X = np.arange(24.0).reshape(2, 3, 4)

VIEWS = {
    "reshape": lambda m, x: m.reshape(x, (4, 6)), "ravel": lambda m, x: m.ravel(x),
    "transpose": lambda m, x: m.transpose(x), "swapaxes": lambda m, x: m.swapaxes(x, 0, -1),
    "moveaxis": lambda m, x: m.moveaxis(x, [0, 1], [-1, 0]), "squeeze": lambda m, x: m.squeeze(x[:1]),
    "expand_dims": lambda m, x: m.expand_dims(x, (0, -1)), "broadcast_to": lambda m, x: m.broadcast_to(x, (5, 2, 3, 4)),
    "flip": lambda m, x: m.flip(x, (0, 2)), "split": lambda m, x: m.split(x, [1], 1)[1],
}
COPIES = {
    "roll": lambda m, x: m.roll(x, 5, 2), "tile": lambda m, x: m.tile(x, (2, 1)),
    "repeat": lambda m, x: m.repeat(x, 2, 0),
    "concatenate": lambda m, x: m.concatenate([x, x], -1), "stack": lambda m, x: m.stack([x, x], -1),
    "pad": lambda m, x: m.pad(x, 1), "array_split": lambda m, x: m.array_split(x, 3, -1)[0],
}


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, bool])
def test_values_and_dtypes_are_those_of_numpy(name, dtype):
    call = {**VIEWS, **COPIES}[name]
    x = X.astype(dtype)
    wanted = call(np, x)
    for got in (call(ops, x), call(ops, minidl.tensor(x)).data):
        assert np.array_equal(got, wanted)
        assert got.dtype == dtype


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_stays_a_view_forward_and_backward(name):
    x = minidl.tensor(X, requires_grad=True)
    out = VIEWS[name](ops, x)
    assert np.shares_memory(out.data, x.data)


@pytest.mark.parametrize("name", ["reshape", "ravel", "transpose", "swapaxes", "moveaxis", "expand_dims", "flip"])
def test_a_gradient_of_a_view_is_a_view_of_the_upstream(name):
    x = minidl.tensor(X, requires_grad=True)
    out = VIEWS[name](ops, x)
    g = np.ones(out.shape)
    node = out.node
    assert np.shares_memory(node.rule(g, None, node.inputs, [True], **node.params)[0], g)


@pytest.mark.parametrize("name", [*VIEWS, *COPIES])
def test_the_gradient_keeps_float32(name):
    x = minidl.tensor(X.astype(np.float32), requires_grad=True)
    {**VIEWS, **COPIES}[name](ops, x).sum().backward()
    assert (x.grad.dtype, x.grad.shape) == (np.float32, x.shape)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@given(data=st.data())
def test_every_form_of_pad_width_is_understood(mode, data):
    x = data.draw(arrays(shapes(min_dims=1, min_side=1)))
    each = st.tuples(st.integers(0, 5), st.integers(0, 5))
    width = data.draw(st.one_of(st.integers(0, 5), each, st.lists(each, min_size=x.ndim, max_size=x.ndim)))
    assert np.array_equal(ops.pad(x, width, mode), np.pad(x, width, mode))


def test_pad_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="mode='mean' is not offered"):
        ops.pad(X, 1, mode="mean")
    with pytest.raises(ValueError, match="negative"):
        ops.pad(X, -1)
    assert ops.pad(np.ones(1, np.float32), 1, constant_values=2.5).dtype == np.float32


def test_reshape_and_split_say_what_does_not_fit():
    x = minidl.tensor(X)
    with pytest.raises(ValueError, match=r"reshape\(float64\(2, 3, 4\), shape=\(5, 5\)\)"):
        ops.reshape(x, (5, 5))
    with pytest.raises(ValueError, match="order='F'"):
        ops.reshape(x, -1, order="F")
    with pytest.raises(ValueError, match=r"split: axis 1 of shape \(2, 3, 4\) does not make 2 equal pieces"):
        ops.split(x, 2, axis=1)
    with pytest.raises(ValueError, match="concatenate"):
        ops.concatenate([x, minidl.tensor(np.ones((2, 2)))])
    with pytest.raises(ValueError, match="stack"):
        ops.stack([x, minidl.tensor(np.ones(2))])


def test_joining_tensors_and_arrays_gives_each_tensor_its_piece():
    a = minidl.tensor(np.ones((2, 1)), requires_grad=True)
    b = minidl.tensor(np.ones((2, 2), np.float32), requires_grad=True)
    out = ops.concatenate([a, np.zeros((2, 3)), b, [[1.0], [2.0]]], axis=1)
    out.backward(np.arange(14.0).reshape(2, 7))
    assert a.grad.tolist() == [[0], [7]]
    assert b.grad.tolist() == [[4, 5], [11, 12]]
    assert b.grad.dtype == np.float32


def test_a_tensor_is_a_sequence_of_its_rows():
    x = minidl.tensor(X, requires_grad=True)
    assert np.array_equal(ops.concatenate(x).data, np.concatenate(X))
    assert np.array_equal(ops.stack(x, axis=1).data, np.stack(X, axis=1))


def test_the_pieces_of_a_split_join_to_the_whole():
    x = minidl.tensor(X, requires_grad=True)
    whole = ops.concatenate(ops.split(x, [1, 1, 3], axis=2), axis=2)
    assert np.array_equal(whole.data, X)
    whole.backward(X)
    assert np.array_equal(x.grad, X)


@pytest.mark.parametrize("call", [
    lambda x: ops.concatenate([x, x], 3), lambda x: ops.split(x, 2, -4), lambda x: ops.array_split(x, 2, 3),
    lambda x: ops.repeat(x, 2, 3), lambda x: ops.stack([x, x], 4),
    lambda x: ops.flip(x, 3), lambda x: ops.squeeze(x, 3),
    lambda x: ops.roll(x, 1, 3), lambda x: ops.swapaxes(x, 0, 3), lambda x: ops.moveaxis(x, 0, 3),
    lambda x: ops.transpose(x, (0, 1, 3)), lambda x: ops.expand_dims(x, 5)])
def test_an_axis_that_is_not_there_is_an_error_that_names_the_op(call):
    with pytest.raises(IndexError, match=r"^(np\.)?[a-z_]+.*axis"):
        call(minidl.tensor(X))


def test_no_pieces_are_refused():
    with pytest.raises(ValueError, match="larger than 0"):
        ops.split(X, 0)


@pytest.mark.parametrize("f", [lambda x: ops.roll(x, [1, 2], [0, 1]), lambda x: ops.tile(x, np.array(2)),
                               lambda x: ops.tile(x, True)])
def test_what_goes_forward_in_lists_and_arrays_comes_back(f):
    x = minidl.tensor(np.ones((2, 3)), requires_grad=True)
    out = f(x)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad, np.full((2, 3), out.data.size / 6))

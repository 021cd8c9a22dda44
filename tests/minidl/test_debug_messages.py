"""What a wrong call says: one sentence that names the op, the shapes and what to do; empty arrays have an answer."""

from __future__ import annotations

import re

import numpy as np
import pytest

from minidl import nn, ops, tensor
from minidl.errors import GradientError, ShapeError


def t(shape, dtype=np.float32):
    return tensor(np.ones(shape, dtype), requires_grad=np.dtype(dtype).kind == "f")


def a(*values):
    return np.array(values)


WRONG = {
    # shapes
    "add": (lambda: t((2, 3)) + t((2, 2)), ShapeError,
            r"^add\(float32\(2, 3\), float32\(2, 2\)\): shapes \(2, 3\) and \(2, 2\) do not broadcast, since axis -1 "
            r"has lengths 3 and 2, which have to be equal or 1; reshape"),
    "add, three axes": (lambda: t((4, 2, 3)) * t((5, 1, 3)), ShapeError, r"multiply.*axis -3 has lengths 4 and 5"),
    "where": (lambda: ops.where(a(True, False), t(3), 0.0), ShapeError, r"where.*condition=bool\(2,\).*3 and 2"),
    "broadcast_to": (lambda: ops.broadcast_to(t((2, 3)), (2, 4)), ShapeError,
                     r"broadcast_to.*shape \(2, 3\) does not broadcast to \(2, 4\)"),
    "matmul": (lambda: t((2, 3)) @ t((2, 3)), ShapeError,
               r"^matmul\(float32\(2, 3\), float32\(2, 3\)\): .* have lengths 3 and 2, .*equal; transpose"),
    "matmul, stacks": (lambda: ops.matmul(t((2, 4, 3)), t((3, 3, 5))), ShapeError,
                       r"matmul.*shapes \(2,\) and \(3,\) do not broadcast"),
    "matmul, a number": (lambda: ops.matmul(t(()), t((2, 3))), ShapeError, r"matmul\(float32\(\).*multiply it with \*"),
    "linear": (lambda: ops.linear(t((4, 3)), t((5, 2))), ShapeError,
               r"linear\(float32\(4, 3\), float32\(5, 2\), None\): the last axis of x"),
    "linear, no axis": (lambda: ops.linear(t(()), t((5, 2))), ShapeError, r"linear\(float32\(\)"),
    "linear, bias": (lambda: ops.linear(t((4, 3)), t((5, 3)), t(4)), ShapeError, r"linear.*bias has shape \(4,\)"),
    "Linear": (lambda: nn.Linear(3, 2)(t((4, 4))), ShapeError, r"linear\(float32\(4, 4\), float32\(2, 3\)"),
    "embedding, table": (lambda: ops.embedding(a(0), t(3)), ShapeError, r"embedding.*\(number of rows, dimension\)"),
    "mse_loss": (lambda: ops.mse_loss(t((3, 1)), np.ones(3)), ShapeError,
                 r"mse_loss.*\(3, 1\).*\(3,\).*target.reshape\(3, 1\)"),
    "cross_entropy": (lambda: ops.cross_entropy(t((2, 3)), a(0, 1, 2)), ShapeError, r"cross_entropy.*\(2, 3\).*\(3,\)"),
    "cross_entropy, weight": (lambda: ops.cross_entropy(t((2, 3)), a(0, 1), weight=np.ones(2)), ShapeError,
                              r"cross_entropy: weight has shape \(2,\)"),
    "concatenate": (lambda: ops.concatenate([t((2, 3)), t((2, 2))]), ShapeError,
                    r"concatenate.*along axis=0 only, but along axis 1 array 0 has 3 elements and array 1 has 2"),
    "concatenate, nothing": (lambda: ops.concatenate([]), ShapeError, "concatenate.*pass at least one"),
    "stack": (lambda: ops.stack([t((2, 3)), t((2, 2))]), ShapeError, r"stack\(float32\(2, 3\), .*same shape"),
    "reshape": (lambda: ops.reshape(t((2, 3)), (4, 2)), ShapeError,
                r"^reshape\(float32\(2, 3\), shape=\(4, 2\)\): 6 elements do not fill shape \(4, 2\), which has 8"),
    "reshape, two -1": (lambda: t((2, 3)).reshape(-1, -1), ShapeError, r"reshape.*only one length of shape \(-1, -1\)"),
    "reshape, does not divide": (lambda: t((2, 3)).reshape(-1, 4), ShapeError, r"reshape.*-1 stands for 6 / 4"),
    "reshape, empty": (lambda: t((0, 3)).reshape(-1, 0), ShapeError, r"reshape.*0 elements .*shape \(-1, 0\)"),
    "squeeze": (lambda: t((2, 3)).squeeze(0), ShapeError, r"^squeeze\(float32\(2, 3\), axis=0\)"),
    # indices and axes
    "getitem": (lambda: t((2, 3))[5], IndexError, r"getitem\(float32\(2, 3\), index=5\).*out of bounds.*from -2 to 1"),
    "getitem, array": (lambda: t((2, 3))[:, a(0, 9)], IndexError, r"getitem.*index 9.*go from -3 to 2"),
    "getitem, empty": (lambda: t((0, 3))[0], IndexError, r"getitem\(float32\(0, 3\).*it has none"),
    "getitem, too many": (lambda: t((2, 3))[0, 0, 0], IndexError, "getitem.*too many indices"),
    "getitem, float": (lambda: t((2, 3))[1.5], IndexError, r"getitem.*index=1\.5\).*integers"),
    "getitem, mask": (lambda: t((2, 3))[a(True, False, True)], IndexError, r"getitem.*bool\(3,\).*size of axis is 2"),
    "take": (lambda: ops.take(t((2, 3)), a(-3), axis=0), IndexError, "take.*index -3.*from -2 to 1"),
    "embedding": (lambda: ops.embedding(a(0, 7), t((3, 2))), IndexError, "embedding: index 7 .* 3 rows.*from 0 to 2"),
    "embedding, negative": (lambda: ops.embedding(a(-1), t((3, 2))), IndexError, "embedding: index -1"),
    "cross_entropy, class": (lambda: ops.cross_entropy(t((2, 3)), a(0, 3)), IndexError, "cross_entropy.*class 3.*to 2"),
    "sum": (lambda: t((2, 3)).sum(axis=2), IndexError, r"sum\(float32\(2, 3\), axis=2.*from -2 to 1"),
    "softmax": (lambda: ops.softmax(t((2, 3)), axis=3), IndexError, "softmax.*axis 3.*from -2 to 1"),
    "concatenate, axis": (lambda: ops.concatenate([t((2, 3))], axis=2), IndexError, "concatenate.*axis 2"),
    "expand_dims": (lambda: ops.expand_dims(t((2, 3)), 5), IndexError, r"^expand_dims.*axis 5.*from -3 to 2"),
    # kinds of arguments
    "linear, list": (lambda: ops.linear([[1.0, 2.0]], t((5, 2))), TypeError, "linear.*argument 0 is a list; pass"),
    "add, text": (lambda: t(2) + "a", TypeError, "add.*argument 1 is 'a', which has no arithmetic"),
    "multiply, None": (lambda: t(2) * None, TypeError, "multiply.*argument 1 is None"),
    "matmul, text": (lambda: t((2, 3)) @ np.full((3, 2), "a"), TypeError, "matmul.*argument 1 is an array of <U1"),
    "exp, objects": (lambda: ops.exp(np.array([None])), TypeError, "exp.*argument 0 is an array of object"),
    "mse_loss, reduction": (lambda: ops.mse_loss(t(3), np.ones(3), reduction="avg"), ValueError, "mse_loss.*'mean'"),
    "integers with a gradient": (lambda: tensor([1, 2], requires_grad=True), GradientError, "int64.*floating point"),
    # an index, a width or a length names its op and argument
    "gather": (lambda: ops.gather(t((2, 3)), a(0.5)), IndexError, r"^gather\(.*indices has dtype float64.*integers"),
    "take_along_axis": (lambda: ops.take_along_axis(t((2, 3)), a(9)[None]), IndexError, r"^take_along_axis\(.*index 9"),
    "embedding, floats": (lambda: ops.embedding(a(0.0), t((3, 2))), IndexError,
                          r"^embedding: indices has dtype float64 and shape \(1,\); use integers"),
    "embedding, no rows": (lambda: ops.embedding(a(0), t((0, 2))), IndexError,
                           r"embedding: index 0 .* 0 rows; weight of shape \(0, 2\) has none to look up"),
    "embedding_bag, offsets": (lambda: ops.embedding_bag(a(0), t((3, 2)), offsets=a(0.0)), IndexError,
                               r"^embedding_bag: offsets has dtype float64"),
    "multinomial_loss, offsets": (lambda: ops.multinomial_loss(t((1, 3)), a(0), offsets=a(0.0)), IndexError,
                                  r"^multinomial_loss: offsets has dtype float64"),
    "gru, lengths": (lambda: ops.gru(t((2, 1, 1)), t((3, 1)), t((3, 1)), lengths=a(1.0)), IndexError,
                     r"^gru: lengths has dtype float64"),
    "pad, floats": (lambda: ops.pad(t(3), 1.5), IndexError, r"^pad: pad_width has dtype float64"),
    "pad, axes": (lambda: ops.pad(t(3), ((1, 1), (1, 1))), ShapeError, r"^pad: pad_width=.* does not fit x.*\(3,\)"),
    "pad, negative": (lambda: ops.pad(t(3), -1, mode="edge"), ValueError, "^pad: pad_width has negative values"),
    "embedding, padding": (lambda: ops.embedding(a(0), t((3, 2)), padding_idx=0.5), TypeError, "^embedding.*0.5"),
    "embedding, norm": (lambda: ops.embedding(a(0), np.ones((3, 2)), max_norm=-1.0), ValueError, "embedding: max_norm"),
    # what fails inside of a function is told of the function that was called
    "hinge_loss, margin": (lambda: ops.hinge_loss(t(3), t(3), margin=None), TypeError,
                           r"^hinge_loss\(float32\(3,\), float32\(3,\), margin=None\): "),
    "mse_loss, text": (lambda: ops.mse_loss(np.full(3, "a"), np.ones(3)), TypeError, "^mse_loss.*hold real numbers"),
    "mse_loss, complex": (lambda: ops.mse_loss(np.full(3, 1j), np.ones(3)), TypeError, "^mse_loss.*complex128"),
    "mse_loss, weight": (lambda: ops.mse_loss(t(3), np.ones(3), weight=np.full(3, 1j)), TypeError, "^mse_loss.*real"),
    "layer_norm, complex": (lambda: ops.layer_norm(t((2, 3)), 3, np.full(3, 1j)), TypeError, "^layer_norm.*real"),
    "batch_norm, objects": (lambda: ops.batch_norm(t((2, 3)), None, None, np.full(3, None), training=True), TypeError,
                            "^batch_norm.*real"),
    "softmax, complex": (lambda: ops.softmax(np.full(3, 1j)), TypeError, "^softmax.*complex128.*hold real numbers"),
    "logsumexp, objects": (lambda: ops.logsumexp(np.full(3, None)), TypeError, "^logsumexp.*real"),
    "norm, complex": (lambda: ops.norm(np.full(3, 1j)), TypeError, "^norm.*real"),
    "embedding_bag, complex": (lambda: ops.embedding_bag(np.zeros((1, 1), int), t((3, 2)), mode="sum",
                                                         per_sample_weights=np.full((1, 1), 1j)), TypeError, "real"),
    "max_pool2d, list": (lambda: ops.max_pool2d([[[1.0]]], 1), TypeError, r"^max_pool2d.*input is a list; pass"),
    "conv1d, text": (lambda: ops.conv1d(np.full((1, 1, 3), "a"), t((1, 1, 1))), TypeError, r"^conv1d\("),
    "linear, number": (lambda: ops.linear(t((2, 3)), 1), TypeError, r"^linear.*argument 1 is an int; pass an array"),
    "sum, huge axis": (lambda: ops.sum(t((2, 3)), axis=2**70), ShapeError, r"^sum\(.*too large"),
    "einsum, diagonal": (lambda: ops.einsum("ii->i", np.ones((0, 3))), ShapeError, r"^einsum: .*\(0, 3\).*'ii' differ"),
    # nothing there
    "max of nothing": (lambda: ops.max(t((0, 3)), axis=0), ShapeError, r"max\(.*zero-size array has no maximum"),
    "backward": (lambda: t(2).backward(), GradientError, r"backward: the output has shape \(2,\).*reduce it"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_explained(name):
    call, kind, says = WRONG[name]
    with pytest.raises(kind, match=says) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert message == message.strip()
    assert not re.search(r"\bdtype\('|gufunc|core dimension|remapped|ufunc", message)


EMPTY = {
    "linear": (lambda: ops.linear(t((0, 3)), t((5, 3)), t(5)), (0, 5)),
    "linear, no features": (lambda: ops.linear(t((2, 0)), t((5, 0)), t(5)), (2, 5)),
    "matmul": (lambda: t((0, 3)) @ t((3, 2)), (0, 2)),
    "matmul, nothing to sum": (lambda: t((2, 0)) @ t((0, 3)), (2, 3)),
    "embedding": (lambda: ops.embedding(np.zeros((0, 4), int), t((3, 2))), (0, 4, 2)),
    "embedding, empty table": (lambda: ops.embedding(np.zeros(0, int), t((0, 2))), (0, 2)),
    "concatenate": (lambda: ops.concatenate([t((0, 3)), t((2, 3))]), (2, 3)),
    "reshape": (lambda: t((0, 3)).reshape(3, 0, 7), (3, 0, 7)),
    "getitem": (lambda: t((4, 3))[np.zeros(0, int)], (0, 3)),
    "getitem, slice": (lambda: t((4, 3))[2:2], (0, 3)),
    "sum of losses": (lambda: ops.mse_loss(t((0, 3)), np.ones((0, 3), np.float32), reduction="sum"), ()),
    "losses": (lambda: ops.cross_entropy(t((0, 3)), np.zeros(0, int), reduction="none"), (0,)),
    "model": (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))(np.ones((0, 3), np.float32)), (0, 2)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_arrays_have_an_answer(name):
    call, shape = EMPTY[name]
    out = call()
    assert out.shape == shape
    assert np.isfinite(out.data).all()
    out.sum().backward()


LAYOUTS = {"Fortran": np.asfortranarray, "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
           "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
           "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
           "misaligned": lambda x: _misaligned(x), "read-only": lambda x: np.broadcast_to(x, x.shape)}


def _misaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(x.tobytes(), np.uint8)
    return raw[1:].view(x.dtype).reshape(x.shape)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", [
    lambda x: ops.linear(x, np.ones((2, 3)), np.ones(2)), lambda x: x @ np.ones((3, 2)), ops.softmax, ops.relu,
    lambda x: ops.embedding(a(0, 1), x), lambda x: ops.concatenate([x, x]), lambda x: x.reshape(-1),
    lambda x: x[a(0, 1)],
    lambda x: ops.mse_loss(x, np.ones((2, 3))), lambda x: ops.cross_entropy(x, a(0, 1)),
])
def test_any_layout_gives_the_same(op, layout):
    x = np.arange(6.0).reshape(2, 3) + 1
    odd = LAYOUTS[layout](x)
    expected, got = (tensor(x, requires_grad=True) for _ in range(2))
    got.data = odd if odd.dtype.isnative else tensor(odd).data  # `tensor` copies; a view of a user's array may be odd
    for leaf in (expected, got):
        op(leaf).sum().backward()
    np.testing.assert_allclose(op(got).data, op(expected).data, rtol=1e-12)
    dense = [g.to_dense() if hasattr(g, "to_dense") else g for g in (got.grad, expected.grad)]
    np.testing.assert_allclose(*dense, rtol=1e-12, atol=1e-15)

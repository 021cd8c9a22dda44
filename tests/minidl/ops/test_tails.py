"""Values and slopes far from 0 and near it keep their digits: against 60 digits of `decimal`."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.ops.functions import erfc_tail


def sigmoid(x):
    return 1 / (1 + (-x).exp())


def softplus(x):
    return (1 + x.exp()).ln()


def tanh(x):
    return (x.exp() - (-x).exp()) / (x.exp() + (-x).exp())


def slope_of_tanh(x):
    return 4 / (x.exp() + (-x).exp()) ** 2


def over(x, positive, negative):
    return positive(x) if x > 0 else negative(x)


ONE = Decimal(1)
ELU = lambda x: over(x, Decimal, lambda x: x.exp() - 1), lambda x: over(x, lambda x: ONE, Decimal.exp)
FAMILY = {  # value and slope
    "sigmoid": (ops.sigmoid, sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "tanh": (ops.tanh, tanh, slope_of_tanh),
    "softplus": (ops.softplus, softplus, sigmoid),
    "softplus, sharp": (lambda x: ops.softplus(x, beta=2.0), lambda x: softplus(2 * x) / 2, lambda x: sigmoid(2 * x)),
    "logsigmoid": (ops.logsigmoid, lambda x: -softplus(-x), lambda x: sigmoid(-x)),
    "silu": (ops.silu, lambda x: x * sigmoid(x), None),
    "elu": (ops.elu, *ELU), "celu": (ops.celu, *ELU),
    "mish": (ops.mish, lambda x: x * tanh(softplus(x)), None),
    "tanhshrink": (ops.tanhshrink, lambda x: x - tanh(x), lambda x: tanh(x) ** 2),
    "bce, target 1": (lambda x: ops.binary_cross_entropy_with_logits(x, np.ones(1), reduction="none"),
                      lambda x: softplus(-x), lambda x: -sigmoid(-x)),
    "bce, target 0": (lambda x: ops.binary_cross_entropy_with_logits(x, np.zeros(1)), softplus, sigmoid),
    "bce, kernel, target 1": (lambda x: ops.binary_cross_entropy_with_logits(x, np.ones(1)),
                              lambda x: softplus(-x), lambda x: -sigmoid(-x)),
    "bce, pos_weight": (lambda x: ops.binary_cross_entropy_with_logits(x, np.zeros(1), pos_weight=np.full(1, 3.0)),
                        softplus, sigmoid),
    "bpr_loss": (lambda x: ops.bpr_loss(x, np.zeros(1)), lambda x: softplus(-x), lambda x: -sigmoid(-x)),
    "soft_margin_loss": (lambda x: ops.soft_margin_loss(x, np.ones(1)), lambda x: softplus(-x), lambda x: -sigmoid(-x)),
    "log_softmax": (lambda x: ops.log_softmax(ops.concatenate([x, 0 * x]))[:1], lambda x: -softplus(-x), None),
    "softmax": (lambda x: ops.softmax(ops.concatenate([x, 0 * x]))[:1], sigmoid, None),
    "logsumexp": (lambda x: ops.logsumexp(ops.concatenate([x, 0 * x])), softplus, None),
    "cross_entropy": (lambda x: ops.cross_entropy(ops.concatenate([x, 0 * x])[None], np.zeros(1, int)),
                      lambda x: softplus(-x), lambda x: -sigmoid(-x)),
    "cross_entropy, probabilities": (lambda x: ops.cross_entropy(ops.concatenate([x, 0 * x]), np.array([1.0, 0.0])),
                                     lambda x: softplus(-x), None),
    "multinomial_loss": (lambda x: ops.multinomial_loss(ops.concatenate([x, 0 * x])[None], np.zeros(1, int),
                                                        offsets=np.zeros(1, int)), lambda x: softplus(-x), None),
}


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 85.0), (np.float64, 340.0)])
@given(power=st.floats(-9, 1), negative=st.booleans())
def test_values_and_slopes_keep_their_digits_in_both_tails_and_near_0(name, dtype, most, power, negative):
    function, value, slope = FAMILY[name]
    x = dtype((-1 if negative else 1) * most * 10.0 ** (power - 1))
    leaf = minidl.tensor(np.array([x]), requires_grad=True)
    out = function(leaf)
    out.sum().backward()
    with localcontext() as context:
        context.prec = 400
        exact = Decimal(float(x))
        wanted = [float(value(exact)), None if slope is None else float(slope(exact))]
    rtol = float(np.finfo(dtype).eps) * (50 + 2 * abs(float(x)))
    if name == "tanhshrink":
        rtol *= 100
    for got, want in zip((out.data.ravel()[0], leaf.grad[0]), wanted, strict=True):
        if want is not None and abs(want) > float(np.finfo(dtype).tiny):
            assert got.dtype == dtype
            assert abs(float(got) - want) <= rtol * abs(want)


@given(st.floats(-37, 8))
def test_gelu_and_its_slope_keep_their_digits(x):
    phi, density = 0.5 * math.erfc(-x * math.sqrt(0.5)), math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    rtol = 1e-15 * (50 + x * x)
    assert np.isclose(ops.gelu(np.array(x)), x * phi, rtol=rtol, atol=1e-308)
    slope = minidl.grad(lambda a: ops.gelu(a))(np.array(x))
    assert np.isclose(slope, phi + x * density, rtol=rtol, atol=4 * rtol * (phi + abs(x) * density))
    single = np.float32(max(x, -12.0))
    wanted = single * 0.5 * math.erfc(-float(single) * math.sqrt(0.5))
    assert np.isclose(ops.gelu(np.array([single]))[0], wanted, rtol=4e-6 * (1 + abs(single)), atol=1e-37)


@given(st.floats(0.5, 26))
def test_the_tail_of_the_error_function_is_that_of_the_c_library(x):
    assert np.isclose(erfc_tail(np.array([x]))[0], math.erfc(x), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_ties_with_the_largest_counts_and_what_is_nothing_does_not(dtype):
    for row in ([1.0, 1.0, 1.0], [0.0, -np.inf], [5.0], [2.0, 2.0, -60.0]):
        x = np.array([row], dtype)
        exact = math.log(math.fsum(math.exp(v) for v in row))
        assert np.isclose(ops.logsumexp(x), exact)
        assert np.isclose(ops.cross_entropy(x, np.zeros(1, int)), exact - row[0])
        assert np.isclose(ops.log_softmax(x)[0, 0], row[0] - exact)
    assert ops.logsumexp(np.full(2, -np.inf, dtype)) == -np.inf
    assert ops.logsumexp(np.array([np.inf, 1], dtype)) == np.inf

"""Convolution layers: parameters, options, refusals."""

import numpy as np
import pytest

import minidl
from minidl.errors import ShapeError
from minidl.nn.conv import Conv1d, Conv2d, ConvTranspose2d, Fold, Unfold
from minidl.ops.conv import conv1d, conv2d, conv_transpose2d

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("layer", "weight"), [
    (Conv1d(4, 6, 3, groups=2), (6, 2, 3)), (Conv2d(4, 6, (3, 2), groups=2), (6, 2, 3, 2)),
    (ConvTranspose2d(4, 6, (3, 2), groups=2), (4, 3, 3, 2))])
def test_parameters_have_pytorchs_names_and_shapes(layer, weight):
    assert {k: v.shape for k, v in layer.state_dict().items()} == {"weight": weight, "bias": (6,)}
    assert layer.weight.dtype == np.float32


@pytest.mark.parametrize(("layer", "fan"), [
    (Conv2d(8, 50, 3), 72), (Conv1d(8, 90, 4, groups=2), 16), (ConvTranspose2d(40, 60, 3, groups=2), 270)])
def test_initial_values_are_uniform_within_the_bound(layer, fan):
    bound = 1 / fan**0.5
    for values in (layer.weight.data, layer.bias.data):
        assert 0.8 * bound < np.abs(values).max() <= bound * (1 + 1e-6)
        assert abs(values.mean()) < 0.4 * bound


def test_the_generator_decides():
    first, again = (Conv2d(2, 3, 3, generator=np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first.weight.data, again.weight.data)
    assert np.array_equal(first.bias.data, again.bias.data)


def test_options_reach_the_op():
    x, line = draw(2, 4, 9, 8), draw(2, 4, 9)
    layer = Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
    assert np.array_equal(layer(x).data, conv2d(x, layer.weight, layer.bias, (2, 1), (1, 0), (1, 2), 2).data)
    layer = Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False)
    assert np.array_equal(layer(line).data, conv1d(line, layer.weight, None, 2, 1, 2, 2).data)
    layer = ConvTranspose2d(4, 6, 3, stride=3, padding=1, output_padding=2, groups=2, dilation=2)
    assert np.array_equal(layer(x).data, conv_transpose2d(x, layer.weight, layer.bias, 3, 1, 2, 2, 2).data)
    assert Conv2d(4, 5, 3, padding="same")(x).shape == (2, 5, 9, 8)


def test_unfold_and_fold_layers_undo_each_other_up_to_counts():
    x = draw(2, 3, 6, 7)
    options = {"kernel_size": (2, 3), "dilation": 1, "padding": (0, 1), "stride": (2, 1)}
    unfold, fold = Unfold(**options), Fold((6, 7), **options)
    np.testing.assert_allclose(fold(unfold(x)), x * fold(unfold(np.ones_like(x))), rtol=1e-6)


def test_output_size_chooses_among_what_is_possible():
    up = ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    x = draw(1, 2, 4, 5)
    assert up(x).shape == (1, 3, 7, 9)
    assert up(x, output_size=(8, 9)).shape == (1, 3, 8, 9)
    with pytest.raises(ShapeError, match=r"output_size=\(9, 9\) is not possible; .* smallest is \(7, 9\)"):
        up(x, output_size=(9, 9))


def test_gradients_reach_the_parameters():
    layer = Conv2d(2, 3, 3)
    (layer(draw(4, 2, 6, 6)) ** 2).sum().backward()
    assert layer.weight.grad.shape == layer.weight.shape
    assert layer.bias.grad.any()
    assert minidl.tensor(draw(1)).grad is None


@pytest.mark.parametrize(("make", "says"), [
    (lambda: Conv2d(4, 6, 3, padding_mode="reflect"), "Conv2d: padding_mode='reflect' is not offered, only 'zeros'"),
    (lambda: Conv2d(4, 6, 3, groups=4), "Conv2d: in_channels=4 and out_channels=6 must both divide by groups=4"),
    (lambda: Conv2d(4, 6, 0), "Conv2d: kernel_size=0; give an integer of at least 1"),
    (lambda: Conv1d(4, 6, (3, 3)), r"Conv1d: kernel_size=\(3, 3\); give an integer"),
    (lambda: ConvTranspose2d(4, 6, 3, padding="same"), "ConvTranspose2d: padding='same'")])
def test_what_is_not_offered_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_they_show_what_is_not_the_default():
    assert repr(Conv2d(3, 8, 3)) == "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))"
    assert repr(Conv1d(4, 8, 3, 1, "same", 2, 2, bias=False)) == (
        "Conv1d(4, 8, kernel_size=(3,), stride=(1,), padding='same', dilation=(2,), groups=2, bias=False)")
    assert repr(ConvTranspose2d(4, 8, 3, 2, 1, 1)) == (
        "ConvTranspose2d(4, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))")
    assert repr(Fold(4, 2)) == "Fold(output_size=4, kernel_size=2, dilation=1, padding=0, stride=1)"


@pytest.mark.parametrize(("padding", "stride"), [("sam", 1), ("same", 2)])
def test_a_padding_in_words_is_checked_when_the_layer_is_made(padding, stride):
    with pytest.raises(ValueError, match=rf"Conv2d: padding='{padding}' with stride=\({stride}, {stride}\)"):
        Conv2d(3, 4, 3, stride=stride, padding=padding)

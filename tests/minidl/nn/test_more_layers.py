"""Bilinear, channel dropout, embeddings of limited norm, more activations."""

import numpy as np
import pytest

import minidl
from minidl import RowGrad, nn, ops
from minidl.errors import ShapeError

RNG = np.random.default_rng(0)


def test_bilinear_is_a_form():
    layer = nn.Bilinear(3, 4, 2, dtype=np.float64)
    x, y = RNG.normal(size=(2, 5, 3)), RNG.normal(size=(2, 5, 4))
    wanted = np.einsum("...i,oij,...j->...o", x, layer.weight.data, y) + layer.bias.data
    np.testing.assert_allclose(layer(x, y).data, wanted)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert repr(layer) == "Bilinear(in1_features=3, in2_features=4, out_features=2, bias=True)"
    assert nn.Bilinear(3, 4, 2, bias=False).bias is None
    wide = nn.Bilinear(100, 40, 20, generator=np.random.default_rng(1))
    assert 0.099 < np.abs(wide.weight.data).max() <= 0.1
    with pytest.raises(ValueError, match="in1_features=0"):
        nn.Bilinear(0, 1, 1)


# ------------------------------------------------------------------------------------------- dropout

@pytest.mark.parametrize(("make", "shape"), [(nn.Dropout1d, (20, 6, 3)), (nn.Dropout1d, (20, 3)),
                                             (nn.Dropout2d, (20, 6, 3, 2)), (nn.Dropout2d, (20, 3, 2))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_channels_are_dropped(make, shape, dtype):
    x = minidl.tensor(np.full(shape, 2, dtype), requires_grad=True)
    layer = make(0.4, generator=np.random.default_rng(3))
    out = layer(x)
    assert out.dtype == dtype
    channels = out.data.reshape(-1, int(np.prod(shape[-(2 if make is nn.Dropout2d else 1):])))
    assert (channels == channels[:, :1]).all()
    assert set(np.round(channels[:, 0].astype(float), 4)) == {0.0, round(2 / 0.6, 4)}
    out.sum().backward()
    np.testing.assert_allclose(x.grad, out.data / 2)
    assert layer.eval()(x) is x
    assert repr(layer) == f"{make.__name__}(p=0.4)"


def test_channel_dropout_refuses_other_shapes():
    with pytest.raises(ShapeError, match="Dropout2d"):
        nn.Dropout2d()(np.ones((2, 3)))
    with pytest.raises(ValueError, match="not a probability"):
        nn.Dropout1d(2.0)


# ------------------------------------------------------------------------------------ what is no array

@pytest.mark.parametrize(("layer", "name"), [
    (nn.Flatten(), "Flatten"), (nn.RNN(2, 3), "RNN"), (nn.GRUCell(2, 3), "GRUCell"), (nn.BatchNorm1d(2), "BatchNorm1d"),
    (nn.Sequential(nn.Flatten()), "Flatten")])
@pytest.mark.parametrize(("given", "said"), [([[1.0, 2.0]], "a list"), ("text", "a str"), (None, "None")])
def test_what_is_no_array_is_named_with_the_layer(layer, name, given, said):
    with pytest.raises(TypeError, match=rf"^{name}: argument 0 is {said}; pass an array or a Tensor"):
        layer(given)


def test_an_attribute_that_a_module_lacks_is_no_matter_of_its_arguments():
    class Lacking(nn.Module):
        def forward(self, x):
            return self.shape

    with pytest.raises(AttributeError, match="shape"):
        Lacking()(None)


# ------------------------------------------------------------------------------- embeddings of limited norm

@pytest.mark.parametrize("norm_type", [2.0, 1.0, np.inf])
def test_long_rows_are_shortened_where_they_are_looked_up(norm_type):
    layer = nn.Embedding(4, 2, max_norm=1.0, norm_type=norm_type, dtype=np.float64)
    before = np.array([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0], [-5.0, 0.0]])
    layer.weight.data[...] = before
    out = layer(np.array([[0, 0], [1, 3]], np.uint8))
    lengths = np.linalg.norm(before, norm_type, axis=1)
    wanted = before / np.maximum(lengths, 1)[:, None]
    wanted[2] = before[2]  # not looked up
    np.testing.assert_allclose(layer.weight.data, wanted, rtol=1e-6)
    np.testing.assert_array_equal(layer.weight.data[[1, 2]], before[[1, 2]])
    np.testing.assert_allclose(out.data, wanted[[[0, 0], [1, 3]]], rtol=1e-6)
    out.sum().backward()
    assert isinstance(layer.weight.grad, RowGrad)
    np.testing.assert_array_equal(layer.weight.grad.to_dense(), [[2, 2], [1, 1], [0, 0], [1, 1]])


def test_max_norm_with_nothing_to_look_up_and_without():
    layer = nn.Embedding(3, 2, max_norm=0.1)
    before = layer.weight.data.copy()
    assert layer(np.zeros(0, int)).shape == (0, 2)
    assert np.array_equal(layer.weight.data, before)
    assert repr(layer) == "Embedding(3, 2, max_norm=0.1)"
    with pytest.raises(IndexError, match="index 3"):
        layer(np.array([0, 3]))
    assert np.array_equal(layer.weight.data, before)


# ---------------------------------------------------------------------------------------- activations

ACTIVATIONS = {nn.Hardtanh: {"min_val": -0.5, "max_val": 2.0}, nn.ReLU6: {}, nn.Hardsigmoid: {}, nn.Hardswish: {},
               nn.CELU: {"alpha": 0.5}, nn.Mish: {}, nn.Softsign: {}, nn.Tanhshrink: {}, nn.LogSigmoid: {},
               nn.Softmin: {"axis": 0}, nn.GLU: {"axis": 1}}


@pytest.mark.parametrize("make", ACTIVATIONS)
def test_activations_are_the_ops_with_their_options(make):
    x, options = 3 * RNG.normal(size=(3, 4)), ACTIVATIONS[make]
    op = getattr(ops, make.__name__.lower())
    assert np.array_equal(make(**options)(x), op(x, **options))
    assert np.array_equal(make()(x), op(x))
    assert all(f"{k}={v!r}" in repr(make(**options)) for k, v in options.items())


def test_threshold_and_prelu():
    x = np.array([[-1.0, 0.5], [2.0, -3.0]])
    assert nn.Threshold(0.6, 9.0)(x).tolist() == [[9.0, 9.0], [2.0, 9.0]]
    assert repr(nn.Threshold(0.6, 9.0)) == "Threshold(threshold=0.6, value=9.0)"
    layer = nn.PReLU(2, init=0.5, dtype=np.float64)
    assert layer(x).data.tolist() == [[-0.5, 0.5], [2.0, -1.5]]
    assert list(layer.state_dict()) == ["weight"]
    assert repr(layer) == "PReLU(num_parameters=2)"
    assert nn.PReLU().weight.data.tolist() == [0.25]

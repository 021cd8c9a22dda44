"""Normalisation modules: the ops with parameters, buffers and modes."""

import numpy as np
import pytest

from minidl import nn, ops
from minidl.errors import ShapeError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("make", "names"), [
    (lambda: nn.LayerNorm((3, 4), dtype=np.float64), ["weight", "bias"]),
    (lambda: nn.LayerNorm(4, bias=False), ["weight"]),
    (lambda: nn.LayerNorm(4, elementwise_affine=False), []),
    (lambda: nn.RMSNorm(4), ["weight"]),
    (lambda: nn.RMSNorm(4, elementwise_affine=False), []),
    (lambda: nn.BatchNorm1d(4), ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]),
    (lambda: nn.BatchNorm2d(4, affine=False), ["running_mean", "running_var", "num_batches_tracked"]),
    (lambda: nn.BatchNorm1d(4, track_running_stats=False), ["weight", "bias"]),
])
def test_state_has_the_names_of_torch(make, names):
    module = make()
    assert list(module.state_dict()) == names
    for name, value in module.state_dict().items():
        assert (value == (1 if name in ("weight", "running_var") else 0)).all()
    other = make()
    other.load_state_dict(module.state_dict())


def test_rows_are_the_ops():
    x = RNG.normal(size=(2, 3, 4))
    layer = nn.LayerNorm((3, 4), eps=0.3, dtype=np.float64)
    rms = nn.RMSNorm(4, eps=0.3, dtype=np.float64)
    for p in (*layer.parameters(), *rms.parameters()):
        p.data[...] = RNG.normal(size=p.shape)
    np.testing.assert_array_equal(layer(x).data, ops.layer_norm(x, (3, 4), layer.weight.data, layer.bias.data, 0.3))
    np.testing.assert_array_equal(rms(x).data, ops.rms_norm(x, 4, rms.weight.data, 0.3))
    assert repr(layer) == "LayerNorm((3, 4), eps=0.3, elementwise_affine=True)"
    layer.reset_parameters()
    assert (layer.weight.data == 1).all()
    assert not layer.bias.data.any()


def test_training_follows_the_batches_and_evaluation_does_not():
    norm = nn.BatchNorm1d(2, momentum=0.5, dtype=np.float64)
    x = RNG.normal(size=(6, 2, 3)) + 5
    out = norm(x)
    np.testing.assert_allclose(out.data.mean(axis=(0, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(norm.running_mean, 0.5 * x.mean(axis=(0, 2)))
    np.testing.assert_allclose(norm.running_var, 0.5 + 0.5 * x.var(axis=(0, 2), ddof=1))
    assert norm.num_batches_tracked == 1
    state = norm.eval().state_dict()
    wanted = (x - norm.running_mean[:, None]) / np.sqrt(norm.running_var[:, None] + 1e-5)
    np.testing.assert_allclose(norm(x).data, wanted)
    assert all(np.array_equal(v, norm.state_dict()[k]) for k, v in state.items())
    norm.reset_parameters()
    assert norm.num_batches_tracked == 0
    assert (norm.running_var == 1).all()


def test_no_momentum_is_the_mean_of_all_batches():
    norm = nn.BatchNorm2d(2, momentum=None, dtype=np.float64)
    batches = RNG.normal(size=(3, 4, 2, 2, 5))
    for x in batches:
        norm(x)
    np.testing.assert_allclose(norm.running_mean, batches.mean(axis=(0, 1, 3, 4)))
    np.testing.assert_allclose(norm.running_var, batches.var(axis=(1, 3, 4), ddof=1).mean(axis=0))


def test_without_tracking_the_batch_counts_always():
    norm = nn.BatchNorm1d(2, track_running_stats=False, dtype=np.float64).eval()
    np.testing.assert_allclose(norm(RNG.normal(size=(5, 2)) + 9).data.mean(axis=0), 0, atol=1e-12)


def test_buffers_are_cast_and_stay_arrays():
    norm = nn.BatchNorm1d(2).double()
    norm(np.ones((2, 2)))
    assert norm.running_mean.dtype == np.float64
    assert norm.num_batches_tracked.dtype == np.int64
    assert norm.num_batches_tracked.shape == ()


@pytest.mark.parametrize(("make", "shape", "says"), [
    (lambda: nn.BatchNorm1d(3), (2, 3, 4, 4), r"BatchNorm1d: the input has shape \(2, 3, 4, 4\); .* \(N, 3\) or"),
    (lambda: nn.BatchNorm2d(3), (2, 3), "BatchNorm2d"),
    (lambda: nn.BatchNorm1d(3), (2, 4), r"\(N, 3\)"),
])
def test_shapes_that_do_not_fit(make, shape, says):
    with pytest.raises(ShapeError, match=says):
        make()(np.ones(shape))


def test_one_value_a_channel_is_refused_in_training_only():
    norm = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="one value per channel"):
        norm(np.ones((1, 3), np.float32))
    assert norm.eval()(np.ones((1, 3), np.float32)).shape == (1, 3)


# ---------------------------------------------------------------------------------------------- groups

def test_group_norm_lies_between_instance_and_layer_norm():
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 2))
    for groups, axes in ((1, (1, 2, 3)), (4, (2, 3))):
        wanted = (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-5)
        np.testing.assert_allclose(nn.GroupNorm(groups, 4, affine=False)(x), wanted, rtol=1e-10, atol=1e-12)
    layer = nn.GroupNorm(2, 4, dtype=np.float64)
    layer.weight.data[:], layer.bias.data[:] = [1, 2, 3, 4], [5, 6, 7, 8]
    pairs = x.reshape(3, 2, 20)
    normal = (pairs - pairs.mean(axis=2, keepdims=True)) / np.sqrt(pairs.var(axis=2, keepdims=True) + 1e-5)
    wanted = normal.reshape(x.shape) * np.arange(1, 5).reshape(4, 1, 1) + np.arange(5, 9).reshape(4, 1, 1)
    np.testing.assert_allclose(layer(x).data, wanted, rtol=1e-10)
    layer.reset_parameters()
    assert (layer.weight.data == 1).all()
    assert repr(layer) == "GroupNorm(2, 4, eps=1e-05, affine=True)"


@pytest.mark.parametrize(("call", "says"), [
    (lambda: nn.GroupNorm(3, 4), "num_channels=4 has to be a multiple of num_groups=3"),
    (lambda: nn.GroupNorm(2, 4)(np.ones((2, 6))), r"x has shape \(2, 6\)"),
    (lambda: ops.group_norm(np.ones((2, 4)), 3), "num_groups=3 divides"),
    (lambda: ops.group_norm(np.ones(4), 2), r"x has shape \(4,\)"),
    (lambda: ops.group_norm(np.ones((2, 4)), 2, np.ones(2)), r"weight has shape \(2,\)"),
])
def test_groups_that_do_not_fit(call, says):
    with pytest.raises(ValueError, match=says):
        call()

"""Averages of weights, and the statistics of batches that go with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import RowGrad, nn, optim
from minidl.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_swa_avg_fn, update_bn


class Standardise(nn.Module):
    """What batch normalisation keeps, and nothing else."""

    def __init__(self, momentum: float | None = 0.1) -> None:
        self.shift = nn.Parameter(np.zeros(2))
        self.momentum = momentum
        self.register_buffer("running_mean", np.full(2, 7.0))
        self.register_buffer("running_var", np.full(2, 7.0))

    def forward(self, x: Any) -> Any:
        if self.training:
            for running, batch in ((self.running_mean, x.mean(axis=0)), (self.running_var, x.var(axis=0))):
                running[...] = (1 - self.momentum) * running + self.momentum * batch
        return (x - self.running_mean) / np.sqrt(self.running_var + 1e-5) + self.shift


@given(st.integers(1, 6), st.none() | st.floats(0, 1), st.integers(0, 2**32))
def test_the_average_is_that_of_the_weights(count: int, decay: float | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Linear(3, 2, dtype=np.float64), nn.Embedding(4, 2, dtype=np.float64))
    mean = AveragedModel(model, None if decay is None else get_ema_avg_fn(decay))
    weights = []
    for _ in range(count):
        for p in model.parameters():
            p.data[...] = rng.normal(size=p.shape)
        weights.append([p.data.copy() for p in model.parameters()])
        mean.update_parameters(model)
    shares = np.full(count, 1 / count)
    if decay is not None:
        shares = (1 - decay) * decay ** np.arange(count)[::-1]
        shares[0] = decay ** (count - 1)  # the first is taken as it is
    for p, *seen in zip(mean.parameters(), *weights, strict=True):
        np.testing.assert_allclose(p.data, np.einsum("i,i...", shares, seen), rtol=1e-12, atol=1e-12)
    assert mean.n_averaged == count


def test_the_copy_is_a_model_of_its_own_with_a_state() -> None:
    model = nn.Linear(2, 1)
    mean = AveragedModel(model)
    mean.update_parameters(model)
    model.weight.data[...] += 1
    assert not (mean.module.weight.data == model.weight.data).any()
    x = np.ones((3, 2), np.float32)
    assert (mean(x).data == mean.module(x).data).all()
    assert list(mean.state_dict()) == ["n_averaged", "module.weight", "module.bias"]
    other = AveragedModel(model)
    other.load_state_dict(mean.state_dict())
    mean.update_parameters(model)
    other.update_parameters(model)
    assert (mean.module.weight.data == other.module.weight.data).all()
    assert other.n_averaged == 2


def test_rows_that_are_behind_are_made_up_for() -> None:
    table = nn.Embedding(2, 1, dtype=np.float64)
    table.weight.data[...] = 1
    optimizer = optim.SGD(table.parameters(), lr=1.0, weight_decay=0.5, exact=True)
    mean = AveragedModel(table)
    table.weight.grad = RowGrad(np.array([0]), np.zeros((1, 1)), (2, 1))
    optimizer.step()
    mean.update_parameters(table)
    assert mean.module.weight.data.tolist() == [[0.5], [0.5]]


@pytest.mark.parametrize("use_buffers", [False, True])
def test_buffers_are_averaged_or_those_of_the_latest(use_buffers: bool) -> None:
    model = Standardise()
    mean = AveragedModel(model, use_buffers=use_buffers)
    for value in (1.0, 2.0, 6.0):
        model.running_mean[...] = value
        mean.update_parameters(model)
    assert mean.module.running_mean.tolist() == ([3.0, 3.0] if use_buffers else [6.0, 6.0])


@pytest.mark.parametrize("pack", [lambda x: x, lambda x: (x, 0), lambda x: [x]])
def test_statistics_of_batches_are_averaged_anew(pack: Any) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(5, 2)) for _ in range(4)]
    model = nn.Sequential(Standardise(), nn.Dropout(0.5)).eval()
    model[0].train()
    update_bn((pack(batch) for batch in batches), model)
    np.testing.assert_allclose(model[0].running_mean, np.mean([b.mean(axis=0) for b in batches], axis=0))
    np.testing.assert_allclose(model[0].running_var, np.mean([b.var(axis=0) for b in batches], axis=0))
    assert model[0].momentum == 0.1
    assert [m.training for m in model.modules()] == [False, True, False]


def test_a_model_without_statistics_sees_no_batch() -> None:
    update_bn(iter(lambda: pytest.fail("asked for a batch"), None), nn.Linear(2, 1))


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"decay=1.5 must be in \[0, 1\]"):
        get_ema_avg_fn(1.5)
    with pytest.raises(ValueError, match="are not those of the copy"):
        AveragedModel(nn.Linear(2, 1)).update_parameters(nn.Linear(1, 2))


def test_equal_averages_begin_with_nothing() -> None:
    assert get_swa_avg_fn()(np.array(5.0), np.array(2.0), 0) == 2.0

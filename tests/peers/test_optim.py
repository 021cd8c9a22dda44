"""Optimizers and schedules, step by step, in every configuration of the stored trajectories."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import nn, optim

_SPEC = importlib.util.spec_from_file_location(
    "make_trajectories", Path(__file__).parents[1] / "minidl" / "optim" / "make_trajectories.py")
assert _SPEC is not None
made = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(made)  # type: ignore[union-attr]
RNG = np.random.default_rng(11)  # other numbers than those that are stored
GRADIENTS = RNG.normal(size=(25, *made.SHAPE)) * RNG.choice([1e-2, 1.0, 5.0], size=(25, 1, 1))
START = RNG.normal(size=made.SHAPE)


@pytest.mark.parametrize(("name", "options"), made.CONFIGURATIONS, ids=[n for n, _ in made.CONFIGURATIONS])
def test_optimizer(name: str, options: dict) -> None:
    p = nn.Parameter(START)
    optimizer = getattr(optim, name)([p], **options)
    wanted = made.trajectory(name, options, START, GRADIENTS)
    for gradient, place in zip(GRADIENTS, wanted, strict=True):
        p.grad = gradient.copy()
        optimizer.step()
        np.testing.assert_allclose(p.data, place, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("expression", made.SCHEDULES)
def test_schedule(expression: str) -> None:
    metrics = RNG.normal(size=made.SCHEDULE_STEPS)
    ps = [nn.Parameter(np.ones(1)) for _ in made.RATES]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(ps, made.RATES, strict=True)]
    o: Any = optim.SGD(groups, momentum=0.7)
    schedule = eval(expression, {**vars(optim.lr_scheduler), **vars(optim.swa_utils), "o": o})
    for metric, wanted in zip(metrics, made.schedule(expression, metrics), strict=True):
        np.testing.assert_allclose([[g["lr"], g["momentum"]] for g in o.param_groups], wanted, rtol=1e-12, atol=1e-15)
        o.step()
        schedule.step(*([metric] if "Plateau" in expression else []))


def test_both_take_the_same_gradient_of_a_network() -> None:
    import torch

    theirs = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    ours = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x, y = RNG.normal(size=(8, 4)), RNG.normal(size=(8, 1))
    a, b = optim.AdamW(ours.parameters(), lr=0.01), torch.optim.AdamW(theirs.parameters(), lr=0.01)
    for _ in range(20):
        a.zero_grad()
        minidl.ops.mse_loss(ours(x), y).backward()
        a.step()
        b.zero_grad()
        torch.nn.functional.mse_loss(theirs(torch.tensor(x)), torch.tensor(y)).backward()
        b.step()
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=1e-9)

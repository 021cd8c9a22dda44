"""Step by step what torch.optim and its schedules do; the file is written by make_trajectories.py."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import RowGrad, kernels, optim
from minidl.optim import lr_scheduler, swa_utils

with np.load(Path(__file__).with_name("trajectories.npz")) as file:
    RECORDED = dict(file)
RUNS = [(i, dtype) for i in range(len(RECORDED["names"])) for dtype in ("float32", "float64")]
RTOL = {"float32": 5e-7, "float64": 1e-15}  # a few units in the last place, of the largest number on the way
NADAM = 2  # times as far: its product of momenta is rounded at every step, in another order than theirs


def _optimizer(i: int, p: minidl.Tensor, **more: bool) -> optim.Optimizer:
    return getattr(optim, str(RECORDED["names"][i]))([p], **ast.literal_eval(str(RECORDED["options"][i])), **more)


@pytest.mark.parametrize(("i", "dtype"), RUNS)
@pytest.mark.parametrize("form", ["dense", "lazy", "exact"])
def test_steps_are_those_of_torch(i: int, dtype: str, form: str) -> None:
    p = minidl.tensor(RECORDED["start"].astype(dtype), requires_grad=True)
    optimizer = _optimizer(i, p, exact=form == "exact")
    for gradient, expected in zip(RECORDED["gradients"].astype(dtype), RECORDED[f"{i}_{dtype}"], strict=True):
        p.grad = gradient if form == "dense" else RowGrad(np.arange(len(p)), gradient, p.shape)
        optimizer.step()
        assert p.dtype == dtype
        far = RTOL[dtype] * (NADAM if RECORDED["names"][i] == "NAdam" else 1)
        np.testing.assert_allclose(p.data, expected, rtol=0, atol=far * np.abs(expected).max())


@pytest.mark.parametrize(("i", "dtype"), RUNS)
def test_steps_of_the_reference_are_those_of_torch(i: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "optim", kernels.Kernels("minidl.kernels", "optim").module(numba=False))
    test_steps_are_those_of_torch(i, dtype, "dense")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", ["dense", "rows"])
@pytest.mark.parametrize(("lr", "betas", "weight_decay", "maximize"), [
    (1e-4, (0.9, 0.99), 0.0, False), (0.02, (0.6, 0.8), 0.3, False), (0.02, (0.95, 0.98), 0.1, True)])
def test_lion_is_the_algorithm_of_its_paper(dtype: str, form: str, lr: float, betas: tuple[float, float],
                                            weight_decay: float, maximize: bool) -> None:
    """arXiv:2302.06675, algorithm 2, with its names, in double precision."""
    p = minidl.tensor(RECORDED["start"].astype(dtype), requires_grad=True)
    optimizer = optim.Lion([p], lr, betas, weight_decay, maximize=maximize)
    theta, m = p.data.astype(np.float64), np.zeros(p.shape)
    for gradient in RECORDED["gradients"].astype(dtype):
        g = -gradient if maximize else gradient
        c = betas[0] * m + (1 - betas[0]) * g
        theta = theta - lr * (np.sign(c) + weight_decay * theta)
        m = betas[1] * m + (1 - betas[1]) * g
        p.grad = gradient if form == "dense" else RowGrad(np.arange(len(p)), gradient, p.shape)
        optimizer.step()
        np.testing.assert_allclose(p.data, theta, rtol=0, atol=2 * RTOL[dtype] * np.abs(theta).max())


def scheduled(expression: str) -> tuple[Any, Any]:
    """An optimizer with two groups, and the schedule that the expression makes."""
    ps = [minidl.tensor(np.ones(1), requires_grad=True) for _ in RECORDED["rates"]]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(ps, RECORDED["rates"].tolist(), strict=True)]
    o = optim.SGD(groups, momentum=0.7)
    return o, eval(expression, {**vars(lr_scheduler), **vars(swa_utils), "o": o})


@pytest.mark.parametrize("i", range(len(RECORDED["schedules"])), ids=RECORDED["schedules"].tolist())
def test_schedules_are_those_of_torch(i: int) -> None:
    expression = str(RECORDED["schedules"][i])
    o, schedule = scheduled(expression)
    for metric, expected in zip(RECORDED["metrics"], RECORDED["scheduled"][i], strict=True):
        now = [[group["lr"], group["momentum"]] for group in o.param_groups]
        np.testing.assert_allclose(now, expected, rtol=1e-13, atol=1e-16)
        assert schedule.get_last_lr() == [group["lr"] for group in o.param_groups]
        schedule.step(*([metric] if "Plateau" in expression else []))

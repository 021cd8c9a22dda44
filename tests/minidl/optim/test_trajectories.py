"""Step by step what torch.optim does; the file is written by make_trajectories.py."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import RowGrad, kernels, optim

with np.load(Path(__file__).with_name("trajectories.npz")) as file:
    RECORDED = dict(file)
RUNS = [(i, dtype) for i in range(len(RECORDED["names"])) for dtype in ("float32", "float64")]
RTOL = {"float32": 5e-7, "float64": 1e-15}  # a few units in the last place, of the largest number on the way


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
        np.testing.assert_allclose(p.data, expected, rtol=0, atol=RTOL[dtype] * np.abs(expected).max())


@pytest.mark.parametrize(("i", "dtype"), RUNS)
def test_twin_steps_are_those_of_torch(i: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "optim", kernels.Kernels("minidl.kernels", "optim").module(numba=False))
    test_steps_are_those_of_torch(i, dtype, "dense")

"""Optimizers: mistakes are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl
from minidl import RowGrad, optim


@pytest.mark.parametrize(("make", "said"), [
    (lambda p: optim.SGD([]), "params is empty"),
    (lambda p: optim.SGD(p), "pass an iterable"),
    (lambda p: optim.SGD([p, p]), r"params\[1\] of shape \(2,\) is there twice"),
    (lambda p: optim.SGD([p * 2]), "not a leaf"),
    (lambda p: optim.SGD(["w"]), "only Tensors"),
    (lambda p: optim.SGD([p], lr=-1.0), "lr=-1.0 must not be negative"),
    (lambda p: optim.SGD([p], nesterov=True), "needs momentum > 0"),
    (lambda p: optim.SGD([{"params": [p], "speed": 1}]), r"unknown option\(s\) \['speed'\]"),
    (lambda p: optim.Adam([p], betas=(0.9, 1.0)), r"betas\[1\]=1.0"),
    (lambda p: optim.Adadelta([p], rho=1.5), "rho=1.5 must be in"),
    (lambda p: optim.Lion([p], exact=True), "Lion: exact=True is refused, because a row without a gradient"),
])
def test_mistakes_are_named(make: Any, said: str) -> None:
    p = minidl.tensor(np.ones(2), requires_grad=True)
    with pytest.raises((ValueError, TypeError), match=said):
        make(p)


def test_bad_rows_and_states_are_named() -> None:
    p = minidl.tensor(np.ones((2, 1)), requires_grad=True)
    optimizer = optim.Adam([p])
    p.grad = RowGrad(np.array([2]), np.ones((1, 1)), p.shape)
    with pytest.raises(IndexError, match="rows of a RowGrad go from 2 to 2, but the table has 2 rows"):
        optimizer.step()
    with pytest.raises(ValueError, match=r"\[2\] parameter"):
        optimizer.load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]})
    with pytest.raises(ValueError, match=r"exp_avg of parameter 0 has shape \(3,\), the parameter \(2, 1\)"):
        optimizer.load_state_dict({"state": {0: {"exp_avg": np.ones(3), "exp_avg_sq": np.ones(3)}},
                                   "param_groups": [{"params": [0]}]})


def test_other_dtypes_and_rows_are_refused() -> None:
    half = minidl.tensor(np.ones(2, np.float16), requires_grad=True)
    half.grad = half.data
    with pytest.raises(TypeError, match="dtype float16"):
        optim.SGD([half]).step()
    p = minidl.tensor(np.ones((2, 1)), requires_grad=True)
    optimizer = optim.Adam([p], exact=True)
    optimizer.catch_up(p, np.array([9]))  # nothing is behind
    p.grad = RowGrad(np.array([0]), np.ones((1, 1)), p.shape)
    optimizer.step()
    with pytest.raises(IndexError, match="from 1 to 9, but the table has 2 rows"):
        optimizer.catch_up(p, np.array([9, 1]))

"""Gradient clipping: rows clip as the dense gradient they stand for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import RowGrad
from minidl.nn import utils


def _parameters(seed: int) -> tuple[list[minidl.Tensor], list[np.ndarray]]:
    """One without a gradient, one dense, one of rows with duplicates; and their gradients as arrays."""
    rng = np.random.default_rng(seed)
    ps = [minidl.tensor(np.zeros(shape), requires_grad=True) for shape in ((2,), (3, 2), (4, 2))]
    ps[1].grad = rng.normal(size=(3, 2))
    ps[2].grad = RowGrad(np.array([3, 0, 3]), rng.normal(size=(3, 2)), (4, 2))
    return ps, [ps[1].grad.copy(), ps[2].grad.to_dense()]


def _grads(ps: list[minidl.Tensor]) -> list[np.ndarray]:
    assert isinstance(ps[2].grad, RowGrad)
    return [ps[1].grad, ps[2].grad.to_dense()]


@given(st.floats(0.01, 10), st.sampled_from([1.0, 2.0, 3.0, math.inf]), st.integers(0, 2**32))
def test_the_norm_is_limited(limit: float, norm_type: float, seed: int) -> None:
    ps, before = _parameters(seed)
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in before]), norm_type)
    assert utils.clip_grad_norm_(ps, limit, norm_type) == pytest.approx(norm)
    factor = min(1, limit / (norm + 1e-6))
    for g, b in zip(_grads(ps), before, strict=True):
        np.testing.assert_allclose(g, b * factor)
    assert ps[0].grad is None


@given(st.floats(0.01, 3), st.integers(0, 2**32))
def test_values_are_limited(limit: float, seed: int) -> None:
    ps, before = _parameters(seed)
    utils.clip_grad_value_(iter(ps), limit)
    for g, b in zip(_grads(ps), before, strict=True):
        np.testing.assert_allclose(g, np.clip(b, -limit, limit))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_norms_that_are_not_finite(bad: Any) -> None:
    p = minidl.tensor(np.zeros(2), requires_grad=True)
    p.grad = np.array([bad, 1.0])
    with pytest.raises(ValueError, match="the norm of the gradients is"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad[1] == 1.0
    with np.errstate(invalid="ignore"):
        assert not math.isfinite(utils.clip_grad_norm_(p, 1.0))


def test_nothing_to_clip() -> None:
    assert utils.clip_grad_norm_([], 1.0) == 0.0

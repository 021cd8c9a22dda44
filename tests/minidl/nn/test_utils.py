"""Gradient clipping: rows clip as the dense gradient they stand for. Parameters as one vector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import RowGrad, nn, optim
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


def test_a_limit_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"clip_value=-1\.0 must not be negative"):
        utils.clip_grad_value_([], -1.0)


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=4), st.integers(0, 2**32))
def test_a_vector_of_parameters_goes_there_and_back(shapes: list[list[int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    ps = [nn.Parameter(rng.normal(size=shape)) for shape in shapes]
    before = [p.data.copy() for p in ps]
    arrays = [p.data for p in ps]
    vector = utils.parameters_to_vector(iter(ps))
    assert vector.data.tolist() == [x for b in before for x in b.ravel().tolist()]
    utils.vector_to_parameters(vector * 2, ps)
    for p, b, a in zip(ps, before, arrays, strict=True):
        assert p.data is a
        assert (p.data == 2 * b).all()


def test_a_gradient_goes_back_through_the_vector() -> None:
    p, q = nn.Parameter(np.ones((2, 1))), nn.Parameter(np.ones(2, np.float32))
    (utils.parameters_to_vector([p, q]) * np.arange(4.0)).sum().backward()
    assert p.grad.tolist() == [[0.0], [1.0]]
    assert q.grad.tolist() == [2.0, 3.0]
    assert q.grad.dtype == np.float32
    utils.vector_to_parameters(np.arange(4), [p, q])
    assert q.data.dtype == np.float32


def test_vectors_see_rows_that_are_up_to_date_and_replace_them_for_good() -> None:
    p = nn.Parameter(np.ones((2, 1)))
    optimizer = optim.SGD([p], lr=1.0, weight_decay=0.5, exact=True)
    p.grad = RowGrad(np.array([0]), np.zeros((1, 1)), p.shape)
    array = p.data
    optimizer.step()
    assert array.tolist() == [[0.5], [1.0]]  # taken before, so row 1 is behind
    assert utils.parameters_to_vector([p]).data.tolist() == [0.5, 0.5]
    optimizer.step()
    utils.vector_to_parameters([7.0, 8.0], [p])
    optimizer.flush()
    assert p.data.tolist() == [[7.0], [8.0]]


@pytest.mark.parametrize("vector", [np.ones(2), np.ones(4), np.ones((3, 1))])
def test_vectors_that_do_not_fit_are_refused(vector: Any) -> None:
    p = nn.Parameter(np.zeros(3))
    with pytest.raises(ValueError, match=r"vec has shape \(.*\), but the parameters have 3 elements"):
        utils.vector_to_parameters(vector, [p])
    assert not p.data.any()
    with pytest.raises(ValueError, match="parameters is empty"):
        utils.parameters_to_vector([])

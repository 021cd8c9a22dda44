"""The inverse without some rows, and an estimate of its error that can be relied on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.csr import CSR
from recsys.models.linear.downdating import downdate, error


def some_rows(seed: int, m: int, n: int, density: float = 0.2) -> CSR:
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((m, n)) < density)
    return CSR.from_pairs(rows, columns, rng.uniform(0.5, 2, len(rows)).astype(np.float32), (m, n))


def dense(rows: CSR, dropout: float, reg: float) -> np.ndarray:
    x = rows.toarray().astype(np.float64)
    gram = x.T @ x
    return np.linalg.inv(gram + np.diag(dropout * np.diag(gram) + reg))


def penalty_of(rows: CSR, dropout: float, reg: float) -> np.ndarray:
    return dropout * np.bincount(rows.indices, rows.weights.astype(np.float64) ** 2, rows.shape[1]) + reg


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 3), reg=st.floats(0.5, 50), dropout=st.sampled_from([0.0, 0.25]))
def test_it_is_the_inverse_of_the_rest(seed: int, k: int, reg: float, dropout: float) -> None:
    rows = some_rows(seed, 60, 80, 0.04)
    found, rest = dense(rows, dropout, reg), rows.rows(np.arange(k, 60))
    if downdate(found, rows.rows(np.arange(k)), dropout):
        np.testing.assert_allclose(found, dense(rest, dropout, reg), rtol=1e-7, atol=1e-9)
        assert error(found, rest, penalty_of(rest, dropout, reg)) < 1e-7


@pytest.mark.parametrize("n", [80, 1200])  # one panel, and several
def test_a_change_of_the_penalty_follows_to_first_order(n: int) -> None:
    rows = some_rows(3, 300, n, 0.05)
    found, rest = dense(rows, 0.0, 40.0), rows.rows(np.arange(1, 300))
    assert downdate(found, rows.rows(np.array([0])), change=0.02)
    wanted = dense(rest, 0.0, 40.02)
    assert np.abs(found - wanted).max() < (0.02 / 40) ** 2
    assert np.abs(dense(rest, 0.0, 40.0) - wanted).max() > 10 * np.abs(found - wanted).max()
    assert np.abs(found - found.T).max() < 1e-10


def test_the_error_is_seen() -> None:
    """Of wrong inverses, it is at least about the true one; of what is no inverse at all, infinite."""
    rows = some_rows(1, 200, 50)
    right, penalty = dense(rows, 0.0, 5.0), penalty_of(rows, 0.0, 5.0)
    assert error(right, rows, penalty) < 1e-12
    for size in (1e-8, 1e-6, 1e-4):
        noise = np.random.default_rng(0).normal(0, size, right.shape) * np.diag(right)
        wrong = right + (noise + noise.T) / 2
        true = (np.abs(wrong - right) / np.diag(right)).max()
        assert 0.5 * true < error(wrong, rows, penalty) < 100 * true
    assert error(np.zeros_like(right) + np.eye(50) * 1e-9, rows, penalty) == np.inf
    assert error(dense(rows.rows(np.arange(150)), 0.0, 5.0) * 3, rows, penalty) == np.inf


def test_too_much_at_once_is_left_to_a_new_inverse() -> None:
    rows = some_rows(2, 40, 32)
    assert not downdate(dense(rows, 0.0, 1.0), rows.rows(np.arange(5)))
    assert not downdate(dense(rows, 0.3, 1.0), rows.rows(np.arange(2)), 0.3)
    alone = CSR.from_pairs([0, 0], [0, 1], None, (1, 16))
    assert not downdate(dense(alone, 0.0, 1e-9), alone)  # nothing is left in its direction

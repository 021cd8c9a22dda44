"""The kernel of rating SGD: against its reference, against Koren's loop, and against automatic differentiation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl import ops
from recsys.kernels import numba_mf, numpy_mf

VERSIONS = [numba_mf, numpy_mf]


def problem(seed: int, implicit: bool, n_users: int = 6, n_items: int = 8, factors: int = 5,
            dtype: type = np.float64) -> dict[str, np.ndarray]:
    """Random ratings, the last user without any, and random parameters."""
    rng = np.random.default_rng(seed)
    rated = rng.random((n_users, n_items)) < 0.5
    rated[-1] = False
    users, items = np.nonzero(rated)
    indptr = np.searchsorted(users, np.arange(n_users + 1))
    counts = np.diff(indptr)
    norms = (np.repeat(counts, counts) ** -0.5).astype(np.float32)
    sums = {"sums_indptr": indptr, "sums_indices": items.astype(np.int32), "sums_weights": norms}
    if not implicit:
        sums = {"sums_indptr": 0 * indptr, "sums_indices": items[:0].astype(np.int32), "sums_weights": norms[:0]}
    return {"order": rng.permutation(n_users), "indptr": indptr, "indices": items.astype(np.int32),
            **sums, "values": rng.integers(1, 6, len(items)).astype(np.float32),
            "bu": rng.normal(size=n_users).astype(dtype), "bi": rng.normal(size=n_items).astype(dtype),
            "P": rng.normal(size=(n_users, factors)).astype(dtype),
            "Q": rng.normal(size=(n_items, factors)).astype(dtype),
            "Y": rng.normal(size=(n_items if implicit else 0, factors)).astype(dtype)}


def run(version, p, mean=3.0, lr=0.01, reg=0.05, lr_bias=0.02, reg_bias=0.03):
    p = {k: v.copy() for k, v in p.items()}
    total = version.epoch(p["order"], p["indptr"], p["indices"], p["values"], mean, p["bu"], p["bi"], p["P"], p["Q"],
                        p["Y"], p["sums_indptr"], p["sums_indices"], p["sums_weights"], lr, reg, lr_bias, reg_bias)
    return p, total


def trusting(seed: int) -> dict[str, np.ndarray]:
    """A problem whose users' vectors have sums over any rows of Y, with any weights; some have none."""
    p, rng = problem(seed, True), np.random.default_rng(seed)
    users, others = np.nonzero(rng.random((6, 11)) < 0.4)
    weights = rng.normal(size=len(others)).astype(np.float32)
    return p | {"Y": rng.normal(size=(11, 5)), "sums_indptr": np.searchsorted(users, np.arange(7)),
                "sums_indices": others.astype(np.int32), "sums_weights": weights}


def one_rating_at_a_time(p, mean, lr, reg):
    """SVD++ as it is written in the paper: every y of the user moves at every rating, O(n f) each."""
    p = {k: v.copy() for k, v in p.items()}
    for u in p["order"]:
        items = p["indices"][p["indptr"][u]:p["indptr"][u + 1]]
        around = slice(p["sums_indptr"][u], p["sums_indptr"][u + 1])
        others, weights = p["sums_indices"][around], p["sums_weights"][around].astype(np.float64)
        for i, r in zip(items, p["values"][p["indptr"][u]:p["indptr"][u + 1]], strict=True):
            z = p["P"][u] + weights @ p["Y"][others]
            e = r - (mean + p["bu"][u] + p["bi"][i] + p["Q"][i] @ z)
            q = p["Q"][i].copy()
            p["bu"][u] += lr * (e - reg * p["bu"][u])
            p["bi"][i] += lr * (e - reg * p["bi"][i])
            p["Q"][i] += lr * (e * z - reg * q)
            p["P"][u] += lr * (e * q - reg * p["P"][u])
            p["Y"][others] += lr * (e * weights[:, None] * q - reg * p["Y"][others])
    return p


@pytest.mark.parametrize("version", VERSIONS)
@example(seed=225902, kind="trusting")  # a user with no sum, after one with some
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["plain", "implicit", "trusting"]))
def test_composed_steps_are_the_steps_of_the_paper(version, seed, kind):
    p = trusting(seed) if kind == "trusting" else problem(seed, kind == "implicit")
    ours, _ = run(version, p, lr=0.01, reg=0.05, lr_bias=0.01, reg_bias=0.05)
    theirs = one_rating_at_a_time(p, 3.0, 0.01, 0.05)
    for name in ("bu", "bi", "P", "Q", "Y"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-10, atol=1e-12, err_msg=name)


@given(seed=st.integers(0, 10**6), implicit=st.booleans(), dtype=st.sampled_from([np.float32, np.float64]))
def test_numba_equals_numpy(seed, implicit, dtype):
    p = problem(seed, implicit, dtype=dtype)
    (a, total_a), (b, total_b) = run(numba_mf, p), run(numpy_mf, p)
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    assert total_a == pytest.approx(total_b, rel=tolerance)
    for name in ("bu", "bi", "P", "Q", "Y"):
        assert a[name].dtype == dtype
        np.testing.assert_allclose(a[name], b[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_step_is_the_gradient_by_automatic_differentiation(version, implicit):
    """One user, one rating to learn from: the change is -lr times the gradient of half the objective."""
    p, lr, reg, mean = problem(3, implicit), 1e-3, 0.1, 3.0
    p["indptr"] = np.minimum(p["indptr"], 1)  # the first rating is all there is
    p["indices"], p["values"] = p["indices"][:1], p["values"][:1]
    p["sums_indptr"], p["sums_weights"] = np.minimum(p["sums_indptr"], 1), 0 * p["sums_weights"] + 1
    u, i, r = 0, int(p["indices"][0]), float(p["values"][0])
    names = ["bu", "bi", "P", "Q", *(["Y"] if implicit else [])]

    def objective(bu, bi, P, Q, Y=None):
        z = P[u] if Y is None else P[u] + Y[i]  # of one item, divided by sqrt(1)
        error = r - mean - bu[u] - bi[i] - (Q[i] * z).sum()
        squares = bu[u] ** 2 + bi[i] ** 2 + (P[u] ** 2).sum() + (Q[i] ** 2).sum()
        if Y is not None:
            squares = squares + (Y[i] ** 2).sum()
        return 0.5 * error ** 2 + 0.5 * reg * squares

    gradients = minidl.grad(objective, argnums=tuple(range(len(names))))(*(p[name] for name in names))
    after, _ = run(version, p, mean, lr, reg, lr, reg)
    for name, gradient in zip(names, gradients, strict=True):
        dense = gradient.to_dense() if hasattr(gradient, "to_dense") else np.asarray(gradient)
        np.testing.assert_allclose((p[name] - after[name]) / lr, dense, rtol=1e-8, atol=1e-10, err_msg=name)


def test_a_visit_descends_the_gradient_of_svdpp():
    """A whole visit with a vanishing learning rate: the steps add up to the gradient over all ratings of the user."""
    p, lr, reg, mean = problem(5, True), 1e-7, 0.1, 3.0
    u = int(np.argmax(np.diff(p["indptr"])))
    p["order"] = np.array([u])
    own = slice(p["indptr"][u], p["indptr"][u + 1])
    items, values = p["indices"][own], p["values"][own].astype(np.float64)

    def objective(P, Q, Y):
        z = P[u] + Y[items].sum(axis=0) * len(items) ** -0.5
        errors = values - mean - p["bu"][u] - p["bi"][items] - Q[items] @ z
        n = len(items)
        return 0.5 * ops.square(errors).sum() + 0.5 * reg * (
            n * ops.square(P[u]).sum() + ops.square(Q[items]).sum() + n * ops.square(Y[items]).sum())

    gradients = minidl.grad(objective, argnums=(0, 1, 2))(p["P"], p["Q"], p["Y"])
    after, _ = run(numba_mf, p, mean, lr, reg, 0.0, 0.0)
    for name, gradient in zip(("P", "Q", "Y"), gradients, strict=True):
        dense = gradient.to_dense() if hasattr(gradient, "to_dense") else np.asarray(gradient)
        np.testing.assert_allclose((p[name] - after[name]) / lr, dense, rtol=1e-4, atol=1e-5, err_msg=name)

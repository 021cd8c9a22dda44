"""Optimizers: rows, groups, state and errors."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import RowGrad, kernels, nn, optim, runtime

VERSIONS = kernels.Kernels("minidl.kernels", "optim")
BETAS = st.tuples(st.floats(0, 0.99), st.floats(0, 0.9999))
DECAY = {"weight_decay": st.floats(1e-3, 0.1), "maximize": st.booleans()}
ADAM = {**DECAY, "betas": BETAS, "eps": st.sampled_from([1e-8, 1e-3]), "decoupled_weight_decay": st.booleans()}


def _options(lr: float, **optional: Any) -> Any:
    return st.fixed_dictionaries({"lr": st.floats(1e-3, lr)}, optional=optional)


OPTIONS = {
    "SGD": _options(0.2, momentum=st.floats(0.1, 0.95), dampening=st.floats(0, 0.5), **DECAY),
    "Nesterov": st.fixed_dictionaries({"lr": st.floats(1e-3, 0.2), "momentum": st.floats(0.1, 0.95),
                                       "nesterov": st.just(True)}),
    "Adagrad": _options(0.2, lr_decay=st.floats(0, 0.1), initial_accumulator_value=st.floats(0, 1), **DECAY),
    "RMSprop": _options(0.02, alpha=st.floats(0.8, 0.99), momentum=st.floats(0.1, 0.95), eps=st.just(1e-3), **DECAY),
    "Adadelta": _options(1.0, rho=st.floats(0.5, 0.99), eps=st.sampled_from([1e-6, 1e-3]), **DECAY),
    "Adam": _options(0.1, amsgrad=st.booleans(), **ADAM),
    "AdamW": _options(0.1, amsgrad=st.booleans(), betas=BETAS, **DECAY),
    "Adamax": _options(0.1, betas=BETAS, eps=st.sampled_from([1e-8, 1e-3]), **DECAY),
    "NAdam": _options(0.1, momentum_decay=st.floats(0, 0.1), **ADAM),
    "RAdam": _options(0.1, **ADAM),
    "Lion": _options(0.1, betas=BETAS, **DECAY),
}
RTOL = {np.float32: 1e-5, np.float64: 1e-12}


@st.composite
def configurations(draw: st.DrawFn, exact: bool = False) -> tuple[type[optim.Optimizer], dict[str, Any]]:
    name = draw(st.sampled_from(sorted(OPTIONS.keys() - ({"Lion"} if exact else set()))))
    return getattr(optim, name.replace("Nesterov", "SGD")), draw(OPTIONS[name])


def _table(rng: np.random.Generator, dtype: Any, n: int = 5, d: int = 3) -> np.ndarray:
    return rng.normal(size=(n, d)).astype(dtype)


def _some_rows(rng: np.random.Generator, p: minidl.Tensor) -> RowGrad:
    """Up to three rows, with duplicates."""
    indices = rng.integers(0, len(p), rng.integers(0, 4))
    return RowGrad(indices, rng.normal(size=(len(indices), *p.shape[1:])).astype(p.dtype), p.shape)


def _assert_same(a: optim.Optimizer, b: optim.Optimizer, p: minidl.Tensor, q: minidl.Tensor) -> None:
    rtol = RTOL[p.dtype.type]
    np.testing.assert_allclose(p.data, q.data, rtol=rtol, atol=rtol)
    ours, theirs = a.state_dict()["state"][0], b.state_dict()["state"][0]
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=rtol, atol=rtol, err_msg=name)


# ---------------------------------------------------------------------------------------------- rows

@given(configurations(exact=True), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32),
       st.integers(1, 40))
def test_exact_rows_are_the_dense_optimizer(configuration: Any, dtype: Any, seed: int, steps: int) -> None:
    make, options = configuration
    rng = np.random.default_rng(seed)
    start = _table(rng, dtype)
    p, q = (minidl.tensor(start, requires_grad=True) for _ in range(2))
    exact, dense = make([p], **options, exact=True), make([q], **options)
    for _ in range(steps):
        for optimizer in (exact, dense):
            optimizer.param_groups[0]["lr"] = options["lr"] * (1 + _ % 3)
        p.grad = _some_rows(rng, p)
        q.grad = p.grad.to_dense()
        if rng.random() < 0.1:
            p.grad = q.grad  # a dense gradient in between
        if rng.random() < 0.2:
            exact.catch_up(p, rng.integers(0, len(p), 2))
        exact.step()
        dense.step()
        if rng.random() < 0.05:
            exact.flush()
            _assert_same(exact, dense, p, q)
    exact.flush()
    _assert_same(exact, dense, p, q)


@pytest.mark.parametrize(("make", "options"), [
    (optim.SGD, {"momentum": 0.9}), (optim.Adam, {}), (optim.Adam, {"amsgrad": True}), (optim.AdamW, {}),
    (optim.NAdam, {}), (optim.RAdam, {}), (optim.RAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.Adamax, {}), (optim.Adamax, {"betas": (0.9, 0.95)}), (optim.RMSprop, {}),
    (optim.RMSprop, {"momentum": 0.9, "centered": True}), (optim.Adagrad, {}), (optim.Adadelta, {})])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_wait_for_long_come_to_rest(make: Any, options: Any, dtype: Any) -> None:
    """More steps than are remembered, and rows that stop moving on the way."""
    rng = np.random.default_rng(3)
    start = _table(rng, dtype)
    p, q = (minidl.tensor(start, requires_grad=True) for _ in range(2))
    exact, dense = make([p], lr=1e-3, **options, exact=True), make([q], lr=1e-3, **options)
    for step in range(1200):
        row = 0 if step % 500 else step // 500 + 1
        p.grad = RowGrad(np.array([row]), rng.normal(size=(1, 3)).astype(dtype), p.shape)
        q.grad = p.grad.to_dense()
        exact.step()
        dense.step()
    exact.flush()
    _assert_same(exact, dense, p, q)


@pytest.mark.parametrize("exact", [False, True])
def test_embeddings_train_as_dense_tables_do(exact: bool) -> None:
    """With exact=True a layer reads rows that are up to date; without, rows differ once a moment is behind."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(6, 4))
    layer = nn.Embedding(6, 4)
    layer.weight = nn.Parameter(start)
    q = minidl.tensor(start, requires_grad=True)
    rows, dense = optim.Adam([layer.weight], lr=0.1, exact=exact), optim.Adam([q], lr=0.1)
    for _ in range(20):
        indices = rng.integers(0, 6, 2)
        for optimizer, read in ((rows, layer(indices)), (dense, q[indices])):
            optimizer.zero_grad()
            ((read - 1.0) ** 2).sum().backward()
            optimizer.step()
    state = layer.state_dict()["weight"]
    assert np.allclose(state, q.data, rtol=1e-12, atol=1e-12) == exact


@given(configurations(), st.integers(0, 2**32))
def test_lazy_rows_leave_the_others_alone(configuration: Any, seed: int) -> None:
    make, options = configuration
    rng = np.random.default_rng(seed)
    p = minidl.tensor(_table(rng, np.float32), requires_grad=True)
    optimizer = make([p], **options)
    for _ in range(5):
        before = optimizer.state_dict()["state"]
        old = p.data.copy()
        p.grad = _some_rows(rng, p)
        optimizer.step()
        untouched = np.setdiff1d(np.arange(len(p)), p.grad.indices)
        assert (p.data[untouched] == old[untouched]).all()
        if before:
            for name, part in optimizer.state_dict()["state"][0].items():
                if isinstance(part, np.ndarray):
                    assert (part[untouched] == before[0][name][untouched]).all()


# ------------------------------------------------------------------------------------- kernels, threads

@given(configurations(), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32))
def test_kernels_are_their_reference(configuration: Any, dtype: Any, seed: int) -> None:
    pytest.importorskip("numba")
    make, options = configuration
    rng = np.random.default_rng(seed)
    start = _table(rng, dtype)
    q = [minidl.tensor(start, requires_grad=True) for _ in range(2)]
    optimizers = [make([p], **options, exact=make is not optim.Lion) for p in q]
    for _ in range(6):
        gradient = _some_rows(rng, q[0]) if rng.random() < 0.8 else _table(rng, dtype)
        for numba, p, optimizer in zip((True, False), q, optimizers, strict=True):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(kernels, "optim", VERSIONS.module(numba))
                p.grad = gradient
                optimizer.step()
                optimizer.flush()
    _assert_same(*optimizers, *q)


@pytest.mark.parametrize("make", [optim.SGD, optim.Adagrad, optim.Adam, optim.Adamax, optim.Adadelta, optim.Lion])
@pytest.mark.parametrize("rows", [False, True])
def test_bits_do_not_depend_on_threads(make: Any, rows: bool) -> None:
    rng = np.random.default_rng(0)
    n, d = 2100, 70  # more than PARALLEL_SIZE elements
    start, gradient = rng.normal(size=(2, n, d)).astype(np.float32)
    ends = []
    before = runtime.threads()
    for count in (1, before):
        runtime.set_threads(count)
        p = minidl.tensor(start, requires_grad=True)
        optimizer = make([p], lr=0.1)
        for _ in range(3):
            p.grad = RowGrad(np.arange(n), gradient, p.shape) if rows else gradient
            optimizer.step()
        ends.append(p.data)
    runtime.set_threads(before)
    assert (ends[0] == ends[1]).all()


def test_two_threads_may_step_at_once() -> None:
    start = np.ones(1 << 18, np.float32)
    ends: list[np.ndarray] = []

    def train() -> None:
        p = minidl.tensor(start, requires_grad=True)
        optimizer = optim.Adam([p])
        for _ in range(5):
            p.grad = start
            optimizer.step()
        ends.append(p.data)

    workers = [threading.Thread(target=train) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (ends[0] == ends[1]).all()


# --------------------------------------------------------------------------------------------- state

@given(configurations(), st.booleans(), st.integers(0, 2**32))
def test_going_on_from_a_state_gives_the_same_bits(configuration: Any, exact: bool, seed: int) -> None:
    make, options = configuration
    rng = np.random.default_rng(seed)
    p = minidl.tensor(_table(rng, np.float32), requires_grad=True)
    exact &= make is not optim.Lion
    first = make([p], **options, exact=exact)
    for _ in range(3):
        p.grad = _some_rows(rng, p)
        first.step()
    state = copy.deepcopy(first.state_dict())
    q = minidl.tensor(p, requires_grad=True)
    second = make([q])
    second.load_state_dict(state)
    assert second.param_groups[0]["lr"] == options["lr"]
    for _ in range(3):
        p.grad = q.grad = _some_rows(rng, p)
        first.step()
        second.step()
    first.flush()
    second.flush()
    assert (p.data == q.data).all()


def test_state_of_torch_is_accepted() -> None:
    """Buffers may be None, steps arrays, options unknown."""
    p = minidl.tensor(np.ones(2), requires_grad=True)
    adam, sgd = optim.Adam([p]), optim.SGD([p], momentum=0.5)
    group = {"lr": 0.5, "params": [0], "foreach": None}
    adam.load_state_dict({"state": {0: {"step": np.array(3.0), "exp_avg": [1, 2], "exp_avg_sq": [3, 4]}},
                          "param_groups": [group]})
    assert adam.state_dict()["state"][0]["step"] == 3
    assert adam.param_groups[0]["lr"] == 0.5
    assert "foreach" not in adam.param_groups[0]
    sgd.load_state_dict({"state": {0: {"momentum_buffer": np.array([2.0, 4.0])}}, "param_groups": [group]})
    p.grad = np.zeros(2)
    sgd.step()
    assert p.data.tolist() == [0.5, 0.0]


def test_a_state_has_the_names_of_torch() -> None:
    expected = {"SGD": ["momentum_buffer"], "Adagrad": ["sum"], "Adadelta": ["square_avg", "acc_delta"],
                "RMSprop": ["square_avg", "grad_avg"], "Adam": ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
                "Adamax": ["exp_avg", "exp_inf"], "NAdam": ["mu_product", "exp_avg", "exp_avg_sq"],
                "RAdam": ["exp_avg", "exp_avg_sq"], "Lion": ["exp_avg"]}
    options = {"SGD": {"momentum": 0.9}, "RMSprop": {"centered": True}, "Adam": {"amsgrad": True}}
    for name, names in expected.items():
        p = minidl.tensor(np.ones(2), requires_grad=True)
        optimizer = getattr(optim, name)([p], **options.get(name, {}))
        p.grad = np.ones(2)
        optimizer.step()
        assert list(optimizer.state_dict()["state"][0]) == ["step", *names]


def test_moments_follow_the_dtype_and_begin_anew_when_options_need_others() -> None:
    p, q = (nn.Parameter(np.ones((2, 1), np.float32)) for _ in range(2))
    optimizer, fresh = optim.Adam([p], lr=0.5, weight_decay=0.5, exact=True), optim.Adam([q], lr=0.5, amsgrad=True)
    for _ in range(2):
        p.grad = RowGrad(np.array([0]), np.ones((1, 1), np.float32), p.shape)
        optimizer.step()
    p.data = p.data.astype(np.float64)
    p.grad = p.grad.astype(np.float64)
    optimizer.step()
    assert optimizer.state_dict()["state"][0]["exp_avg"].dtype == np.float64
    p.grad = RowGrad(np.array([0]), np.ones((1, 1)), p.shape)
    array = p.data  # taken before the step, so it shows what nobody else sees
    optimizer.step()  # row 1 is behind
    before = array[1, 0]
    optimizer.param_groups[0].update(amsgrad=True, weight_decay=0.0, exact=False)
    optimizer.step()
    assert array[1, 0] != before  # it has caught up before its moments went
    assert optimizer.state_dict()["state"][0]["step"] == 1
    q.grad = RowGrad(np.array([0]), np.ones((1, 1)), q.shape)
    fresh.step()
    ours, theirs = optimizer.state_dict()["state"][0], fresh.state_dict()["state"][0]
    np.testing.assert_allclose(ours["max_exp_avg_sq"], theirs["max_exp_avg_sq"], rtol=1e-6)


def test_groups_have_their_own_options_and_shared_defaults() -> None:
    p, q, r = (minidl.tensor(np.zeros(1), requires_grad=True) for _ in range(3))
    optimizer = optim.SGD([{"params": [p], "lr": 1.0}, {"params": q}], lr=0.5)
    optimizer.add_param_group({"params": [r], "lr": 0.25})
    for t in (p, q, r):
        t.grad = np.ones(1)
    optimizer.step()
    assert [t.data[0] for t in (p, q, r)] == [-1.0, -0.5, -0.25]
    optimizer.zero_grad()
    assert p.grad is q.grad is r.grad is None
    optimizer.step()
    assert p.data[0] == -1.0
    assert "Parameter Group 2" in repr(optimizer)


def test_arrays_may_be_replaced_and_need_no_layout() -> None:
    p = minidl.tensor(np.asfortranarray(np.ones((2, 3))), requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    optimizer.step()
    p.data = np.zeros((2, 3), order="F")
    optimizer.step()
    assert p.data.tolist() == [[0, -1, -2], [-3, -4, -5]]


def test_a_closure_is_called_and_its_loss_returned() -> None:
    p = minidl.tensor(np.ones(1), requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)

    def closure() -> minidl.Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert p.data[0] == 0.0


def test_frozen_parameters_are_passed_over() -> None:
    p = nn.Parameter(np.ones(1), requires_grad=False)
    optimizer = optim.Adam([p])
    optimizer.zero_grad()
    optimizer.step()
    assert p.data[0] == 1.0


def test_an_array_that_is_replaced_is_followed_when_rows_catch_up() -> None:
    p = minidl.tensor(np.ones((2, 1)), requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0, weight_decay=0.5, exact=True)
    p.grad = RowGrad(np.array([0]), np.ones((1, 1)), p.shape)
    optimizer.step()
    p.data = np.array([[5.0], [4.0]])
    optimizer.flush()
    assert p.data.tolist() == [[5.0], [4.0]]  # as with the dense optimizer: the step that row 1 missed was before
    p.data = np.ones((3, 1))
    with pytest.raises(ValueError, match=r"has now shape \(3, 1\), its moments \(2, 1\)"):
        optimizer.step()

"""Schedules: closed forms, chains, states and errors. Their trajectories are in test_trajectories.py."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import optim
from minidl.optim import lr_scheduler as lrs
from minidl.optim.swa_utils import SWALR

COUNTS = st.integers(1, 9)
PARTS = st.floats(0.05, 0.95)


def _optimizer(*rates: float, make: Any = optim.SGD, **options: Any) -> optim.Optimizer:
    groups = [{"params": [minidl.tensor(np.ones(2), requires_grad=True)], "lr": lr} for lr in rates or (0.5, 0.03)]
    return make(groups, **options)


SCHEDULES: dict[str, Any] = {  # of an optimizer, two counts and two fractions
    "lambda": lambda o, n, k, a, b: lrs.LambdaLR(o, lambda t: a ** t),
    "multiplicative": lambda o, n, k, a, b: lrs.MultiplicativeLR(o, [lambda t: a, lambda t: 1 / t]),
    "step": lambda o, n, k, a, b: lrs.StepLR(o, n, a),
    "multistep": lambda o, n, k, a, b: lrs.MultiStepLR(o, [n, k], a),
    "constant": lambda o, n, k, a, b: lrs.ConstantLR(o, a, n),
    "linear": lambda o, n, k, a, b: lrs.LinearLR(o, a, b, n),
    "exponential": lambda o, n, k, a, b: lrs.ExponentialLR(o, a),
    "polynomial": lambda o, n, k, a, b: lrs.PolynomialLR(o, n, 1 + a),
    "cosine": lambda o, n, k, a, b: lrs.CosineAnnealingLR(o, n, 0.01 * a),
    "restarts": lambda o, n, k, a, b: lrs.CosineAnnealingWarmRestarts(o, n, 1 + k % 3, 0.01 * a),
    "one cycle": lambda o, n, k, a, b: lrs.OneCycleLR(o, [a, b], 30, pct_start=b, three_phase=bool(k % 2),
                                                      anneal_strategy="cos" if n % 2 else "linear"),
    "plateau": lambda o, n, k, a, b: lrs.ReduceLROnPlateau(o, factor=a, patience=k % 3, cooldown=n % 3),
    "chained": lambda o, n, k, a, b: lrs.ChainedScheduler([lrs.ConstantLR(o, a, n), lrs.CosineAnnealingLR(o, k)]),
    "sequential": lambda o, n, k, a, b: lrs.SequentialLR(
        o, [lrs.LinearLR(o, a, total_iters=n), lrs.SequentialLR(o, [lrs.StepLR(o, k, b), lrs.ExponentialLR(o, a)], [k]),
            lrs.ChainedScheduler([lrs.StepLR(o, k), lrs.LinearLR(o, b)])], [n, n + 2 * k]),
    "swa": lambda o, n, k, a, b: SWALR(o, [a, b], n - 1),
}


def _step(o: optim.Optimizer, schedule: Any, rng: np.random.Generator) -> list[tuple[Any, ...]]:
    """A step of both; what the groups are afterwards."""
    for group in o.param_groups:
        for p in group["params"]:
            p.grad = rng.normal(size=p.shape)
    o.step()
    schedule.step(*([rng.integers(0, 3)] if isinstance(schedule, lrs.ReduceLROnPlateau) else []))
    return [(group["lr"], group.get("momentum"), group.get("betas"), *group["params"][0].data.tolist())
            for group in o.param_groups]


@pytest.mark.parametrize("name", SCHEDULES)
@given(COUNTS, COUNTS, PARTS, PARTS, st.integers(0, 15), st.sampled_from([optim.SGD, optim.NAdam]))
def test_going_on_from_a_state_gives_the_same_bits(name: str, n: int, k: int, a: float, b: float, at: int,
                                                   make: Any) -> None:
    """The one never stopped; the other is made anew from states that went through JSON."""
    first = _optimizer(make=make)
    schedule = SCHEDULES[name](first, n, k, a, b)
    rng = np.random.default_rng(0)
    for _ in range(at):
        _step(first, schedule, rng)
    saved, optimizer_state = schedule.state_dict(), copy.deepcopy(first.state_dict())
    second = _optimizer(make=make)
    for p, q in zip(second.param_groups, first.param_groups, strict=True):
        p["params"][0].data[...] = q["params"][0].data
    again = SCHEDULES[name](second, n, k, a, b)
    second.load_state_dict(optimizer_state)
    again.load_state_dict(json.loads(json.dumps(saved)) if name != "multistep" else saved)
    assert again.get_last_lr() == schedule.get_last_lr() == [group["lr"] for group in second.param_groups]
    other = copy.deepcopy(rng)
    for _ in range(12):
        assert _step(first, schedule, rng) == _step(second, again, other)


CLOSED: dict[str, Any] = {  # of the initial rate, the step, two counts and two fractions
    "step": lambda lr, t, n, k, a, b: lr * a ** (t // n),
    "multistep": lambda lr, t, n, k, a, b: lr * a ** ((t >= n) + (t >= k)),
    "constant": lambda lr, t, n, k, a, b: lr * (a if t < n else 1),
    "linear": lambda lr, t, n, k, a, b: lr * (a + (b - a) * min(t, n) / n),
    "exponential": lambda lr, t, n, k, a, b: lr * a ** t,
    "polynomial": lambda lr, t, n, k, a, b: lr * (1 - min(t, n) / n) ** (1 + a),
    "cosine": lambda lr, t, n, k, a, b: 0.01 * a + (lr - 0.01 * a) * (1 + math.cos(math.pi * t / n)) / 2,
}


@pytest.mark.parametrize("name", CLOSED)
@given(COUNTS, COUNTS, PARTS, PARTS)
def test_steps_follow_the_closed_form(name: str, n: int, k: int, a: float, b: float) -> None:
    o = _optimizer()
    schedule = SCHEDULES[name](o, n, k, a, b)
    for t in range(20):
        expected = [CLOSED[name](lr, t, n, k, a, b) for lr in (0.5, 0.03)]
        np.testing.assert_allclose(schedule.get_last_lr(), expected, rtol=1e-12, atol=1e-15)
        schedule.step()


@given(st.lists(st.sampled_from(sorted(set(CLOSED) - {"cosine"})), min_size=1, max_size=3), COUNTS, PARTS, PARTS)
def test_a_chain_is_the_product_of_its_factors(names: list[str], n: int, a: float, b: float) -> None:
    o = _optimizer()
    chain = lrs.ChainedScheduler([SCHEDULES[name](o, n, n + 2, a, b) for name in names])
    for t in range(15):
        expected = np.prod([CLOSED[name](1.0, t, n, n + 2, a, b) for name in names])
        np.testing.assert_allclose(chain.get_last_lr(), [0.5 * expected, 0.03 * expected], rtol=1e-12, atol=1e-300)
        chain.step()


def test_a_factor_of_zero_is_left_again() -> None:
    schedule = lrs.ConstantLR(_optimizer(0.5), factor=0.0, total_iters=2)
    seen = []
    for _ in range(4):
        seen += schedule.get_last_lr()
        schedule.step()
    assert seen == [0.0, 0.0, 0.5, 0.5]


def test_a_chain_may_be_one_of_a_sequence() -> None:
    o = _optimizer(1.0)
    chain = lrs.ChainedScheduler([lrs.ConstantLR(o, 0.5, 2), lrs.ExponentialLR(o, 0.9)])
    schedule = lrs.SequentialLR(o, [lrs.LinearLR(o, 0.1, total_iters=2), chain], [2])
    seen = []
    for _ in range(5):
        seen += schedule.get_last_lr()
        schedule.step()
    np.testing.assert_allclose(seen, [0.1, 0.55, 0.5, 0.45, 0.81])


@pytest.mark.parametrize("multiply", [1, 2])
def test_restarts_may_be_between_steps(multiply: int) -> None:
    schedule = lrs.CosineAnnealingWarmRestarts(_optimizer(1.0), 4, multiply)
    schedule.step(2.5)
    assert schedule.get_last_lr() == [pytest.approx((1 + math.cos(math.pi * 2.5 / 4)) / 2)]
    schedule.step()
    assert schedule.get_last_lr() == [pytest.approx((1 + math.cos(math.pi * 3 / 4)) / 2)]
    schedule.step(4 + 4 * multiply + 0.25)
    assert schedule.get_last_lr()[0] > 0.98


def test_one_cycle_moves_beta1_and_ends() -> None:
    o = _optimizer(make=optim.Adam)
    schedule = lrs.OneCycleLR(o, 1.0, 10)
    assert o.param_groups[0]["betas"] == (0.95, 0.999)
    for _ in range(10):
        schedule.step()
    with pytest.raises(ValueError, match="step 11 of total_steps=10"):
        schedule.step()


def test_nan_is_not_better() -> None:
    schedule = lrs.ReduceLROnPlateau(_optimizer(1.0), patience=0)
    for metric in (1.0, math.nan):
        schedule.step(metric)
    assert schedule.best == 1.0
    assert schedule.get_last_lr() == [0.1]


@pytest.mark.parametrize("name", ["exponential", "lambda", "cosine", "restarts", "linear"])
def test_a_schedule_goes_on_from_the_last_epoch(name: str) -> None:
    first = _optimizer()
    schedule = SCHEDULES[name](first, 5, 3, 0.5, 0.7)
    for _ in range(4):
        schedule.step()
    second = _optimizer()
    second.load_state_dict(first.state_dict())
    again = {"exponential": lambda: lrs.ExponentialLR(second, 0.5, last_epoch=3),
             "lambda": lambda: lrs.LambdaLR(second, lambda t: 0.5 ** t, last_epoch=3),
             "cosine": lambda: lrs.CosineAnnealingLR(second, 5, 0.005, last_epoch=3),
             "restarts": lambda: lrs.CosineAnnealingWarmRestarts(second, 5, 1, 0.005, last_epoch=3),
             "linear": lambda: lrs.LinearLR(second, 0.5, 0.7, 5, last_epoch=3)}[name]()
    for _ in range(4):
        assert again.get_last_lr() == schedule.get_last_lr()
        again.step()
        schedule.step()


def test_a_state_of_torch_is_accepted() -> None:
    """It has more in it than is needed, and milestones as a Counter."""
    schedule = lrs.MultiStepLR(_optimizer(0.5), [3, 3])
    schedule.load_state_dict({"milestones": {5: 1}, "gamma": 0.2, "base_lrs": [0.5], "last_epoch": 4, "_step_count": 5,
                              "_is_initial": False, "_get_lr_called_within_step": False, "_last_lr": [0.5]})
    schedule.step()
    assert schedule.get_last_lr() == [pytest.approx(0.1)]
    assert not hasattr(schedule, "_step_count")


@pytest.mark.parametrize(("make", "said"), [
    (lambda o: lrs.StepLR([1], 1), "optimizer is list; pass an Optimizer"),
    (lambda o: lrs.StepLR(o, 0), "step_size=0 must be a positive int"),
    (lambda o: lrs.StepLR(o, 1, last_epoch=3), r"last_epoch=3, but param_groups\[0\] has no initial_lr"),
    (lambda o: lrs.LambdaLR(o, [abs]), r"lr_lambda has 1 values, but the optimizer 2 group\(s\)"),
    (lambda o: lrs.ConstantLR(o, 2.0), r"factor=2.0 must be in \[0, 1\]"),
    (lambda o: lrs.LinearLR(o, 0.0), "start_factor=0 must be in"),
    (lambda o: lrs.CosineAnnealingLR(o, 1.5), "T_max=1.5 must be a positive int"),
    (lambda o: lrs.CosineAnnealingWarmRestarts(o, 2).step(-1), "epoch=-1 must not be negative"),
    (lambda o: lrs.OneCycleLR(o, 1.0), "pass total_steps, or both epochs"),
    (lambda o: lrs.OneCycleLR(o, 1.0, 9, anneal_strategy="cubic"), "'cubic' must be 'cos' or 'linear'"),
    (lambda o: lrs.OneCycleLR(_optimizer(make=optim.Adagrad), 1.0, 9), "Adagrad has neither momentum nor betas"),
    (lambda o: lrs.ReduceLROnPlateau(o, factor=1.0), "factor=1.0 must be below 1"),
    (lambda o: lrs.ReduceLROnPlateau(o, mode="low"), "mode='low' must be 'min' or 'max'"),
    (lambda o: lrs.ChainedScheduler([]), "schedulers is empty"),
    (lambda o: lrs.ChainedScheduler([lrs.ReduceLROnPlateau(o)]), r"schedulers\[0\] is ReduceLROnPlateau"),
    (lambda o: lrs.ChainedScheduler([lrs.StepLR(o, 1), lrs.StepLR(_optimizer(), 1)]), "has another optimizer"),
    (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1)], [3]), "1 schedulers need 0 milestones, not 1"),
    (lambda o: lrs.StepLR(o, 1).load_state_dict({"lr": 1}), r"the state has no last_epoch, only \['lr'\]"),
    (lambda o: lrs.ChainedScheduler([lrs.StepLR(o, 1)]).load_state_dict({}), "the state has 0 schedules, this 1"),
    (lambda o: SWALR(o, 0.1, anneal_epochs=-1), "anneal_epochs=-1 must not be negative"),
    (lambda o: SWALR(o, 0.1, anneal_strategy="cubic"), "'cubic' must be 'cos' or 'linear'"),
    (lambda o: lrs.LRScheduler(o), r"LRScheduler has no rate\(base, now, t\)"),
    (lambda o: lrs.FactorLR(o), r"FactorLR has no factor_at\(t\)"),
])
def test_mistakes_are_named(make: Any, said: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, NotImplementedError), match=said):
        make(_optimizer())


def test_a_group_that_came_later_is_named() -> None:
    o = _optimizer()
    schedule = lrs.ExponentialLR(o, 0.9)
    o.add_param_group({"params": [minidl.tensor(np.ones(1), requires_grad=True)]})
    with pytest.raises(ValueError, match="the optimizer has now 3 groups, and had 2"):
        schedule.step()

"""Private objectives: what a unit may change, samples, and what they are without noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minidl import nn, ops, optim, privacy
from recsys.errors import ParameterError, UnsupportedError
from recsys.training import Run, Trainer, shuffled
from recsys.training.private import Plan, PrivateObjective, UnitObjective, planned, refuse_mixing, sentence

N = 40


class People:
    """Squared errors of people with an example each, or with their examples together."""

    unit, n_units = "person", N

    def __init__(self, seed: int = 0, make: Any = lambda rng: nn.Linear(3, 2, generator=rng)) -> None:
        rng = np.random.default_rng(seed)
        self.x, self.y = (rng.normal(size=(N, k)).astype(np.float32) for k in (3, 2))
        self.network = make(rng)

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Any:
        return shuffled(N, size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        return self.losses(batch, rng).mean()

    def losses(self, units: np.ndarray, rng: np.random.Generator) -> Any:
        return ops.square(self.network(self.x[units]) - self.y[units]).sum(axis=1)


def plan(**changed: Any) -> Plan:
    return Plan(**{"unit": "person", "epsilon": 1.0, "delta": 1e-5, "noise": 0.0, "max_norm": math.inf, "rate": 0.25,
                   "steps": 1, **changed})


def trained(task: People, private: Any = None, epochs: int = 4) -> list[np.ndarray]:
    objective = task if private is None else PrivateObjective(task, task.network, private, np.random.default_rng(5),
                                                              private.noise > 0)
    optimizer = optim.Adam(task.network.parameters(), lr=0.05)
    Trainer(epochs=epochs, batch_size=10).fit(Run(task.network, objective, optimizer))
    return [p.data for p in task.network.parameters()]


def test_without_noise_and_clipping_it_is_ordinary_training_bit_for_bit() -> None:
    for a, b in zip(trained(People()), trained(People(), plan()), strict=True):
        assert a.tobytes() == b.tobytes()


def test_a_clip_that_clips_nothing_changes_rounding_alone() -> None:
    for a, b in zip(trained(People()), trained(People(), plan(max_norm=1e6)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def gradient(task: People, private: PrivateObjective, batch: np.ndarray) -> np.ndarray:
    private.loss(batch, np.random.default_rng(0)).backward()
    return np.concatenate([np.asarray(p.grad).ravel() for p in task.network.parameters()])


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 50.0])
def test_nobody_changes_the_gradient_by_more_than_the_share(max_norm: float) -> None:
    task = People()
    private = PrivateObjective(task, task.network, plan(max_norm=max_norm), np.random.default_rng(0))
    everybody = np.arange(N)
    for person in (0, 7, 39):
        change = gradient(task, private, everybody) - gradient(task, private, np.delete(everybody, person))
        assert np.linalg.norm(change) <= max_norm / (0.25 * N) * (1 + 1e-5)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    task, found = People(), []
    for at_once in (64, 7):
        monkeypatch.setattr("recsys.training.private._AT_ONCE", at_once)
        private = PrivateObjective(task, task.network, plan(max_norm=1.0), np.random.default_rng(0))
        found.append(gradient(task, private, np.arange(N)))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-7)


def test_samples_are_poisson_and_of_the_rate() -> None:
    task = People()
    private = PrivateObjective(task, task.network, plan(rate=0.25, noise=1.0), np.random.default_rng(0))
    batches = [b for epoch in range(300) for b in private.batches(epoch, np.random.default_rng(epoch), 10)]
    assert len(batches) == 1200  # as many steps as batches make an epoch
    sizes = np.array([len(b) for b in batches])
    assert sizes.mean() == pytest.approx(10, rel=0.03)
    assert sizes.var() == pytest.approx(N * 0.25 * 0.75, rel=0.15)
    assert all(len(set(b)) == len(b) for b in batches)
    own = np.bincount(np.concatenate(batches), minlength=N)
    assert own.min() > 200  # everybody in many, nobody in all


def test_noise_is_in_every_step_of_the_stated_size_even_if_nobody_is_there() -> None:
    task = People(make=lambda rng: nn.Linear(3, 2000, generator=rng))
    private = PrivateObjective(task, task.network, plan(noise=2.0, max_norm=3.0), np.random.default_rng(0))
    found = gradient(task, private, np.zeros(0, np.int64))
    assert found.std() == pytest.approx(2 * 3 / (0.25 * N), rel=0.03)


def test_the_plan_is_the_accountants() -> None:
    made = planned("Toy", "person", 1000, epsilon=3.0, delta=1e-5, max_norm=1.0, batch_size=100, epochs=7)
    assert (made.rate, made.steps) == (0.1, 70)
    assert made.epsilon <= 3
    assert made.epsilon == privacy.epsilon(made.noise, 1e-5, rate=0.1, steps=70)
    given = planned("Toy", "person", 1000, epsilon=None, noise=made.noise, delta=1e-5, max_norm=1.0, batch_size=100,
                    epochs=7)
    assert given == made
    whole = planned("Toy", "person", 50, epsilon=3.0, delta=1e-5, max_norm=1.0, batch_size=100, epochs=7)
    assert (whole.rate, whole.steps) == (1.0, 7)


def test_without_clipping_or_noise_nothing_is_promised() -> None:
    for noise, norm in ((0.0, 1.0), (2.0, math.inf)):
        made = planned("Toy", "person", 100, epsilon=None, noise=noise, delta=1e-5, max_norm=norm, batch_size=10,
                       epochs=1)
        assert made.card()["epsilon"] is None
        assert "no privacy is promised to any person" in sentence(made.card())


@pytest.mark.parametrize(("changed", "says"), [
    ({"epsilon": None}, "give either epsilon or noise"), ({"noise": 1.0}, "give either epsilon or noise"),
    ({"epsilon": 1e-4, "delta": 1e-9}, "no noise gives epsilon=0.0001"),
])
def test_plans_that_make_no_sense(changed: dict[str, Any], says: str) -> None:
    options = {"epsilon": 3.0, "delta": 1e-5, "max_norm": 1.0, "batch_size": 10, "epochs": 2} | changed
    with pytest.raises(ParameterError, match=f"Toy: .*{says}"):
        planned("Toy", "person", 100, **options)


class Centred(nn.Module):
    """Takes the mean of the batch off: not batch norm by name."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.inner = nn.Linear(3, 2, generator=rng)

    def forward(self, x: Any) -> Any:
        return self.inner(x - x.mean(axis=0))


def test_networks_that_mix_examples_are_refused() -> None:
    for make, says in ((lambda rng: nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), "1 is BatchNorm1d, which mixes"),
                       (Centred, "depends on who else is in the batch")):
        task = People(make=make)
        with pytest.raises(UnsupportedError, match=f"Toy: .*{says}"):
            refuse_mixing("Toy", task.network, task)
    task = People()
    refuse_mixing("Toy", task.network, task)
    assert isinstance(task, UnitObjective)

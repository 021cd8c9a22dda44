"""Training of which no unit, an event or a person, can be told from the network, with a stated limit.

A private objective stands before another one: its batches are Poisson samples of units, and the gradient of its loss is
a sum of gradients of units, each clipped over all parameters together, plus noise. The trainer need not know.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minidl import nn, privacy
from recsys.errors import ParameterError, UnsupportedError
from recsys.training.trainer import Objective

__all__ = ["Plan", "PrivateObjective", "UnitObjective", "planned", "refuse_mixing"]

_AT_ONCE = 64  # units whose gradients are measured together


@runtime_checkable
class UnitObjective(Objective, Protocol):
    """An objective that knows the loss of every unit by itself.

    Attributes
    ----------
    unit : {"person", "event"}
        All examples of a unit make one loss.
    n_units : int
    """

    unit: str
    n_units: int

    def losses(self, units: np.ndarray, rng: np.random.Generator) -> Any:
        """The loss of each unit, which depends on its own data alone: int (B,) -> a Tensor (B,)."""


@dataclass(frozen=True)
class Plan:
    """What is promised of a training, and by what means.

    Attributes
    ----------
    unit : str
        Whose data is protected: neighbouring data sets differ in one "person" or one "event".
    epsilon, delta : float
        Epsilon is infinite without noise or without clipping.
    noise : float
        Standard deviation of the noise, divided by `max_norm`.
    max_norm : float
        To which the gradient of a unit is clipped.
    rate : float
        Probability with which a unit takes part in a step.
    steps : int
    """

    unit: str
    epsilon: float
    delta: float
    noise: float
    max_norm: float
    rate: float
    steps: int

    def card(self) -> dict[str, Any]:
        """What a model file says, in JSON's terms: numbers that are not finite are null."""
        return {name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in asdict(self).items()}

    def __str__(self) -> str:
        return sentence(self.card())


def sentence(card: Mapping[str, Any]) -> str:
    """What a card promises, in words.

    Examples
    --------
    >>> print(planned("MultDAE", "person", 6040, epsilon=8.0, delta=1e-5, max_norm=1.0, batch_size=604, epochs=20))
    epsilon 8.00 with delta 1e-05 for every person (noise 1.2 x max_norm 1, rate 0.1, 200 steps)
    """
    how = (f"noise {card['noise']:.3g} x max_norm {_shown(card['max_norm'])}, rate {card['rate']:.3g}, "
           f"{card['steps']} step{'s' * (card['steps'] != 1)}")
    if card["epsilon"] is None:
        return f"no privacy is promised to any {card['unit']} ({how})"
    return f"epsilon {card['epsilon']:.2f} with delta {card['delta']:.3g} for every {card['unit']} ({how})"


def _shown(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.3g}"


def planned(name: str, unit: str, n_units: int, *, epsilon: float | None, delta: float, max_norm: float,
            batch_size: int, epochs: int, noise: float | None = None) -> Plan:
    """The noise for an epsilon, or the epsilon of a noise, of a training in so many epochs.

    Parameters
    ----------
    name : str
        For messages.
    unit : str
    n_units : int
    epsilon : float, optional
        Needed without `noise`.
    delta, max_norm : float
    batch_size, epochs : int
        Units in a step on average, and how many times as many steps there are as batches make all units.
    noise : float, optional
        Instead of `epsilon`.

    Raises
    ------
    ParameterError
        Neither or both of epsilon and noise are given; or no noise gives that epsilon.
    """
    if (epsilon is None) == (noise is None):
        raise ParameterError(f"{name}: give either epsilon or noise.")
    rate = min(1.0, batch_size / max(n_units, 1))
    steps = epochs * -(-max(n_units, 1) // batch_size)
    try:
        if noise is None:
            noise = privacy.noise_for(float(epsilon or 0), delta, rate=rate, steps=steps)
        found = privacy.epsilon(noise, delta, rate=rate, steps=steps) if math.isfinite(max_norm) else math.inf
    except ValueError as error:
        raise ParameterError(f"{name}: {error}.") from error
    return Plan(unit, found, delta, noise, max_norm, rate, steps)


class PrivateObjective:
    """Another objective, of which each unit may change little.

    Without clipping (`max_norm` infinite), noise and sampling it is the other objective, to the bit: the same batches,
    and the mean of the units' losses.

    Parameters
    ----------
    objective : UnitObjective
    network : minidl.nn.Module
    plan : Plan
    rng : numpy.random.Generator
        Of samples and noise. Whoever knows its seed can take the noise away.
    sampling : bool
        Whether batches are Poisson samples. Without, they are those of the other objective, and nothing is promised.
    """

    def __init__(self, objective: UnitObjective, network: Any, plan: Plan, rng: np.random.Generator,
                 sampling: bool = True) -> None:
        self.objective, self.network, self.plan, self.rng, self.sampling = objective, network, plan, rng, sampling

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """Samples, each with every unit by its own chance; a sample may be empty."""
        own = self.objective.batches(epoch, rng, size)  # which may draw what the epoch needs, too
        if not self.sampling:
            yield from own
            return
        for _ in range(-(-self.objective.n_units // size)):
            yield np.flatnonzero(self.rng.random(self.objective.n_units) < self.plan.rate)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """The mean loss, going back from which gives the private gradient."""
        plan, parameters = self.plan, list(self.network.parameters())
        expected = plan.rate * self.objective.n_units if self.sampling else len(batch)
        at_once = _AT_ONCE if math.isfinite(plan.max_norm) else max(len(batch), 1)
        total = 0.0
        self.network.zero_grad()
        for start in range(0, len(batch), at_once):
            losses = self.objective.losses(batch[start:start + at_once], rng)
            privacy.clipped_backward(losses, parameters, plan.max_norm, scale=1 / expected)
            total += float(losses.data.sum(dtype=np.float64))
        if plan.noise:
            privacy.add_noise(parameters, plan.noise * plan.max_norm / expected, self.rng)
        return _Ready(total / max(len(batch), 1), parameters)


class _Ready:
    """A loss whose gradient has been made."""

    def __init__(self, value: float, parameters: list[Any]) -> None:
        self.data = value
        self._ready = [(p, p.grad) for p in parameters]

    def backward(self) -> None:
        for p, grad in self._ready:
            p.grad = grad


def refuse_mixing(name: str, network: Any, objective: UnitObjective) -> None:
    """Refuse a network in which the examples of a batch are mixed, so that no unit has a gradient of its own.

    Batch norm is found by name. Where nothing is drawn, the loss of a unit is also compared with what it is in other
    company, in evaluation mode.

    Raises
    ------
    UnsupportedError
    """
    for path, part in network.named_modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            raise UnsupportedError(f"{name}: {path} is {type(part).__name__}, which mixes the examples of a batch, so "
                                   f"that nobody's part can be limited; use LayerNorm or GroupNorm.")
    network.eval()
    found = []
    for units in (np.arange(min(4, objective.n_units)), np.zeros(1, np.int64)) if objective.n_units > 1 else ():
        rng = np.random.default_rng(0)
        for part in network.modules():
            if hasattr(part, "generator"):
                part.generator = rng
        before = rng.bit_generator.state
        found.append(float(objective.losses(units, rng).data[0]))
        if rng.bit_generator.state != before:
            return
    if found and not math.isclose(*found, rel_tol=1e-3, abs_tol=1e-5):
        raise UnsupportedError(f"{name}: the loss of a {objective.unit} depends on who else is in the batch, so that "
                               f"nobody's part can be limited; let the network treat every example by itself.")

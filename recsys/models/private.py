"""A wrapper around a model that learns so that nobody's data can be told from what it has learned, within a limit."""

from __future__ import annotations

import secrets
import warnings
from dataclasses import replace
from os import PathLike
from typing import Any, ClassVar

import numpy as np

from recsys.data.interactions import Interactions
from recsys.errors import DataWarning, ParameterError, UnsupportedError
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender, storing
from recsys.estimator.capabilities import Depends
from recsys.estimator.parameters import Check, above, at_least, between, one_of, optional, whole
from recsys.models.hybrid.naming import Spec, made, settled
from recsys.models.linear import noisy
from recsys.training import Run, Trainer
from recsys.training.private import Plan, PrivateObjective, UnitObjective, planned, refuse_mixing

__all__ = ["Private"]


def _can(can: Can, model: Any) -> Can:
    own: Can = made(model.model).can
    return replace(own, ratings=False, partial_fit=False, cold_user=False)


class Private(Recommender):
    """A model of which nobody's data can be told, within epsilon and delta.

    Two data sets that differ in the data of one person (or, with `unit="event"`, in one event) lead to any given model
    with probabilities that differ by a factor of `exp(epsilon)` at most, but for cases of a probability of `delta`. How
    depends on the model:

    - networks (`MultDAE`, `MultVAE`, `LinearAutoencoder`; `SASRec` and other sequences by `loss="softmax"`): every step
      takes each person with a chance of `batch_size / n_users`, clips the gradient of all that a person did, over all
      parameters together, to `max_norm`, and adds noise (DP-SGD). `GMF`, `NeuMF` and other pairs have a vector for each
      person and learn from events as units.
    - `EASE`: the Gram matrix of histories scaled to length 1, and how popular items are, with noise, once; what noise
      alone explains is taken out, and the regressions are solved from the rest. It needs fewer people for the same
      quality, as there is one step.

    What else follows from the data is fixed or left out: validation data is not looked at, nor are counts, means and
    ranges of values; `curves_` do not exist. Taken as known by everybody are the items that there are, the number of
    people, and the hyper-parameters: choosing these by trying on the same data costs epsilon that is not counted.

    The model answers the people it has learned from by their own histories, which it holds: `save(path, seen=False)`
    writes a file for others, without histories, and without the ids of people.

    Parameters
    ----------
    model : model, name, or pair of a name and a dict of hyper-parameters
        In a network, `batch_size` is how many units a step takes on average, and large ones need less noise.
    epsilon : float, optional
        None if `noise` is given instead.
    delta : float
        Below 1 / n_users.
    unit : {"person", "event"}
        Whose data is protected.
    max_norm : float, optional
        Of networks: the norm to which the gradient of a unit is clipped; None clips nothing, and promises nothing.
    noise : float, optional
        Standard deviation of the noise, relative to `max_norm`, instead of `epsilon`. With 0 and without clipping,
        networks are trained as ever, to the bit.
    seed : int, optional
        Of samples and noise; by default the operating system draws. Whoever knows it can take the noise away: it is for
        tests, and no file holds it.

    Attributes
    ----------
    privacy_ : dict
        What was promised, in every file: `unit`, `epsilon`, `delta`, `noise`, `max_norm`, `rate`, `steps`. None is
        infinite: no limit, or no clipping.

    References
    ----------
    Abadi et al., Deep Learning with Differential Privacy, CCS 2016. McMahan et al., Learning Differentially Private
    Recurrent Language Models, ICLR 2018 (persons as units). Dwork et al., Analyze Gauss, STOC 2014 (the Gram matrix).

    Examples
    --------
    >>> from recsys import datasets
    >>> data = datasets.simulate(n_users=300, n_items=20, n_events=3000, seed=0)[0]
    >>> model = Private(model="EASE", epsilon=5.0, delta=1e-4).fit(data)
    >>> model.privacy_["unit"], round(model.privacy_["epsilon"], 2)
    ('person', 5.0)
    """

    can: ClassVar[Any] = Depends(Can(fold_in=True), _can)
    checks: ClassVar[dict[str, Check]] = {
        "epsilon": optional(above(0)), "delta": between(1e-300, 0.5), "unit": one_of("person", "event"),
        "max_norm": optional(above(0)), "noise": optional(at_least(0)), "seed": optional(whole(0))}

    model: Any
    epsilon: float | None
    delta: float
    unit: str
    max_norm: float | None
    noise: float | None
    seed: int | None

    def __init__(self, *, model: Spec = "EASE", epsilon: float | None = 8.0, delta: float = 1e-5,
                 unit: str = "person", max_norm: float | None = 1.0, noise: float | None = None,
                 seed: int | None = None) -> None:
        model = settled(model)
        self.store_parameters(locals())

    def check_parameters(self) -> None:
        """Raise ParameterError for the first hyper-parameter, of the model too, that is out of its range."""
        super().check_parameters()
        made(self.model).check_parameters()
        if (self.epsilon is None) == (self.noise is None):
            raise ParameterError("Private: give either epsilon or noise, and the other as None.")
        if self.epsilon is not None and self.max_norm is None:
            raise ParameterError("Private: without clipping no epsilon can be promised; give max_norm, or noise=0.0 "
                                 "and epsilon=None for training as ever.")

    def learn(self, data: Interactions, context: Context) -> Learned:
        """What the model learns, with noise."""
        part, facts = made(self.model), _published(context.facts)
        vars(part)["can"] = self.can  # of the scorer that it makes
        rng = np.random.default_rng(secrets.randbits(128) if self.seed is None else self.seed)
        learn = self._gram if isinstance(part, noisy.LEARNERS) else self._network
        learned, plan = learn(part, data, replace(context, facts=facts, valid=None, valid_history=None), rng)
        return replace(learned, taken={**learned.taken, "privacy_": plan.card()})

    def _plan(self, n_units: int, batch_size: int, epochs: int) -> Plan:
        if self.delta > 1 / max(n_units, 1):
            warnings.warn(f"Private: delta={self.delta:g} is above 1 / {n_units}, so that it may be that somebody's "
                          f"data is published; give a smaller one.", DataWarning, stacklevel=5)
        norm = np.inf if self.max_norm is None else self.max_norm
        return planned("Private", self.unit, n_units, epsilon=self.epsilon, noise=self.noise, delta=self.delta,
                       max_norm=norm, batch_size=batch_size, epochs=epochs)

    def _gram(self, part: Any, data: Interactions, context: Context, rng: np.random.Generator) -> tuple[Learned, Plan]:
        if self.unit != "person":
            raise UnsupportedError("Private: EASE protects people, whose events it scales together; give "
                                   "unit='person'.")
        plan = replace(self._plan(data.n_users, data.n_users, 1), max_norm=1.0)
        return noisy.learned(part, data, context, plan.noise, rng), plan

    def _network(self, part: Any, data: Interactions, context: Context,
                 rng: np.random.Generator) -> tuple[Learned, Plan]:
        name = type(part).__name__
        if not part.trains or part.reads:
            raise UnsupportedError(f"Private: {name} cannot learn privately; use EASE, or a network such as MultDAE, "
                                   f"LinearAutoencoder or SASRec.")
        if getattr(part, "repeats", False) is None:  # it would follow from whether anybody has an item twice
            part.set_params(repeats=False)
        training = part.training(data, context)
        run, objective = training.run, training.run.objective
        if not isinstance(objective, UnitObjective) or getattr(part, "personal", False):
            raise UnsupportedError(f"Private: {name} cannot learn privately with these hyper-parameters: its loss is "
                                   f"not a sum of losses of people (or events) that are kept apart; use EASE, MultDAE, "
                                   f"LinearAutoencoder, SASRec with loss='softmax' and order='rows', or, with "
                                   f"unit='event', GMF with loss='bpr'.")
        if objective.unit != self.unit:
            raise UnsupportedError(f"Private: {name} learns from every {objective.unit} by itself, so that it cannot "
                                   f"protect every {self.unit}; give unit={objective.unit!r}, or another model.")
        plan = self._plan(objective.n_units, part.batch_size, part.epochs)
        refuse_mixing(f"Private: {name}", run.network, objective)
        private = PrivateObjective(objective, run.network, plan, rng, sampling=plan.noise > 0)
        trainer = Trainer(epochs=part.epochs, batch_size=part.batch_size, seed=part.seed, name=f"Private {name}",
                          remedy=part.remedy())
        trainer.fit(Run(run.network, private, run.optimizer), progress=context.progress)
        return training.finish(), plan

    def _as_fitted(self, facts: Facts, learned: Learned) -> Fitted:
        noisy_counts = learned.memory[1].get("item_counts")  # what else is to go on learning from is of no use here
        facts = _published(facts) if noisy_counts is None else replace(_published(facts), item_counts=noisy_counts)
        return super()._as_fitted(facts, replace(learned, memory=({}, {})))

    def save(self, path: str | PathLike[str], *, seen: bool = True) -> None:
        """Write the model to one file, as `Recommender.save` says.

        Parameters
        ----------
        path : str or path
        seen : bool
            Whether the file is for those who have the data: it then holds what people saw, which nothing protects.
            Without, there is nothing of people in it, not even their ids, and what was promised holds for the file.
        """
        fitted = self.require("save")
        fitted = replace(fitted, parameters={**fitted.parameters, "seed": None})
        storing.save(fitted if seen else storing.without_users(fitted, list(fitted.users.ids)), path, seen=seen)


def _published(facts: Facts) -> Facts:
    """The facts without what was counted: all items alike, values unknown, no fingerprint."""
    return replace(facts, item_counts=np.ones(len(facts.items), np.int64), rating_range=None, mean_value=1.0,
                   fingerprint="private")

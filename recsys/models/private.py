"""A wrapper around a model that learns so that nobody's data can be told from what it has learned, within a limit."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any, ClassVar

import numpy as np

from recsys.data.interactions import Interactions
from recsys.errors import DataWarning, ParameterError, UnsupportedError
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender, storing
from recsys.estimator.capabilities import Depends
from recsys.estimator.facts import HIDDEN
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, above, at_least, between, one_of, optional, whole
from recsys.estimator.scorers.networks import HistoryNetwork
from recsys.estimator.scorers.similarities import DenseSimilarities
from recsys.models.autoencoders.estimators import LinearAutoencoder
from recsys.models.hybrid.naming import Spec, made, settled
from recsys.models.linear import noisy
from recsys.models.linear.ease import EASE
from recsys.training import Run, Trainer
from recsys.training.private import Plan, PrivateObjective, UnitObjective, planned, refuse_mixing

__all__ = ["Private"]

_BYTES_AN_ENTRY = 44  # a Gram matrix, its eigenvectors, LAPACK's copies and an inverse in float64, weights in float32
_MAX_GIB = 4.0  # where the model does not say


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
    - `EASE`, and `LinearAutoencoder` with `tied=False`, whose loss follows from it: the Gram matrix of histories scaled
      to length 1, and how popular items are, with noise, once; what is within noise is taken out, and the model learns
      from the rest. It needs fewer people for the same quality, as there is one step.

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
    mechanism : {"matrix", "steps"}, optional
        By default a matrix where that will do.
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
        "max_norm": optional(above(0)), "noise": optional(at_least(0)),
        "mechanism": optional(one_of("matrix", "steps")), "seed": optional(whole(0))}

    model: Any
    epsilon: float | None
    delta: float
    unit: str
    max_norm: float | None
    noise: float | None
    mechanism: str | None
    seed: int | None

    def __init__(self, *, model: Spec = "EASE", epsilon: float | None = 8.0, delta: float = 1e-5,
                 unit: str = "person", max_norm: float | None = 1.0, noise: float | None = None,
                 mechanism: str | None = None, seed: int | None = None) -> None:
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
        learn = self._matrix if self._by_matrix(part) else self._steps
        learned, plan = learn(part, data, replace(context, facts=facts, valid=None, valid_history=None), rng)
        return replace(learned, taken={**learned.taken, "privacy_": plan.card()})

    def _plan(self, n_units: int, batch_size: int, epochs: int) -> Plan:
        if self.delta > 1 / max(n_units, 1):
            warnings.warn(f"Private: delta={self.delta:g} is above 1 / {n_units}, so that it may be that somebody's "
                          f"data is published; give a smaller one.", DataWarning, stacklevel=5)
        norm = np.inf if self.max_norm is None else self.max_norm
        return planned("Private", self.unit, n_units, epsilon=self.epsilon, noise=self.noise, delta=self.delta,
                       max_norm=norm, batch_size=batch_size, epochs=epochs)

    def _by_matrix(self, part: Any) -> bool:
        """Whether it learns from a Gram matrix; ParameterError if it is to and cannot."""
        possible = isinstance(part, EASE) or (isinstance(part, LinearAutoencoder) and not part.tied)
        if self.mechanism == "matrix" and not possible:
            raise ParameterError(f"Private: {type(part).__name__} cannot learn by mechanism='matrix'; EASE and "
                                 f"LinearAutoencoder with tied=False can.")
        if self.mechanism == "steps" and isinstance(part, EASE):
            raise ParameterError("Private: EASE has no steps; leave mechanism out.")
        return possible and self.mechanism != "steps"

    def _matrix(self, part: Any, data: Interactions, context: Context,
                rng: np.random.Generator) -> tuple[Learned, Plan]:
        name, n = type(part).__name__, data.n_items
        if self.unit != "person":
            raise UnsupportedError(f"Private: {name} protects people, whose events it scales together; give "
                                   f"unit='person'.")
        most, needed = getattr(part, "max_gib", _MAX_GIB), _BYTES_AN_ENTRY * n * n / 2**30
        if needed > most:
            raise ParameterError(f"Private: {n:,} items need about {needed:.1f} GiB, more than max_gib={most:g}; keep "
                                 f"fewer items (k_core){' or raise it' if isinstance(part, EASE) else ''}.")
        plan = replace(self._plan(data.n_users, data.n_users, 1), max_norm=1.0)
        histories = Histories(recent=getattr(part, "recent", None)).storing(data.csr, context.facts.seen)
        found = noisy.published(Histories().plain(data.csr), plan.noise, rng)
        counts = np.ceil(np.maximum(found.counts, 0)).astype(np.int64)
        taken = {"reg_": found.reg, "known_items_": len(found.kept)}
        if isinstance(part, EASE):
            scorer: Any = DenseSimilarities(part.can, histories, noisy.similarities(found, part))
        else:
            network = part.build(data.n_users, n, np.random.default_rng(part.seed))
            network.bag.table.weight.data[...], network.output.data[...] = noisy.tables(
                found, part.factors, part.dropout)
            network.eval()
            scorer = HistoryNetwork(part.can, histories, network, part.architecture(), n)
        return Learned(scorer, taken, ({}, {"item_counts": counts})), plan

    def _steps(self, part: Any, data: Interactions, context: Context,
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

    def as_fitted(self, facts: Facts, learned: Learned, about: Mapping[str, Any]) -> Fitted:
        """Without what was counted."""
        noisy_counts = learned.memory[1].get("item_counts")  # what else is to go on learning from is of no use here
        facts = _published(facts) if noisy_counts is None else replace(_published(facts), item_counts=noisy_counts)
        return super().as_fitted(facts, replace(learned, memory=({}, {})), about)

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
                   fingerprint=HIDDEN)

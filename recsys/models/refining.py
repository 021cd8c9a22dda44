"""How networks learn from new events: their tables grow, and what the events touch is refined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl import nn, optim
from recsys.data.csr import CSR, appended
from recsys.data.interactions import Interactions
from recsys.estimator import Facts, Fitted
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.base import HistoryScorer
from recsys.estimator.training import adam, trainer
from recsys.estimator.updating import all_but, members
from recsys.training import Objective, Run

__all__ = ["Tables", "go_on", "grow", "refine", "regrow"]

_NEW, _TOUCHED = 1 / 3, 1 / 3  # of the epochs of a fit
_MORE = 1 / 4  # of them, for networks of histories
_REPLAYED = 1  # histories of others for each one that has grown

Tables = tuple[list[nn.Parameter], list[nn.Parameter]]
"""Of users and of items: row i belongs to number i. There may be more rows."""


def regrow(network: Any, old: Any) -> None:
    """Take the weights of a smaller network of the same kind; the rows that its tables lack stay as they are.

    Biases that it lacks are the mean of those that it has.
    """
    state = old.state_dict()
    for name, value in network.state_dict().items():
        known, more = state[name], value[len(state[name]):]
        if known.ndim == 1 and len(known):
            more = np.full_like(more, known.mean())
        state[name] = np.concatenate([known, more])
    network.load_state_dict(state)


def grow(fitted: Fitted, data: Interactions) -> Histories:
    """The histories that a model keeps, with new events after the others."""
    before = fitted.answers_by(HistoryScorer).histories
    if before.stored is None:
        raise fitted.without_histories()
    new = data.csr
    rows = appended(before.stored, CSR(new.indptr, new.indices, None, new.shape))
    return replace(before, stored=before.transform(rows))


def refine(model: Any, network: Any, data: Interactions, known: tuple[int, int], tables: Tables, facts: Facts,
           objective: Callable[[Interactions], Objective]) -> None:
    """Learn new rows alone, then all rows of the users and items of new events; the others and the layers stay.

    Parameters
    ----------
    model : Recommender
        For its hyper-parameters.
    network : minidl.nn.Module
        Grown.
    data : Interactions
        The new events, in the model's numbering.
    known : (int, int)
        How many users and items there were.
    tables : Tables
        What may change, if it belongs to users and items that do.
    facts : Facts
        With all events, or all that was seen.
    objective : callable
        `objective(events)`: what the network learns of them.
    """
    n_users, n_items = len(facts.users), len(facts.items)
    new = np.arange(n_users) >= known[0], np.arange(n_items) >= known[1]
    touched = members(data.user, n_users), members(data.item, n_items)
    meets_new = new[0] | members(data.user[new[1][data.item]], n_users)
    for of, change, share in ((meets_new, new, _NEW), (touched[0], touched, _TOUCHED)):
        part = _part(of, change, facts)
        if not part.nnz:
            continue
        events = Interactions(facts.users, facts.items, part.row_of_entry, part.indices, part.data)
        put_back = all_but((table.data, np.concatenate([rows, np.zeros(len(table.data) - len(rows), bool)]))
                           for side, rows in zip(tables, change, strict=True) for table in side)
        optimizer = adam(model, [table for side in tables for table in side])
        trainer(model, max(1, round(share * model.epochs))).fit(
            Run(network, objective(events), optimizer), callbacks=[_each_epoch(put_back)])


def _each_epoch(put_back: Callable[[], None]) -> Callable[[int, dict[str, float]], None]:
    return lambda epoch, report: put_back()


def _part(of: np.ndarray, change: tuple[np.ndarray, np.ndarray], facts: Facts) -> CSR:
    """The events of some users, bool (n_users,); ratings also those of the items that change."""
    pairs = facts.pairs if facts.events is None else facts.events
    return pairs.where(of[pairs.row_of_entry] | (change[1][pairs.indices] & (facts.events is not None)))


def go_on(model: Any, network: Any, data: Interactions, history: CSR, optimizer: optim.Optimizer,
          objective: Callable[[CSR, Interactions], Objective]) -> None:
    """Train a grown network for a few epochs on the histories with new events, and on as many others, drawn at random.

    The others are there so that what is not in the new events is not forgotten. The optimizer begins anew.

    Parameters
    ----------
    model : Recommender
        For its hyper-parameters.
    network : minidl.nn.Module
        Grown.
    data : Interactions
        The new events, in the model's numbering.
    history : CSR, shape (n_users, n_items)
        All histories.
    optimizer : minidl.optim.Optimizer
    objective : callable
        `objective(rows, events)`: what the network learns of some histories, which are these events.
    """
    rng, grew = np.random.default_rng((model.seed, len(data))), members(data.user, history.shape[0])
    others = np.flatnonzero(~grew & (history.counts > 0))
    grew[rng.permutation(others)[:_REPLAYED * int(grew.sum())]] = True
    part = history.where(grew[history.row_of_entry])
    events = Interactions(data.users, data.items, part.row_of_entry, part.indices, part.data, np.arange(part.nnz))
    trainer(model, max(1, round(_MORE * model.epochs))).fit(
        Run(network, _Later(objective(part, events), model.epochs), optimizer))


@dataclass(frozen=True)
class _Later:
    """An objective as it is after so many epochs: what rises with them has risen."""

    objective: Objective
    epochs: int

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """Those of a later epoch."""
        return self.objective.batches(epoch + self.epochs, rng, size)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of some."""
        return self.objective.loss(batch, rng)

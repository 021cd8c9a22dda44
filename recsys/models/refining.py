"""How networks learn from new events: their tables grow, and what the events touch is refined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import nn, optim
from recsys.data.interactions import Interactions
from recsys.models.updating import all_but, members
from recsys.training import Objective, Trainer

if TYPE_CHECKING:
    from recsys.models.neural import HistoryNetwork
    from recsys.models.pairs import PairModel

__all__ = ["go_on", "refine", "regrow"]

_NEW, _TOUCHED = 1 / 3, 1 / 3  # of the epochs of a fit
_MORE = 1 / 4  # of them, for networks of histories
_REPLAYED = 1  # histories of others for each one that has grown


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


def refine(model: PairModel, data: Interactions, known: tuple[int, int],
           tables: tuple[list[nn.Parameter], list[nn.Parameter]]) -> None:
    """Learn new rows alone, then all rows of the users and items of new events; the others and the layers stay.

    Parameters
    ----------
    model : PairModel
        Grown, with its network.
    data : Interactions
        The new events, in the model's numbering.
    known : (int, int)
        How many users and items there were.
    tables : pair of list of Parameter
        Of users and of items: row i belongs to number i. There may be more rows, which stay.
    """
    n_users, n_items = len(model.users), len(model.items)
    new = np.arange(n_users) >= known[0], np.arange(n_items) >= known[1]
    touched = members(data.user, n_users), members(data.item, n_items)
    meets_new = new[0] | members(data.user[new[1][data.item]], n_users)
    _learn(model, meets_new, new, tables, _NEW)
    _learn(model, touched[0], touched, tables, _TOUCHED)
    model.network.eval()
    model.network.zero_grad()


def _learn(model: PairModel, of: np.ndarray, change: tuple[np.ndarray, np.ndarray],
           tables: tuple[list[nn.Parameter], list[nn.Parameter]], share: float) -> None:
    """A share of the epochs, over the events of some users, bool (n_users,); ratings also over those of the items."""
    pairs = model.require_seen("partial_fit") if model.events is None else model.events
    part = pairs.where(of[pairs.row_of_entry] | (change[1][pairs.indices] & (model.events is not None)))
    if not part.nnz:
        return
    events = Interactions(model.users, model.items, part.row_of_entry, part.indices, part.data)
    put_back = all_but((table.data, np.concatenate([rows, np.zeros(len(table.data) - len(rows), bool)]))
                       for side, rows in zip(tables, change, strict=True) for table in side)
    parameters = [table for side in tables for table in side]
    trainer = Trainer(epochs=max(1, round(share * model.epochs)), batch_size=model.batch_size, seed=model.seed,
                      name=type(model).__name__)
    trainer.fit(model.network, optim.Adam(parameters, lr=model.lr, weight_decay=model.weight_decay),
                model._objective(events), callbacks=[lambda epoch, report: put_back()])


def go_on(model: HistoryNetwork, data: Interactions) -> None:
    """Train a grown network for a few epochs on the histories with new events, and on as many others, drawn at random.

    The others are there so that what is not in the new events is not forgotten. The optimizer begins anew.

    Parameters
    ----------
    model : HistoryNetwork
        Grown, with its network and its histories.
    data : Interactions
        The new events, in the model's numbering.
    """
    rows, rng = model.history_of_all(), np.random.default_rng((model.seed, len(data)))
    grew = members(data.user, len(model.users))
    others = np.flatnonzero(~grew & (rows.counts > 0))
    grew[rng.permutation(others)[:_REPLAYED * int(grew.sum())]] = True
    part = rows.where(grew[rows.row_of_entry])
    events = Interactions(model.users, model.items, part.row_of_entry, part.indices, part.data, np.arange(part.nnz))
    model._training = part
    trainer = Trainer(epochs=max(1, round(_MORE * model.epochs)), batch_size=model.batch_size, seed=model.seed,
                      name=type(model).__name__)
    trainer.fit(model.network, model._optimizer_anew(), _Later(model._objective(events), model.epochs))
    model._training = None
    model.network.eval()
    model.network.zero_grad()


@dataclass(frozen=True)
class _Later:
    """An objective as it is after so many epochs: what rises with them has risen."""

    objective: Objective
    epochs: int

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        """Number of examples."""
        return self.objective.begin(epoch + self.epochs, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of some."""
        return self.objective.loss(batch, rng)

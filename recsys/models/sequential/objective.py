"""What networks of sequences learn: each event of each history from those before it, or what is left of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import ops
from recsys.data.csr import CSR, ranges
from recsys.data.sampling import NegativeSampler, apart
from recsys.errors import UnsupportedError
from recsys.models.sequential.network import SequenceNetwork, padded
from recsys.training import shuffled
from recsys.training.losses import SAMPLED, of_draws, squares

__all__ = ["FULL", "NextItem", "Rest", "against", "alike", "item_sampler"]

_SORTED = 16  # batches whose pieces are sorted together

Seen = tuple[np.ndarray, np.ndarray]  # states and items, int (m,): pairs that do not count


def full_softmax(network: SequenceNetwork, states: Any, targets: np.ndarray, seen: Seen | None,
                 rng: np.random.Generator, indptr: np.ndarray | None = None) -> Any:
    """Mean cross entropy of the right items, int (m,), among all items but the seen ones, by states (n, factors).

    There is one right item for each state, or those from `indptr[s]` to `indptr[s + 1]` for the state s.
    """
    scores = network.scores(states)
    if seen is not None:  # in place is enough: where a softmax is 0, so is its gradient
        scores.data[seen] = -np.inf
    if indptr is None:
        return ops.cross_entropy(scores, targets)
    return ops.multinomial_loss(scores, targets, indptr, reduction="sum") * (1 / len(targets))


def full_squares(network: SequenceNetwork, states: Any, targets: np.ndarray, seen: Seen | None,
                 rng: np.random.Generator, indptr: np.ndarray | None = None) -> Any:
    """Half the squared distance of the scores of all items but the seen ones from 1 (the right ones) and 0, a target.

    The arguments are those of `full_softmax`.
    """
    of = np.arange(len(targets)) if indptr is None else np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    scores = network.scores(states)
    if seen is not None:
        pairs = np.unique(seen[0] * np.int64(scores.shape[1]) + seen[1])  # each once
        seen = np.divmod(pairs, scores.shape[1])
    return squares(scores, (of, targets), seen) * (1 / len(targets))


FULL: dict[str, Callable[..., Any]] = {"softmax": full_softmax, "squares": full_squares}


def against(loss: str, network: SequenceNetwork, states: Any, targets: np.ndarray, seen: Seen | None,
            drawn: np.ndarray, log_q: np.ndarray) -> Any:
    """Mean loss of the right items against the items drawn for all of them, less what is the right item or seen.

    Parameters
    ----------
    loss : str
        A name in `recsys.training.losses.SAMPLED`.
    network : SequenceNetwork
    states : Tensor, shape (n, factors)
    targets, drawn : int array, shape (n,), (k,)
    seen : pair of int arrays, shape (m,), optional
        States and items that do not count there.
    log_q : ndarray, shape (n_items,)
        Logarithm of how often each item is drawn.
    """
    positive = ops.row_dot(states, network.targets(targets)) + network.bias[targets]  # (n,)
    negative = network.scores(states, drawn)  # (n, k)
    state, item = np.arange(len(targets)), targets
    if seen is not None:
        state, item = np.concatenate([seen[0], state]), np.concatenate([seen[1], item])
    hits = _drawn_ones((state, item), drawn)
    if loss == "sampled_softmax":  # in place, as in `full_softmax`; finite, as there may be no others
        negative.data -= log_q[drawn]
        negative.data[hits] = np.finfo(negative.dtype).min / 4
        return SAMPLED[loss](positive - log_q[targets], negative)
    mask = np.zeros(negative.shape, bool)
    mask[hits] = True
    return of_draws(loss, log_q, targets, drawn)(positive, negative, mask)


def _drawn_ones(seen: Seen, drawn: np.ndarray) -> Seen:
    """Of pairs of states and items, those whose item is drawn, as states and places in `drawn`, which may repeat it."""
    by_item = np.argsort(drawn)
    first, end = (np.searchsorted(drawn, seen[1], side, sorter=by_item) for side in ("left", "right"))
    return np.repeat(seen[0], end - first), by_item[ranges(first, end - first)]


def item_sampler(counts: np.ndarray, alpha: float) -> NegativeSampler:
    """Of one user who has seen nothing: any item, in proportion to `max(count, 1) ** alpha`."""
    nothing = CSR(np.zeros(2, np.int64), np.zeros(0, np.int32), None, (1, len(counts)))
    return NegativeSampler(nothing, counts, alpha)


def alike(lengths: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of pieces of similar lengths, so that little is padding, in random order.

    They have about as many events each, so that every event counts alike in a step, as many as `size` pieces have on
    average: more pieces if these are short. Pieces are sorted by length among some hundreds only, which are drawn.

    Parameters
    ----------
    lengths : int array, shape (n,)
        Of at least 1.
    size : int
    rng : numpy.random.Generator

    Returns
    -------
    iterator of int array
        Of the numbers from 0 to n - 1.

    Examples
    --------
    >>> lengths = np.array([1, 9, 1, 9, 1, 9, 1, 9, 1, 9])
    >>> [lengths[batch].tolist() for batch in alike(lengths, 2, np.random.default_rng(0))]
    [[1, 1, 1, 1, 1], [9], [9], [9, 9], [9]]
    """
    order = rng.permutation(len(lengths))
    group = np.arange(len(order)) // (_SORTED * size)
    key = np.where(group % 2, -lengths[order], lengths[order])  # up and down: groups meet where they are alike
    order = order[np.lexsort((key, group))]
    batch = (np.cumsum(lengths[order]) - 1) // max(int(size * lengths.mean()), 1) if len(order) else order
    parts = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
    return (parts[k] for k in rng.permutation(len(parts)) if len(parts[k]))


class NextItem:
    """An objective whose examples are pieces of histories: every event is predicted from those before it.

    A history is cut into pieces of `max_length` predictions. Where the cuts are is drawn anew in each epoch, so an
    event is seen with as many events before it as the cuts leave, sometimes more, sometimes fewer.

    Parameters
    ----------
    rows : CSR, shape (n_users, n_items)
        In time order; those of one event are not used.
    max_length : int
    network : SequenceNetwork
    loss : callable
        `loss(network, states, targets, seen, rng)`: states (n, factors) and the items (n,) that came next, to the mean
        loss. `seen` has the items that a state has read, but the one that came next, which do not compete with it.
    moments : int array, shape (rows.nnz,), optional
        Ascending; events of one number are put in an order that is drawn anew in each epoch.
    repeats : bool
        Items that were read compete, too: `seen` is None.
    """

    unit = "person"

    def __init__(self, rows: CSR, max_length: int, network: SequenceNetwork, loss: Callable[..., Any],
                 moments: np.ndarray | None = None, repeats: bool = False) -> None:
        self.rows, self.max_length, self.network, self._loss, self.moments = rows, max_length, network, loss, moments
        self.repeats = repeats
        self._items = rows.indices
        self._active = np.flatnonzero(rows.counts > 1)
        self.n_units = len(self._active)

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """Cut the histories; the pieces, as `alike` has them."""
        self._items = self.rows.indices
        if self.moments is not None:
            self._items = self._items[np.lexsort((rng.random(len(self.moments)), self.moments))]
        length, n = self.max_length, self.rows.counts[self._active] - 1  # predictions of each history
        shift = rng.integers(0, np.minimum(length, n))  # what the first piece lacks
        pieces = -(-(n + shift) // length)
        of = np.repeat(np.arange(len(n)), pieces)
        place = ranges(np.zeros(len(n), np.int64), pieces)
        start = np.maximum(place * length - shift[of], 0)
        self._counts = np.minimum((place + 1) * length - shift[of], n[of]) - start
        self._starts = self.rows.indptr[self._active][of] + start
        return alike(self._counts, size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of all events of some pieces."""
        counts = self._counts[batch]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        entries = ranges(self._starts[batch], counts)
        items = padded(CSR(indptr, self._items[entries], None, (len(batch), self.rows.shape[1])))
        states = self.network.states_at(items, np.flatnonzero(items >= 0))  # (n, factors)
        targets = self._items[entries + 1]
        seen = None if self.repeats else self._seen(entries, counts, targets)
        return self._loss(self.network, states, targets, seen, rng)

    def losses(self, units: np.ndarray, rng: np.random.Generator) -> Any:
        """The mean loss of the events of one piece of each of some histories, wherever it begins: the full softmax.

        Raises
        ------
        UnsupportedError
            Of another loss, or of events in no order.
        """
        if self._loss is not full_softmax or self.moments is not None:
            raise UnsupportedError("private training of sequences learns by loss='softmax' and order='rows' alone: "
                                   "other losses draw items by how popular they are, which tells of people.")
        users = self._active[units]
        left = self.rows.counts[users] - 1  # predictions that there are
        counts = np.minimum(left, self.max_length)
        starts = self.rows.indptr[users] + rng.integers(0, left - counts + 1)
        entries, indptr = ranges(starts, counts), np.concatenate([[0], np.cumsum(counts)])
        items = padded(CSR(indptr, self.rows.indices[entries], None, (len(units), self.rows.shape[1])))
        there = items >= 0  # (B, T)
        targets = np.zeros(items.shape, np.int64)
        targets[there] = self.rows.indices[entries + 1]
        scores = self.network.scores(self.network.states_at(items, np.arange(items.size)))
        if not self.repeats:
            state, item = self._seen(entries, counts, targets[there])
            scores.data[np.flatnonzero(there)[state], item] = -np.inf
        each = ops.cross_entropy(scores, targets.ravel(), reduction="none").reshape(items.shape)
        return (each * (there / counts[:, None]).astype(each.dtype)).sum(axis=1)

    def _seen(self, entries: np.ndarray, counts: np.ndarray, targets: np.ndarray) -> Seen:
        """What the states at entries have read since the beginning of their pieces, but the item that comes next."""
        place = ranges(np.zeros(len(counts), np.int64), counts)
        state = np.repeat(np.arange(len(entries)), place + 1)
        item = self._items[ranges(entries - place, place + 1)]
        others = item != targets[state]
        return state[others], item[others]


class Rest:
    """An objective whose examples are histories with events in no order: from a part of one, all that may come next.

    Among events in no order, the next item is any one of those that are left, and its expected loss is the mean over
    all of them: one state then learns what `NextItem` would need many epochs for. The order and the share that is read,
    a half or more, are drawn anew in each epoch.

    Parameters
    ----------
    rows : CSR, shape (n_users, n_items)
        Those of one event are not used.
    max_length : int
        How many of the events are read at most.
    network : SequenceNetwork
    loss : callable
        One of `FULL`.
    moments : int array, shape (rows.nnz,)
        Ascending; events of one number are in no order.
    repeats : bool
        Items that were read compete, too; if not, those that are among the rest as well do.
    """

    def __init__(self, rows: CSR, max_length: int, network: SequenceNetwork, loss: Callable[..., Any],
                 moments: np.ndarray, repeats: bool = False) -> None:
        self.rows = CSR(rows.indptr, rows.indices, moments, rows.shape)
        self.max_length, self.network, self._loss, self.repeats = max_length, network, loss, repeats
        self._active = np.flatnonzero(rows.counts > 1)

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """The histories, shuffled."""
        return shuffled(len(self._active), size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of all events that may come next in some histories."""
        rows = self.rows.rows(self._active[batch])
        read, rest = apart(rows, rng.uniform(0.5, 1, len(batch)), rng, rows.weights)
        moment = rest.weights
        rest = rest.where(moment == np.repeat(moment[rest.indptr[:-1]], rest.counts))
        states = self.network.last_states(read.tail(self.max_length))
        return self._loss(self.network, states, rest.indices, None if self.repeats else _but(read, rest), rng,
                          rest.indptr)


def _but(read: CSR, rest: CSR) -> Seen:
    """Rows and items of the first that are not in the second."""
    taken, left = (each.row_of_entry * np.int64(each.shape[1]) + each.indices for each in (read, rest))
    others = ~np.isin(taken, left)
    return read.row_of_entry[others], read.indices[others]

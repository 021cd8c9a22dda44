"""Linear models of sessions: what comes together, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from minidl import runtime
from recsys.data.csr import CSR, beside, stacked
from recsys.data.interactions import Interactions
from recsys.errors import DataError, ParameterError
from recsys.estimator import Can, Context, Depends, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, above, between, flag, optional, whole
from recsys.estimator.scorers.neighbours import nearest
from recsys.estimator.scorers.similarities import DenseSimilarities, SparseSimilarities
from recsys.kernels import neighbours as kernels
from recsys.kernels import regressions
from recsys.models.linear.inverses import penalised_inverse
from recsys.models.linear.local import best_first
from recsys.models.neighbours.implicit import repeating
from recsys.models.noise import noise

__all__ = ["SLIST"]

_BYTES_A_PAIR = 48  # Gram matrix, its inverse, products with the targets, and what inverting takes, in float64
_BYTES_AN_EVENT = 120  # of a row of the regression and an event in its window: input and target, by rows and columns
_BYTES_A_WEIGHT = 36  # of the table of the nearest items, in both orders, and what making it takes
_FEW = 200  # nearest items, where all are too many
_BLOCK = 1 << 22  # entries of lists that are worked on at a time
_NO_PRODUCTS = np.zeros((0, 0))  # of all items, which are counted list by list


class SLIST(Recommender):
    """Ridge regression of what comes next in a session on what came before, and of a session on itself, in closed form.

    A session is what a user of the data has done, in its order. Behind each of its events t but the last, `s` holds
    what came until then, `window_decay ** (t - t')` for the event t', and y what comes after, `window_decay **
    (t' - t - 1)`, both over `window` events; x holds 1 for each item of a session. The weights B minimise, with rows
    of inputs divided by their sums,

    `unordered sum over sessions of v |x - x B / sum(x)|**2 + (1 - unordered) sum over t of v |y - s B / sum(s)|**2
    + reg |B|**2`,

    where v is `2 ** (-age of the session / half_life)`, or 1. Without `repeats` the diagonal of B is 0. With inputs
    S and targets Y of all rows, weighed, and `P = inverse(S' S + reg I)`, that is `B = P (S' Y - diag(mu))`, where mu
    makes the diagonal 0. The scores of a history are `sum over its items j of decay ** age(j) B[j, i]`, age being the
    events since.

    Where that table is too large, the regression for each item is on its `neighbours` nearest items alone, by the
    cosine of their inputs to its targets. SLIS has `unordered=1`, SLIT 0. `partial_fit` gives what `fit` of all events
    gives, at its cost; not with a half-life, as times are not kept.

    Parameters
    ----------
    neighbours : int, optional
        By default all items, if that takes no more than `max_gib`, and else 200.
    reg : float, optional
        By default the noise, as for `EASE`, of the inputs.
    unordered : float
        Share of the loss that is about what comes together.
    window : int
        How many events before, and after, an event are looked at.
    window_decay : float
        Weight of an event in a window relative to one that is one event nearer.
    decay : float
        Weight of an event of a history relative to the one after it.
    repeats : bool, optional
        Whether an item speaks for itself. By default, whether at least a twentieth of the events are of a pair that was
        there before.
    half_life : float, optional
        Age at which a session counts half, in the unit of the times (seconds, as a rule). Needs data with times.
    max_gib : float
        `fit` refuses data that would need more memory than this.

    Attributes
    ----------
    neighbours_ : int
    reg_ : float
    repeats_ : bool
        What was taken.

    References
    ----------
    Choi, Kim, Lee, Shim, Lee, Session-aware Linear Item-Item Models for Session-based Recommendation, WWW 2021,
    equations 3 to 12, and their code `jin530/SLIST`, which divides inputs by their sums.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3], ["tea", "jam", "tea", "jam", "jam", "bun"])
    >>> SLIST().fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    can: ClassVar[Any] = Depends(
        Can(fold_in=True, sequence=True, partial_fit=True, explain=True, explain_exact=True),
        lambda can, model: replace(can, partial_fit=model.half_life is None))
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = {
        "neighbours": optional(whole(1)), "reg": optional(above(0)), "unordered": between(0, 1), "window": whole(1),
        "window_decay": between(0, 1), "decay": between(0, 1), "repeats": optional(flag()),
        "half_life": optional(above(0)), "max_gib": above(0)}

    neighbours: int | None
    reg: float | None
    unordered: float
    window: int
    window_decay: float
    decay: float
    repeats: bool | None
    half_life: float | None
    max_gib: float

    def __init__(self, *, neighbours: int | None = None, reg: float | None = None, unordered: float = 0.2,
                 window: int = 5, window_decay: float = 0.5, decay: float = 0.8, repeats: bool | None = None,
                 half_life: float | None = None, max_gib: float = 4.0) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The weights of all pairs of items, or of the nearest."""
        events, n = data.csr, data.n_items
        neighbours = self._neighbours(events)
        repeats = repeating(events) if self.repeats is None else self.repeats
        inputs, targets = self._rows(data)
        reg = noise(inputs) ** 2 if self.reg is None else float(self.reg)
        histories = Histories("items", decay=self.decay).storing(events, context.facts.seen)
        scorer: DenseSimilarities | SparseSimilarities
        if neighbours == n:
            scorer = DenseSimilarities(self.can, histories, _all_weights(inputs, targets, reg, repeats))
        else:
            near = _local_weights(inputs, targets, reg, neighbours, repeats)
            scorer = SparseSimilarities(self.can, histories, *_parted(near, repeats))
        return Learned(scorer, {"neighbours_": neighbours, "reg_": reg, "repeats_": repeats})

    def _neighbours(self, events: CSR) -> int:
        """How many items each one is regressed on; ParameterError if that needs too much memory."""
        n = events.shape[1]
        rows = _BYTES_AN_EVENT * events.nnz * min(self.window + 1, int(events.counts.max(initial=1))) / 2 ** 30
        whole_table = rows + _BYTES_A_PAIR * n * n / 2 ** 30
        if (self.neighbours is None and whole_table <= self.max_gib) or (self.neighbours or 0) >= n:
            chosen, needed = n, whole_table
        else:
            chosen = min(self.neighbours or _FEW, n)
            needed = rows + _BYTES_A_WEIGHT * n * chosen / 2 ** 30
        if needed > self.max_gib:
            raise ParameterError(f"SLIST: {n:,} items, {chosen:,} neighbours and {events.nnz:,} events need about "
                                 f"{needed:.1f} GiB, more than max_gib={self.max_gib}; lower neighbours or window, "
                                 f"keep fewer items (k_core), or raise max_gib.")
        return chosen

    def _rows(self, data: Interactions) -> tuple[CSR, CSR]:
        """Inputs and targets of all regressions, weighed, with a row each: CSR (m, n_items)."""
        events = data.csr
        sets = events.unique()
        session, past, future = _windows(events, self.window, self.window_decay)
        weight = self._session_weights(data)
        share = np.concatenate([self.unordered * weight, (1 - self.unordered) * weight[session]])
        inputs, targets = (stacked([sets, part], events.shape[1]) for part in (past, future))
        sums = np.bincount(inputs.row_of_entry, inputs.weights.astype(np.float64), inputs.shape[0])
        root = np.sqrt(share)
        return _scaled(inputs, root / np.maximum(sums, 1e-30)), _scaled(targets, root)

    def _session_weights(self, data: Interactions) -> np.ndarray:
        """v of each session: float64 (n_users,)."""
        weight = np.ones(data.n_users)
        if self.half_life is None:
            return weight
        if data.time is None:
            raise DataError("SLIST: half_life needs data with times; give times, or set half_life=None.")
        age = np.full(data.n_users, np.inf)
        np.minimum.at(age, data.user, (data.time.max() - data.time).astype(np.float64))
        return np.asarray(weight * 2.0 ** np.maximum(-age / self.half_life, -1000))


def _windows(events: CSR, window: int, decay: float) -> tuple[np.ndarray, CSR, CSR]:
    """What comes before and after every event but the last of a session: its session, and CSR (m, n_items) each."""
    n = events.shape[1]
    left = np.repeat(events.indptr[1:], events.counts) - 1 - np.arange(events.nnz)  # events behind an event
    passed = np.arange(events.nnz) - np.repeat(events.indptr[:-1], events.counts)
    row = np.cumsum(left > 0) - 1
    m, at = int((left > 0).sum()), np.arange(events.nnz)

    def entries(distances: range, step: int) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
        for number, distance in enumerate(distances):
            own = at[(left > 0) & ((passed if step < 0 else left) >= distance)]
            yield row[own], events.indices[own + step * distance], decay ** number

    longest = int(events.counts.max(initial=0))
    past = _summed(entries(range(min(window, max(longest - 1, 1))), -1), (m, n))
    future = _summed(entries(range(1, min(window, max(longest - 1, 1)) + 1), 1), (m, n))
    return events.row_of_entry[left > 0], past, future


def _summed(parts: Iterator[tuple[np.ndarray, np.ndarray, float]], shape: tuple[int, int]) -> CSR:
    """Rows, columns and one value of each part -> the matrix in which each pair is once."""
    rows, columns, values = zip(*((r, c, np.full(len(r), v)) for r, c, v in parts), strict=True)
    keys, place = np.unique(np.concatenate(rows) * np.int64(shape[1]) + np.concatenate(columns), return_inverse=True)
    return CSR.from_pairs(*np.divmod(keys, shape[1]), np.bincount(place, np.concatenate(values), len(keys)), shape)


def _scaled(rows: CSR, scale: np.ndarray) -> CSR:
    """Each row times its scale, without those that are 0 then."""
    found = replace(rows, data=(rows.weights * scale[rows.row_of_entry]).astype(np.float32))
    return found.where(found.weights > 0)


def _all_weights(inputs: CSR, targets: CSR, reg: float, repeats: bool) -> np.ndarray:
    """B of the closed form: float32 (n_items, n_items)."""
    n, columns = inputs.shape[1], inputs.T
    inverse, _ = penalised_inverse("SLIST", inputs, lambda squares: np.full(n, reg))
    cross = kernels.gram(columns.indptr, columns.indices, columns.weights, targets.indptr, targets.indices,
                         targets.weights)
    weights = np.asarray(runtime.matmul(inverse, cross))
    if not repeats:
        weights -= inverse * (np.diag(weights) / np.diag(inverse))
        weights[np.diag_indices(n)] = 0
    return weights.astype(np.float32)


def _local_weights(inputs: CSR, targets: CSR, reg: float, neighbours: int, repeats: bool) -> CSR:
    """The weights of the nearest items of each item, largest first: CSR (n_items, n_items), row i for the target i."""
    n = inputs.shape[1]
    both = beside([inputs, targets]).T
    wanted, penalty, found = targets.T, np.full(2 * n, reg), []
    for items in np.array_split(np.arange(n, dtype=np.int32), max(1, n * neighbours // _BLOCK)):
        lists = nearest(wanted.rows(items), inputs, neighbours, 0.0, 0.5, None if repeats else items)
        weights, _ = regressions.ridge(both.indptr, both.indices, both.weights, inputs.shape[0], _NO_PRODUCTS,
                                       items + n, lists.indptr, lists.indices, penalty)
        found.append(best_first(lists, weights))
    return stacked(found, n)


def _parted(near: CSR, repeats: bool) -> tuple[CSR, np.ndarray | None]:
    """A table without its diagonal, and the diagonal."""
    if not repeats:
        return near, None
    own = near.row_of_entry == near.indices
    diagonal = np.zeros(near.shape[0], np.float32)
    diagonal[near.indices[own]] = near.weights[own]
    return near.where(~own), diagonal

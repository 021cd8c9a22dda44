"""The core of every answer: rows of users and histories in, lists of items out, by internal indices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.data.csr import CSR
from recsys.kernels import ranking

if TYPE_CHECKING:
    from recsys.estimator.fitted import Fitted

__all__ = ["rank_rows"]

Lists = tuple[np.ndarray, np.ndarray, np.ndarray]


def rank_rows(model: Fitted, users: np.ndarray, history: CSR | None, k: int, hidden: CSR | None = None,
              allowed: np.ndarray | None = None) -> Lists:
    """The k best items of every row, without ids, checks and titles: what `recommend` and a server ask.

    Rows are scored together, in (B, n_items) numbers at most: `recsys.estimator.arrays.blocks` cuts many into some.

    Parameters
    ----------
    model : Fitted
    users : ndarray of int, shape (B,)
        Users of the training data; -1 where the row is nobody's.
    history : CSR, shape (B, n_items), or None
        Rows with events are scored by them, as are the empty rows of nobody. All others, and those of a model that
        does not fold in, are scored by what training knows of their user.
    k : int
        Places of a list; a shorter list is the beginning of a longer one.
    hidden : CSR, shape (B, n_items), or None
        Items to leave out of each row, such as those that were seen.
    allowed : ndarray of bool, shape (n_items,), or None
        Items that any list may hold; None for all.

    Returns
    -------
    items : ndarray of int32, shape (B, min(k, n_items))
        -1 where a list has ended.
    scores : ndarray of float32, shape (B, min(k, n_items))
        -inf where a list has ended.
    popular : ndarray of bool, shape (B, min(k, n_items))
        Items of which the model has no evidence in this row, the most popular of them first; they stand behind all
        others.

    Raises
    ------
    ParameterError
        A history without the ratings that the model cannot do without.
    UnsupportedError
        A user of a model that was saved without its users' histories.
    RecsysError
        A score is NaN.
    """
    n_items = len(model.facts.items)
    width = min(k, n_items)
    folded = np.zeros(len(users), np.bool_)
    if history is not None and model.can.fold_in:
        folded = (history.counts > 0) | (users < 0)
    known = model.has_evidence(users)
    if folded.any() and history is not None:
        known[folded] = (history.counts[folded] > 0) | model.can.cold_user
    values = np.zeros((len(users), n_items), np.float32)
    for how, given in ((folded, history), (~folded, None)):
        which = np.flatnonzero(known & how)
        if len(which):
            scored = model.score_block(users[which], None if given is None else given.rows(which))
            if len(which) == len(users):
                values = scored
            else:
                values[which] = scored
    return _ranked(model, values, known, _rows(hidden, np.arange(len(users))), allowed, width)


def _rows(hidden: CSR | None, rows: np.ndarray) -> CSR:
    """Rows to leave out, of which there may be none."""
    if hidden is None:
        return CSR(np.zeros(len(rows) + 1, np.int64), np.zeros(0, np.int32), None, (len(rows), 0))
    return hidden if len(rows) == hidden.shape[0] else hidden.rows(rows)


def _ranked(model: Fitted, values: np.ndarray, known: np.ndarray, hidden: CSR, allowed: np.ndarray | None,
            width: int) -> Lists:
    """Lists by scores of all items; what the model has no evidence of gives way to the most popular items."""
    items, scores = ranking.topk(values, hidden.indptr, hidden.indices, allowed, width)
    popular = np.zeros(items.shape, np.bool_)
    evident = model.evident(np.maximum(items, 0), scores) | (items < 0)
    weak = np.flatnonzero(~(evident.all(axis=1) & known))
    if len(weak):
        sure = model.evident(np.arange(values.shape[1]), values[weak]) & known[weak, None]
        skip = _rows(hidden, weak)
        items[weak], scores[weak], popular[weak] = _with_popular(
            values[weak], sure, model.facts.item_counts.astype(np.float32), (skip.indptr, skip.indices), allowed, width)
    return items, scores, popular


def _with_popular(values: np.ndarray, sure: np.ndarray, counts: np.ndarray, skip: tuple[np.ndarray, np.ndarray],
                  allowed: np.ndarray | None, width: int) -> Lists:
    """Lists of the items that are `sure`, best first, then of the others that have events, by their number.

    Returns
    -------
    items, scores, popular : ndarray, shapes (B, width)
        The others keep their score behind a sure one, and have their number of events in lists without any; `popular`
        marks them.
    """
    nothing = np.float32(-np.inf)
    own, best = ranking.topk(np.where(sure, values, nothing), *skip, allowed, width)
    others, number = ranking.topk(np.where(sure | (counts == 0), nothing, counts), *skip, allowed, width)
    mixed = (best[:, :1] > nothing) & (number > nothing)
    number = np.where(mixed, np.take_along_axis(values, np.maximum(others, 0), axis=1), number)
    items, scores = np.hstack([own, others]), np.hstack([best, number])
    order = np.argsort(scores == nothing, axis=1, kind="stable")[:, :width]  # entries first, each kind in its order
    return np.take_along_axis(items, order, axis=1), np.take_along_axis(scores, order, axis=1), order >= width

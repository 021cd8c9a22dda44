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
Part = tuple[np.ndarray, CSR | None]  # rows, and the histories that they are scored by, or else their users


def rank_rows(model: Fitted, users: np.ndarray, history: CSR | None, k: int, hidden: CSR | None = None,
              allowed: np.ndarray | None = None) -> Lists:
    """The k best items of every row, without ids, checks and titles: what `recommend` and a server ask.

    A row's list is the same, to the last bit, whatever other rows there are. Where scores are no products of vectors,
    (B, n_items) numbers are held at once; `recsys.estimator.arrays.blocks` cuts many rows into some.

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
    width = min(k, len(model.facts.items))
    folded = np.zeros(len(users), np.bool_)
    known = model.has_evidence(users)
    if history is not None and model.can.fold_in:
        folded = (history.counts > 0) | (users < 0)
        known[folded] = (history.counts[folded] > 0) | model.can.cold_user
    parts = [(np.flatnonzero(known & how), given) for how, given in ((folded, history), (~folded, None))]
    how = _scored if model.index is None else _searched
    return how(model, users, parts, known, hidden, allowed, width)


def _searched(model: Fitted, users: np.ndarray, parts: list[Part], known: np.ndarray, hidden: CSR | None,
              allowed: np.ndarray | None, width: int) -> Lists:
    """Lists of the items with the largest products; without evidence of a user, of those with most events."""
    items, scores = np.full((len(users), width), -1, np.int32), np.full((len(users), width), -np.inf, np.float32)
    for rows, given in parts:
        if len(rows) and model.index is not None:
            queries = model.queries(users[rows], None if given is None else _of(given, rows))
            items[rows], products = model.index.search(queries.vectors, width, _of(hidden, rows),
                                                       _both(allowed, model.listed))
            scores[rows] = queries.scores(products, np.arange(len(rows))[:, None])
    rest = np.flatnonzero(~known)
    if len(rest):
        items[rest], scores[rest] = _most_popular(model, len(rest), _of(hidden, rest), allowed, width)
    return items, scores, np.repeat(~known[:, None], width, axis=1)


def _most_popular(model: Fitted, rows: int, hidden: CSR | None, allowed: np.ndarray | None, width: int
                  ) -> tuple[np.ndarray, np.ndarray]:
    """The allowed items with most events, without a row's hidden ones: int32, float32 (rows, width)."""
    items, scores = np.full((rows, width), -1, np.int32), np.full((rows, width), -np.inf, np.float32)
    ordered = model.popular if allowed is None else model.popular[allowed[model.popular]]
    skip = np.zeros(len(model.facts.items), np.bool_)
    for row in range(rows):
        without = hidden.row(row)[0] if hidden is not None else _NONE
        skip[without] = True
        found = ordered[:width + len(without)]
        found = found[~skip[found]][:width]
        items[row, :len(found)], scores[row, :len(found)] = found, model.facts.item_counts[found]
        skip[without] = False
    return items, scores


def _scored(model: Fitted, users: np.ndarray, parts: list[Part], known: np.ndarray, hidden: CSR | None,
            allowed: np.ndarray | None, width: int) -> Lists:
    """Lists by scores of all items; what the model has no evidence of gives way to the most popular items."""
    values = np.zeros((len(users), len(model.facts.items)), np.float32)
    for rows, given in parts:
        for some in rows[:, None] if model.scorer.alone else [rows] * (len(rows) > 0):
            values[some] = model.score_block(users[some], None if given is None else _of(given, some))
    hidden = _nothing(len(users)) if hidden is None else hidden
    items, scores = ranking.topk(values, hidden.indptr, hidden.indices, allowed, width)
    popular = np.zeros(items.shape, np.bool_)
    evident = model.evident(np.maximum(items, 0), scores) | (items < 0)
    weak = np.flatnonzero(~(evident.all(axis=1) & known))
    if len(weak):
        sure = model.evident(np.arange(values.shape[1]), values[weak]) & known[weak, None]
        skip = hidden.rows(weak)
        items[weak], scores[weak], popular[weak] = _with_popular(
            values[weak], sure, model.facts.item_counts.astype(np.float32), (skip.indptr, skip.indices), allowed, width)
    return items, scores, popular


_NONE = np.zeros(0, np.int32)


def _of(rows: CSR | None, which: np.ndarray) -> CSR | None:
    """Some rows, in ascending order."""
    return rows if rows is None or len(which) == rows.shape[0] else rows.rows(which)


def _both(allowed: np.ndarray | None, listed: np.ndarray | None) -> np.ndarray | None:
    if allowed is None or listed is None:
        return listed if allowed is None else allowed
    return np.asarray(allowed & listed)


def _nothing(rows: int) -> CSR:
    return CSR(np.zeros(rows + 1, np.int64), np.zeros(0, np.int32), None, (rows, 0))


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

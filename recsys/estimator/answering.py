"""How the public verbs answer: ids and histories to arrays, blocks of scores to ranked lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.checks import flag, one_of, require, whole
from recsys.data import asked
from recsys.data.csr import CSR, numbered
from recsys.errors import UnsupportedError
from recsys.estimator.arrays import blocks
from recsys.estimator.choosing import Choice
from recsys.estimator.ranking import rank_rows
from recsys.estimator.results import Reason, Recs, Titles
from recsys.kernels import ranking

if TYPE_CHECKING:
    from recsys.estimator.fitted import Fitted

__all__ = ["check", "encode_history", "most_similar", "rank_histories", "rank_users", "reasons", "sources", "title",
           "titles", "unknown"]

_CHECKS = {"k": whole(1), "on_unknown": one_of("raise", "fallback", "skip"), "filter_seen": flag(),
           "profiling": one_of("on", "off")}


def check(model: Fitted, verb: str, **given: Any) -> None:
    """Raise ParameterError for the first argument of a verb that cannot be meant."""
    require(f"{model.name}.{verb}", {name: _CHECKS[name] for name in given}, given)


def unknown(on_unknown: str) -> str:
    """What `IdMap.encode` is to do with unknown ids."""
    return "raise" if on_unknown == "raise" else "skip"


def encode_history(model: Fitted, history: Any, values: Any, on_unknown: str) -> tuple[CSR, bool]:
    """Item ids of one history or of several -> CSR (B, n_items) in the given order, and whether it was one."""
    found = asked.histories(model.name, history, values, ordered=model.scorer.order_matters)
    items = model.facts.items.encode(found.ids, unknown(on_unknown))
    known = items >= 0
    rows = np.repeat(np.arange(len(found.lengths)), found.lengths)[known]
    data = None if found.values is None else found.values[known]
    return CSR.from_pairs(rows, items[known], data, (len(found.lengths), len(model.facts.items))), found.single


def rank_users(model: Fitted, labels: np.ndarray, users: np.ndarray, k: int, filter_seen: bool,
               choice: Choice, single: bool) -> Recs:
    """Lists for users (-1 is unknown)."""
    seen = _rows_of(model.require_seen("recommend"), users) if filter_seen else None
    return _rank(model, labels, users, None, k, seen, choice, single)


def _rows_of(seen: CSR, users: np.ndarray) -> CSR:
    """Rows of users; an empty one for -1."""
    rows = seen.rows(users[users >= 0])
    indptr = np.zeros(len(users) + 1, np.int64)
    indptr[1:][users >= 0] = rows.counts
    return CSR(np.cumsum(indptr), rows.indices, None, (len(users), seen.shape[1]))


def rank_histories(model: Fitted, history: CSR, k: int, filter_seen: bool, choice: Choice,
                   single: bool) -> Recs:
    """Lists for histories, a row each."""
    labels = np.arange(history.shape[0])
    nobody = np.full(len(labels), -1, np.int32)
    return _rank(model, labels, nobody, history, k, history if filter_seen else None, choice, single)


def _rank(model: Fitted, labels: np.ndarray, users: np.ndarray, history: CSR | None, k: int, seen: CSR | None,
          choice: Choice, single: bool) -> Recs:
    """Lists in blocks of rows."""
    n_rows, n_items = len(users), len(model.facts.items)
    shape = n_rows, min(k, n_items)
    items, scores, source = np.empty(shape, np.int32), np.empty(shape, np.float32), np.empty(shape, "U7")
    for block in blocks(n_rows, n_items):
        rows = np.arange(block.start, block.stop)
        own = None if history is None else history.rows(rows)
        items[block], scores[block], popular = rank_rows(model, users[block], own, k, choice.hidden(seen, rows),
                                                         choice.allowed)
        source[block] = sources(model, users[block], own, items[block], popular)
    return _recs(labels, model.facts.items.ids, items, scores, source, single, titles(model))


def sources(model: Fitted, users: np.ndarray, history: CSR | None, items: np.ndarray, popular: np.ndarray
            ) -> np.ndarray:
    """Where the entries of lists that `rank_rows` gave come from: str (B, k), as `Recs.source` has them."""
    own = model.scorer.sources(users, history, np.maximum(items, 0))
    return np.where(popular, "popular", "model" if own is None else own)


def titles(model: Fitted) -> Titles | None:
    """What the model's items are called, where its training data had titles."""
    names = None if model.facts.item_features is None else model.facts.item_features.titles
    return None if names is None else Titles(model.facts.items, names)


def title(model: Fitted, index: int) -> str | None:
    """What an item is called, or None where the training data had no title of it."""
    features = model.facts.item_features
    return None if features is None or features.titles is None else str(features.titles[index]) or None


def most_similar(model: Fitted, what: str, wanted: Any, k: int) -> Recs:
    """Lists of the most similar items, or users, among the known ones and without the query.

    Parameters
    ----------
    what : {"items", "users"}
    wanted : id or sequence of ids
    """
    ids, known, similarity, titled = (
        (model.facts.items, model.known_items(), model.scorer.similar_items, titles(model)) if what == "items" else
        (model.facts.users, model.known_users(), model.scorer.similar_users, None))
    wanted, single = asked.ids(f"{model.name}.similar_{what}", what, wanted)
    indices = ids.encode(wanted)
    width = min(k, len(ids))
    found, scores = np.empty((len(indices), width), np.int32), np.empty((len(indices), width), np.float32)
    for block in blocks(len(indices), len(ids)):
        values = similarity(indices[block])
        if values is None:
            raise UnsupportedError(f"{model.name}.similar_{what} needs vectors or similarities, which this model does "
                                   f"not have.")
        values = np.ascontiguousarray(values, np.float32)
        if not known.all():
            values = np.where(known[indices[block], None] & known, values, np.float32(-np.inf))
        found[block], scores[block] = ranking.topk(values, np.arange(len(values) + 1), indices[block], None, width)
    return _recs(ids.ids[indices], ids.ids, found, scores, np.full(found.shape, "model"), single, titled)


def reasons(model: Fitted, indices: np.ndarray, values: np.ndarray | None, item: int, k: int,
            user: int = -1) -> list[Reason]:
    """The contributions of a history's events to the score of an item, those of a repeated item summed.

    The history is that of a user, or (-1) anybody's.
    """
    reasoned, place = numbered(indices)
    parts = np.bincount(place, model.scorer.contributions(indices, values, item), len(reasoned))
    found = [Reason(model.facts.items.ids[index].item(), title(model, index), float(part))
             for index, part in zip(reasoned.tolist(), parts, strict=True) if part]
    rest = model.scorer.unexplained(indices, values, item, user)
    found += [Reason(None, None, rest)] if rest else []
    return sorted(found, key=lambda reason: -abs(reason.contribution))[:k]


def _recs(labels: np.ndarray, ids: np.ndarray, found: np.ndarray, scores: np.ndarray, source: np.ndarray,
          single: bool, titled: Titles | None = None) -> Recs:
    """Internal lists -> `Recs`; an entry with score -inf is no entry."""
    valid = (found >= 0) & (scores > -np.inf)
    counts = valid.sum(axis=1)
    width = int(counts.max(initial=0))
    filling = -1 if ids.dtype.kind == "i" else ""
    items = np.where(valid, ids[np.maximum(found, 0)] if len(ids) else found, filling).astype(ids.dtype)[:, :width]
    scores = np.where(valid, scores, np.float32(-np.inf))[:, :width]
    source = np.where(valid, source, "")[:, :width]
    recs = Recs(labels, items, scores, counts, source, titled)
    return recs[0] if single else recs

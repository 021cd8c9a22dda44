"""Learning again from the data and the log of events, measured beside the running model before it takes its place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recsys import datasets, loading
from recsys.artifact.versions import Versions
from recsys.checks import Check, at_least, flag, require, whole
from recsys.data import Features, Interactions
from recsys.data.csr import CSR
from recsys.data.ids import IdMap
from recsys.data.parts import joined
from recsys.errors import DataError
from recsys.estimator import Recommender, answering, storing
from recsys.estimator.choosing import Choice
from recsys.estimator.levels import REMOVED, RETRAINED
from recsys.events import Event, EventLog, EventTypes, announce, stamp_of
from recsys.progress import Progress

__all__ = ["LEAST", "Measured", "Outcome", "least_events", "retrain"]

K = 10
LEAST = 100  # events that have to be found, below which nothing is measured
_NEWEST = 0.1
_SAMPLES, _LEVEL = 2000, 0.95
_SHARE = Check(lambda value: isinstance(value, float) and 0 < value < 1, "a share above 0 and below 1")
_CHECKS = {"margin": at_least(0), "newest": _SHARE, "seed": whole(0), "force": flag()}


@dataclass(frozen=True)
class Measured:
    """NDCG@10 of two models on the same users and events, with what each user had done before in view.

    Attributes
    ----------
    users, events : int
        Who was to be answered, and how much there was to find: held-out items that are new to their user.
    running, candidate : float
        Means over the users.
    low, high : float
        The 95 % interval of candidate - running: the paired bootstrap over users.
    """

    users: int
    events: int
    running: float
    candidate: float
    low: float
    high: float


@dataclass(frozen=True)
class Outcome:
    """What came of learning again.

    Attributes
    ----------
    accepted : bool
        Whether the new model was found good enough, or forced.
    why : str
        In a sentence.
    measured : Measured or None
        None where there was too little to measure.
    events, held_out : int
        Successes of the log, and how many of them were held out.
    strange : int
        Successes that were left out, because the kind of their ids is not that of the data.
    forgotten : int
        Users of the data who were left out, because they asked to be forgotten.
    learned_to : int
        The last `seq` of the log that was read.
    before, after : str
        Names of the versions that answered, and answers now.
    """

    accepted: bool
    why: str
    measured: Measured | None
    events: int
    held_out: int
    strange: int
    forgotten: int
    learned_to: int
    before: str
    after: str

    def to_record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def least_events(newest: float = _NEWEST) -> int:
    """How many successes a log has at least if enough of them can be held out to measure anything.

    Examples
    --------
    >>> least_events()
    991
    """
    return int((LEAST - 1) / newest) + 1


def retrain(model_path: str | os.PathLike[str], data: Interactions | str | Path, log: EventLog,
            types: EventTypes | None = None, *, margin: float = 0.05, newest: float = _NEWEST, seed: int = 0,
            force: bool = False, out: str | os.PathLike[str] | None = None,
            progress: Progress | None = None) -> Outcome:
    """Learn a model again from its data and all that the log has since, and let it answer if it is not found worse.

    A model of the same class with the same hyper-parameters learns from the data and the log, but for the newest
    successes. What they were is then to be found, by it and by the running model, which both see what each user had
    done before. Where the lower end of the 95 % interval of the difference in NDCG@10 is at least `-margin` times the
    running model's, a last model learns from everything, and is promoted: see `recsys.artifact.versions`. Users and
    items that only the log has are learned, too, with the titles and texts that were put there.

    People who asked to be forgotten are left out of the data; what they did after that counts. Who asks while it
    learns is taken out before it answers.

    Parameters
    ----------
    model_path : str or path
        Of the running model.
    data : Interactions or name or path
        What it was trained on, read and cleaned as it was then.
    log : EventLog
    types : EventTypes, optional
        What is a success. Of a model that predicts ratings, only types whose weight is the event's value count.
    margin : float
        How much worse it may be at most, as a share of the running model's NDCG@10.
    newest : float
        Share of the log's successes to hold out, the last to arrive; never those that the running model has learned.
    seed : int
        Of the bootstrap.
    force : bool
        Accept it whatever was measured, or where nothing could be.
    out : str or path, optional
        Write the accepted model there, and promote nothing.
    progress : object with start, advance and stop, optional

    Returns
    -------
    Outcome

    Raises
    ------
    ArtifactError
        The running model's file is damaged.
    DataError
        The data is not of the kind that the running model has learned from; or an event's type is none of `types`.
    LogError
        The log cannot be read.
    """
    require("retrain", _CHECKS, locals())
    card, running = loading.manifest(model_path), loading.load(model_path)
    data = data if isinstance(data, Interactions) else datasets.load(data)
    _require_as_before(running, data)
    learned_to, already = log.last_seq(), int(card.get("log", {}).get("learned_to", 0))
    data, forgotten = _without_forgotten(data, log)
    news = _News.of(log, learned_to, types or EventTypes(), running, data)
    everything = _described(news.after(data), log)
    held_out = min(int(np.ceil(newest * len(news.events))), sum(event.seq > already for event in news.events))
    measured, versions = None, Versions(model_path)
    before = after = versions.current().name
    if held_out >= LEAST:
        measured = _measure(running, everything, news.wanted[len(news.events) - held_out:], seed, progress)
    accepted, why = _judge(measured, margin, held_out)
    if force and not accepted:
        accepted, why = True, f"forced, though {why}"
    if accepted:
        model = _anew(running).fit(everything, progress=progress)
        more = storing.additional(card) | _anew_without(card) | {"log": {"learned_to": learned_to},
                                           "measured": None if measured is None else asdict(measured)}
        after = _put(model, everything.users, versions, log, more, running.seen is not None, out) or before
    return Outcome(accepted, why, measured, len(news.events), held_out, news.strange, forgotten, learned_to, before,
                   after)


def _anew(running: Recommender) -> Recommender:
    """A model of the same class with the hyper-parameters of the fit."""
    return type(running)(**running.fitted_params)


def _anew_without(card: Mapping[str, Any]) -> dict[str, Any]:
    """What the card says of people who were forgotten: now the model has not learned of them."""
    entries = card.get("forgotten", [])
    return {"forgotten": [{**each, "level": RETRAINED} for each in entries]} if entries else {}


def _require_as_before(running: Recommender, data: Interactions) -> None:
    """Raise DataError for data that the running model cannot have learned from."""
    facts = running.require("retrain").facts
    if (data.value is None) != (facts.rating_range is None):
        raise DataError("retrain: the running model has learned from data " + (
            "without values, and this has some; read it as it was read then (--implicit)."
            if facts.rating_range is None else "with values, and this has none; give values."))
    for what, known, ids in (("users", facts.users, data.users), ("items", facts.items, data.items)):
        if len(known) and len(ids) and known.integers != ids.integers:
            kinds = ("integers", "strings") if known.integers else ("strings", "integers")
            raise DataError(f"retrain: the running model's {what} are {kinds[0]}, and those of the data {kinds[1]}; "
                            f"read it as it was read then (--id-type).")


# ------------------------------------------------------------------------------------- what there is to learn

def _without_forgotten(data: Interactions, log: EventLog) -> tuple[Interactions, int]:
    """The data without people who asked to be forgotten, and how many these are."""
    gone = _asked_to_go(data.users, log.forgotten(), log)
    if not gone:
        return data, 0
    keep = np.ones(data.n_users, bool)
    keep[data.users.encode(gone)] = False
    if not keep[data.user].any():
        raise DataError("retrain: everybody in the data asked to be forgotten; there is nothing to learn from.")
    return data.take(keep[data.user]).reindex(IdMap(data.users.ids[keep]), data.items), len(gone)


def _asked_to_go(users: IdMap, hashes: set[bytes], log: EventLog) -> list[Any]:
    """The users whose hash is among those."""
    return [user for user in users.ids.tolist() if log.hash_of(user) in hashes] if hashes else []


@dataclass(frozen=True)
class _News:
    """The events of the log to learn from, in the order of arrival.

    Parameters
    ----------
    events : list of Event
    weights : ndarray of float32, shape (n,)
        What each counts.
    wanted : ndarray of bool, shape (n,)
        Which are successes.
    strange : int
        How many more there are whose ids are of another kind than those of the data.
    """

    events: list[Event]
    weights: np.ndarray
    wanted: np.ndarray
    strange: int

    @classmethod
    def of(cls, log: EventLog, upto: int, types: EventTypes, running: Recommender, data: Interactions) -> _News:
        """Successes up to a `seq`; of a model that predicts ratings, all events that are one.

        Where a success is a value above the mean, it is that of what the model has learned from, or, if that had no
        values, of the log.
        """
        facts, ratings = running.require("retrain").facts, running.can.ratings
        events = [event for event in log.since(0) if event.seq <= upto]
        for event in events:
            types.check(event)
        values = [event.value for event in events if types[event.type].weight is None and event.value is not None]
        mean = float(np.mean(values)) if facts.rating_range is None and values else facts.mean_value
        found, wanted, strange = [], [], 0
        for event in events:
            positive = types.positive(event.type, event.value, mean)
            if not (types[event.type].weight is None if ratings else positive):
                continue
            if (isinstance(event.user, int), isinstance(event.item, int)) == (data.users.integers, data.items.integers):
                found.append(event)
                wanted.append(positive)
            else:
                strange += 1
        weights = np.array([types.weight(event.type, event.value) for event in found], np.float32)
        return cls(found, weights, np.array(wanted, bool), strange)

    def after(self, data: Interactions) -> Interactions:
        """The data, and behind it the events, with new users and items behind the known ones."""
        if not self.events:
            return data
        times = None
        if data.time is not None:  # in the order of arrival, whatever a clock said
            times = np.floor([event.time for event in self.events]).astype(np.int64)
            times = np.maximum.accumulate(np.maximum(times, data.time.max()))
        new = Interactions.from_arrays([event.user for event in self.events], [event.item for event in self.events],
                                       None if data.value is None else self.weights, times)
        users, items = data.users.add(new.users.ids), data.items.add(new.items.ids)
        new = new.reindex(users, items)
        return joined(data.reindex(users, items), new, new.user)


def _described(data: Interactions, log: EventLog) -> Interactions:
    """The data with the titles that were put in the log, and texts, if its items have some."""
    put = [item for _, item in log.items_since(0) if isinstance(item.id, int) == data.items.integers]
    numbers = data.items.encode([item.id for item in put], "skip").tolist()
    features = data.item_features or Features()

    def told(texts: list[str | None], known: np.ndarray | None) -> np.ndarray | None:
        new = {number: text for number, text in zip(numbers, texts, strict=True) if number >= 0 and text}
        column = [""] * data.n_items if known is None else known.tolist()
        return np.array([new.get(number, text) for number, text in enumerate(column)]) if new else known

    text = None if features.text is None else told([item.text for item in put], features.text)
    described = replace(features, titles=told([item.title for item in put], features.titles), text=text)
    return replace(data, item_features=described) if len(described) else data


# ------------------------------------------------------------------------------------------ which is better

def _measure(running: Recommender, everything: Interactions, wanted: np.ndarray, seed: int,
             progress: Progress | None) -> Measured | None:
    """Both models on the last rows, of which bool (m,) are wanted; None if too few of these are to be found."""
    n = len(everything) - len(wanted)
    part, held = everything.take(np.arange(n)), everything.take(n + np.flatnonzero(wanted))
    n_items = everything.n_items
    pairs = np.setdiff1d(held.user * np.int64(n_items) + held.item, part.user * np.int64(n_items) + part.item)
    if len(pairs) < LEAST:
        return None
    users, row = np.unique(pairs // n_items, return_inverse=True)
    targets = CSR.from_pairs(row, pairs % n_items, None, (len(users), n_items))
    visible = part.csr.rows(users)
    candidate = _anew(running).fit(part, progress=progress)
    old, new = (_ndcg(_lists(model, everything, users, visible), targets) for model in (running, candidate))
    difference, rng = new - old, np.random.default_rng(seed)
    drawn = [difference[rng.integers(0, len(users), len(users))].mean() for _ in range(_SAMPLES)]
    low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Measured(len(users), len(pairs), float(old.mean()), float(new.mean()), float(low), float(high))


def _lists(model: Recommender, everything: Interactions, users: np.ndarray, visible: CSR) -> np.ndarray:
    """What a model recommends to users after what is visible of them, int (U,): numbers of items, or -1, (U, K)."""
    ids = everything.users.ids[users]
    if model.can.fold_in:
        number = model.items.encode(everything.items.ids, "skip")
        rows = visible.where(number[visible.indices] >= 0)
        rows = CSR(rows.indptr, number[rows.indices], rows.data, (len(users), len(model.items)))
        recs = answering.rank_histories(model.require("retrain"), rows, K, True, Choice(), False)
    else:
        seen = {user: everything.items.ids[visible.row(row)[0]] for row, user in enumerate(ids.tolist())}
        recs = model.recommend(ids, K, filter_seen=False, exclude=seen, on_unknown="fallback")
    found = everything.items.encode(recs.items.ravel(), "skip").reshape((len(users), -1))
    return np.where(np.arange(found.shape[1]) < np.asarray(recs.counts)[:, None], found, -1)


def _ndcg(found: np.ndarray, targets: CSR) -> np.ndarray:
    """NDCG of lists (U, k), where -1 is nothing, with targets CSR (U, n_items), each once: (U,)."""
    discount = 1 / np.log2(np.arange(K) + 2)
    keys = np.arange(len(found))[:, None] * np.int64(targets.shape[1]) + found
    hit = np.isin(keys, targets.keys) & (found >= 0)
    ideal = np.cumsum(discount)[np.minimum(targets.counts, K) - 1]
    return np.asarray((hit @ discount[:found.shape[1]]) / ideal)


def _judge(measured: Measured | None, margin: float, held_out: int) -> tuple[bool, str]:
    """Whether a candidate is good enough, and why, in a sentence."""
    if measured is None:
        return False, (f"too little is new to tell: of {held_out:,} events of the log that the running model has not "
                       f"learned, at least {LEAST} are needed; wait for more, or hold out a larger share (newest=).")
    found = (f"NDCG@{K} {measured.candidate:.4f} against {measured.running:.4f}: the difference is "
             f"{measured.low:+.4f} to {measured.high:+.4f}")
    if measured.running == measured.candidate == 0:
        return False, "neither model finds any of the newest events, so nothing tells them apart."
    bound = -margin * measured.running
    if measured.low >= bound:
        return True, f"{found}, which is not below {bound:+.4f}."
    return False, f"{found}, and may be below {bound:+.4f}."


def _put(model: Recommender, users: IdMap, versions: Versions, log: EventLog, card: Mapping[str, Any], seen: bool,
         out: str | os.PathLike[str] | None) -> str | None:
    """Save the model, without those who have asked to be forgotten since, and promote it; its version's name."""
    with versions.locked():  # who is erased from the versions meanwhile waits, and then finds this one among them
        gone = _asked_to_go(users, log.forgotten(after=card["log"]["learned_to"]), log)
        fitted = storing.without_users(model.require("retrain"), gone)
        if gone:
            card = {**card, "forgotten": [*card.get("forgotten", []), {"receipt": None, "level": REMOVED}]}
        if out is not None:
            storing.save(fitted, out, seen=seen, card=card)
            return None
        storing.save(fitted, versions.incoming, seen=seen, card=card)
        name = versions.promote(versions.incoming).name
        versions.incoming.unlink()
    announce(log, [(os.fspath(versions.path), stamp_of(versions.path))])
    return name

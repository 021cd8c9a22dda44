"""Answers: what has queued is asked of each model in one pass, from the log as it is this moment."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from recsys.data.csr import CSR
from recsys.errors import RecsysError
from recsys.estimator import answering
from recsys.estimator.ranking import rank_rows
from recsys.events import EventLog
from recsys.events.records import Shown
from recsys.experiments.exploration import explore, generator
from recsys.explanation.exact import terms_of
from recsys.explanation.explaining import tell
from recsys.explanation.person import Person
from recsys.explanation.results import Explanation
from recsys.serving import asking, numbering, varied
from recsys.serving.asking import Row
from recsys.serving.catalogue import Catalogue, View
from recsys.serving.deployment import Deployed, Deployment
from recsys.serving.people import People
from recsys.serving.problems import Problem, shown
from recsys.serving.schemas import (
    Answer,
    ExplainAnswer,
    ModelName,
    ReasonOut,
    RecommendAsk,
    Recommended,
    ScoredItem,
    SimilarAsk,
)
from recsys.serving.settings import Settings

__all__ = ["Engine", "Job"]

Key = int | str
_ENCODER = msgspec.json.Encoder()
_LOG = logging.getLogger("recsys.serving")
_REASONS = 10  # of an item in a list, the largest


@dataclass(slots=True, eq=False)
class Job:
    """A question that waits, and its answer.

    Attributes
    ----------
    ask : RecommendAsk, SimilarAsk or ExplainAsk
    request_id : str
    time : float
        When it came, in seconds since 1970.
    sources : dict of str to int
        How many entries of the answer come from where.
    items : list of int
        The numbers of the model's items in the answer.
    shown : Shown or None
        What is to be kept of the answer.
    """

    ask: Any
    request_id: str
    time: float
    model: Deployed | None = None
    row: Row | None = None
    sources: dict[str, int] = field(default_factory=dict)
    items: list[int] = field(default_factory=list)
    shown: Shown | None = None


class Engine:
    """What answers, in one thread: the models, the log's people and items.

    Parameters
    ----------
    settings : Settings
    deployment : Deployment
        Swapped by assigning another one; a pass answers from the one that it began with.
    log : EventLog
        A connection of this thread's own.
    """

    def __init__(self, settings: Settings, deployment: Deployment, log: EventLog) -> None:
        self.settings, self.deployment, self.log = settings, deployment, log
        self.people = People(log, settings.limits.recent, settings.limits.held)
        self.catalogue = Catalogue(log)
        self.generation = log.generation()
        self._epoch = -1
        self._forgotten: dict[int, set[bytes]] = {}
        self.follow()

    def follow(self) -> None:
        """Take in what is new of the log."""
        self.seq, change, self.generation, epoch = self.log.state()
        if epoch != self._epoch:
            self._forgotten, self._epoch = {}, epoch
        self.people.follow(self.seq, epoch)
        self.catalogue.follow(change)

    def is_forgotten(self, user: Key | None, model: Deployed) -> bool:
        """Whether a user was erased after a model had learned, so that what it knows of the person does not count."""
        if user is None or not self._epoch:
            return False
        held = self._forgotten.get(model.learned_to)
        if held is None:
            held = self._forgotten[model.learned_to] = self.log.forgotten(model.learned_to)
        return bool(held) and self.log.hash_of(user) in held

    def view(self) -> View:
        """The catalogue as it is this moment, beside the first variant's model."""
        self.follow()
        return self.catalogue.view(self.deployment.first)

    def answer(self, jobs: Sequence[Job]) -> list[bytes | Problem]:
        """The answers of several questions, encoded, each as if it had been asked alone."""
        self.follow()
        deployment = self.deployment
        answers: list[bytes | Problem] = [b""] * len(jobs)
        groups: dict[Any, list[int]] = {}
        for place, job in enumerate(jobs):
            try:
                self._prepare(job, deployment)
                if isinstance(job.ask, RecommendAsk):
                    groups.setdefault(self._group(job), []).append(place)
                else:
                    answers[place] = _ENCODER.encode(self._other(job))
            except Exception as error:
                answers[place] = _as_problem(error)
        for places in groups.values():
            for place, answer in zip(places, self._together([jobs[place] for place in places]), strict=True):
                answers[place] = answer
        return answers

    def _together(self, jobs: Sequence[Job]) -> list[bytes | Problem]:
        """The answers of a group; where one of them cannot be answered, that one is at fault and not its neighbours."""
        try:
            return [_ENCODER.encode(answer) for answer in self._recommend(jobs)]
        except Exception as error:
            if len(jobs) == 1:
                return [_as_problem(error)]
        return [answer for job in jobs for answer in self._together([job])]

    # ------------------------------------------------------------------------------------ recommend
    def _prepare(self, job: Job, deployment: Deployment) -> None:
        ask = job.ask
        if isinstance(ask, SimilarAsk):
            job.model = deployment.of(job.request_id)
            return
        unit = ask.user if ask.user is not None else job.request_id
        job.model = deployment.of(unit)
        view = self.catalogue.view(job.model)
        if isinstance(ask, RecommendAsk) and ask.profiling == "off":
            job.row = Row()
        else:
            job.row = asking.row_of(ask, view, self.people, self.settings.types, self.is_forgotten(ask.user, job.model),
                                    getattr(ask, "filter_seen", True))
        if isinstance(ask, RecommendAsk) and ask.exclude:
            asking.hide(ask.exclude, job.row, view)

    def _group(self, job: Job) -> Any:
        """Questions with the same key go in one pass: one model, and one set of items that may be listed."""
        ask: RecommendAsk = job.ask
        special = ask.items is not None or ask.where is not None
        return job.model, id(job) if special else 0

    def _length(self, ask: RecommendAsk) -> int:
        """How many items are looked for: more than are listed, where some of them are chosen from."""
        more = max(ask.k * 5, 50) if ask.diversity else ask.k
        return max(more, self.settings.explore_pool) if self.settings.explore else more

    def _recommend(self, jobs: Sequence[Job]) -> list[Answer]:
        model = jobs[0].model
        rows = [job.row for job in jobs if job.row is not None]
        if model is None or len(rows) != len(jobs):
            raise ValueError("jobs are prepared before they are answered")
        view = self.catalogue.view(model)
        allowed, fresh = asking.allowed_by(jobs[0].ask, view, rows[0].notes)
        found = rank(model, rows, max(self._length(job.ask) for job in jobs), allowed)
        return [self._list(job, row, view, fresh, *lists)
                for job, row, *lists in zip(jobs, rows, *found, strict=True)]

    def _list(self, job: Job, row: Row, view: View, fresh: set[Key] | None, items: np.ndarray, scores: np.ndarray,
              said: np.ndarray) -> Answer:
        ask: RecommendAsk = job.ask
        model = view.model
        length = self._length(ask)
        held = np.flatnonzero((items[:length] >= 0) & (scores[:length] > -np.inf))
        items, scores, said = items[held], scores[held], said[held]
        if ask.diversity and len(items):
            chosen = varied.order(model.fitted, items, scores, ask.k, ask.diversity)
            items, scores, said = items[chosen], scores[chosen], said[chosen]
        entries = [Recommended(identity, view.title(index), score, row.source if kind == "model" else kind)
                   for identity, index, score, kind in zip(model.fitted.items.ids[items].tolist(), items.tolist(),
                                                           scores.tolist(), said.tolist(), strict=True)]
        entries = self._with_fresh(entries, row, view, fresh)
        propensities = [1.0] * len(entries)
        if self.settings.explore and ask.profiling == "on":
            rng = generator(self.settings.salt, job.request_id)
            order, propensities = explore(range(len(entries)), ask.k, self.settings.explore, rng)
            entries = [entries[place] for place in order]
        entries = entries[:ask.k]
        if ask.explain and row.source != "popular":
            for entry in entries:
                if entry.source in ("model", "history"):
                    entry.reasons = self._reasons(row, view, int(numbering.encode(view.ids, [entry.id])[0]), _REASONS)
        for entry in entries:
            job.sources[entry.source] = job.sources.get(entry.source, 0) + 1
        job.items = items[:ask.k].tolist()
        if self.settings.keeps_shown and ask.profiling == "on":
            job.shown = Shown(job.request_id, job.time, ask.user, model.variant.name, model.version,
                              [entry.id for entry in entries], propensities[:len(entries)])
        return Answer(entries, ModelName(model.fitted.name, model.version), model.variant.name, job.request_id,
                      row.notes)

    def _with_fresh(self, entries: list[Recommended], row: Row, view: View, fresh: set[Key] | None
                    ) -> list[Recommended]:
        """The list, in its order, with new items among it where their content puts them."""
        new = view.fresh
        if new is None:
            return entries
        scores = new.scores(all_scores(view.model, row))
        lost = sum(score == -np.inf and fresh is not None and item.id in fresh
                   for item, score in zip(new.items, scores.tolist(), strict=True))
        if lost:
            row.notes.append(f"{lost} new items are like none that the model knows, and have no place in a list.")
        own = [Recommended(item.id, item.title, score, "content")
               for item, score in zip(new.items, scores.tolist(), strict=True)
               if score > -np.inf and item.id not in row.hidden_new and (fresh is None or item.id in fresh)]
        own.sort(key=lambda entry: -entry.score)
        return [*heapq.merge(entries, own, key=lambda entry: -entry.score)]

    def _reasons(self, row: Row, view: View, item: int, k: int) -> list[ReasonOut]:
        """What each item of the history adds to the score of an item."""
        fitted = view.model.fitted
        if not fitted.can.explain:
            return []
        indices, values = _explained(row, view.model)
        return [ReasonOut(each.item, None if each.item is None else view.title_of(each.item),
                          each.contribution) for each in answering.reasons(fitted, indices, values, item, k)]

    # --------------------------------------------------------------------------------- similar, explain
    def _other(self, job: Job) -> Answer | ExplainAnswer:
        return self._similar(job) if isinstance(job.ask, SimilarAsk) else self._explain(job)

    def _similar(self, job: Job) -> Answer:
        ask, model = job.ask, job.model
        if model is None:
            raise ValueError("jobs are prepared before they are answered")
        view = self.catalogue.view(model)
        numbering.require_kind(view.ids, [ask.item], "item")
        number = int(numbering.encode(view.ids, [ask.item])[0])
        name = ModelName(model.fitted.name, model.version)
        if number < 0:
            return Answer(self._like_new(ask, view), name, model.variant.name, job.request_id,
                          [] if view.is_new(ask.item) else [f"item: {shown(ask.item)} is unknown."])
        closed = 0 if view.available is None else int((~view.available).sum())
        recs = model.fitted.similar_items(ask.item, k=min(ask.k + closed, len(view.ids)))
        numbers = view.ids.encode(recs.items) if len(recs.items) else np.zeros(0, np.int32)
        entries = [Recommended(item, view.title(index), score, "model")
                   for item, index, score in zip(recs.items.tolist(), numbers.tolist(), recs.scores.tolist(),
                                                 strict=True)
                   if view.available is None or view.available[index]]
        return Answer(entries[:ask.k], name, model.variant.name, job.request_id)

    def _like_new(self, ask: SimilarAsk, view: View) -> list[Recommended]:
        """What a new item is like by its content."""
        like = [] if view.fresh is None else view.fresh.like(ask.item)
        return [Recommended(view.ids.ids[number].item(), view.title(number), likeness, "content")
                for number, likeness in like if view.available is None or view.available[number]][:ask.k]

    def _explain(self, job: Job) -> ExplainAnswer:
        ask, model, row = job.ask, job.model, job.row
        if model is None or row is None:
            raise ValueError("jobs are prepared before they are answered")
        view, fitted = self.catalogue.view(model), model.fitted
        numbering.require_kind(view.ids, [ask.item], "item")
        number = int(numbering.encode(view.ids, [ask.item])[0])
        if number < 0:
            return self._explain_new(job, row, view)
        if not fitted.can.explain:
            raise Problem(409, f"{fitted.name} gives no reasons.")
        nobody = row.user < 0 and not len(row.history)
        found = [] if nobody else self._reasons(row, view, number, max(len(row.history), fitted.scorer.n_items))
        rest = sum(each.contribution for each in found if each.item is None)
        own = [each for each in found if each.item is not None][:ask.k]
        left = sum(each.contribution for each in found if each.item is not None) - sum(e.contribution for e in own)
        item = ScoredItem(ask.item, view.title(number), score_of(model, row, number),
                          "popular" if nobody else row.source)
        told = _told(row, view, number, "popular" if nobody else "model", ask.removed)
        return ExplainAnswer(item, fitted.can.explain_exact and not nobody, own, rest + left,
                             ModelName(fitted.name, model.version), model.variant.name, job.request_id, row.notes,
                             told.method, told.unit, list(told.sentences))

    def _explain_new(self, job: Job, row: Row, view: View) -> ExplainAnswer:
        """Why an item that the model does not know stands where it does: by the scores of those that it is like."""
        ask, model = job.ask, view.model
        if not view.is_new(ask.item):
            raise Problem(404, f"item: {shown(ask.item)} is unknown.", "item")
        score, shares = (-np.inf, []) if view.fresh is None else view.fresh.score(ask.item, all_scores(model, row))
        if score == -np.inf:
            raise Problem(409, f"item: {shown(ask.item)} is new, and has no score: it is not available, like none "
                               f"of the items that the model knows, or not yet compared with them.", "item")
        reasons = [ReasonOut(view.ids.ids[number].item(), view.title(number), share) for number, share in shares]
        rest = score - sum(share for _, share in shares[:ask.k])
        return ExplainAnswer(ScoredItem(ask.item, view.title_of(ask.item), score, "content"), False, reasons[:ask.k],
                             rest, ModelName(model.fitted.name, model.version), model.variant.name, job.request_id,
                             row.notes)


def rank(model: Deployed, rows: Sequence[Row], k: int, allowed: np.ndarray | None
         ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best items of several rows, int32 (B, k), float32 (B, k), and their sources as in `Recs`, str (B, k)."""
    fitted = model.fitted
    n = len(fitted.items)
    users = np.array([row.user for row in rows], np.int32)
    history = histories(model, rows) if fitted.can.fold_in else None
    hidden = stacked([row.hidden for row in rows], [None], n)
    items, scores, popular = rank_rows(fitted, users, history, k, hidden, allowed)
    return items, scores, answering.sources(fitted, users, history, items, popular)


def score_of(model: Deployed, row: Row, item: int) -> float:
    """A row's score of one item, to the bits of the lists."""
    only = np.zeros(len(model.fitted.items), np.bool_)
    only[item] = True
    _, scores, _ = rank(model, [replace(row, hidden=row.hidden[:0])], 1, only)
    return float(scores[0, 0] if np.isfinite(scores[0, 0]) else all_scores(model, row)[item])


def all_scores(model: Deployed, row: Row) -> np.ndarray:
    """A row's scores of all items of the model, its events for a row without evidence: float32 (n_items,)."""
    fitted = model.fitted
    if row.user >= 0 and fitted.has_evidence(np.array([row.user]))[0]:
        return np.asarray(fitted.score_block(np.array([row.user], np.int32))[0])
    if len(row.history):
        return np.asarray(fitted.score_block(np.array([-1], np.int32), histories(model, [row]))[0])
    return model.counts


def histories(model: Deployed, rows: Sequence[Row]) -> CSR:
    """What is folded in of several rows: (B, n_items)."""
    fitted = model.fitted
    return stacked([row.history for row in rows], [row.values for row in rows], len(fitted.items),
                   fitted.scorer.needs_values)


def stacked(rows: Sequence[np.ndarray], values: Sequence[np.ndarray | None], n_items: int, valued: bool = False) -> CSR:
    """Rows of a matrix (B, n_items); those without values among others with some, or if `valued`, count 1 each."""
    indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=indptr[1:])
    data = None
    if valued or any(each is not None for each in values):
        data = np.concatenate([np.ones(len(row), np.float32) if each is None else each
                               for row, each in zip(rows, values, strict=True)])
    return CSR(indptr, np.concatenate(rows) if rows else np.zeros(0, np.int32), data, (len(rows), n_items))


def _told(row: Row, view: View, item: int, source: str, removed: int) -> Explanation:
    """Why an item has its score, in words; of networks by leaving out, which takes no longer than some lists."""
    person = Person(view.model.fitted, row.user, *_explained(row, view.model), row.hidden)
    method = None if source == "popular" or terms_of(person, item) is not None else "leave-one-out"
    return tell(person, item, source, method=method, removed=removed,
                called=lambda number: view.title(number) or str(view.ids.ids[number]))


def _explained(row: Row, model: Deployed) -> tuple[np.ndarray, np.ndarray | None]:
    """A row's history in the form in which it is explained."""
    fitted = model.fitted
    if row.user >= 0:
        return fitted.stored(np.array([row.user])).row(0)
    return fitted.scorer.transform_history(histories(model, [row])).row(0)


def _as_problem(error: Exception) -> Problem:
    """What is answered instead of an answer; what nobody has foreseen is told to the operator alone."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RecsysError):
        return Problem(409, str(error))
    _LOG.error("a question could not be answered", exc_info=error)
    return Problem(500, "this question could not be answered; the service's log says why.")

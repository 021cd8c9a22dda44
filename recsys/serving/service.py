"""One worker: the models, the log, a thread that answers, a thread that writes."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from recsys.errors import ArtifactError, RecsysError
from recsys.events import Event, EventLog, Shown, Stamp, announce, announced, stamp_of
from recsys.serving.accepted import Accepted
from recsys.serving.deployment import Deployment
from recsys.serving.engine import Engine, Job
from recsys.serving.lane import Lane
from recsys.serving.metrics import Metrics
from recsys.serving.problems import Problem
from recsys.serving.schemas import ExplainAsk, RecommendAsk, SimilarAsk
from recsys.serving.settings import Settings

__all__ = ["Service"]

T = TypeVar("T")
_LOG = logging.getLogger("recsys.serving")
_POLL = 0.5  # seconds between looks at the log for other workers' reloads, when nobody asks anything


class Service:
    """What handlers work with; it lives on one event loop.

    Parameters
    ----------
    settings : Settings
    folder : path
        Of the counters that workers share; the log, too, if the settings name none.
    slot : int
        Of this worker.
    verify : bool
        Compare the model files with their checksums at the start.
    """

    def __init__(self, settings: Settings, folder: str | os.PathLike[str], slot: int = 0, *,
                 verify: bool = True) -> None:
        self.settings, self.slot, self.folder, self._verify = settings, slot, Path(folder), verify
        self.log_path = settings.events or str(self.folder / "log" / "state.db")  # counters' names end so, too
        self.not_ready = "the models are being mapped"
        self.read_out: tuple[float, list[dict[str, Any]]] = (float("-inf"), [])  # the variants' rates, and since when
        self._accepted = Accepted(folder, [variant.path for variant in settings.variants])
        self._opened: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._reloading = asyncio.Lock()
        limits = settings.limits
        self._answers: Lane[Any] = Lane("answers", self._answer, most=limits.queue, timeout=limits.timeout,
                                        stop=lambda: self.engine.log.close())
        self._reports: Lane[Any] = Lane("reports", lambda batch: [_tried(one) for one in batch], most=limits.queue,
                                        timeout=limits.timeout, stop=lambda: self._reader.close())
        self._writes: Lane[Any] = Lane("writes", self._write, most=limits.queue, batch=256, timeout=limits.timeout,
                                       stop=lambda: self._writer.close())

    # ----------------------------------------------------------------------------------- opening, closing
    async def open(self) -> None:
        """Begin, the first time; ArtifactError, LogError or OSError if it cannot."""
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_task(self._open())
        if not self._opened.done():
            await asyncio.shield(self._opened)
        self._opened.result()

    async def _open(self) -> None:
        await asyncio.to_thread(self._load)
        for lane in (self._answers, self._writes, self._reports):
            lane.open()
        self._polling = asyncio.get_running_loop().create_task(self._poll())
        await self.in_engine(self._warm)
        facts = self.engine.deployment.first.fitted.facts
        mean = "" if facts.rating_range is None else str(facts.mean_value)
        await self.write(lambda log: log.put("mean", mean))  # what a reader of the log compares ratings with
        self.not_ready = ""

    def _load(self) -> None:
        """Map the models, open the log, and put the items of the settings' file."""
        deployment = Deployment.load(self.settings, self._accepted.file, verify=self._verify)
        if self.settings.events is None:
            Path(self.log_path).parent.mkdir(exist_ok=True)
        self._writer = EventLog(self.log_path, timeout=self.settings.limits.timeout)
        deployment.require_kinds_of(self._writer)
        if self._writer.needs_scrub():
            self._writer.scrub()
        if self.settings.items is not None and self.slot == 0:
            from recsys.serving.table import read_items  # and all that reads tables

            held = {item.id: item for _, item in self._writer.items_since(0)}
            new = [item for item in read_items(self.settings.items, deployment.first.fitted.items)
                   if held.get(item.id) != item]
            self._writer.put_items(new)
        self._reader = EventLog(self.log_path, timeout=self.settings.limits.timeout)
        self.engine = Engine(self.settings, deployment, EventLog(self.log_path, timeout=self.settings.limits.timeout))
        self.generation = self.engine.generation
        n_items = len(deployment.first.fitted.items)
        self.metrics = Metrics(self.folder, self.slot, n_items)

    def _warm(self) -> None:
        """Ask every model what real requests ask, so that the first of them finds kernels compiled."""
        for model in self.engine.deployment.models.values():
            facts = model.fitted.facts
            users, items = facts.users.ids[:2].tolist(), facts.items.ids[:3].tolist()
            asks: list[Any] = [RecommendAsk(user=user) for user in users]
            if model.fitted.can.fold_in and not model.fitted.scorer.needs_values:
                asks += [RecommendAsk(history=items, explain=True), RecommendAsk(history=items, where={}, diversity=.5)]
            asks += [SimilarAsk(item=item) for item in items[:1]]
            asks += [ExplainAsk(user=user, item=item) for user in users[:1] for item in items[:1]]
            for answer in self.engine.answer([Job(ask, "warm", time.time()) for ask in asks]):
                if isinstance(answer, Problem) and (answer.status >= 500 or "NaN" in answer.detail):
                    raise ArtifactError(f"{model.variant.path}: {answer.detail}")

    async def close(self) -> None:
        """Answer what has queued, and end."""
        if self._polling is not None:
            self._polling.cancel()
        if self._opened is not None and self._opened.done() and self._opened.exception() is None:
            for lane in (self._reports, self._answers, self._writes):
                await lane.close()

    def require_ready(self) -> None:
        """Raise Problem while the service is not ready."""
        if self.not_ready:
            raise Problem.busy(f"the service is not ready: {self.not_ready}")

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._answers.waiting + self._writes.waiting

    # ------------------------------------------------------------------------------------------ answers
    async def ask(self, job: Job) -> bytes:
        """The answer to a question, encoded."""
        try:
            async with asyncio.timeout(self.settings.limits.timeout + 1):  # the lane refuses what waits too long
                answer = await self._answers.put(job)
        except TimeoutError:
            raise Problem.busy("the answer took too long") from None
        if isinstance(answer, Problem):
            raise answer
        return bytes(answer)

    async def in_engine(self, function: Callable[[], T]) -> T:
        """What a function gives that runs in the thread that answers, between two passes."""
        found: T = await self._answers.put(function)
        return found

    async def report(self, function: Callable[[EventLog], T]) -> T:
        """What a function of the log gives that takes its time and that no answer waits for."""
        found: T = await self._reports.put(lambda: function(self._reader))
        return found

    def _answer(self, batch: Sequence[Any]) -> list[Any]:
        jobs = [one for one in batch if isinstance(one, Job)]
        answers = iter(self.engine.answer(jobs) if jobs else ())
        results = [next(answers) if isinstance(one, Job) else _tried(one) for one in batch]
        for job in jobs:
            self.metrics.show(job.sources, job.items)
        rows = [job.shown for job in jobs if job.shown is not None]
        if rows:
            self._keep_shown(rows)
        return results

    def _keep_shown(self, rows: list[Shown]) -> None:
        """Hand lists that were shown to the thread that writes; nobody waits for them.

        Who is forgotten in the meantime, by another worker, must not come back by them.
        """
        since = self.engine.seq
        self._writes.post(lambda log: log.append_shown(rows, since))

    # ------------------------------------------------------------------------------------------- writes
    async def write(self, function: Callable[[EventLog], T]) -> T:
        """What a function of the log gives, in the thread that writes."""
        found: T = await self._writes.put(function)
        return found

    async def append(self, events: list[Event]) -> tuple[list[str], int]:
        """Make events durable, together with those that others bring at this moment.

        Returns
        -------
        new : list of str
            The types of those that are new.
        last_seq : int
            The log's last number.
        """
        found: tuple[list[str], int] = await self._writes.put(events)
        return found

    def _write(self, batch: Sequence[Any]) -> list[Any]:
        groups = [one for one in batch if isinstance(one, list)]
        counts: Any = iter(())
        if groups:
            try:
                new = self._writer.append_groups(groups)
                counts = zip(new, [self._writer.last_seq()] * len(new), strict=True)
            except RecsysError as error:
                counts = iter([error] * len(groups))
        return [next(counts) if isinstance(one, list) else _tried(one, self._writer) for one in batch]

    # ------------------------------------------------------------------------------------------ reloads
    async def reload(self, variant: str | None = None, *, verify: bool = True) -> Deployment:
        """Load model files again, and let the other workers know; ArtifactError leaves what is there."""
        async with self._reloading:
            deployment = await self._swap(variant, verify)
            loaded = [(model.variant.path, model.stamp) for name, model in deployment.models.items()
                      if variant in (None, name)]
            _, self.generation = await asyncio.gather(self._tell(loaded),
                                                      self.write(lambda log: announce(log, loaded)))
        return deployment

    async def _swap(self, variant: str | None, verify: bool) -> Deployment:
        old = self.engine.deployment
        try:
            new = await asyncio.to_thread(old.reloaded, variant, verify=verify)
        except RecsysError:
            self.metrics.reloads.labels("refused").inc()
            raise
        self.engine.deployment = new  # answers that have begun go on with the old one
        self.metrics.reloads.labels("done").inc()
        asyncio.get_running_loop().run_in_executor(None, _let_go, [old])
        return new

    async def _tell(self, loaded: Sequence[tuple[str, Stamp]]) -> None:
        """Let the supervisor hold files that were accepted."""
        for path, stamp in loaded:
            await asyncio.to_thread(self._accepted.tell, path, stamp)

    async def _poll(self) -> None:
        """Follow the other workers."""
        while True:
            await asyncio.sleep(_POLL)
            try:
                await self.in_engine(self.engine.follow)
                await asyncio.to_thread(self.engine.catalogue.settle)
                self.metrics.queue.set(self.waiting)
                for name, model in self.engine.deployment.models.items():
                    self.metrics.age.labels(name).set(time.time() - model.loaded)
                if self.engine.generation != self.generation and not self._reloading.locked():
                    async with self._reloading:
                        generation = self.engine.generation
                        told = await self.report(announced)
                        for name, model in self.engine.deployment.models.items():
                            stamp = told.get(os.path.realpath(model.variant.path), model.stamp)
                            if stamp != model.stamp:  # who told of it has compared it, if it is still the same file
                                new = await self._swap(name, verify=stamp != stamp_of(model.variant.path))
                                await self._tell([(model.variant.path, new.models[name].stamp)])
                        self.generation = generation
            except (RecsysError, Problem, OSError) as error:
                _LOG.warning("worker %d: %s", self.slot, error)


def _let_go(held: list[Any]) -> None:
    """Let go of a large thing in this thread, after all others have: to unmap a file takes a while."""
    time.sleep(2 * _POLL)
    held.clear()


def _tried(function: Callable[..., Any], *given: Any) -> Any:
    """What a function gives, or the exception that it raises."""
    try:
        return function(*given)
    except (RecsysError, Problem, OSError) as error:
        return error

"""What the service says of itself: its models, its numbers."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.artifact import container
from recsys.events import EventLog
from recsys.serving import numbering
from recsys.serving.deployment import Deployment
from recsys.serving.judging import positives
from recsys.serving.schemas import ModelAnswer, SectionOut, StatementAnswer, StatementOut, VariantOut
from recsys.serving.settings import Settings

if TYPE_CHECKING:
    from recsys.serving.service import Service

__all__ = ["drift", "experiments", "models", "statements", "stats"]

_LATEST = 1000  # events of which the drift is told
_LISTS = 50_000  # shown lists of which the page's rates are told
_AGE = 10.0  # seconds that the page's rates are kept


def models(deployment: Deployment, settings: Settings) -> ModelAnswer:
    """The card of every variant's model."""
    facts = deployment.first.fitted.facts
    variants = [VariantOut(name, model.variant.share, model.fitted.name, model.version, model.loaded, model.learned_to,
                           _plain(dict(model.fitted.parameters)), _data(model.fitted.facts), asdict(model.fitted.can))
                for name, model in deployment.models.items()]
    return ModelAnswer(variants, len(facts.users), len(facts.items), "integers" if facts.users.integers else "strings",
                       "integers" if facts.items.integers else "strings", list(settings.types))


def statements(deployment: Deployment) -> StatementAnswer:
    """What every variant's model reads, what weighs most, and what people can change."""
    return StatementAnswer([
        StatementOut(name, model.variant.share, model.fitted.name, model.version,
                     [SectionOut(title, lines) for title, lines in model.statement.sections()])
        for name, model in deployment.models.items()])


def _data(facts: Any) -> dict[str, Any]:
    return {"fingerprint": facts.fingerprint, "users": len(facts.users), "items": len(facts.items),
            "mean_value": facts.mean_value, "rating_range": facts.rating_range}


def _plain(value: Any) -> Any:
    """A parameter as JSON has it."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    return container.plain(value) if isinstance(value, np.generic) else str(value)


def stats(service: Service, log: EventLog) -> dict[str, Any]:
    """Totals since the start of all workers, and the state of log and models."""
    engine, summary = service.engine, service.metrics.summary()
    seq = log.last_seq()
    latest = log.since(max(0, seq - _LATEST))
    now = time.time()
    total = max(summary["latency"][-1][1] if summary["latency"] else 0, 0)
    buckets = [[None if edge == float("inf") else edge, count] for edge, count in summary["latency"]]
    return {
        "time": now, "uptime": now - summary["started"], "workers": service.settings.workers,
        "requests": summary["requests"], "statuses": summary["statuses"],
        "latency": {"p50": _quantile(summary["latency"], .5), "p99": _quantile(summary["latency"], .99),
                    "buckets": buckets, "count": total},
        "sources": summary["sources"],
        "coverage": {"shown": service.metrics.coverage, "items": len(engine.deployment.first.fitted.items)},
        "events": {"total": log.count(), "last_minute": sum(event.time > now - 60 for event in latest),
                   "by_type": summary["events"]},
        "drift": drift(engine.deployment.first.fitted, latest), "queue": summary["queue"],
        "models": [{"variant": name, "name": model.fitted.name, "version": model.version, "age": now - model.loaded}
                   for name, model in engine.deployment.models.items()],
        "experiments": experiments(service, log) if service.settings.keeps_shown else [],
    }


def experiments(service: Service, log: EventLog) -> list[dict[str, Any]]:
    """The rates of the variants, from the last lists that were shown; looked up again after some seconds."""
    began, found = service.read_out
    if time.monotonic() - began > _AGE:
        from recsys.experiments import rates  # not before somebody looks at them

        shown = list(log.shown(after=max(0, log.last_shown() - _LISTS)))
        facts = service.engine.deployment.first.fitted.facts
        mean = None if facts.rating_range is None else facts.mean_value
        arms = rates(shown, positives(log, service.settings.types, mean)).arms if shown else []
        found = [{"variant": arm.variant, "people": arm.people, "lists": arm.lists, "rate": arm.person_rate,
                  "low": arm.low, "high": arm.high, "verdict": arm.verdict} for arm in arms]
        service.read_out = time.monotonic(), found
    return found


def drift(fitted: Any, events: list[Any]) -> dict[str, Any] | None:
    """How far what people do now is from training: the Jensen-Shannon distance (base 2) of the items' shares.

    0 where each item has the share of events that it had in training, 1 where no item has events in both.
    """
    items = [event.item for event in events if type(event.item) is numbering.kind_of(fitted.items)]
    numbers = numbering.encode(fitted.items, items)
    if not len(items):
        return None
    now = np.bincount(numbers[numbers >= 0], minlength=len(fitted.items)).astype(np.float64)
    now = np.append(now, (numbers < 0).sum()) / len(items)  # the last is all that training did not have
    then = np.append(fitted.facts.item_counts / max(fitted.facts.item_counts.sum(), 1), 0.0)
    middle = (now + then) / 2

    def divergence(p: np.ndarray) -> float:
        held = p > 0
        return float((p[held] * np.log2(p[held] / middle[held])).sum())

    return {"value": float(np.sqrt(max(divergence(now) + divergence(then), 0) / 2)), "events": len(items)}


def _quantile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """A quantile of a histogram, within the bucket by proportion: seconds."""
    total = buckets[-1][1] if buckets else 0
    if not total:
        return None
    low, before = 0.0, 0.0
    for edge, count in buckets:
        if count >= share * total:
            if edge == float("inf"):
                return low
            return low + (edge - low) * (share * total - before) / max(count - before, 1)
        low, before = edge, count
    return low

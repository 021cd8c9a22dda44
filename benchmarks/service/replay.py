"""Sessions of a shop through the service, click by click, beside `evaluate` of the same model offline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks import load
from benchmarks.datasets import described, real
from benchmarks.load import Answer, Client, request
from benchmarks.service.bench import Bench
from benchmarks.service.place import Service, beside

__all__ = ["diginetica"]

K, LONGER = 20, 100  # of the metrics; of the lists, to know all that ties with a target
HIT, MRR = METRICS = (f"hit@{K}", f"mrr@{K}")
SHARE = 8  # one session in so many
AT_ONCE = 16
UNREACHED = LONGER  # how many stand before a target that is not on the list


@dataclass
class Session:
    """Clicks in order, and by how many of them are shown, what comes next."""

    clicks: list[int]
    next: dict[int, int] = field(default_factory=dict)


def diginetica(bench: Bench) -> dict[str, Any]:
    """Every session's clicks are sent one after the other, and after each the next one is looked for in the list."""
    from recsys.data.sessions import split_sessions
    from recsys.evaluation import evaluate
    from recsys.models import Markov

    data = real("diginetica"), real("diginetica", part="test")
    split = _some(split_sessions(*data), round(SHARE * max(1.0, 300 / bench.seconds)))
    path = bench.folder / "markov.recsys"
    model = Markov().fit(split.train)
    model.save(path)
    offline, frozen = (evaluate(model, part, metrics=METRICS, exclude_seen=False) for part in (split, _frozen(split)))
    sessions = _sessions(split)
    with Service(bench.place("replay"), path) as service, beside():
        places = load.run(_replayed(service, sessions))
    live = _measured(places, offline.users)
    ahead, error = _ahead(offline.users, live[HIT] - frozen.per_user[HIT])
    return {"data": described("diginetica", data[0]), "sessions": len(sessions), "predictions": len(places),
            "hit": _mean(live[HIT]), "mrr": _mean(live[MRR]),
            "offline_hit": offline.metrics[HIT], "offline_mrr": offline.metrics[MRR],
            "differ": sum(_mean(live[name]) != offline.metrics[name] for name in METRICS),
            "frozen_hit": frozen.metrics[HIT], "ahead": ahead, "ahead_low": ahead - 1.96 * error}


def _some(split: Any, share: int) -> Any:
    """The split with one session in `share`."""
    names = split.test.users.ids
    chosen = np.array([int(name.partition(":")[0]) % share == 0 for name in names.tolist()])
    return replace(split, valid=None, valid_history=None, whole=None, test=split.test.take(chosen[split.test.user]),
                   test_history=split.test_history.take(chosen[split.test_history.user]))


def _frozen(split: Any) -> Any:
    """The split with the first click of each session alone in the history."""
    history = split.test_history
    return replace(split, test_history=history.take(np.unique(history.user, return_index=True)[1]))


def _sessions(split: Any) -> dict[str, Session]:
    rows, names, ids = split.test_history.csr, split.test.users.ids, split.test.items.ids
    sessions: dict[str, Session] = {}
    for user, target in zip(split.test.user.tolist(), ids[split.test.item].tolist(), strict=True):
        name, _, count = str(names[user]).partition(":")
        clicks = ids[rows.row(user)[0]].tolist()
        session = sessions.setdefault(name, Session(clicks))
        session.next[int(count)] = target
        session.clicks = max(session.clicks, clicks, key=len)
    return sessions


async def _replayed(service: Service, sessions: Mapping[str, Session]) -> dict[str, tuple[int, int]]:
    """By `session:clicks shown`: how many items stand before the target, and how many with it."""
    client = Client(service.port, AT_ONCE)
    found: dict[str, tuple[int, int]] = {}
    names = iter(sessions)

    async def visitor() -> None:
        for name in names:
            for shown, click in enumerate(sessions[name].clicks, 1):
                user = f"visitor-{name}"
                await _asked(client, "/v1/events", {"events": [{"user": user, "item": click, "type": "click"}]})
                answer = await _asked(client, "/v1/recommend", {"user": user, "k": LONGER, "filter_seen": False})
                found[f"{name}:{shown}"] = _place(answer, sessions[name].next[shown])

    await asyncio.gather(*(visitor() for _ in range(AT_ONCE)))
    client.close()
    return found


async def _asked(client: Client, path: str, body: Any) -> Answer:
    answer = await client.ask(request("POST", path, body))
    if answer.status != 200:
        raise RuntimeError(f"{path} was answered with {answer.status}: {answer.body[:500]!r}")
    return answer


def _place(answer: Answer, target: int) -> tuple[int, int]:
    scores = {each["id"]: each["score"] for each in json.loads(answer.body)["items"]}
    if target not in scores:
        return UNREACHED, 1
    before = sum(score > scores[target] for score in scores.values())
    equal = sum(score == scores[target] for score in scores.values())
    if before < K and before + equal == LONGER:
        raise RuntimeError(f"more than {LONGER} items tie with a target in the first {K} places; ask for longer lists")
    return before, equal


def _measured(places: Mapping[str, tuple[int, int]], names: np.ndarray) -> dict[str, np.ndarray]:
    """Each prediction's metrics, in the order of the names: (n,)."""
    from recsys.evaluation.metrics import RANKING, Ranks

    greater, equal = np.array([places[str(name)] for name in names.tolist()]).T
    ranks = Ranks(greater, equal, np.arange(len(names) + 1), np.full(len(names), LONGER))
    return {metric: RANKING[metric.partition("@")[0]](ranks, K) for metric in METRICS}


def _mean(values: np.ndarray) -> float:
    from recsys.evaluation.evaluator import mean

    return mean(values, np.ones(len(values)))


def _ahead(names: Sequence[str], difference: np.ndarray) -> tuple[float, float]:
    """Mean and standard error of a difference, where the predictions of one session are of one piece."""
    _, session = np.unique([str(name).partition(":")[0] for name in names], return_inverse=True)
    mean = float(difference.mean())
    parts = np.bincount(session, difference - mean)
    return mean, float(np.sqrt((parts**2).sum()) / len(difference))

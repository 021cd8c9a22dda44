"""What forgetting costs, and how near it comes to a training without: `python -m benchmarks forgetting [NAME ...]`.

A row is a model on a set, trained on all but everybody's last event; names are sets, or rows such as ml-1m/EASE. Of
five people, from those with fewest events to those with most, each is forgotten by itself, timed, and compared with a
training that never saw them; beside it stands what only removing them leaves. Then many are forgotten one after the
other.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import store
from benchmarks.datasets import described, real
from benchmarks.provenance import Machines, stamped
from benchmarks.rows import measure_each
from benchmarks.table import DOCS, put, span

RESULTS = Path(__file__).parent / "forgetting.json"
_SETS = ("ml-100k", "ml-1m")
_PEOPLE, _ASKED, _K = 5, 500, 10


@dataclass(frozen=True)
class Row:
    """A model, and how many are forgotten in a row: fewer where each is a whole training."""

    data: str
    label: str
    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    removals: int = 100
    people: int = _PEOPLE

    @property
    def name(self) -> str:
        """By which it is kept."""
        return f"{self.data}/{self.label}"


_KINDS: list[tuple[str, str, dict[str, Any], int, int]] = [
    ("Popular", "Popular", {}, 100, 5), ("Markov", "Markov", {}, 100, 5), ("ItemKNN", "ItemKNN", {}, 100, 5),
    ("UserKNN", "UserKNN", {}, 100, 5), ("RP3beta", "RP3beta", {}, 100, 5),
    ("EASE, reg given", "EASE", {"reg": 500.0}, 100, 5), ("EASE", "EASE", {}, 100, 5),
    ("EDLAE", "EASE", {"reg": 200.0, "dropout": 0.3}, 100, 5), ("SLIM", "SLIM", {}, 3, 2),
    ("GraphFilter", "GraphFilter", {}, 10, 3), ("ALS", "ALS", {}, 10, 3), ("BPR", "BPR", {}, 3, 2),
    ("MultDAE", "MultDAE", {}, 3, 2), ("MultDAE, 4 shards", "Sharded", {"model": ("MultDAE", {}), "shards": 4}, 3, 2),
    ("MultDAE, 10 shards", "Sharded", {"model": ("MultDAE", {}), "shards": 10}, 3, 2),
    ("SASRec", "SASRec", {}, 2, 1), ("SASRec, 4 shards", "Sharded", {"model": ("SASRec", {}), "shards": 4}, 2, 1),
]
ROWS = {row.name: row for data in _SETS for row in (Row(data, *kind) for kind in _KINDS)}


def measure(row: Row) -> dict[str, Any]:
    """Seconds, distances and quality of a row."""
    from recsys import split_last
    from recsys.models import model_class

    whole = real(row.data)
    split = split_last(whole.clean(duplicates="first").binarise(), valid=False)
    train = split.train

    def new() -> Any:
        return model_class(row.model)(**row.parameters)

    model, fit_seconds = _timed(lambda: new().fit(train))
    fitted = model.require("measure")
    by_activity = np.argsort(train.csr.counts, kind="stable")
    chosen = by_activity[np.linspace(0, len(by_activity) - 1, row.people).astype(np.int64)]
    apart = [_one(model, train, int(user), new) for user in chosen]
    model = type(model).adopt(fitted)
    gone = np.random.default_rng(0).permutation(train.n_users)[:row.removals]
    seconds = [_timed(lambda user=user: model.forget(train.users.ids[user]))[1] for user in gone]
    refit = new().fit(_without(train, gone))
    result = {
        "name": row.name, "on": row.data, "model": row.model, "parameters": dict(row.parameters),
        "level": apart[0]["level"], "how": sorted({one["how"] for one in apart}), "fit_seconds": fit_seconds,
        "seconds": statistics.median(one["seconds"] for one in apart),
        "most_seconds": max(one["seconds"] for one in apart),
        "refit_seconds": statistics.median(one["refit_seconds"] for one in apart),
        "distance": max(one["distance"] for one in apart), "lists": min(one["lists"] for one in apart),
        "removed": max(one["removed"] for one in apart), "removals": row.removals,
        "drift": _distance(model, refit)[0], "in_a_row_seconds": statistics.median(seconds),
        "ndcg": {"before": _ndcg(type(model).adopt(fitted), split), "after": _ndcg(model, split),
                 "refit": _ndcg(refit, split)}, "bytes": _bytes(fitted)}
    return stamped(result, described(row.data, whole))


def _one(model: Any, train: Any, user: int, new: Any) -> dict[str, Any]:
    """One person is forgotten: by a copy of the model, by a refit, and by removing them alone."""
    fitted, who = model.require("measure"), train.users.ids[user]
    forgetting, removed = type(model).adopt(fitted), type(model).adopt(fitted)
    told, seconds = _timed(lambda: forgetting.forget(who))
    refit, refit_seconds = _timed(lambda: new().fit(_without(train, np.array([user]))))
    removed.forget(who, removed_only=True)
    distance, lists = _distance(forgetting, refit)
    return {"level": told.level, "how": told.how, "seconds": seconds, "refit_seconds": refit_seconds,
            "distance": distance, "lists": lists, "removed": _distance(removed, refit)[0]}


def _timed(run: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    found = run()
    return found, time.perf_counter() - begin


def _without(data: Any, gone: np.ndarray) -> Any:
    from recsys.data import IdMap

    keep = np.ones(data.n_users, bool)
    keep[gone] = False
    return data.take(keep[data.user]).reindex(IdMap(data.users.ids[keep]), data.items)


def _distance(a: Any, b: Any) -> tuple[float, float]:
    """The largest difference of scores, relative to their spread in a row, and the share of equal lists."""
    users = np.unique(np.linspace(0, len(b.users) - 1, _ASKED).astype(np.int64))
    first, second = (np.where(np.isfinite(scores), scores, 0).astype(np.float64)
                     for scores in (a.score_block(users), b.score_block(users)))
    spread = second.std(axis=1, keepdims=True)
    ids = b.users.ids[users]
    same = (a.recommend(ids, k=_K).items == b.recommend(ids, k=_K).items).all(axis=1)
    return float((np.abs(first - second) / np.where(spread > 0, spread, 1)).max()), float(same.mean())


def _ndcg(model: Any, split: Any) -> float:
    """NDCG@10 of those who are known, for their last event among all items."""
    from dataclasses import replace

    from recsys import evaluate

    known = np.isin(split.test.users.ids, model.users.ids)
    part = replace(split, test=split.test.take(known[split.test.user]))
    reindexed = {name: None if each is None else each.reindex(model.users, model.items, "skip")
                 for name, each in ((name, getattr(part, name)) for name in ("train", "valid", "test"))}
    return float(evaluate(model, replace(part, **reindexed), metrics=["ndcg@10"]).metrics["ndcg@10"])


def _bytes(fitted: Any) -> dict[str, int]:
    """Of the file, and of what is kept in it to forget and to learn more: events, and memory."""
    from recsys.estimator import storing

    with tempfile.TemporaryDirectory() as folder:
        storing.save(fitted, Path(folder) / "model")
        size = (Path(folder) / "model").stat().st_size
    events, seen = fitted.facts.events, fitted.facts.seen
    kept = 0
    if events is not None and seen is not None:
        kept = sum(array.nbytes for array, other in ((events.indices, seen.indices), (events.data, None))
                   if array is not None and array is not other)
    return {"file": size, "kept": kept + sum(array.nbytes for array in fitted.learned.memory[1].values())}


def table(rows: Sequence[store.Stored]) -> str:
    """A line a row; those that are not measured stand there as well."""
    machines, groups = Machines(rows), store.by_name(rows)
    lines = ["| set, model | level | seconds | most | a refit | distance to the refit | equal lists | removed only | "
             "removals | drift | NDCG@10 before / after / refit | kept for it, of the file | machine |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"]
    for name in ROWS:
        lines.append(_line(name, groups[name], machines) if name in groups
                     else f"| {name} | not measured |  |  |  |  |  |  |  |  |  |  |  |")
    return "\n".join(lines) + "\n\n" + machines.legend()


def _line(name: str, group: Sequence[store.Stored], machines: Machines) -> str:
    def told(key: str, text: str = "{:.2f}") -> str:
        return span([row[key] for row in group], text.format)

    row = group[0]
    quality = " / ".join(f"{row['ndcg'][when]:.4f}" for when in ("before", "after", "refit"))
    kept = f"{row['bytes']['kept'] / 2 ** 20:.1f} of {row['bytes']['file'] / 2 ** 20:.1f} MiB"
    return (f"| {name} | {row['level']}: {'; '.join(row['how'])} | {told('seconds')} | {told('most_seconds')} | "
            f"{told('refit_seconds')} | {told('distance', '{:.1e}')} | {told('lists', '{:.1%}')} | "
            f"{told('removed', '{:.1e}')} | {row['removals']} | {told('drift', '{:.1e}')} | {quality} | {kept} | "
            f"{machines.numbers(group)} |")


def write(rows: Sequence[store.Stored]) -> None:
    """Put the table into its page."""
    put("forgetting", table(rows), DOCS / "benchmarks-forgetting.md")


def main(arguments: Sequence[str]) -> int:
    """Measure the rows named, or all: 0, 2 for an unknown name, 3 where a set is absent."""
    return measure_each("forgetting", __doc__, arguments, ROWS, measure, _told, RESULTS, write)


def _told(found: Mapping[str, Any]) -> str:
    return (f"{found['level']}, {found['seconds']:.2f} s, a refit {found['refit_seconds']:.2f} s, distance "
            f"{found['distance']:.1e}, drift {found['drift']:.1e}")

"""Whom models serve badly and whom they give away: `python -m benchmarks audit [ROW ...]`.

Rows of groups fit a model under a protocol and audit it with `recsys.audit`: quality by group of people, exposure,
popularity, calibration. Rows of members fit it on half of the people and ask it of these and of the others, all folded
in. Parameters are the models' own; nothing is chosen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import store
from benchmarks.datasets import described, real
from benchmarks.provenance import Machines, stamped
from benchmarks.rows import measure_each
from benchmarks.table import DOCS, put

RESULTS = Path(__file__).parent / "audit.json"
PROTOCOL = "ratio-811-full"
K = 10
_MEASURES = ("ndcg", "gini", "coverage", "long tail", "popularity lift", "miscalibration")
_SIGNALS = ("own items", "hidden items", "all together")


@dataclass(frozen=True)
class Row:
    """A model on a data set.

    Parameters
    ----------
    label : str
        What the table calls it.
    kind : {"groups", "members"}
    data, model : str
    parameters : mapping
    by : tuple of str
        Attributes of people.
    """

    label: str
    kind: str
    data: str
    model: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    by: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.kind}/{self.data}/{self.label}"


_LASTFM = "hetrec2011-lastfm-2k"
_NETWORK = {"epochs": 40, "seed": 0}
_UNTIED = {"tied": False, "dropout": 0.05}
_COMPARED: dict[str, Mapping[str, Any]] = {"Popular": {}, "ItemKNN": {}, "EASE": {}, "ALS": {}, "MultVAE": _NETWORK}
_LONG = {"SparseEASE" if model == "EASE" else model: parameters for model, parameters in _COMPARED.items()}
"""EASE asks for 8.1 GiB where there are 17,632 items."""
_MEMBERS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "Popular": ("Popular", {}), "ItemKNN": ("ItemKNN", {}), "UserKNN": ("UserKNN", {}), "ALS": ("ALS", {}),
    "EASE, learned by heart": ("EASE", {"reg": 0.1}), "EASE": ("EASE", {}), "EASE, held back": ("EASE", {"reg": 1e5}),
    "MultVAE, learned by heart": ("MultVAE", {"epochs": 150, "dropout": 0.0, "beta": 0.0, "seed": 0}),
    "MultVAE": ("MultVAE", _NETWORK),
    "LinearAutoencoder": ("LinearAutoencoder", _UNTIED),
    **{f"LinearAutoencoder, private, epsilon {epsilon:g}": ("Private", {
        "model": ("LinearAutoencoder", _UNTIED), "epsilon": epsilon, "delta": 1.65e-4}) for epsilon in (10.0, 1.0)},
    "EASE, private, epsilon 10": ("Private", {"model": ("EASE", {}), "epsilon": 10.0, "delta": 1.65e-4})}
ROWS = {row.name: row for row in (
    *(Row(model, "groups", "ml-1m", model, parameters, ("gender", "age")) for model, parameters in _COMPARED.items()),
    *(Row(model, "groups", _LASTFM, model, parameters) for model, parameters in _LONG.items()),
    *(Row(label, "members", "ml-1m", model, parameters) for label, (model, parameters) in _MEMBERS.items()))}


def measure(row: Row) -> dict[str, Any]:
    """Fit, audit, and say what was found."""
    from recsys import models
    from recsys.console import plain

    began, cpu = time.monotonic(), time.process_time()
    data = real(row.data)
    model = models.model_class(row.model)(**row.parameters)
    found = (_groups if row.kind == "groups" else _members)(row, model, data.binarise())
    minutes = {"cpu": (time.process_time() - cpu) / 60, "wall": (time.monotonic() - began) / 60}
    parameters = {key: value for key, value in model.get_params().items() if isinstance(value, (int, float, str))}
    about = {"name": row.name, "on": row.data, "kind": row.kind, "label": row.label, "model": repr(model)}
    return stamped({**about, "parameters": parameters, "minutes": minutes, **plain(found)}, described(row.data, data))


def _groups(row: Row, model: Any, data: Any) -> dict[str, Any]:
    from recsys.audit import audit
    from recsys.evaluation import protocols

    split = protocols.divided(protocols.find(PROTOCOL), data, None, {})[0]
    model.fit(split.train, split.valid)
    found = audit(model, split, k=K, by=row.by)
    return {"protocol": PROTOCOL, "card": found.card, "measures": [asdict(each) for each in found.rows],
            "groups": [asdict(each) for each in found.differences if each.measure == f"ndcg@{K}"],
            "by_chance": found.by_chance}


def _members(row: Row, model: Any, data: Any) -> dict[str, Any]:
    from recsys.audit import membership

    inside = np.random.default_rng(0).permutation(data.n_users) % 2 == 0
    members, strangers = data.take(inside[data.user]), data.take(~inside[data.user])
    model.fit(members)
    return {"membership": membership(model, members, strangers).to_record()}


def table(results: Sequence[store.Stored]) -> str:
    """Tables of each data set: exposure, groups, members."""
    machines = Machines(results)
    lines: list[str] = []
    for data in dict.fromkeys(row.data for row in ROWS.values()):
        held = [each for each in results if each["kind"] == "groups" and each["on"] == data]
        if held:
            lines += ["", f"## {data}: what is shown", "", *_exposure(held, machines), "",
                      f"## {data}: groups of people", *_people(held)]
    held = [each for each in results if each["kind"] == "members"]
    if held:
        lines += ["", "## Can it be told who was in the training data", "", *_signals(held, machines)]
    return "\n".join([*lines[1:], "", machines.legend()])


def _exposure(held: Sequence[store.Stored], machines: Machines) -> Iterator[str]:
    from recsys.audit.findings import measured, ratio

    names = [f"{name}@{K}" for name in _MEASURES]
    yield f"| model | {' | '.join(names)} | minutes, CPU / wall | machine |"
    yield f"|---|{'---:|' * len(names)}---:|---|"

    def cells(row: store.Stored, who: str) -> str:
        found = {each["measure"]: each for each in row["measures"] if each["who"] == who}
        return " | ".join(" ".join([measured(name, found[name]["value"]), ratio(name, *map(
            _number, (found[name]["low"], found[name]["high"])))]).strip() if name in found else "-" for name in names)

    for row in held:
        yield f"| {row['label']} | {cells(row, 'model')} | {_minutes(row)} | {machines.numbers([row])} |"
    for who, says in (("popular", "control: the same popular items for all"), ("random", "control: items by chance")):
        yield f"| {says} | {cells(held[0], who)} |  |  |"


def _people(held: Sequence[store.Stored]) -> Iterator[str]:
    """The difference of each group to the rest, and to those of the rest of whom as much was held out."""
    groups = [(each["grouping"], each["group"], each["people"]) for each in held[0]["groups"]
              if each["measure"] == f"ndcg@{K}"]
    kinds = (("the rest", "difference", True), ("others of whom as much was held out", "alike", False))
    for title, key, starred in kinds:
        yield from ["", f"NDCG@{K} of a group less that of {title}:", "",
                    f"| group | people | {' | '.join(row['label'] for row in held)} |",
                    f"|---|---:|{'---:|' * len(held)}"]
        for grouping, group, people in groups:
            cells = []
            for row in held:
                (found,) = (each for each in row["groups"] if each["measure"] == f"ndcg@{K}" and (
                    each["grouping"], each["group"]) == (grouping, group))
                cells.append(_limited(found, key) + " \\*" * (starred and found["p_holm"] < 0.05))
            yield f"| {grouping}: {group} | {people:,} | {' | '.join(cells)} |"
    chance = ", ".join(f"{row['label']} {row['by_chance']}" for row in held)
    yield from ["", f"\\* by a test that shuffles people, Holm's p < .05 over all groups and measures. Differences "
                    f"that it shows when people are shuffled beforehand: {chance}."]


def _limited(found: Mapping[str, Any], key: str) -> str:
    value, low, high = (found[f"{key}{end}"] for end in ("", "_low", "_high"))
    return "-" if value is None else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _minutes(row: store.Stored) -> str:
    return f"{row['minutes']['cpu']:.1f} / {row['minutes']['wall']:.1f}"


def _signals(held: Sequence[store.Stored], machines: Machines) -> Iterator[str]:
    first = held[0]["membership"]
    yield (f"{held[0]['on']}, half of the people drawn with seed 0 for training; {first['members']:,} of them and "
           f"{first['strangers']:,} of the others, all folded in. AUC with its 95 % interval over people; .5 is a "
           f"guess.")
    yield from ["", f"| model | parameters | {' | '.join(_SIGNALS)} | popularity alone | labels shuffled | "
                    f"minutes, CPU / wall | machine |", f"|---|---|{'---:|' * len(_SIGNALS)}---:|---:|---:|---|"]
    for row in held:
        found = {each["signal"]: each for each in row["membership"]["attacks"]}
        cells = [f"{found[name]['auc']:.3f} [{found[name]['low']:.3f}, {found[name]['high']:.3f}]" for name in _SIGNALS]
        last = found[_SIGNALS[-1]]
        yield (f"| {row['label']} | `{row['model']}` | {' | '.join(cells)} | {last['popular']:.3f} | "
               f"{last['shuffled']:.3f} | {_minutes(row)} | {machines.numbers([row])} |")


def write(results: Sequence[store.Stored]) -> None:
    """Put the tables into their page."""
    put("audit", table(results), DOCS / "benchmarks-audit.md")


def main(arguments: Sequence[str]) -> int:
    """Measure the rows named, or all: 0, 2 for an unknown name, 3 where a set is absent."""
    return measure_each("audit", __doc__, arguments, ROWS, measure, _told, RESULTS, write)


def _told(found: Mapping[str, Any]) -> str:
    return f"{found['minutes']['wall']:.1f} minutes"

"""What privacy costs: `python -m benchmarks privacy [NAME ...]`.

Each model learns with a promise to every person (or none), the same model without one, and the most popular items stand
beside it. Figures are on the test part, which chose nothing; noise is drawn anew for each run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.accuracy import load
from benchmarks.accuracy_rows import Row
from benchmarks.provenance import Machines, stamped
from benchmarks.rows import measure_each
from benchmarks.table import DOCS, put
from benchmarks.worker import peak

RESULTS = Path(__file__).parent / "privacy.json"
METRIC = "ndcg@10"
PROTOCOL = "ratio-811-full"
RUNS = 3  # of everything that draws noise


@dataclass(frozen=True)
class Case:
    """A model that learns privately, and with which hyper-parameters it is best without.

    `private` are those of `Private` besides the model.
    """

    name: str
    model: str
    private: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    plain: Mapping[str, Any] = field(default_factory=dict)
    data: str = "ml-1m"

    @property
    def options(self) -> Mapping[str, Any]:
        """Of the protocol: liked films are what is learned."""
        return {"min_value": 3} if self.data == "ml-1m" else {}


_DELTA, _FEWER = 1.65e-4, 3e-5  # below 1 / 6,039 people, and 1 / 32,711
_UNTIED = {"tied": False, "dropout": 0.05}
_STEPS = {"hidden": (64,), "batch_size": 6040, "epochs": 30, "lr": 0.01, "patience": None}  # all people in every step
_SAMPLES = {"hidden": (64,), "batch_size": 3000, "epochs": 40, "lr": 0.01, "dropout": 0.2}
CASES = [
    *(Case(f"ml-1m/LinearAutoencoder, {epsilon:g}", "LinearAutoencoder", {"epsilon": epsilon, "delta": _DELTA},
            _UNTIED) for epsilon in (10.0, 3.0, 1.0)),
    *(Case(f"ml-1m/EASE, {epsilon:g}", "EASE", {"epsilon": epsilon, "delta": _DELTA})
      for epsilon in (10.0, 3.0, 1.0)),
    Case("ml-1m/MultDAE by steps, 10", "MultDAE", {"epsilon": 10.0, "delta": _DELTA}, _STEPS),
    *(Case(f"msweb/EASE, {epsilon:g}", "EASE", {"epsilon": epsilon, "delta": _FEWER}, data="msweb")
      for epsilon in (10.0, 1.0)),
    Case("msweb/MultDAE by steps, 10", "MultDAE", {"epsilon": 10.0, "delta": _FEWER}, _SAMPLES, data="msweb"),
]
BY_NAME = {claim.name: claim for claim in CASES}


def measure(claim: Case) -> dict[str, Any]:
    """A row: with a promise, without, and popular items, each with an interval over people and runs.

    Raises
    ------
    Absent
        The data is not there.
    """
    from recsys.evaluation import over_seeds, protocols
    from recsys.models import Popular, Private, model_class

    about, data = load(Row(claim.name, claim.data, PROTOCOL, claim.model, (METRIC,)))
    protocol = protocols.find(PROTOCOL)
    split = protocols.divided(protocol, protocols.prepared(protocol, data), None, claim.options)[0]
    private = Private(model=(claim.model, claim.parameters), **claim.private)
    found, minutes, promised = {}, {}, {}
    for kind, model in {"private": private, "plain": model_class(claim.model)(**claim.plain),
                        "popular": Popular()}.items():
        begin = sum(os.times()[:4]), time.monotonic()
        runs = [_run(model.clone(), split) for _ in range(RUNS if kind == "private" else 1)]
        spent = sum(os.times()[:4]) - begin[0], time.monotonic() - begin[1]
        minutes[kind] = {name: each / 60 / len(runs) for name, each in zip(("cpu", "wall"), spent, strict=True)}
        found[kind] = [result for _, result in runs]
        promised = getattr(runs[0][0], "privacy_", promised)
    told = {kind: over_seeds(results, metric=METRIC) for kind, results in found.items()}
    lost = over_seeds(found["plain"] * RUNS, found["private"], metric=METRIC)
    plain = told["plain"].value
    result = {
        "name": claim.name, "on": claim.data, "model": repr(private),
        "plain": repr(model_class(claim.model)(**claim.plain)),
        "privacy": promised, "metrics": {kind: each.value for kind, each in told.items()},
        "interval": {kind: [each.low, each.high] for kind, each in told.items()},
        "by_run": list(told["private"].by_seed), "lost": lost.value / plain,
        "lost_interval": [lost.low / plain, lost.high / plain], "minutes": minutes, "peak_mib": peak()}
    return stamped(result, about)


def _run(model: Any, split: Any) -> tuple[Any, Any]:
    """A model that has learned, with the validation part to stop by if it looks at that, and what it reaches."""
    from recsys.evaluation import evaluate

    model.fit(split.train, split.valid)
    return model, evaluate(model, split, k=10, metrics=[METRIC], part="test")


def table(results: Sequence[store.Stored]) -> str:
    """A row a claim, in the order of the list; those that have not been measured stand there as well."""
    machines, groups = Machines(results), store.by_name(results)
    lines = [f"Protocol `{PROTOCOL}`, on ml-1m values of 3 or more, {METRIC} on the test part, mean of {RUNS} runs "
             f"with new noise; 95 % intervals over people and runs; minutes are of one fit and its measurement, "
             f"and the peak is that of the process so far.", "",
             "| model | promise | with it | without, by | lost | popular items | minutes, CPU / wall | peak memory | "
             "machine |", "|---|---|---:|---:|---:|---:|---:|---:|---|"]
    for claim in CASES:
        for row in groups.get(claim.name, ()):
            lines.append(_line(row, machines))
        if claim.name not in groups:
            lines.append(f"| {claim.name}, not measured |  |  |  |  |  |  |  |  |")
    return "\n".join([*lines, "", machines.legend()])


def _line(row: store.Stored, machines: Machines) -> str:
    from recsys.training.private import sentence

    values = {kind: f"**{row['metrics'][kind]:.4f}** [{low:.4f}, {high:.4f}]"
              for kind, (low, high) in row["interval"].items()}
    low, high = row["lost_interval"]
    spent = row["minutes"]["private"]
    return "| " + " | ".join([
        f"{row['name']}, `{row['model']}`", sentence(row["privacy"]), values["private"],
        f"{values['plain']}, `{row['plain']}`", f"{row['lost']:.1%} [{low:.1%}, {high:.1%}]", values["popular"],
        f"{spent['cpu']:.2f} / {spent['wall']:.2f}", f"{row['peak_mib']:,.0f} MiB", machines.numbers([row])]) + " |"


def write(results: Sequence[store.Stored]) -> None:
    """Put the table into its page."""
    put("privacy", table(results), DOCS / "benchmarks-privacy.md")


def main(arguments: Sequence[str]) -> int:
    """Measure the rows named, or all: 0, 2 for an unknown name, 3 where a set is absent."""
    return measure_each("privacy", __doc__, arguments, BY_NAME, measure, _told, RESULTS, write)


def _told(found: Mapping[str, Any]) -> str:
    return f"{found['metrics']}, lost {found['lost']:.3f}"

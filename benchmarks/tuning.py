"""What a search finds in a quarter of a full grid's time: `python -m benchmarks tuning [NAME ...] [--json]`.

Each row runs every setting of a grid on the people by whom settings are chosen, and then `recsys.tuning.tune`, and a
random search by Optuna's own sampler, for a quarter of the CPU time that the grid took. All figures are of the
validation part; "anew" is on its other people, by whom nothing was chosen.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import store
from benchmarks.datasets import described
from benchmarks.defaults_rows import SETS
from benchmarks.grids import grid
from benchmarks.provenance import Machines, stamped
from benchmarks.rows import measure_each
from benchmarks.table import DOCS, put

RESULTS = Path(__file__).parent / "tuning.json"
PART = 0.25  # of the grid's time
ENOUGH = 0.95  # of the grid's best value


class Search(NamedTuple):
    """A model, its grid, and the set it is tuned on."""

    model: str
    data: str
    grid: list[dict[str, Any]]
    fixed: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.model} on {self.data}"


_GRIDS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "EASE": ({}, grid(reg=[30.0, 100.0, 300.0, 1000.0], dropout=[0.0, 0.2, 0.4, 0.6], user_power=[0.0, 0.25, 0.5],
                      item_power=[0.0, 0.2])),
    "ALS": ({}, grid(factors=[32, 64, 128], alpha=[1.0, 5.0, 20.0, 80.0], reg=[0.03, 0.1, 0.4, 1.6],
                     reg_exponent=[0.5, 1.0])),
    "GMF": ({"epochs": 40, "patience": 5}, grid(factors=[16, 32, 64], lr=[0.005, 0.02, 0.08],
                                               reg=[0.01, 0.05, 0.2, 0.8])),
}
ROWS = {search.name: search for search in (Search(model, data, settings, fixed) for model, (fixed, settings)
                                           in _GRIDS.items() for data in ("ml-100k", "deskdrop"))}


def measure(search: Search) -> dict[str, Any]:
    """One row; on one thread, so that a second of the clock is a second of CPU."""
    from minidl import runtime

    warnings.simplefilter("ignore")
    before = runtime.threads()
    runtime.set_threads(1)
    try:
        with runtime.blas_threads(1):
            return _measured(search)
    finally:
        runtime.set_threads(before)


def _measured(search: Search) -> dict[str, Any]:
    from recsys import tuning
    from recsys.evaluation import protocols
    from recsys.models import find
    from recsys.tuning.trials import Job, Shared, attempt, halves, without_test

    case = next(case for case in SETS if case.name == search.data)
    data, protocol = case.read(), protocols.find("ratio-811-full")
    choosing, fresh = halves(without_test(protocols.divided(protocol, data, None, {})[0]), 0)
    shared = Shared(protocol, choosing, "ndcg@10", 10)
    base = find(search.model)(**search.fixed)
    attempt(shared, Job(search.model, base.get_params()))  # kernels are compiled
    begin = time.process_time()
    tried = [attempt(shared, Job(search.model, {**base.get_params(), **setting})) for setting in search.grid]
    spent = time.process_time() - begin
    best = max((each for each in tried if each.value is not None), key=lambda each: float(each.value or 0))
    found = tuning.tune({search.model: base}, data, protocol, minutes=PART * spent / 60, metric=shared.metric,
                        fixed={search.model: tuple(search.fixed)})
    random = _by_chance(shared, base, found, PART * spent)
    chosen = max(each.value or 0.0 for each in found.trials[search.model])
    return stamped({
        "name": search.name, "model": search.model, "on": case.source, "set": case.name, "protocol": protocol.name,
        "metric": "ndcg@10",
        "grid": {"settings": len(search.grid), "value": best.value, "seconds": spent, "parameters": best.parameters,
                 "anew": _anew(shared, fresh, search.model, best.parameters)},
        "tuned": {"trials": len(found.trials[search.model]), "value": chosen,
                  "seconds": found.card["seconds of CPU"], "parameters": found.winner.parameters,
                  "anew": max(each.anew.value for each in found.finalists)},
        "random": {"trials": len(random), "value": max(random)},
        "default": {"value": found.trials[search.model][0].value,
                    "anew": next((each.anew.value for each in found.finalists if each.default), None)}},
        described(case.source, data))


def _by_chance(shared: Any, model: Any, found: Any, seconds: float) -> list[float]:
    """The values of settings drawn at random from the same space, for so many seconds of CPU."""
    import optuna

    from recsys.tuning.study import distribution
    from recsys.tuning.trials import Job, attempt

    name, begin, values = type(model).__name__, time.process_time(), list[float]()
    space = {each: distribution(searched) for each, searched in found.spaces[name].items()}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    while time.process_time() - begin < seconds:
        drawn = study.ask(space).params
        values.append(attempt(shared, Job(name, {**model.get_params(), **drawn})).value or 0.0)
    return values


def _anew(shared: Any, fresh: Any, model: str, parameters: Mapping[str, Any]) -> float:
    """The setting on the people by whom nothing was chosen."""
    from recsys.tuning.trials import Job, anew

    return float(anew(shared, fresh, Job(model, parameters))[0].metrics[shared.metric])


def table(rows: Sequence[store.Stored]) -> str:
    """A line a row."""
    lines = ["| model | data | grid: settings, CPU s | best | tuned: trials, CPU s | best | of the grid's | random "
             "search | default | anew: grid, tuned, default | |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"]
    for row in rows:
        full, tuned = row["grid"], row["tuned"]
        part = tuned["value"] / full["value"]
        anew = ", ".join("" if value is None else f"{value:.3f}" for value in (
            full["anew"], tuned["anew"], row["default"]["anew"]))
        lines.append(f"| {row['model']} | {row['set']} | {full['settings']}, {full['seconds']:.0f} | "
                     f"{full['value']:.4f} | {tuned['trials']}, {tuned['seconds']:.0f} | "
                     f"**{tuned['value']:.4f}** | {part:.1%} | {row['random']['value']:.4f} | "
                     f"{row['default']['value']:.4f} | {anew} | "
                     f"{'' if part >= ENOUGH else 'short'} |")
    return "\n".join([*lines, "", Machines(rows).legend()])


def main(arguments: Sequence[str]) -> int:
    """Measure the rows named, or all: 0, 2 for an unknown name, 3 where a set is absent."""
    return measure_each("tuning", __doc__, arguments, ROWS, measure, _told, RESULTS, write)



def write(rows: Sequence[store.Stored]) -> None:
    """Put the table into its page."""
    put("tuning", table(rows), DOCS / "benchmarks-tuning.md")


def _told(found: Mapping[str, Any]) -> str:
    return f"{found['tuned']['value'] / found['grid']['value']:.1%} of the grid's value"

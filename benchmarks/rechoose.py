"""Defaults chosen over several sets at once: `python -m benchmarks rechoose MODEL [...] [--data SET ...]`.

The same settings are tried on all sets, on half of the people of each validation part: a parameter whose default
follows from the data at multiples of what is taken of each set, others at values, drawn by the sampler of `recsys
tune`. A setting counts by the geometric mean over the sets of its value as a multiple of the defaults' (of errors, the
inverse). The best one and the defaults are scored anew on the other half, by whom nothing was chosen, with paired
intervals. Nothing in the code is changed by it: whoever changes a default looks here.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.datasets import MADE, Absent
from benchmarks.defaults import Divided
from benchmarks.defaults_rows import MODELS, SETS, Case
from benchmarks.provenance import Machines, stamped
from benchmarks.table import DOCS, put

RESULTS = Path(__file__).parent / "rechosen.json"
TRIALS = 40
GAIN = 1.01  # as a multiple of the defaults, anew, from where another default is worth its change
_OF_TASK = {"ranking": ("ml-100k", "retail", "msweb", "deskdrop", "restaurants", "filmtrust"),
            "ratings": ("ml-100k ratings", "ml-latest ratings", "filmtrust ratings", "restaurants ratings"),
            "next": ("ml-100k next, 300", "deskdrop next, 500", "retail next, 300", "video next, 1000")}
CASES = {case.name: case for case in (*SETS, Case(
    "ml-latest new items", "titles and genres", "ranking", "new-items", "ml-latest-small", options={"min_value": 4}))}
_OF_MODEL = {**dict.fromkeys(("TextCNN", "Multimodal", "ContentProfile", "FeatureALS"), ("ml-latest new items",)),
             **dict.fromkeys(("TrustSVD", "SocialMF"), ("filmtrust ratings", "ciao ratings")),
             "TrustKNN": ("filmtrust", "ciao")}
_LEAST = 1e-3  # of the defaults' value, which stands for 0 in a geometric mean


@dataclass(frozen=True, eq=False)
class Place:
    """A set with what the defaults reach and take there."""

    case: Case
    shared: Any
    fresh: Any
    value: float
    space: Mapping[str, Any]


def place_of(model: Any, case: Case) -> Place:
    """The defaults, tried on a set; ValueError where they fail."""
    from recsys.evaluation import protocols
    from recsys.tuning.spaces import space_of
    from recsys.tuning.trials import Job, Shared, attempt, halves, without_test

    protocol = protocols.find("ratings-90-10" if case.task == "ratings" else case.protocol)
    choosing, fresh = halves(without_test(Divided(case).split), 0)
    shared = Shared(protocol, choosing, case.metric, 10, case.values)
    found = attempt(shared, Job(type(model).__name__, model.get_params()))
    if not found.value:
        raise ValueError(found.reason or f"{case.metric} is {found.value}")
    return Place(case, shared, fresh, found.value, space_of(model, found.usual))


def drawn_from(places: Sequence[Place]) -> dict[str, Any]:
    """What is drawn for each parameter that is searched on all sets alike: Optuna's distributions."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    made: dict[str, BaseDistribution] = {}
    for name, first in places[0].space.items():
        ranges = [place.space.get(name) for place in places]
        if any(each is None or each.options != first.options for each in ranges):
            continue
        if first.options:
            made[name] = CategoricalDistribution(first.options)
        elif first.log:  # the logarithm of a multiple of what is usual
            made[name] = FloatDistribution(min(math.log(each.low / each.usual) for each in ranges if each.low > 0),
                                           max(math.log(each.high / each.usual) for each in ranges))
        else:
            made[name] = FloatDistribution(min(each.low for each in ranges), max(each.high for each in ranges))
    return made


def setting_at(place: Place, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a set for what was drawn for all."""
    found = {}
    for name, value in drawn.items():
        own = place.space[name]
        if not own.options:
            value = min(max(own.usual * math.exp(value) if own.log else value, own.low), own.high)
            value = round(value) if own.whole else value
        found[name] = value
    return found


def gain(values: Sequence[float | None], usual: Sequence[float], smaller: bool) -> float:
    """The geometric mean of values as multiples of the defaults'; of errors inverted; NaN where a set has no value."""
    if any(value is None for value in values):
        return math.nan
    parts = [base / value if smaller else value / base for value, base in zip(values, usual, strict=True)
             if value is not None]
    return math.exp(sum(math.log(max(part, _LEAST)) for part in parts) / len(parts))


def searched(model: Any, places: Sequence[Place], trials: int, seconds: float) -> tuple[dict[str, Any], float, int]:
    """The best setting drawn, its gain, and how many were tried; the first trial is the defaults."""
    import optuna

    from recsys.tuning.trials import Job, attempt

    space, begin = drawn_from(places), time.monotonic()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=8))
    best, most, tried = dict[str, Any](), 1.0, 1
    study.add_trial(optuna.trial.create_trial(value=1.0, distributions=space, params={
        name: places[0].space[name].usual if hasattr(each, "choices") or not places[0].space[name].log else 0.0
        for name, each in space.items()}))
    while space and tried < trials and (tried < 4 or time.monotonic() - begin < seconds):
        trial = study.ask(space)
        values = [attempt(place.shared, Job(type(model).__name__, {
            **model.get_params(), **setting_at(place, trial.params)})).value for place in places]
        found, tried = gain(values, [place.value for place in places], places[0].case.metric == "rmse"), tried + 1
        if math.isnan(found):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, found)
        if found > most:
            best, most = dict(trial.params), found
    return best, most, tried


def scored(model: Any, place: Place, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults and another setting on the people by whom nothing was chosen."""
    from recsys.evaluation.comparison import compare
    from recsys.tuning.trials import Job, anew

    name, usual = type(model).__name__, model.get_params()
    found = {label: anew(place.shared, place.fresh, Job(name, {**usual, **setting}))[0]
             for label, setting in (("defaults", {}), ("best", setting_at(place, drawn)))}
    row = next(row for row in compare(found, metrics=[place.shared.metric], baseline="defaults").entries
               if row.model == "best")
    return {"set": place.case.name, "defaults": found["defaults"].metrics[place.shared.metric], "best": row.value,
            "low": row.difference_low, "high": row.difference_high}


def measure(name: str, cases: Sequence[Case], trials: int, minutes: float) -> dict[str, Any]:
    """A row: the best of so many settings over the sets, beside the defaults."""
    from recsys.errors import RecsysError
    from recsys.models import find

    begin, model, places, failed = time.process_time(), find(name)(), [], {}
    for case in cases:
        try:
            places.append(place_of(model, case))
        except (Absent, RecsysError, ValueError) as error:
            failed[case.name] = str(error)
    if not places:
        raise ValueError("; ".join(f"{case}: {why}" for case, why in failed.items()))
    drawn, most, tried = searched(model, places, trials, 60 * minutes)
    by_set = [scored(model, place, drawn) for place in places] if drawn else []
    again = gain([each["best"] for each in by_set], [each["defaults"] for each in by_set],
                 places[0].case.metric == "rmse") if drawn else 1.0
    return stamped({"name": name, "on": MADE, "model": name, "metric": places[0].case.metric, "trials": tried,
                    "sets": [place.case.name for place in places], "failed": failed, "gain": most, "anew": again,
                    "by_set": by_set, "setting": {each: _said(places[0], each, value) for each, value in drawn.items()},
                    "cpu": time.process_time() - begin}, {"name": MADE})


def _said(place: Place, name: str, value: Any) -> str:
    own = place.space[name]
    if own.options:
        return str(value)
    return f"{math.exp(value):.2f} times what is usual" if own.log else f"{value:.3g}"


def table(rows: Sequence[store.Stored]) -> str:
    """A line a model."""
    machines = Machines(rows)
    lines = ["| model | sets | settings | best, of the defaults | the same anew | sets better, worse | setting | CPU s "
             "| machine |", "|---|---|---:|---:|---:|---:|---|---:|---|"]
    for row in rows:
        sign = -1 if row["metric"] == "rmse" else 1
        better = sum((each["low"] if sign > 0 else -each["high"]) > 0 for each in row["by_set"])
        worse = sum((each["high"] if sign > 0 else -each["low"]) < 0 for each in row["by_set"])
        setting = ", ".join(f"{name} {value}" for name, value in row["setting"].items()) or "the defaults"
        lines.append(f"| {row['model']} | {'; '.join(row['sets'])} | {row['trials']} | {row['gain']:.1%} | "
                     f"{row['anew']:.1%} | {better}, {worse} | {setting} | {row['cpu']:.0f} | "
                     f"{machines.numbers([row])} |")
    left = [f"{row['model']} on {case} ({why})" for row in rows for case, why in row["failed"].items()]
    worth = [row["model"] for row in rows if row["anew"] >= GAIN]
    return "\n".join([*lines, "", f"At least {GAIN - 1:.0%} better anew: {', '.join(worth) or 'none'}.",
                      *([f"Left out: {'; '.join(left)}."] if left else []), "", machines.legend()])


def write(rows: Sequence[store.Stored]) -> None:
    """Put the table into its page."""
    put("rechosen", table(rows), DOCS / "benchmarks-tuning.md")


def sets_of(name: str) -> Sequence[str]:
    """The sets on which a model's defaults are chosen: of its first task, small ones where it is slow."""
    from recsys.models import find

    if name in _OF_MODEL:
        return _OF_MODEL[name]
    tried = next((tried for tried in MODELS if tried.model == name), None)
    can = find(name)().can
    task = "ratings" if can.ratings else "next" if can.sequence else "ranking"
    return [each for each in _OF_TASK[task] if not (tried and tried.sets) or each in tried.sets] or _OF_TASK[task]


def main(arguments: Sequence[str]) -> int:
    """Choose for the models named: 0, 1 where one cannot be measured, 2 for an unknown name."""
    from recsys.models import REGISTRY

    parser = argparse.ArgumentParser(prog="python -m benchmarks rechoose", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="names, or all")
    parser.add_argument("--data", nargs="+", metavar="SET", help="names of sets of `python -m benchmarks defaults`")
    parser.add_argument("--trials", type=int, default=TRIALS, metavar="N", help="settings (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=5.0, metavar="M",
                        help="draw no more settings of a model after so long (default: %(default)s)")
    options = parser.parse_args(arguments)
    names = list(REGISTRY) if options.models == ["all"] else options.models
    for given, known in ((names, REGISTRY), (options.data or (), CASES)):
        for name in given:
            if name not in known:
                print(f"nothing is named {name!r}; there are {', '.join(known)}", file=sys.stderr)
                return 2
    warnings.simplefilter("ignore")
    code = 0
    for name in names:
        try:
            row = measure(name, [CASES[each] for each in options.data or sets_of(name)], options.trials,
                          options.minutes)
        except ValueError as error:
            code = 1
            print(f"{name}: {error}; skipped", file=sys.stderr)
            continue
        print(f"{name}: {row['gain']:.1%}, anew {row['anew']:.1%}, {row['trials']} settings, {row['cpu']:.0f} s",
              file=sys.stderr)
        write(store.add(RESULTS, [row], list(REGISTRY)))
    return code

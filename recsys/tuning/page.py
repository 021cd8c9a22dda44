"""The page of a search: what won, how sure that is, and what every trial has told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from os import PathLike
from typing import Any

from recsys.console import cell
from recsys.evaluation.metrics import LOWER_IS_BETTER
from recsys.files import replacing
from recsys.report import figures
from recsys.report.parts import block, definitions, document, table
from recsys.tuning.study import importances
from recsys.tuning.trials import Trial
from recsys.tuning.tuning import Tuned

__all__ = ["html", "write"]

_FEW = 3  # trials with values, with fewer of which nothing is drawn


def write(found: Tuned, title: str, path: str | PathLike[str]) -> None:
    """Write the page, wholly or not at all."""
    text = html(found, title)
    with replacing(path) as file:
        file.write(text.encode())


def html(found: Tuned, title: str) -> str:
    """The page as text; it refers to nothing outside of itself."""
    larger = found.metric.partition("@")[0] not in LOWER_IS_BETTER
    parts = [f"<h1>{escape(title)}</h1>", _words(found), "<h2>Scored anew</h2>", _finalists(found), _intervals(found),
             "<h2>The winner</h2>", definitions(_digits(found.winner.parameters)),
             "<h2>How</h2>", definitions(_digits(found.card)), "<h2>The search</h2>",
             block("scroll points", figures.best_so_far("history", {
                 name: [each.value for each in trials] for name, trials in found.trials.items()}, found.metric,
                 larger))]
    cost = {name: ([each.seconds for each in trials if each.value is not None],
                   [each.value for each in trials if each.value is not None]) for name, trials in found.trials.items()}
    parts += ["<h2>Accuracy against cost</h2>", block("panels", *figures.scatters(
        "cost", {f"{name}: seconds": values for name, values in cost.items() if values[0]}, found.metric,
        [f"{name}: seconds" for name in cost]))]
    for name in found.trials:
        parts += _of_model(found, name)
    return document(title, parts)


def _words(found: Tuned) -> str:
    winner = found.winner
    lucky = next((each for each in found.finalists if not each.default), None)
    said = (f"{winner.model}, {'with the setting that the search began with' if winner.default else 'tuned'}, has "
            f"{found.metric} {winner.anew.value:.4f} [{winner.anew.low:.4f}, {winner.anew.high:.4f}] on people by whom "
            f"nothing was chosen.")
    if lucky is not None:
        said += (f" The best trial of {lucky.model} had {lucky.chosen:.4f} where it was chosen, and has "
                 f"{lucky.anew.value:.4f} anew.")
    return f"<p>{escape(said)}</p>"


def _finalists(found: Tuned) -> str:
    rows = [[each.model, "to begin with" if each.default else "best of its trials", f"{each.anew.value:.4f}",
             f"[{each.anew.low:.4f}, {each.anew.high:.4f}]",
             "" if each.default else f"{each.anew.difference:+.4f} [{each.anew.difference_low:+.4f}, "
                                     f"{each.anew.difference_high:+.4f}]",
             f"{each.chosen:.4f}", f"{each.seconds:.2f}"] for each in found.finalists]
    return table(["model", "setting", found.metric, "95 % interval", "from the setting to begin with", "chosen by",
                  "fit, seconds"], rows)


def _intervals(found: Tuned) -> str:
    tuned = [each for each in found.finalists if not each.default]
    if not tuned:
        return ""
    told = [each.anew.difference_low > 0 or each.anew.difference_high < 0 for each in tuned]
    return block("bars", figures.intervals(
        "gains", [each.model for each in tuned], [each.anew.difference for each in tuned],
        [(each.anew.difference_low, each.anew.difference_high) for each in tuned],
        f"{found.metric}, difference from the setting to begin with", 0.0, told))


def _of_model(found: Tuned, name: str) -> Iterator[str]:
    """What the trials of a model say of its parameters, and all of them."""
    trials, space = found.trials[name], found.spaces[name]
    with_value = [(each, each.value) for each in trials if each.value is not None]
    yield f"<h2>{escape(name)}: {len(trials)} trials</h2>"
    if not space:
        yield '<p class="fine">None of its parameters is searched.</p>'
        return
    yield definitions({each: str(searched) for each, searched in space.items()})
    if len(with_value) >= _FEW:
        shares = importances(trials, space)
        if shares:
            yield "<h3>Which parameters matter</h3>"
            yield block("bars", figures.shares(f"importances-{name}", list(shares), {"share of the variance": list(
                shares.values())}, "share of the variance of the metric that the parameter explains, per cent"))
        values = [value for _, value in with_value]
        slices = {each: ([_shown(trial, each) for trial, _ in with_value], values) for each in space}
        yield block("panels", *figures.scatters(f"slice-{name}", slices, found.metric,
                                                [each for each, searched in space.items() if searched.log]))
    yield "<details><summary>All trials</summary>" + table(
       ["", "state", found.metric, "seconds", *space, "reason"],
       [[str(place), each.state, cell(each.value), f"{each.seconds:.2f}", *(cell(_shown(each, one)) for one in space),
         each.reason] for place, each in enumerate(trials)]) + "</details>"


def _shown(trial: Trial, name: str) -> Any:
    """The value of a parameter, or what stood for it."""
    value = trial.parameters.get(name)
    return trial.usual.get(name, value) if value is None else value


def _digits(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers with as many digits as tell small ones apart."""
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in values.items()}

"""`recsys tune`: the best hyper-parameters of models, by the validation part of a protocol."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.cli import fitting, measuring, reading, texts
from recsys.console import Console, cell
from recsys.errors import ParameterError
from recsys.files import check_target

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "search the best hyper-parameters of models, by validation"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    reading.add_data(made)
    made.add_argument("--models", required=True, help="names separated by commas; `recsys models` lists them")
    made.add_argument("--set", action="append", default=[], metavar="[MODEL.]NAME=VALUE",
                      help="a parameter of one model, or of all that have it, that is not searched; may be repeated")
    made.add_argument("--minutes", type=texts.finite, help="for all models together (default: 10)")
    made.add_argument("--trials", type=texts.positive,
                      help="of each model; alone, the result is the same on any machine")
    made.add_argument("--jobs", type=texts.positive, default=1, help="processes (default: %(default)s)")
    made.add_argument("--seed", type=texts.seed, default=0, help="of the search (default: %(default)s)")
    made.add_argument("--storage", type=Path, metavar="FILE.db",
                      help="keeps every trial, as Optuna does; the same command goes on from it, also after a kill")
    made.add_argument("--protocol", default=None,
                      help="as of evaluate; by default ratio-811-full, or ratings-90-10 if all models predict ratings")
    made.add_argument("--test", metavar="DATA", help="the test part of protocols that take parts; no model sees it")
    made.add_argument("--valid", metavar="DATA", help="the validation part of such protocols")
    made.add_argument("-k", type=texts.positive, default=10, help="length of the lists (default: %(default)s)")
    made.add_argument("--metric", help="what is made best, such as recall@20; by default the protocol's first")
    made.add_argument("--split-seed", type=texts.seed, help="of the division; each protocol has its own")
    made.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                      help="an option of the protocol; may be repeated")
    made.add_argument("--train-users", type=texts.positive, metavar="N", help="learn from so many random people only")
    made.add_argument("--valid-users", type=texts.positive, metavar="N", help="choose by so many random people only")
    made.add_argument("--out", type=Path, metavar="FILE.toml",
                      help="the winner, as train, evaluate and serve take it with --config")
    made.add_argument("--page", type=Path, metavar="FILE.html", help="a page with all trials and their figures")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import tuning
    from recsys.evaluation import protocols
    from recsys.report import figures
    from recsys.tuning import page

    tuning.require()
    for target in (options.out, options.page, options.storage):
        if target is not None:
            check_target(target)
    if options.page is not None:
        figures.require()
    models = fitting.build_all(texts.names(options.models), options.set)
    if not models:
        raise ParameterError("--models names no model; separate names by commas.")
    if options.protocol is None:
        ratings = all(model.can.ratings for model in models.values())
        options.protocol = "ratings-90-10" if ratings else "ratio-811-full"
    protocol = protocols.find(options.protocol)
    data = measuring.parts(options, console)
    try:
        found = tuning.tune(
            models, data, protocol, minutes=options.minutes, trials=options.trials, jobs=options.jobs,
            seed=options.seed, storage=options.storage, k=options.k, metric=options.metric,
            train_users=options.train_users, valid_users=options.valid_users, split_seed=options.split_seed,
            fixed=_fixed(models, options),
            progress=fitting.progress_bar(options),
            **measuring.protocol_options(protocol, texts.settings(options.option, "--option")))
    except KeyboardInterrupt:
        onward = "the same command goes on" if options.storage else "with --storage FILE.db the same command goes on"
        raise KeyboardInterrupt(f"stopped; {onward}.") from None
    if options.out is not None:
        found.write(options.out)
    if options.page is not None:
        page.write(found, f"Tuned on {options.data}", options.page)
    _show(found, options, console)


def _fixed(models: Mapping[str, Any], options: argparse.Namespace) -> dict[str, list[str]]:
    """What was set, and is not searched, by model."""
    names = [setting.rpartition(".") for setting in texts.settings(options.set, "--set")]
    return {name: [parameter for of, _, parameter in names if of.lower() in ("", name.lower())] for name in models}


def _show(found: Any, options: argparse.Namespace, console: Console) -> None:
    winner = found.winner
    console.table(f"Scored anew: {found.metric}", ["model", "setting", "anew", "interval", "chosen by", "fit, s"],
                  [[each.model, "to begin with" if each.default else "best of its trials", each.anew.value,
                    f"{each.anew.low:.4f} .. {each.anew.high:.4f}", each.chosen, each.seconds]
                   for each in found.finalists],
                  text=2, caption="anew: on people by whom nothing was chosen; chosen by: what the search saw.")
    for name, trials in found.trials.items():
        states = [each.state for each in trials]
        told = f"{name}: {len(trials)} trials"
        told += f", {states.count('pruned')} stopped early" if "pruned" in states else ""
        told += f", {states.count('failed')} failed" if "failed" in states else ""
        console.note(told + ("; none of its parameters is searched." if not found.spaces[name] else "."))
        for reason in dict.fromkeys(each.reason for each in trials if each.state == "failed"):
            console.note(f"  failed: {reason}")
    console.pairs(f"The winner: {winner.model}", {name: cell(value) if not isinstance(value, float) else f"{value:.6g}"
                                                  for name, value in winner.parameters.items()})
    console.pairs("How", found.card)
    for target in (options.out, options.page):
        if target is not None:
            console.note(f"Wrote {target}.")
    console.result(found.to_record())

"""`recsys audit`: whom a model serves badly, what it shows and hides, whom it gives away."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from recsys.cli import fitting, measuring, reading, texts
from recsys.console import Console
from recsys.errors import DataError, ParameterError
from recsys.files import check_target

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "quality by group, exposure, calibration, drift and membership of a model"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="a file that `recsys train` wrote")
    reading.add_data(made)
    measuring.add_protocol(made, needed=False)
    made.add_argument("--by", default="", metavar="NAME,...",
                      help="attributes of users to group them by, such as gender,age; none are used that are not named")
    made.add_argument("--items-by", default="", metavar="NAME,...", help="attributes of items to group them by, beside "
                      "popularity, genres and age")
    made.add_argument("--strangers", metavar="DATA", help="people who were not in the training data, read as --data "
                      "is: can it be told who was?")
    made.add_argument("--people", type=texts.positive, default=1000, metavar="N",
                      help="so many of the training data and of the strangers are asked at most (default: %(default)s)")
    made.add_argument("--smallest", type=texts.positive, default=20, metavar="N",
                      help="groups of fewer people are merged (default: %(default)s)")
    made.add_argument("--out", type=Path, help="a page (HTML) for people, with figures")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import loading
    from recsys.audit import audit
    from recsys.report import figures

    if options.out is not None:
        figures.require()
        check_target(options.out)
    model = loading.load(options.model)
    split, model, settings = _divided(options, model, console)
    strangers = None
    if options.strangers is not None:
        strangers = reading.read(options, options.strangers, console, given_apart=True)
        strangers = _known(strangers.reindex(strangers.users, split.train.items, "skip"), strangers, options.strangers,
                           console)
        _require_strange(strangers, split.train, options.strangers)
    metrics = measuring.metrics(options.metrics, options.k, "ranking") or ["ndcg", "recall"]
    found = audit(model, split, k=options.k, by=texts.names(options.by), items_by=texts.names(options.items_by),
                  metrics=metrics, part=options.part, strangers=strangers, smallest=options.smallest,
                  people=options.people, seed=options.seed or 0, progress=fitting.progress_bar(options), **settings)
    if not console.as_json:
        _show(found, console)
    if options.out is not None:
        found.write(options.out)
        console.note(f"Wrote {options.out}.")
    console.result({**found.to_record(), "page": None if options.out is None else str(options.out)})


def _divided(options: argparse.Namespace, model: Any, console: Console) -> tuple[Any, Any, dict[str, Any]]:
    """What is held out of what, the model that has learned from the rest, and how the protocol ranks."""
    from recsys.data import Split

    if options.refit or options.valid_users is not None:
        raise ParameterError("--refit and --valid-users are of recsys evaluate and compare; an audit trains, if it has "
                             "to, on the training part of the protocol; leave them out.")
    if options.protocol is not None:
        return _by_protocol(options, model, console)
    if options.valid is not None or options.option or options.part != "test":
        raise ParameterError("--valid, --option and --part go with --protocol; name one, or leave them out.")
    data = reading.read_telling(options, console)
    train = _known(data.reindex(model.users, model.items, "skip"), data, options.data, console)
    test, card = train.take([]), {"split": "none"}
    if options.test is not None:
        given = reading.read(options, options.test, console, given_apart=True)
        test = _known(given.reindex(model.users, model.items, "skip"), given, options.test, console)
        card = {"split": f"{options.test}, given apart"}
    if len(model.users) and model.fingerprint != train.fingerprint():
        console.warn(f"{options.data}: the model was trained on other events than these"
                     + ("; it answers from these." if model.can.fold_in else
                        "; it answers from those that it was trained on, as it does not fold in."))
        return (Split(train, None, test, card, test_history=train if model.can.fold_in else None), model,
                {"candidates": "all"})  # not those alone that have events in this data
    return Split(train, None, test, card), model, {}


def _by_protocol(options: argparse.Namespace, model: Any, console: Console) -> tuple[Any, Any, dict[str, Any]]:
    """The first fold of a protocol, and the model, trained again if it was not trained on that."""
    from recsys.evaluation import protocols

    protocol = protocols.find(options.protocol)
    if protocol.task != "ranking":
        raise ParameterError(f"--protocol {protocol.name} measures ratings; an audit is of lists: name a protocol that "
                             f"ranks.")
    data = protocols.prepared(protocol, measuring.parts(options, console))
    chosen = measuring.protocol_options(protocol, texts.settings(options.option, "--option"))
    split = protocols.divided(protocol, data, options.seed, chosen)[0]
    if protocol.implicit and not model.can.ratings:
        split = protocols.without_values(split)
    if model.fingerprint != split.train.fingerprint() or model.users != split.train.users:
        console.warn(f"{options.model} was not trained on the training part of {protocol.name}: what is audited is a "
                     f"model with the same parameters that is trained on it now.")
        model = model.clone().fit(split.train, split.valid, valid_history=split.valid_history,
                                  progress=fitting.progress_bar(options))
    settings = {name: value for name, value in protocol.settings.items() if name in ("candidates", "exclude_seen")}
    return replace(split, card={"protocol": protocol.name, **split.card}), model, settings


def _known(kept: Any, given: Any, source: str, console: Console) -> Any:
    """What is left of data whose users or items a model knows, with a word about the rest."""
    if not len(kept):
        raise DataError(f"{source}: the model knows none of its users with an item that it knows; give data with the "
                        f"ids that it was trained on.")
    if len(kept) < len(given):
        console.warn(f"{source}: {len(given) - len(kept):,} of {len(given):,} events are of users or items that the "
                     f"model does not know, and are left out.")
    return kept


def _require_strange(strangers: Any, train: Any, source: str) -> None:
    """Refuse strangers whom the training data knows."""
    known = train.users.encode(strangers.users.ids, "skip")
    common = int((known >= 0).sum()) if train.users.integers == strangers.users.integers else 0
    if common:
        raise DataError(f"{source}: {common:,} of its {strangers.n_users:,} users are in --data too; strangers are "
                        f"people whom the model was not trained on.")


def _show(found: Any, console: Console) -> None:
    """Sentences first, then tables."""
    from recsys.audit.findings import measured, ratio, told

    console.note(f"Audit of {found.model}\n")
    console.note("What stands out\n")
    for title, lines in (*told(found), ("What cannot be said", found.unsaid)):
        console.note("\n".join([title, *(f"- {line}" for line in lines), ""]))
    names = list(dict.fromkeys(row.measure for row in found.rows))
    rows = {(row.who, row.measure): row for row in found.rows}
    console.table("Over all people, beside popular items for all and items by chance",
                  ["measure", "model", "interval", "popular", "random"],
                  [[name, measured(name, found.value(name)), ratio(name, row.low, row.high),
                    measured(name, found.value(name, "popular")), measured(name, found.value(name, "random"))]
                   for name in names if (row := rows.get(("model", name)))])
    for measure in dict.fromkeys(each.measure for each in found.differences):
        console.table(f"Groups of people: {measure}", ["group", "people", "value", "beside the rest", "interval",
                                                       "Holm's p"],
                      [[f"{each.grouping}: {each.group}", each.people, measured(measure, each.value),
                        measured(measure, each.difference), ratio(measure, each.difference_low, each.difference_high),
                        f"{each.p_holm:.3f}"] for each in found.differences if each.measure == measure])
    if found.differences:
        console.note(f"Intervals {found.level:.0%}, people drawn with replacement; p of people shuffled between the "
                     f"groups, corrected for all of these tables.\n")
    console.table("Groups of items, in per cent", ["group", "items", "histories", "held out", "lists", "popular",
                                                   "random", "found"],
                  [[f"{each.grouping}: {each.group}", *(_percent(value) for value in (
                      each.catalogue, each.histories, each.recent, each.lists, each.popular, each.random, each.found))]
                   for each in found.items])
    console.table("Drift: the share that would have to move", ["of", "from", "to", "share", "interval", "by chance"],
                  [[each.groups, each.one, each.other, _percent(each.value),
                    f"[{_percent(each.low)}, {_percent(each.high)}]", _percent(each.by_chance)]
                   for each in found.drifts], text=3)
    if found.membership is not None:
        console.table("Can it be told who was in the training data", ["signal", "AUC", "interval", "popular",
                                                                      "shuffled"],
                      [[each.signal, each.auc, f"[{each.low:.3f}, {each.high:.3f}]", each.popular, each.shuffled]
                       for each in found.membership.attacks],
                      caption=f"{found.membership.members:,} of the training data, {found.membership.strangers:,} "
                              f"strangers, all folded in; chance: {found.membership.chance[0]:.3f} to "
                              f"{found.membership.chance[1]:.3f}.")
    console.pairs("How", found.card)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"

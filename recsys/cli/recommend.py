"""`recsys recommend`: lists for users or for a history."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsys import exporting
from recsys.cli import fitting, texts
from recsys.cli.listing import show
from recsys.console import Console
from recsys.errors import DataError, ParameterError
from recsys.files import check_target
from recsys.progress import task

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "the best items for users or for a history"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="a file that `recsys train` wrote")
    made.add_argument("--user", action="append", default=[], help="a user's id; may be repeated")
    made.add_argument("--all", action="store_true", help="all users of the training data; needs --out")
    made.add_argument("--history", metavar="ID,...", help="item ids separated by commas, of somebody who is not in the "
                      "data; an id with a comma stands in double quotes")
    made.add_argument("--profiling", choices=("on", "off"), default="on", help="off gives one list in which nothing of "
                      "anybody is read; it goes without a user and a history (default: %(default)s)")
    made.add_argument("--values", metavar="NUMBER,...", help="of the history's items, such as their ratings")
    made.add_argument("-k", type=texts.positive, default=10, help="length of the lists (default: %(default)s)")
    made.add_argument("--keep-seen", action="store_true", help="do not leave out what the user knows already")
    for flag, what in (("candidates", "recommend only these items"), ("exclude", "do not recommend these items")):
        made.add_argument(f"--{flag}", metavar="FILE", help=f"{what}: a column of ids for everybody, or one of users "
                          f"and one of items for each user's own")
    made.add_argument("--on-unknown", choices=("raise", "fallback", "skip"), default="raise",
                      help="what to do with unknown ids (default: %(default)s)")
    made.add_argument("--why", action="store_true", help="say why, where the model can")
    made.add_argument("--out", type=Path, metavar="FILE",
                      help="write the lists there, with titles: .csv, .jsonl (both also with .gz) or .parquet")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import loading

    off = options.profiling == "off"
    if bool(options.user) + options.all + (options.history is not None) + off != 1:
        raise ParameterError("with --profiling off nothing of anybody is read; leave out --user, --all and --history."
                             if off else "give one of --user ID (which may be repeated), --all, and --history "
                             "ID,ID,...; or --profiling off, for a list that reads nothing of anybody.")
    if off and options.why:
        raise ParameterError("with --profiling off there are no reasons of anybody's own; leave out --why.")
    if options.all and options.out is None:
        raise ParameterError("--all makes a list for every user; say with --out FILE where they go.")
    if options.values is not None and options.history is None:
        raise ParameterError("--values are those of a --history; give one.")
    if options.out is not None and options.why:
        raise ParameterError("--why goes with lists that are shown; leave out --out or --why.")
    if options.out is not None:
        check_target(options.out)
        exporting.check_format(options.out)
    model = loading.load(options.model)
    if options.why and not model.can.explain:
        console.warn(f"{type(model).__name__} gives no reasons.")
    settings = {"k": options.k, "filter_seen": not options.keep_seen, "on_unknown": options.on_unknown,
                "items": _chosen(options.candidates, model, console),
                "exclude": _chosen(options.exclude, model, console)}
    blocks: Iterable[Any]
    asker, count = None, 1
    if off:
        blocks = [model.recommend(profiling="off", **settings)]
    elif options.history is not None:
        asker, *blocks = _of_history(model, options, settings, console)
    else:
        users = model.users.ids if options.all else model.users.parse(options.user)
        _tell_unrestricted(settings["items"], users, options, console)
        _tell_skipped(users, model.users, options, console)
        blocks, count = _blocks(model, users, settings), len(users)
    if options.out is not None:
        _write(blocks, count, options, console)
    else:
        _show([recs for block in blocks for recs in ([block] if block.single else block)], asker, model, options,
              console)


def _show(lists: Sequence[Any], asker: Any, model: Any, options: argparse.Namespace, console: Console) -> None:
    """The lists of users, or that of a history with its values, on the terminal."""
    records: list[dict[str, Any]] = []
    for recs in lists:
        title = ("For anybody" if options.profiling == "off" else f"For user {recs.users}" if asker is None else
                 "For this history")
        lines = [{"title": None, **record} for record in recs.to_records()]
        if options.why:
            lines = [{**line, "why": _why(model, asker or (recs.users, None), line)} for line in lines]
        records += lines
        if options.profiling == "on":
            _tell_popular(title.lower(), recs, console)
        show(title, "score", lines, options, console)
    console.result({"recommendations": records})


def _chosen(path: str | None, model: Any, console: Console) -> Any:
    """Item ids of a file, or with a column of users a mapping of user to item ids."""
    from recsys.data.headers import unknown_names
    from recsys.data.intake import NAMES, open_table, plain_name
    from recsys.data.side import matching_ids

    if path is None:
        return None
    roles = {name: role for role in ("users", "items") for name in NAMES[role]}

    def meant(fields: Sequence[str]) -> list[str | None]:
        return [roles.get(plain_name(field)) for field in fields]

    table: Any = open_table(path, None, lambda fields: any(meant(fields)), "utf-8", ".", unknown_names, console.warn)
    named = meant(table.names)
    if table.width == 1:
        columns = {"items": 0}
    elif {"users", "items"} <= {*named}:
        columns = {role: named.index(role) for role in ("users", "items")}
    elif table.width == 2 and not table.names:
        columns = {"users": 0, "items": 1}
    else:
        raise DataError(f"{path}: which of its {table.width} columns holds users and which items is not plain; name "
                        f"them user and item, or keep one column of items.")
    missing = np.logical_or.reduce([table.missing(column, ()) for column in columns.values()])
    if missing.all():
        raise DataError(f"{path}: no row has all ids; give a column of items, or one of users and one of items.")
    if missing.any():
        console.warn(f"{path}: {int(missing.sum()):,} rows without an id are left out.")
    ids = {role: matching_ids(table.take(~missing), column, getattr(model, role), (), console.warn)
           for role, column in columns.items()}
    if "users" not in ids:
        return ids["items"]
    own: dict[Any, list[Any]] = {}
    for who, what in zip(ids["users"].tolist(), ids["items"].tolist(), strict=True):
        own.setdefault(who, []).append(what)
    return own


def _tell_unrestricted(candidates: Any, users: np.ndarray, options: argparse.Namespace, console: Console) -> None:
    """Say for how many users a file of candidates of each user's own has none."""
    if isinstance(candidates, Mapping):
        without = sum(user not in candidates for user in users.tolist())
        if without:
            console.warn(f"{options.candidates}: {without:,} of {len(users):,} users asked for have no candidates of "
                         f"their own, and may get all items.")


def _write(blocks: Iterable[Any], count: int, options: argparse.Namespace, console: Console) -> None:
    """All lists to a file, as they come."""
    found = {"lists": 0, "entries": 0, "popular": 0}
    with exporting.exporting(options.out) as add, task(fitting.progress_bar(options), count, "lists") as bar:
        for recs in blocks:
            add(recs)
            lists = 1 if recs.single else len(recs)
            found["lists"] += lists
            found["entries"] += int(np.sum(recs.counts))
            found["popular"] += int(np.count_nonzero(recs.source == "popular"))
            bar.advance(lists)
    if found["popular"]:
        console.warn(f"{found['popular']:,} of {found['entries']:,} entries are popular items, where the model knows "
                     f"nothing; the column source says which.")
    console.note(f"Wrote {found['lists']:,} lists of {found['entries']:,} entries to {options.out}.")
    console.result({**found, "file": str(options.out)})


_AT_ONCE = 4096


def _blocks(model: Any, users: np.ndarray, settings: Mapping[str, Any]) -> Iterator[Any]:
    """The lists, so many users at a time."""
    for start in range(0, len(users), _AT_ONCE):
        yield model.recommend(users[start:start + _AT_ONCE], **settings)


def _of_history(model: Any, options: argparse.Namespace, settings: Mapping[str, Any], console: Console
                ) -> tuple[tuple[np.ndarray, Any], Any]:
    """The history's known items with their values, and the list."""
    values = None if options.values is None else texts.numbers(options.values, "--values")
    history = model.items.parse(texts.ids(options.history, "--history"))
    if not len(history):
        raise ParameterError("--history holds no ids; separate item ids by commas.")
    if values is not None and len(values) != len(history):
        raise ParameterError(f"--values holds {len(values)} numbers and --history {len(history)} ids; give one each.")
    _tell_skipped(history, model.items, options, console)
    recs = model.recommend(history=history, values=values, **settings)
    known = model.items.encode(history, "skip") >= 0
    return (history[known], None if values is None else np.array(values)[known]), recs


def _tell_skipped(asked: np.ndarray, known: Any, options: argparse.Namespace, console: Console) -> None:
    unknown = asked[known.encode(asked, "skip") < 0]
    if len(unknown) and options.on_unknown == "skip":
        console.warn(f"left out, as the model does not know them: {', '.join(map(str, unknown))}.")


def _tell_popular(title: str, recs: Any, console: Console) -> None:
    """Say that popular items stand in, where they do."""
    popular = int(np.count_nonzero(recs.source == "popular"))
    if popular == recs.counts > 0:
        console.warn(f"{title}: the model knows nothing, and the most popular items stand in.")
    elif popular:
        console.warn(f"{title}: {recs.counts - popular} of {recs.counts} are the model's; nothing speaks for more, and "
                     f"the most popular of the other items follow.")


def _why(model: Any, asker: tuple[Any, Any], line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Up to three items of the history that speak for an item, and how much."""
    if not model.can.explain or line["source"] != "model":
        return []
    reasons = model.explain(asker[0], line["item"], k=3, values=asker[1])
    return [vars(reason) for reason in reasons if reason.item is not None and reason.contribution > 0]

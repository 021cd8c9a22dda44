"""`recsys forget`: a model, its versions and a log forget people; a receipt says how far, and is checked."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import Any

from recsys.cli import fitting, reading
from recsys.console import Console
from recsys.errors import DataError, ParameterError
from recsys.files import check_target, replacing

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "forget people in a model and in its versions, with a receipt"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="the model's file; versions beside it are rewritten, too")
    made.add_argument("--user", action="append", default=[], metavar="ID", help="whom to forget; may be repeated")
    made.add_argument("--events", dest="log", type=Path, metavar="FILE.db",
                      help="the log that `recsys serve --events` writes; they are erased from it, too")
    made.add_argument("--removed-only", action="store_true",
                      help="accept that ids, histories and vectors go, and what others learned of them stays")
    made.add_argument("--finish", action="store_true",
                      help="learn again, too, where earlier erasures have only removed people")
    made.add_argument("--receipt", type=Path, metavar="FILE.json", help="write the receipt there")
    made.add_argument("--check", type=Path, metavar="FILE.json",
                      help="change nothing; say whether this receipt holds for the model")
    reading.add_data(made, kinds="--kinds", required=False)


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import forgetting
    from recsys.estimator import storing
    from recsys.events import EventLog

    if options.check is not None:
        return _check(options, console)
    if not options.user and not options.finish:
        raise ParameterError("name with --user ID whom to forget, or give --finish, or --check FILE.json.")
    if options.removed_only and options.finish:
        raise ParameterError("--finish learns again and --removed-only does not; leave one out.")
    for target in (options.model, options.receipt):
        if target is not None:
            check_target(target)
    users = storing.load(options.model, mmap=True, verify=False).users.parse(options.user).tolist()
    data = None if options.data is None else reading.read_telling(options, console)
    with contextlib.nullcontext() if options.log is None else EventLog(options.log, create=False) as log:
        receipt = forgetting.forget(options.model, users, data=data, log=log, removed_only=options.removed_only,
                                    finishing=options.finish, progress=fitting.progress_bar(options))
    if options.receipt is not None:
        with replacing(options.receipt) as file:
            file.write((json.dumps(receipt, indent=1) + "\n").encode())
    console.table(f"Forgotten in {options.model}", ["file", "model", "level", "tolerance", "people", "events", "left"],
                  [[each["after"][:8], each["model"], each["level"],
                    "" if each["tolerance"] is None else f"{each['tolerance']:g}", each["people"], each["events"],
                    each["left"]] for each in receipt["files"]])
    if receipt["log"] is not None:
        console.pairs("Erased from the log", receipt["log"])
    console.note(f"{receipt['says']} Receipt {receipt['receipt']}.")
    if data is not None:
        console.note(f"{options.data} itself still names these people; take them out there, too.")
    console.result(receipt)


def _check(options: argparse.Namespace, console: Console) -> None:
    from recsys import forgetting
    from recsys.estimator import storing

    users = storing.load(options.model, mmap=True, verify=False).users.parse(options.user).tolist()
    found = forgetting.check(_read(options.check), options.model, users)
    if not found.holds:
        raise DataError(f"{options.check} does not hold for {options.model}: {found.why}")
    console.note(f"{options.check} holds for {options.model}. {found.why[0].upper()}{found.why[1:]}")
    console.result({"holds": found.holds, "why": found.why})


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not a JSON file ({error}); give the one that --receipt wrote.") from None

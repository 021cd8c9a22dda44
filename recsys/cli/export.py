"""`recsys export`: all that a model and a log hold of one person."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path

from recsys.console import Console
from recsys.files import check_target, replacing

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "give out all that a model and a log hold of one person"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="the model's file")
    made.add_argument("--user", required=True, metavar="ID", help="the person")
    made.add_argument("--events", dest="log", type=Path, metavar="FILE.db",
                      help="the log that `recsys serve --events` writes")
    made.add_argument("--out", type=Path, metavar="FILE.json", help="write it there")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import forgetting
    from recsys.estimator import storing
    from recsys.events import EventLog

    if options.out is not None:
        check_target(options.out)
    user = storing.load(options.model, mmap=True, verify=False).users.parse([options.user]).tolist()[0]
    with contextlib.nullcontext() if options.log is None else EventLog(options.log, create=False) as log:
        found = forgetting.export(options.model, user, log)
    if options.out is not None:
        with replacing(options.out) as file:
            file.write((json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())
    model, said = found["model"], found["log"] or {"events": [], "shown": []}
    console.table(f"What {options.model} holds of {options.user}", ["item", "title", "value"],
                  [[str(event["item"]), event["title"] or "", "" if event["value"] is None else event["value"]]
                   for event in model["events"]])
    console.pairs("Besides", {"learned": ", ".join(model["learned"]) or "nothing",
                              "versions that know them": ", ".join(model["versions"]),
                              "events in the log": len(said["events"]), "lists shown": len(said["shown"])})
    console.result(found)

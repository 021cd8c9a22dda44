"""`recsys rollback`: let a version of before answer again."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from recsys.console import Console

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "let a version of before answer again"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="the file of the running model")
    made.add_argument("--to", metavar="VERSION", help="the version's name or number, or what answers call it "
                      "(default: the one kept before)")
    made.add_argument("--list", action="store_true", help="show the versions that are kept, and change nothing")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys.artifact.versions import Versions

    versions = Versions(options.model)
    before = versions.current()
    current = before if options.list else versions.rollback(options.to)
    kept = versions.list() or [before]
    rows = [{"version": each.name, "answers": each.answers or "damaged", "current": each == current,
             "bytes": each.path.stat().st_size,
             "made": datetime.fromtimestamp(each.made, UTC).strftime("%Y-%m-%d %H:%M:%S"), "sha256": each.sha256}
            for each in kept]
    console.table(f"Versions of {options.model}", ["version", "in answers", "current", "bytes", "made (UTC)"],
                  [list(row.values())[:5] for row in rows])
    if not options.list:
        console.note(f"{current.name} answers, {before.name} did before; a service takes it with `recsys reload`.")
    console.result({"before": before.name, "current": current.name, "versions": rows})

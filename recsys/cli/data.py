"""`recsys data`: what a data set holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli import reading
from recsys.console import Console
from recsys.files import check_target

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "describe a data set, or clean it and write it as CSV"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("data", help="a file, a folder, a data set's name, or - for standard input")
    reading.add_reading(made)
    made.add_argument("--out", type=Path, help="write the cleaned interactions here, as CSV (gzipped if .gz)")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    if options.out is not None:
        check_target(options.out)
    data = reading.read(options, options.data, console)
    found = data.describe()
    if options.out is not None:
        data.to_csv(options.out)
        found["written"] = str(options.out)
    time = found["time"] or {}
    dates = {"first": time["first_date"], "last": time["last_date"]} if "first_date" in time else found["time"]
    shown = {name: value for name, value in found.items() if name != "notes"}  # which are told already
    console.pairs(options.data, shown | {"time": dates})
    console.result(found)

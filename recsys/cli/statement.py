"""`recsys statement`: the main parameters of a model in plain words."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.console import Console

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "what a model reads, what weighs most and what people can change, in plain words"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="a file that `recsys train` wrote")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import loading
    from recsys.estimator.stating import statement

    found = statement(loading.load(options.model))
    console.note(f"{found.model}\n\n{found}")
    console.result(found.to_record())

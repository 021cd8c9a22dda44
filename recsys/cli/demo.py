"""`recsys demo`: the library on real ratings, in one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli import fitting, texts
from recsys.console import Console

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "train recommenders on real ratings and show what they recommend"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("--data", default="movielens-small", help="a data set's name or path (default: %(default)s)")
    made.add_argument("--out", type=Path, default=Path("report.html"), help="the page (default: %(default)s)")
    made.add_argument("--no-page", action="store_true", help="no page, which needs matplotlib")
    made.add_argument("--user", help="whom to recommend to; by default somebody with a history of typical length")
    made.add_argument("--quick", action="store_true", help="fewer epochs, to see that everything runs")
    made.add_argument("--seed", type=texts.seed, default=0)


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import demo

    demo.run(options.data, out=None if options.no_page else options.out, user=options.user, quick=options.quick,
             seed=options.seed, console=console, progress=fitting.progress_bar(options))

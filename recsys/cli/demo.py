"""`recsys demo`: the library on real ratings, in one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli import fitting, serve, texts
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
    made.add_argument("--serve", action="store_true", help="then serve a model with its page, until Ctrl-C")
    made.add_argument("--folder", type=Path, default=Path("recsys-demo"),
                      help="of the served model, its items and events (default: %(default)s)")
    serve.add_address(made)


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import demo
    from recsys.serving.starting import require_extra

    if options.serve:
        require_extra("recsys demo --serve")
    data = demo.run(options.data, out=None if options.no_page else options.out, user=options.user, quick=options.quick,
                    seed=options.seed, console=console, progress=fitting.progress_bar(options))
    if options.serve:
        console.note(f"Learning from all ratings; model, items and events go to {options.folder}.")
        serve.serve(demo.served(data, options.folder), options, console)

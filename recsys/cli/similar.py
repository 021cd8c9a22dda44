"""`recsys similar`: the items most like an item."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli import texts
from recsys.cli.listing import show
from recsys.console import Console

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "the items most like an item"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="a file that `recsys train` wrote")
    made.add_argument("--item", action="append", required=True, help="an item's id; may be repeated")
    made.add_argument("-k", type=texts.positive, default=10, help="length of the lists (default: %(default)s)")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import loading

    model = loading.load(options.model)
    records = []
    for recs in model.similar_items(model.items.parse(options.item), k=options.k):
        lines = [{"title": None, **record} for record in recs.to_records()]
        show(f"Like {model.title(recs.users) or recs.users}", "similarity", lines, options, console)
        records += [{"to" if k == "user" else k: v for k, v in line.items() if k != "source"} for line in lines]
    console.result({"similar": records})

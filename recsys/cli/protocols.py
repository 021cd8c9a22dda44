"""`recsys protocols`: the protocols there are."""

from __future__ import annotations

import argparse
from typing import Any

from recsys.cli import measuring
from recsys.cli.listing import listed
from recsys.console import Console

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "the protocols there are, what they do, and their options"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys.evaluation import PROTOCOLS

    found: list[dict[str, Any]] = [
        {"name": each.name, "summary": each.summary, "task": each.task, "metrics": each.metrics,
         "options": measuring.option_defaults(each)} for each in PROTOCOLS.values()]
    console.pairs("Protocols", {each["name"]: each["summary"] for each in found})
    console.pairs("Options (--option NAME=VALUE) and their defaults", {each["name"]: listed(each["options"])
                                                                      for each in found})
    console.result({"protocols": found})

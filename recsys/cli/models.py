"""`recsys models`: the models there are."""

from __future__ import annotations

import argparse
from typing import Any

from recsys.cli.listing import listed
from recsys.console import Console

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "the models there are, what they can, and their parameters"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import models
    from recsys.estimator.forgetting import level_of

    found: list[dict[str, Any]] = []
    for kind in map(models.find, models.REGISTRY):
        can = [flag for flag, value in vars(kind().can).items() if value]
        found.append({"name": kind.__name__, "summary": (kind.__doc__ or "").strip().partition("\n")[0], "can": can,
                      "forgets": level_of(kind()), "parameters": kind().get_params()})
    console.table("Models", ["name", "what it is", "what it can", "when it forgets a person"],
                  [[m["name"], m["summary"], m["can"], m["forgets"]] for m in found], text=4)
    console.pairs("Parameters (--set NAME=VALUE) and their defaults", {m["name"]: listed(m["parameters"])
                                                                      for m in found})
    console.result({"models": found})

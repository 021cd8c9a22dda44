"""`recsys evaluate`: one model under one protocol."""

from __future__ import annotations

import argparse

from recsys.cli import fitting, measuring, reading
from recsys.console import Console
from recsys.errors import UnsupportedError

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "measure a model under a named protocol"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    reading.add_data(made)
    fitting.add_model(made)
    measuring.add_protocol(made)


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import evaluation

    model, asked = fitting.build(options), measuring.asked(options)
    task = asked["protocol"].task
    name = type(model).__name__
    if not getattr(model.can, task):
        raise UnsupportedError(f"{name} gives no {task}, which {options.protocol} measures; name another model.")
    found = evaluation.run(model, measuring.parts(options, console), progress=fitting.progress_bar(options), **asked)
    console.table(found.model, ["metric", "value", "standard error"],
                  [[metric, value, found.errors.get(metric)] for metric, value in found.metrics.items()])
    console.pairs("Protocol", found.card)
    console.result({"model": name, "parameters": model.get_params(), "metrics": found.metrics,
                    "standard_errors": found.errors, "card": found.card, "fit_seconds": found.fit_seconds,
                    "evaluation_seconds": found.seconds})

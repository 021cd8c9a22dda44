"""Options that name a model and its parameters."""

from __future__ import annotations

import argparse
from typing import Any

from recsys.cli import texts

__all__ = ["add_model", "build", "progress_bar"]


def add_model(made: argparse.ArgumentParser) -> None:
    """The model and its parameters."""
    made.add_argument("--model", required=True, help="a model's name; `recsys models` lists them")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; may be repeated")


def build(options: argparse.Namespace) -> Any:
    """The model that the options name, its parameters checked."""
    from recsys import models

    model = models.find(options.model)().set_params(**texts.settings(options.set, "--set"))
    model.check_parameters()
    return model


def progress_bar(options: argparse.Namespace) -> Any:
    """What shows how far a training is; silent beside a document."""
    from recsys import progress

    return progress.make("silent" if options.json else "auto")

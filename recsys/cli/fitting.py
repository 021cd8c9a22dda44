"""Options that name a model and its parameters."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from recsys.cli import texts
from recsys.errors import ParameterError

__all__ = ["add_model", "build", "build_all", "progress_bar"]


def add_model(made: argparse.ArgumentParser) -> None:
    """The model and its parameters."""
    made.add_argument("--model", help="a model's name; `recsys models` lists them")
    made.add_argument("--config", type=Path, metavar="FILE.toml",
                      help="a model with its parameters, as `recsys tune` writes it; --set counts more")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; may be repeated")


def build(options: argparse.Namespace) -> Any:
    """The model that the options name, or a file of theirs, its parameters checked."""
    from recsys import models
    from recsys.configuration import read_model

    if (options.model is None) == (options.config is None):
        raise ParameterError("name the model, with --model NAME or with --config FILE.toml, one of the two.")
    made = read_model(options.config) if options.model is None else models.find(options.model)()
    model = made.set_params(**texts.settings(options.set, "--set"))
    model.check_parameters()
    return model


def build_all(names: Iterable[str], settings: Sequence[str]) -> dict[str, Any]:
    """The models of those names; a setting is of all that have the parameter, or as MODEL.NAME=VALUE of one."""
    from recsys import models

    built = {kind.__name__: kind() for kind in map(models.find, names)}
    for setting, value in texts.settings(settings, "--set").items():
        of, _, parameter = setting.rpartition(".")
        meant = [model for name, model in built.items()
                 if parameter in model.get_params() and of.lower() in ("", name.lower())]
        if not meant:
            raise ParameterError(f"--set {setting}: none of the models {', '.join(built)} has this parameter; `recsys "
                                 f"models` lists the models and their parameters.")
        for model in meant:
            model.set_params(**{parameter: value}).check_parameters()
    return built


def progress_bar(options: argparse.Namespace) -> Any:
    """What shows how far a training is; silent beside a document."""
    from recsys import progress

    return progress.make("silent" if options.json else "auto")

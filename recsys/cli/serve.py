"""`recsys serve`: a model's file as a service."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any

from recsys.cli import texts
from recsys.console import Console
from recsys.errors import ParameterError

__all__ = ["SUMMARY", "add_address", "add_arguments", "run", "serve"]

SUMMARY = "serve a model to real people, live"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, nargs="?", help="a file that `recsys train` wrote")
    made.add_argument("--variant", action="append", default=[], metavar="NAME=FILE:SHARE",
                      help="a model that answers a share of the people, instead of MODEL; may be repeated")
    add_address(made)
    made.add_argument("--events", metavar="FILE.db", help="keep what people do in this file, made if it is not there")
    made.add_argument("--config", type=Path, metavar="FILE.toml", help="what types of events mean, limits, and more")
    made.add_argument("--token-file", type=Path, metavar="FILE",
                      help="holds the token that who writes has to bring; or the environment has it as RECSYS_TOKEN")
    made.add_argument("--retrain", metavar="every=6h|events=N", help="learn again in the background; needs --data and "
                      "--events")
    made.add_argument("--data", metavar="NAME|PATH", help="what the model was trained on, for --retrain")


def add_address(made: argparse.ArgumentParser) -> None:
    """Where to listen, with how many processes."""
    made.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    made.add_argument("--port", type=_port, default=8000, help="port, 0 for any that is free (default: %(default)s)")
    made.add_argument("--workers", type=texts.positive, default=1, metavar="N", help="processes (default: %(default)s)")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys.serving.settings import Settings, Variant
    from recsys.serving.starting import require_extra

    require_extra("recsys serve")
    if bool(options.model) == bool(options.variant):
        raise ParameterError("give one MODEL, or --variant NAME=FILE:SHARE for each of several.")
    variants = tuple(Variant.parse(text) for text in options.variant) or (Variant("default", str(options.model)),)
    settings = Settings.read(options.config, variants=variants, events=options.events, token=_token(options.token_file))
    serve(settings, options, console)


def serve(settings: Any, options: argparse.Namespace, console: Console) -> None:
    """Serve with these settings until told to stop."""
    from recsys.serving.supervising import Supervisor

    def say(text: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more, and the service goes on
            console.note(text)
            sys.stdout.flush()  # whoever waits for the address reads a pipe, maybe

    Supervisor(settings, options.host, options.port, options.workers, say, _learning(settings, options)).run()


def _learning(settings: Any, options: argparse.Namespace) -> Any:
    """When to learn again, if at all."""
    text = getattr(options, "retrain", None)
    if text is None:
        return None
    from recsys.artifact.container import manifest
    from recsys.retraining import LEAST, least_events
    from recsys.serving.learning import Learning

    if settings.events is None or options.data is None:
        raise ParameterError("--retrain learns from --data NAME|PATH and --events FILE.db; give both.")
    found = re.fullmatch(r"every=(\d+)([smhd])|events=(\d+)", text)
    if found is None or (found[1] and not int(found[1])):
        raise ParameterError(f"--retrain {text}: give a time above 0, such as every=6h (s, m, h, d), or events=10000.")
    if found[3] and int(found[3]) < LEAST:
        raise ParameterError(f"--retrain {text}: give events={LEAST} or more; of fewer new ones too few are held out "
                             f"to compare two models.")
    command = ["retrain", settings.variants[0].path, "--data", options.data, "--events", settings.events,
               "--low-priority"]
    command += [] if options.config is None else ["--config", str(options.config)]
    learned_to = int(manifest(settings.variants[0].path).get("log", {}).get("learned_to", 0))
    when: dict[str, Any] = {"events": int(found[3])} if found[3] else {"every": float(found[1]) * _UNITS[found[2]]}
    return Learning(command, settings.events, learned_to, least=least_events(), **when)


def _token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get("RECSYS_TOKEN") or None
    return path.read_text(encoding="utf-8").strip()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 65535, not {text!r}")
    return int(text)

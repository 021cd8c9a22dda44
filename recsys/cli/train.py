"""`recsys train`: a model's file from data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from minidl import runtime
from recsys.cli import fitting, reading
from recsys.console import Console
from recsys.errors import UnsupportedError
from recsys.files import check_target

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "fit a model and write it to a file"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    reading.add_data(made)
    fitting.add_model(made)
    made.add_argument("--out", type=Path, required=True, help="the model's file")
    made.add_argument("--checkpoint", type=Path, metavar="FILE",
                      help="of a network: written after every epoch (.npz); the same command then goes on from it")
    made.add_argument("--no-seen", action="store_true",
                      help="keep the users' seen items out of the file, and with Private all that is of people")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import warmup
    from recsys.training import private

    check_target(options.out)
    model = fitting.build(options)
    kept = {} if options.checkpoint is None else {"checkpoint": _kept_by(model, options.checkpoint)}
    with warmup.beside([model]):
        data = reading.read_telling(options, console)
    watch = runtime.Stopwatch()
    model.fit(data, progress=fitting.progress_bar(options), **kept)
    seconds, compiling = watch.seconds, watch.compiling
    warmup.remember([model])
    model.save(options.out, seen=not options.no_seen)
    found = {"model": type(model).__name__, "parameters": model.get_params(), "events": len(data),
             "users": data.n_users, "items": data.n_items, "fingerprint": data.fingerprint(), "seconds": seconds,
             "compile_seconds": compiling, "file": str(options.out), "bytes": options.out.stat().st_size}
    promised = getattr(model, "privacy_", None)
    told = {} if promised is None else {"privacy": private.sentence(promised)}
    console.pairs(f"Fitted {model!r}", {k: v for k, v in found.items() if k not in ("model", "parameters")} | told)
    console.result(found | ({} if promised is None else {"privacy": promised}))


def _kept_by(model: Any, checkpoint: Path) -> Path:
    """The checkpoint's path, if the model writes one."""
    if not model.trains:
        raise UnsupportedError(f"--checkpoint: {type(model).__name__} keeps none, only networks do; leave it out.")
    check_target(checkpoint)
    return checkpoint

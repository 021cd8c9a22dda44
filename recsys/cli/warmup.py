"""`recsys warmup`: everything compiled before the first request."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from minidl import runtime
from recsys.cli import fitting
from recsys.console import Console
from recsys.errors import RecsysError

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "compile the kernels of models ahead of time, for images and deployments"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("models", nargs="*", metavar="MODEL", help="names or files of models; all models by default")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import models
    from recsys.kernels import PACKAGES
    from recsys.progress import task
    from recsys.warmup import warm

    wanted = [_model(name) for name in options.models or models.REGISTRY]
    if not runtime.numba_enabled():
        console.note("Numba is not installed or switched off (MINIDL_NUMBA=0): there is nothing to compile.")
        console.result({"models": [], "left_out": {}, "compiled": 0, "seconds": 0.0})
        return
    from minidl.kernels.keeping import keep  # needs Numba

    watch, before = runtime.Stopwatch(), runtime.compilations()
    done, left_out = [], {}
    with task(fitting.progress_bar(options), len(wanted), "models") as bar:
        for model in wanted:
            name = type(model).__name__
            try:
                warm(model)
                done.append(name)
            except RecsysError as error:
                left_out[name] = str(error)
            bar.advance(1, last=name)
    count, seconds = runtime.compilations() - before, watch.compiling
    keep(PACKAGES)
    for name, reason in left_out.items():
        console.note(f"Left out: {name}: {reason}")
    told = f"{count} functions compiled in {seconds:.1f} s" if count else "everything was in the cache"
    console.note(f"{told}; ready: {', '.join(done)}.")
    console.result({"models": done, "left_out": left_out, "compiled": count, "seconds": seconds})


def _model(name: str) -> Any:
    """A model of the registry with its defaults, or one like that of a file."""
    from recsys import models
    from recsys.loading import load

    return load(name) if Path(name).is_file() else models.find(name)()

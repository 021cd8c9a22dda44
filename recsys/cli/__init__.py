"""The command `recsys`: a verb each, in `COMMANDS`.

A mistake in the input is one sentence on standard error and exit code 2, and no file is touched. `--json`
prints one document on standard output; progress and notes go to standard error.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import recsys
from minidl import MissingExtraError, runtime, streams
from recsys.cli import reading
from recsys.console import Console
from recsys.data.opening import called
from recsys.errors import DataError, DataWarning, ParameterError, RecsysError, UnknownIdError

__all__ = ["COMMANDS", "main"]

COMMANDS = ("demo", "data", "train", "tune", "evaluate", "compare", "recommend", "similar", "explain", "audit",
            "statement", "serve", "reload", "retrain", "rollback", "experiment", "forget", "export", "models",
            "protocols", "warmup")
"""A module of this package each, with `SUMMARY`, `add_arguments` and `run`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows a question mark
    try:
        _keep_inputs(options)
        runtime.tune()
        with np.errstate(all="ignore"), warnings.catch_warnings():  # divergence is said by the model, in a sentence
            warnings.simplefilter("default", DataWarning)
            warnings.showwarning = _tell
            _module(options.command).run(options, Console(as_json=options.json))
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        return _complain(reading.in_flags(str(error)) or "stopped.", 130)
    except (RecsysError, MissingExtraError) as error:
        return _complain(reading.in_flags(_placed(error, options)))
    except MemoryError as error:
        return _complain(f"not enough memory: {str(error) or 'the data or the model is too large'}.")
    except OSError as error:
        if streams.is_lost_output(error):  # for `minidl.streams.run` to tell
            raise
        return _complain(f"{error.filename or 'a file'}: {error.strerror or error}.")
    return 0


_INPUTS = ("data", "config", "test", "valid", "model", "titles", "item_features", "user_features", "text", "friends",
           "images", "sounds", "candidates", "exclude", "log", "strangers")
_OUTPUTS = ("out", "page", "storage", "checkpoint", "receipt")
_FLAGS = {"log": "--events"}


def _keep_inputs(options: argparse.Namespace) -> None:
    """Refuse to write over a file that the same command reads, or twice over the same."""
    taken: dict[str, str] = {}
    for name, path in _files(options, (*_INPUTS, *_OUTPUTS)):
        if name in _INPUTS and not Path(path).is_file():
            continue
        flag, real = _FLAGS.get(name, f"--{name.replace('_', '-')}"), os.path.realpath(path)
        if name in _OUTPUTS and real in taken:
            raise ParameterError(f"{flag} {path} is the file of {taken[real]}, and would replace it; name another one.")
        taken.setdefault(real, flag)


def _files(options: argparse.Namespace, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The files of options, by name; some options may be repeated."""
    for name in names:
        given = getattr(options, name, None)
        yield from ((name, path) for path in (given if isinstance(given, list) else [given]) if path is not None)


def _placed(error: Exception, options: argparse.Namespace) -> str:
    """The message, with the data's name if it is about the data and names no file."""
    text, source = str(error), getattr(options, "data", None)
    if isinstance(error, UnknownIdError) and hasattr(options, "on_unknown"):
        return f"{text.removesuffix('.')}; --on-unknown skip leaves such ids out."
    files = [called(path) for _, path in _files(options, _INPUTS)]
    return f"{source}: {text}" if isinstance(error, DataError) and source and not any(
        name and name in text for name in files) else text


def _tell(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None,
          line: str | None = None) -> None:
    """A warning as a note, wherever in the code it comes from."""
    print(f"recsys: note: {reading.in_flags(str(message))}", file=sys.stderr)


def _complain(text: str, code: int = 2) -> int:
    print("recsys: " + " ".join(text.split("\n")), file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    """The parser of the command line; `command` is None when none was given."""
    made = _Parser(prog="recsys", description="Recommenders on plain CPUs.", allow_abbrev=False)
    made.add_argument("--version", action=_Version, nargs=0, help="show the program's version number and exit")
    made.set_defaults(command=None, json=False)
    commands = made.add_subparsers(title="commands", metavar="COMMAND")
    for name in COMMANDS:
        summary = _module(name).SUMMARY
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
                                      allow_abbrev=False)
        command.set_defaults(command=name)
        command.add_argument("--json", action="store_true", help="print one JSON document")
        _module(name).add_arguments(command)
    return made


def _module(command: str) -> Any:
    return importlib.import_module(f"recsys.cli.{command}")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as all other errors of the command are."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what is not known here, so that a command's error names the command's own help."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest


class _Version(argparse.Action):
    """Looks the version up when it is asked for, which takes longer than to parse a command."""

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> None:
        print(f"recsys {getattr(recsys, '__version__', 'of an unknown version')}")
        parser.exit()

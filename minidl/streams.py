"""A command and its standard streams, which may be closed, full, or a pipe that nobody reads any more."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable

from minidl.errors import MissingExtraError

__all__ = ["is_lost_output", "run"]


def run(main: Callable[[], int | None]) -> int:
    """The exit code of a command, without a traceback for what its streams or its installation lack.

    Parameters
    ----------
    main : callable
        The command; returns its exit code, or None for 0.

    Returns
    -------
    int
        That of the command: a closed stream is as good as `/dev/null`, since somebody has closed it on purpose. 1 where
        a pipe was shut by its reader, as `head` does, or the command ended in `sys.exit(text)`; 2 where output is lost,
        or an extra is missing.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for as long as there is one)
    try:
        try:
            code = main() or 0
        except SystemExit as stop:  # argparse's, or one with a text, which Python itself would print
            if stop.code is None or isinstance(stop.code, int):
                code = stop.code or 0
            else:
                print(stop.code, file=sys.stderr)
                code = 1
        except MissingExtraError as error:
            print(error, file=sys.stderr)
            code = 2
        sys.stdout.flush()
    except BrokenPipeError:
        code = 1
    except OSError as error:
        if not is_lost_output(error):
            raise
        code = 2
        with contextlib.suppress(OSError):
            print(f"standard output: {error.strerror or error}", file=sys.stderr)
    finally:
        for stream in (sys.stdout, sys.stderr):
            _silence(stream)
    return code


def is_lost_output(error: OSError) -> bool:
    """Whether an error is one of writing that names no file, as all that write files do: a stream's."""
    return error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EDQUOT,
                                                      errno.EBADF)


def _silence(stream: object) -> None:
    """Let what is still in a stream that cannot be written go nowhere when Python flushes it at its end."""
    try:
        stream.flush()  # type: ignore[attr-defined]
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[attr-defined]
        os.close(nowhere)

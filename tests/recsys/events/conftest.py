"""Processes of their own, which no test leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEAD = """
import itertools, os, sys
from recsys.errors import LogError
from recsys.events import Event, EventLog

def event(id, user="u"):
    return Event(id, user, "i", "click", None, 0.0, None)

path = sys.argv[1]
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python with a piece of code and arguments, the path of a log first, and a pipe from what it prints."""
    processes = []

    def run(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", HEAD + textwrap.dedent(code), *map(str, arguments)],
                                   stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

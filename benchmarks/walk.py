"""The walk of docs/walk.md, from a raw file to forgetting: `python -m benchmarks walk`.

The shell blocks of the page are run in their order, in an empty folder, as they stand but for the port of the service,
which is a free one. What they said, and how long they took, is written below them.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.datasets import SHARED, Absent, checksum, file
from benchmarks.provenance import Machines, label, stamped
from benchmarks.table import DOCS, put

RESULTS = Path(__file__).parent / "walk.json"
PAGE = DOCS / "walk.md"
RAW = "online-retail/onlineretail.csv.gz"
_BLOCK = re.compile(r"```bash\n(.*?)```\n\n<!-- walk-(\w+): ", re.DOTALL)
_PORT, _MOST, _HEAD, _WIDE = "8000", 36, 28, 100  # of what was said: lines, those before the cut, and columns
_LONG = 300  # seconds that a block may take


@dataclass(frozen=True)
class Block:
    """Shell lines of the page, and what the place for their answer is called."""

    name: str
    script: str

    @property
    def stays(self) -> bool:
        """Whether it starts what goes on running."""
        return self.script.rstrip().endswith("&")


def blocks(text: str) -> list[Block]:
    """Those of the page, in their order."""
    return [Block(name, script) for script, name in _BLOCK.findall(text)]


class Walk:
    """A folder in which blocks are run.

    Parameters
    ----------
    folder : Path
        An empty one; beside it stands `shared/data`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder / "walk", _free()
        self.folder.mkdir()
        (folder / "shared").mkdir()
        (folder / "shared" / "data").symlink_to(SHARED.resolve(), target_is_directory=True)
        here = Path(__file__).parents[1]
        self.environment = {**os.environ, "PYTHONPATH": str(here), "COLUMNS": "100", "NO_COLOR": "1",
                            "PATH": os.pathsep.join([str(_shims(folder)), os.environ["PATH"]])}
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, block: Block) -> tuple[str, float]:
        """What a block says, errors too, and the seconds that it took; of what stays, until it answers."""
        begin, script = time.monotonic(), block.script.replace(_PORT, str(self.port))
        if block.stays:
            said = self._start(script.rstrip().removesuffix("&"))
        else:
            said = subprocess.run(["bash", "-c", script], cwd=self.folder, env=self.environment, text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_LONG).stdout
        return said.replace(str(self.port), _PORT), time.monotonic() - begin

    def _start(self, script: str) -> str:
        """Start it; what it says in its log once it answers."""
        log = self.folder / script.rpartition(">")[2].strip()
        self._running.append(subprocess.Popen(["bash", "-c", f"exec {script}"], cwd=self.folder, env=self.environment,
                                              start_new_session=True))
        deadline = time.monotonic() + _LONG
        while time.monotonic() < deadline and self._running[-1].poll() is None:
            said = log.read_text(encoding="utf-8") if log.exists() else ""
            if f":{self.port}" in said:
                return said
            time.sleep(.02)
        raise RuntimeError(f"{script}: does not answer")

    def close(self) -> None:
        """End what goes on running."""
        for process in self._running:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _free() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def _shims(folder: Path) -> Path:
    """A folder of commands: this Python, and recsys by it, whether it is installed or not."""
    made = folder / "bin"
    made.mkdir()
    for name, words in (("python", ""), ("recsys", " -m recsys")):
        (made / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        (made / name).chmod(0o755)
    return made


def measure() -> dict[str, Any]:
    """Run the walk."""
    path = file(RAW)
    with tempfile.TemporaryDirectory() as folder:
        walk, steps = Walk(Path(folder)), []
        try:
            for block in blocks(PAGE.read_text(encoding="utf-8")):
                said, seconds = walk.run(block)
                steps.append({"step": block.name, "said": list(shortened(said)), "seconds": seconds})
                print(f"{block.name}: {seconds:.1f} s", file=sys.stderr)
        finally:
            walk.close()
    return stamped({"name": "walk", "on": "online-retail", "steps": steps},
                   {"name": "online-retail", "file": RAW, "checksum": checksum(path)})


def shortened(text: str) -> Iterator[str]:
    """The lines without those that show progress; the middle of many is left out, and counted."""
    lines = [piece for line in text.split("\n") for piece in textwrap.wrap(
        line.rpartition("\r")[2], _WIDE, drop_whitespace=False) or [""]]
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) <= _MOST:
        yield from lines
        return
    left = len(lines) - _MOST + 1
    yield from [*lines[:_HEAD], f"[{left} more lines]", *lines[_HEAD + left:]]


def write(rows: Sequence[store.Stored]) -> None:
    """Put the answers and the times into their page: of several machines, those of the first."""
    for row in rows[:1]:
        for step in row["steps"]:
            put(f"walk-{step['step']}", "\n".join(["```text", *step["said"], "```", "",
                                                   f"{step['seconds']:.1f} seconds.", ""]), PAGE)
    put("walk-times", times(rows), PAGE)


def times(rows: Sequence[store.Stored]) -> str:
    """Seconds of every block, a column a machine."""
    machines = Machines(rows)
    names = list(dict.fromkeys(step["step"] for row in rows for step in row["steps"]))
    held = [{step["step"]: step["seconds"] for step in row["steps"]} for row in rows]
    lines = [f"| step | {' | '.join(f'seconds, machine {machines.number[label(row)]}' for row in rows)} |",
             f"|---|{'---:|' * len(rows)}"]
    for name in names:
        lines.append(f"| {name} | {' | '.join(f'{each[name]:.1f}' if name in each else '' for each in held)} |")
    lines.append(f"| all | {' | '.join(f'{sum(each.values()):.1f}' for each in held)} |")
    return "\n".join([*lines, "", machines.legend()])


def main(arguments: Sequence[str]) -> int:
    """Run the walk and write its page: 0, 3 where the data is absent."""
    argparse.ArgumentParser(prog="python -m benchmarks walk", description=__doc__).parse_args(arguments)
    try:
        row = measure()
    except Absent as error:
        print(f"walk: {error}; skipped, and nothing is written", file=sys.stderr)
        return 3
    write(store.add(RESULTS, [row], ["walk"]))
    return 0

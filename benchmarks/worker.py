"""The process behind one side of a claim; talks with `benchmarks.harness` in lines."""

from __future__ import annotations

import importlib
import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def peak() -> float:
    """Peak memory of this process in MiB. (`ru_maxrss` would count what the parent had when it forked.)"""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(module: str, name: str, side: str, path: str) -> None:
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a library prints must not get into the answers
    claim = next(c for c in importlib.import_module(module).CLAIMS if c.name == name)
    with np.load(path) as archive:
        data = dict(archive)
    session = getattr(claim, side)(data)

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "run":
            start = time.perf_counter()
            for _ in range(session.repeat):
                session.run()
            answer(seconds=(time.perf_counter() - start) / session.repeat)
        elif command == "result":
            session.run()  # warm-up: compiles, fills caches
            np.savez(argument, **session.result())
            answer(ok=True)
        elif command == "memory":
            answer(mebibytes=peak())
        else:
            answer(ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

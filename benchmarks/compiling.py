"""Writes a line of JSON for every function that Numba compiles, to the file that `COMPILE_LOG` names.

`benchmarks.cold` puts a copy of this file, as `sitecustomize`, on the path of the programs that it measures: so it
listens in every process that they start. A function compiled while another one is belongs to itself alone: `own_s` are
the seconds without it. They are CPU seconds of the compiling thread.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any


class _WhenLoaded:
    """Begins to listen when Numba's events are imported, so that a process without Numba stays without."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        if name != "numba.core.event":
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            listen(module, os.environ["COMPILE_LOG"])

        spec.loader.exec_module = exec_module
        return spec


def listen(event: Any, path: str) -> Any:
    """Listen to `numba.core.event`; what `event.unregister("numba:compile", ...)` takes to stop."""
    here = threading.local()  # one stack a thread: begin, and seconds of what was compiled within

    class Listener(event.Listener):
        def on_start(self, found: Any) -> None:
            here.__dict__.setdefault("stack", []).append([time.thread_time(), 0.0])

        def on_end(self, found: Any) -> None:
            begin, nested = here.stack.pop()
            seconds = time.thread_time() - begin
            if here.stack:
                here.stack[-1][1] += seconds
            function = found.data["dispatcher"].py_func
            line = {"function": f"{function.__module__}.{function.__qualname__}", "pid": os.getpid(),
                    "arguments": [str(kind) for kind in found.data["args"]], "own_s": seconds - nested,
                    "s": seconds}
            with open(path, "a") as log:  # at once, and in one piece, as processes may end without notice
                log.write(json.dumps(line) + "\n")

    listener = Listener()
    event.register("numba:compile", listener)
    return listener


if "COMPILE_LOG" in os.environ:
    sys.meta_path.insert(0, _WhenLoaded())

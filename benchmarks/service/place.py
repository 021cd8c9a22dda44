"""A service as a process of its own, on a core of its own, and what the system says of its processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0  # seconds: longer than compiling everything takes
_TICK = os.sysconf("SC_CLK_TCK")
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


def cores() -> tuple[set[int], set[int]]:
    """The core that services are held on, and those of who asks; the same one where there is only one."""
    all_of_them = sorted(os.sched_getaffinity(0))
    return {all_of_them[0]}, set(all_of_them[1:]) or {all_of_them[0]}


@contextlib.contextmanager
def beside() -> Iterator[None]:
    """Within, this thread stays off the core of services."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores()[1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Service:
    """`recsys serve` on a free port, in its own group of processes, until the block ends.

    Parameters
    ----------
    folder : path
        Where the event log and the counters are kept.
    arguments : sequence of str
        Of the command: the model, and options.
    workers : int
    pinned : bool
        All its processes on the one core of `cores`.
    module : str
        What runs instead of `recsys serve`: it takes `arguments` and `--port 0`, and prints its address.
    """

    def __init__(self, folder: Path, *arguments: str | Path, workers: int = 1, pinned: bool = True,
                 module: str = "") -> None:
        self.folder, self.log = folder, folder / "events.db"
        run = ["-m", module] if module else ["-m", "recsys", "serve", "--events", str(self.log),
                                             "--workers", str(workers)]
        self._command = [sys.executable, *run, "--port", "0", *map(str, arguments)]
        self._cores = cores()[0] if pinned else os.sched_getaffinity(0)

    def __enter__(self) -> Service:
        counters = self.folder / "counters"
        counters.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(counters), "OPENBLAS_NUM_THREADS": "1",
                       "OMP_NUM_THREADS": "1"}
        environment.pop("RECSYS_TOKEN", None)
        self._said = (self.folder / "said").open("ab")
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=self._said, env=environment, start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self._cores))
        self.began = time.perf_counter()
        try:
            self.port = self._address()
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        self.seconds_to_ready = time.perf_counter() - self.began
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def _address(self) -> int:
        """The port that it prints."""
        deadline, text, out = time.monotonic() + _PATIENCE, "", self._process.stdout
        while out is not None and time.monotonic() < deadline:
            if select.select([out], [], [], .2)[0]:
                piece = os.read(out.fileno(), 4096).decode()
                text += piece
                if found := _ADDRESS.search(text):
                    return int(found[1])
                if not piece:
                    break
        raise RuntimeError(f"{' '.join(self._command)} did not start: {(self.folder / 'said').read_text()[-2000:]}")

    def wait_until_ready(self) -> None:
        """Until `/readyz` answers 200."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            time.sleep(.01)
        raise RuntimeError(f"not ready after {_PATIENCE:g} s: {(self.folder / 'said').read_text()[-2000:]}")

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 60) -> tuple[int, Any]:
        """One request on a connection of its own: status, and the answer's JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            given = None if body is None else json.dumps(body)
            connection.request(method, path, given, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None
        finally:
            connection.close()

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self._process.pid

    def workers(self) -> list[int]:
        """The processes that answer, in the order of their start; the one itself if it has none."""
        return [pid for pid in _children(self.pid) if b"spawn_main" in _line_of(pid)] or [self.pid]

    def ready_workers(self) -> set[Path]:
        """A file for each worker that is ready."""
        return set((self.folder / "counters").glob("recsys-serve-*/ready-*"))

    def cpu_seconds(self) -> float:
        """Of the processes that answer, so far."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.workers()]
        return sum(int(each[11]) + int(each[12]) for each in fields) / _TICK

    def proportional_bytes(self) -> int:
        """Memory of all its processes, what several share counted once: the sum of their Pss."""
        found = [re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
                 for pid in (self.pid, *_children(self.pid))]
        return sum(int(each[1]) * 1024 for each in found if each is not None)


def _children(parent: int) -> list[int]:
    pids: Sequence[int] = sorted(int(entry) for entry in os.listdir("/proc") if entry.isdecimal())
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(pid)
    return found


def _line_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

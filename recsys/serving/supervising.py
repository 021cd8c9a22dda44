"""The processes of a service: workers that share a socket and the mapped models, started again when they die."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from recsys.artifact import container
from recsys.errors import ParameterError, RecsysError
from recsys.serving.accepted import Holder
from recsys.serving.hosts import is_loopback
from recsys.serving.learning import Learning
from recsys.serving.settings import Settings
from recsys.serving.worker import CHECKED, KERNELS, work

__all__ = ["Supervisor"]

_LOG = logging.getLogger("recsys.serving")
_ONE_THREAD = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_HURRY = 5.0  # seconds: a worker that dies sooner after its start has not served


class Supervisor:
    """Starts the workers, watches them, starts dead ones again, and stops them.

    Parameters
    ----------
    settings : Settings
    host : str
    port : int
        0 for any that is free.
    workers : int
    say : callable
        `say(text)`: what a person is told.
    learning : Learning or None
        When to learn again.
    """

    def __init__(self, settings: Settings, host: str, port: int, workers: int, say: Callable[[str], None],
                 learning: Learning | None = None) -> None:
        if settings.token is None and not is_loopback(host):
            raise ParameterError(f"--host {host}: others than this machine can reach it, and could write; give a token "
                                 f"with --token-file FILE, or RECSYS_TOKEN in the environment.")
        self._settings, self._say, self._learning = replace(settings, workers=workers), say, learning
        for variant in settings.variants:
            container.manifest(variant.path)  # says at once what is no model
        self.socket = _listen(host, port)
        self.port = int(self.socket.getsockname()[1])
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.folder = tempfile.mkdtemp(prefix="recsys-serve-")  # of counters, and the log of a service without one
        self._holder = Holder(self.folder, [variant.path for variant in settings.variants])
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[Any] = []
        self._begun: list[float] = []
        self._stopping = False
        self._checking = threading.Thread(target=self._check_files, daemon=True)
        self._wrong: Exception | None = None

    def _check_files(self) -> None:
        """Compare the models with their checksums once, instead of in each worker, while these start."""
        try:
            for variant in self._settings.variants:
                container.read(variant.path, mmap=True, verify=True)
            Path(self.folder, CHECKED).touch()
        except (RecsysError, OSError) as error:
            self._wrong = error

    def run(self) -> None:
        """Serve until a signal comes; RecsysError if the workers cannot be started."""
        for name in _ONE_THREAD:  # a worker is one core's; set before it loads the libraries
            os.environ[name] = "1"
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        try:
            self._checking.start()
            self._start_all()
            self._wait_until_ready()
            while not self._stopping:
                wait([*self._holder.waiting, *(worker.sentinel for worker in self._workers)], timeout=.2)
                self._holder.hold()
                self._revive()
                if self._learning is not None:
                    self._learning.look(self._say)
        finally:
            self._stop()

    def _end(self, *_: Any) -> None:
        """Note that a signal came: nothing that locks, as the next one may come meanwhile."""
        self._stopping = True

    def _start(self, slot: int) -> Any:
        worker = self._context.Process(target=work, args=(self._settings, self.socket, self.folder, slot),
                                       name=f"recsys-{slot}")
        worker.start()
        return worker

    def _start_all(self) -> None:
        """Start the workers, the first one alone until there are kernels, so that it alone compiles them."""
        for slot in range(self._settings.workers):
            self._workers.append(self._start(slot))
            self._begun.append(time.monotonic())
            while not (slot or Path(self.folder, KERNELS).exists() or self._workers[0].exitcode is not None
                       or self._wrong is not None or self._stopping):
                time.sleep(.005)

    def _wait_until_ready(self) -> None:
        """Until every worker has written that it is ready, or one has died."""
        while not self._stopping:
            if all(Path(self.folder, f"ready-{slot}").exists() for slot in range(len(self._workers))):
                self._say(f"Serving at {self.address} with {len(self._workers)} "
                          f"worker{'s' * (len(self._workers) > 1)}; Ctrl-C stops it.")
                return
            dead = [worker for worker in self._workers if worker.exitcode is not None]
            if dead:
                self._checking.join()
            if self._wrong is not None:
                raise self._wrong
            if dead:
                said = Path(self.folder, "failed")
                raise RecsysError(said.read_text() if said.exists() else
                                  f"a worker could not start: it ended with code {dead[0].exitcode}.")
            time.sleep(.02)

    def _revive(self) -> None:
        for slot, worker in enumerate(self._workers):
            if worker.exitcode is None or self._stopping:
                continue
            lived = time.monotonic() - self._begun[slot]
            _LOG.warning("worker %d ended with code %s and is started again", slot, worker.exitcode)
            if lived < _HURRY and not Path(self.folder, f"ready-{slot}").exists():
                time.sleep(.5)
            Path(self.folder, f"ready-{slot}").unlink(missing_ok=True)
            try:
                self._workers[slot], self._begun[slot] = self._start(slot), time.monotonic()
            except OSError as error:  # killed before it was told what to do, or no process to be had; try again
                _LOG.warning("worker %d could not be started: %s", slot, error)
                time.sleep(.5)

    def _stop(self) -> None:
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + self._settings.limits.timeout + 2
        for worker in self._workers:
            worker.join(max(0, deadline - time.monotonic()))
            if worker.exitcode is None:
                worker.kill()
                worker.join()
        if self._learning is not None:
            self._learning.stop()
        self.socket.close()
        self._holder.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens; OSError, naming the address, if it cannot."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise ParameterError(f"--host {host}: there is no such address ({error.strerror}).") from error
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio turns delays off by this number
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(2048)
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"{error.strerror}; another program may listen there, choose another --port",
                      f"{host}:{port}") from error
    made.set_inheritable(True)
    return made

"""One worker process: what happens before anything is imported that answers."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

from minidl.kernels import ahead
from recsys.kernels import PACKAGES
from recsys.serving.settings import Settings

__all__ = ["CHECKED", "KERNELS", "work"]

CHECKED = "checked"  # a file that says that the models are as their checksums say
KERNELS = "kernels"  # a file that says that the workers to come find kernels, or that nobody will leave them any


def work(settings: Settings, listening: socket.socket, folder: str, slot: int) -> None:
    """Serve until told to end, or until the supervisor is gone."""
    logging.basicConfig(level=logging.WARNING, format="recsys: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of the group; the supervisor tells what to do
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    if ahead.use(PACKAGES):
        Path(folder, KERNELS).touch()
    from recsys.serving.server import serve  # the supervisor, which imports this module, does without

    serve(settings, listening, folder, slot)


def _end_with_supervisor() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

"""One worker process: the application under uvicorn, on a socket that all workers share."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

import uvicorn

from recsys.errors import RecsysError
from recsys.serving.app import App
from recsys.serving.settings import Settings

__all__ = ["work"]


def work(settings: Settings, listening: socket.socket, folder: str, slot: int) -> None:
    """Serve until told to end, or until the supervisor is gone."""
    logging.basicConfig(level=logging.WARNING, format="recsys: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of the group; the supervisor tells what to do
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    app = App(settings, folder, slot, verify=False)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", server_header=False,
                            date_header=False, timeout_keep_alive=75, backlog=2048,
                            timeout_graceful_shutdown=max(1, round(settings.limits.timeout)))
    _Server(config, app, Path(folder), slot).run(sockets=[listening])


def _end_with_supervisor() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


class _Server(uvicorn.Server):
    """A server that says when it is ready, and why it could not start."""

    def __init__(self, config: uvicorn.Config, app: App, folder: Path, slot: int) -> None:
        super().__init__(config)
        self._app, self._folder, self._slot = app, folder, slot

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the service first, so that what is wrong is told in words."""
        try:
            await self._app.handlers.open()
        except (RecsysError, OSError) as error:
            (self._folder / "failed").write_text(str(error))
            self.should_exit = True
            raise SystemExit(1) from error
        await super().startup(sockets)
        if self.started:
            (self._folder / f"ready-{self._slot}").touch()

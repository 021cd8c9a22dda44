"""The application under uvicorn, on a socket that all workers share."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn

from minidl import runtime
from minidl.kernels import ahead
from recsys.errors import RecsysError
from recsys.kernels import PACKAGES
from recsys.serving.app import App
from recsys.serving.settings import Settings
from recsys.serving.worker import CHECKED, KERNELS

__all__ = ["serve"]

_TURN = 5e-4  # seconds that a thread may keep Python's lock while others wait; by default 5 ms, which answers show


def serve(settings: Settings, listening: socket.socket, folder: str, slot: int) -> None:
    """Serve until a signal comes."""
    sys.setswitchinterval(_TURN)
    app = App(settings, folder, slot, verify=False)
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", server_header=False,
                            date_header=False, timeout_keep_alive=75, backlog=2048,
                            timeout_graceful_shutdown=max(1, round(settings.limits.timeout)))
    _Server(config, app, Path(folder), slot).run(sockets=[listening])


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
        if self._slot == 0:
            await asyncio.to_thread(_keep_kernels, self._folder)
        runtime.trim()  # what reading and checking took
        while not (self._folder / CHECKED).exists() and not self.should_exit:
            await asyncio.sleep(.005)
        if self.should_exit:
            return
        await super().startup(sockets)
        if self.started:
            (self._folder / f"ready-{self._slot}").touch()


def _keep_kernels(folder: Path) -> None:
    """Leave the machine code of what was compiled to the workers that start after this one."""
    if ahead.compiled():
        from minidl.kernels import keeping  # needs Numba

        keeping.keep(PACKAGES)
    (folder / KERNELS).touch()

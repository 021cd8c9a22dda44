"""A service to ask: in this process, or as real processes with a client of their own; and files of small models."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

for _package in ("starlette", "uvicorn", "msgspec", "prometheus_client"):
    pytest.importorskip(_package, reason=f"{_package} is not installed; it comes with the extra serve")

from recsys.data import Interactions  # noqa: E402
from recsys.serving import create_app  # noqa: E402
from recsys.serving.settings import Settings, Variant  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60.0  # seconds until a process that does not come up has failed
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"


def settings_of(model: Any, folder: Path, **given: Any) -> Settings:
    """Settings of one model file, or of some variants, with a log in a folder."""
    variants = (Variant("default", str(model)),) if isinstance(model, (str, Path)) else tuple(model)
    return Settings(variants, **{"events": str(folder / "log.db"), "page": False, **given})


class InProcess:
    """The application on an event loop of its own; `ask` is for any thread."""

    def __init__(self, settings: Settings, client: str = "127.0.0.1", **replaced: Any) -> None:
        self.app, self.client = create_app(settings=settings), client
        for name, value in replaced.items():
            setattr(self.app.handlers, name, value)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self.run(self.app.handlers.open())
        except BaseException:
            self._end()
            raise

    @property
    def engine(self) -> Any:
        """What answers."""
        return self.app.handlers.engine

    def run(self, coroutine: Any, timeout: float = PATIENCE) -> Any:
        """What a coroutine gives on the loop of the application."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}) -> tuple[int, Any]:
        """The status, and the body as JSON, or as bytes where it is none."""
        status, _, said = self.run(self._ask(method, path, body, headers))
        return status, _read(said)

    async def _ask(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Any, bytes]:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        given = {"host": "127.0.0.1", **({"content-type": "application/json"} if body is not None else {}), **headers}
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
                 "raw_path": quote(path).encode(), "query_string": query.encode(), "root_path": "", "scheme": "http",
                 "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
                 "client": (self.client, 1), "server": ("127.0.0.1", 80)}
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return (sent[0]["status"], dict(sent[0]["headers"]),
                b"".join(message.get("body", b"") for message in sent[1:]))

    def close(self) -> None:
        """End."""
        self.run(self.app.handlers.close())
        self._end()

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()
        shutil.rmtree(self.app.handlers.folder, ignore_errors=True)

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Running:
    """`recsys serve` as real processes, in a process group of its own that is killed at the end."""

    def __init__(self, *arguments: Any, folder: Path, env: Mapping[str, str] = {}, preexec: Any = None) -> None:
        self._errors, self.clients = folder / "stderr.txt", list[Client]()
        with open(self._errors, "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "recsys", "serve", *map(str, arguments), "--port", "0"], cwd=ROOT,
                stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), **env}, preexec_fn=preexec)
        try:
            self.url = self._address()
            self.host = urlsplit(self.url).netloc
            self.until(lambda: Client(self).ask("GET", "/readyz")[0] == 200)
        except BaseException:
            self.kill()
            raise

    def _address(self) -> str:
        said: queue.Queue[bytes] = queue.Queue()
        stream = self.process.stdout
        assert stream is not None

        def read() -> None:
            for line in stream:
                said.put(line)
            said.put(b"")

        threading.Thread(target=read, daemon=True).start()
        while line := said.get(timeout=PATIENCE):
            found = re.search(rb"Serving at (http://\S+)", line)
            if found:
                return found[1].decode()
        raise AssertionError(f"the service ended: {self.errors()}")

    def errors(self) -> str:
        """What it has said on stderr."""
        return self._errors.read_text()

    def until(self, happens: Any, timeout: float = PATIENCE) -> None:
        """Wait for something."""
        deadline = time.monotonic() + timeout
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if happens():
                    return
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:g} s; stderr: {self.errors()}")
            time.sleep(.02)

    def workers(self) -> list[int]:
        """The processes that answer: children of the supervisor that serve."""
        return [pid for pid in children(self.process.pid) if b"spawn_main" in _command(pid)]

    def end(self, timeout: float = PATIENCE) -> int:
        """Ask it to end, and wait; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """End all its processes at once, and the connections to them."""
        for client in self.clients:
            client.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()


def children(pid: int) -> list[int]:
    """The child processes of one."""
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


class Client:
    """A connection that is kept; one that breaks is opened anew, and the request sent again if that may be."""

    def __init__(self, service: Running, timeout: float = 20.0) -> None:
        self._host, self._timeout = service.host, timeout
        service.clients.append(self)
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}) -> tuple[int, Any]:
        """The status, and the body as JSON, or as bytes where it is none; OSError or HTTPException if it breaks."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {**({} if body is None else {"Content-Type": "application/json"}), **headers}
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, timeout=self._timeout)
        try:
            self._connection.request(method, quote(path, safe="/?&=%"), raw, given)
            answer = self._connection.getresponse()
            self.headers = dict(answer.getheaders())
            return answer.status, _read(answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def insist(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}, *,
               timeout: float = PATIENCE) -> tuple[int, Any]:
        """`ask`, again and again while the connection breaks; for what may be asked twice."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.ask(method, path, body, headers)
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline:
                    raise
                time.sleep(.01)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _read(said: bytes) -> Any:
    try:
        return json.loads(said)
    except ValueError:
        return said


@contextlib.contextmanager
def serving(*arguments: Any, folder: Path, **given: Any) -> Iterator[Running]:
    """A service as real processes, while it lasts."""
    service = Running(*arguments, folder=folder, **given)
    try:
        yield service
    finally:
        service.kill()


def event(user: Any, item: Any, type: str = "click", id: str | None = None, **more: Any) -> dict[str, Any]:
    """An event as it is sent."""
    return {"user": user, "item": item, "type": type, **({} if id is None else {"id": id}), **more}


def history(data: Interactions, user: Any) -> tuple[list[Any], list[float] | None]:
    """What training has of a user, in the order of time: item ids, and their values."""
    rows = np.flatnonzero(data.user == data.users.encode([user], "skip")[0])
    if data.time is not None:
        rows = rows[np.argsort(data.time[rows], kind="stable")]
    return data.items.ids[data.item[rows]].tolist(), None if data.value is None else data.value[rows].tolist()


def listed(answer: Mapping[str, Any]) -> tuple[list[Any], list[float]]:
    """The ids and scores of an answer."""
    return [each["id"] for each in answer["items"]], [each["score"] for each in answer["items"]]


def same_list(answer: Mapping[str, Any], recs: Any) -> None:
    """Compare an answer with that of the direct call, to the last bit."""
    ids, scores = listed(answer)
    assert ids == recs.items.tolist()
    assert scores == recs.scores.astype(np.float32).tolist()


class Checker:
    """Compares answers with the direct call of the version that they name.

    Parameters
    ----------
    models : mapping of str to Fitted
        By version.
    data : Interactions
        That they learned from.
    """

    def __init__(self, models: Mapping[str, Any], data: Interactions) -> None:
        self._models, self._data = models, data

    def check(self, answer: Mapping[str, Any], request_id: str, user: Any, done: Sequence[Any], k: int = 10) -> None:
        """Raise AssertionError unless an answer is that of a user who has done just this since training."""
        assert answer["request_id"] == request_id
        assert answer["model"]["version"] in self._models, f"an unknown version: {answer['model']}"
        fitted = self._models[answer["model"]["version"]]
        old, values = history(self._data, user)
        same_list(answer, fitted.recommend(
            history=[*old, *done], values=None if values is None else [*values, *[1.0] * len(done)], k=k))


def copied(source: Path, folder: Path) -> Path:
    """A copy of a model file in another folder."""
    return Path(shutil.copy(source, folder / source.name))


def files_with(folders: Sequence[Path], text: str) -> list[Path]:
    """The files in some folders, and below, whose name or bytes hold a text, in any encoding that arrays have."""
    found = []
    for path in [path for folder in folders for path in folder.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):
            held = path.read_bytes() if path.is_file() else b""
            if text in path.name or any(text.encode(form) in held for form in ("utf-8", "utf-16-le", "utf-32-le")):
                found.append(path)
    return found

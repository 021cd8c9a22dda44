"""Services as processes, and pages in a real browser that have to keep to their origin and write no errors."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("/usr/bin/chromium", "chromium", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


class Service:
    """A process of `recsys serve`, and direct calls to it."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url, self.token = url, token

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")


@contextlib.contextmanager
def run(model: Path, folder: Path, token: str | None = None) -> Iterator[Service]:
    """A service until the end of the block, its log beside; fails with what it said if it does not become ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "RECSYS_TOKEN"}
    command = [sys.executable, "-m", "recsys", "serve", str(model), "--port", str(port)]
    with (folder / "serve.txt").open("wb") as said, subprocess.Popen(
            [*command, "--events", str(folder / "log.db")], stdout=said, stderr=said,
            env=environment | ({"RECSYS_TOKEN": token} if token else {})) as process:
        try:
            service = Service(f"http://127.0.0.1:{port}", token)
            until = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError):
                    service.call("GET", "/readyz")
                    break
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail((folder / "serve.txt").read_text())
                time.sleep(0.05)
            yield service
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session")
def serving() -> Callable[..., contextlib.AbstractContextManager[Service]]:
    """Runs a service: `with serving(model, folder, token) as service: service.call("GET", "/v1/model")`."""
    return run


@pytest.fixture(scope="module")  # no longer: its event loop would be in the way of other tests
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium or google-chrome on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages, `opened(service, path)`, and fails if one leaves its origin or writes an error."""
    contexts, found = [], []

    def open_page(service: Service, path: str = "/", errors: str = "^$", **options: Any) -> Any:
        defaults = {"viewport": {"width": 1400, "height": 900}, "reduced_motion": "reduce"}
        context = browser.new_context(**defaults | options)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda message: found.append(message.text) if message.type == "error"
                and not re.search(errors, message.text) else None)
        page.on("pageerror", lambda error: found.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith((service.url + "/", "data:"))
                else found.append(request.url))
        page.goto(service.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not found

"""Small models in files, fitted once a session; services as processes; pages in a real browser.

Pages have to keep to their origin, and to write no errors.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.recsys.serving.service import Running  # isort: skip

from recsys import datasets
from recsys.data import Features, Interactions
from recsys.models import model_class

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
    running = Running(model, "--events", folder / "log.db", folder=folder, env={"RECSYS_TOKEN": token or ""})
    try:
        yield Service(running.url, token)
    finally:
        running.kill()


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


class Made(NamedTuple):
    """A model's file, what it answers with, and what it learned from."""

    path: Path
    fitted: Any
    data: Interactions


_SIMULATED: dict[str, Any] = {"n_users": 300, "n_items": 200, "n_events": 6000, "seed": 0}
_SMALL = {
    "EASE": {}, "ALS": {"factors": 16, "iterations": 3}, "ItemKNN": {}, "UserKNN": {}, "Popular": {},
    "SequenceRecommender": {"epochs": 2}, "GMF": {"epochs": 2}, "MatrixFactorization": {"epochs": 2},
    "MLP": {"epochs": 2},
}


def implicit() -> Interactions:
    """String ids, titles, no values."""
    found, _ = datasets.simulate(**_SIMULATED, ratings=False)
    users, items = found.users.ids[found.user], found.items.ids[found.item]
    made = Interactions.from_arrays([f"user {one:03d}" for one in users], [f"item {one:03d}" for one in items],
                                    times=found.time)
    titles = [f"Title of {one}" for one in made.items.ids.tolist()]
    return replace(made, item_features=Features(titles=titles))


def rated() -> Interactions:
    """Integer ids, ratings."""
    found, _ = datasets.simulate(**_SIMULATED)
    return found


class Models:
    """Models by name, fitted when they are asked for: `models["EASE"]`, `models["EASE", "rated"]`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data: dict[str, Interactions] = {}
        self._made: dict[tuple[str, str], Made] = {}

    def __getitem__(self, key: str | tuple[str, str]) -> Made:
        name, kind = key if isinstance(key, tuple) else (key, "implicit")
        if (name, kind) not in self._made:
            data = self.data(kind)
            model = model_class(name)()
            known = model.get_params()
            model.set_params(**{key: value for key, value in _SMALL[name].items() if key in known})
            path = self._folder / f"{name}-{kind}.recsys"
            model.fit(data).save(path)
            self._made[name, kind] = Made(path, model.require("learned"), data)
        return self._made[name, kind]

    def data(self, kind: str) -> Interactions:
        """What they learn from."""
        if kind not in self._data:
            self._data[kind] = {"implicit": implicit, "rated": rated}[kind]()
        return self._data[kind]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Models by name."""
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same each time."""
    return np.random.default_rng(0)

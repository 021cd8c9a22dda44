"""How a service starts, in real processes: without Numba from the second time on, and with the model in memory once."""

from __future__ import annotations

import contextlib
import http.client
import json
import mmap
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl.runtime import numba_enabled
from recsys import Interactions, datasets
from recsys.estimator import storing
from recsys.models import find

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
needs_numba = pytest.mark.skipif(not numba_enabled(), reason="Numba is absent")
linux = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="looks at processes in Linux's /proc")
DATA = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)[0]
SECONDS = 90


class Served:
    """A running `recsys serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"content-type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200
            return json.loads(answer.read())

    @property
    def kernels(self) -> str:
        return str(self.ask("GET", "/readyz")["checks"]["kernels"])

    def recommended(self) -> list[Any]:
        return [self.ask("POST", "/v1/recommend", {"history": [1, 2, 3], "k": 10})["items"],
                self.ask("POST", "/v1/recommend", {"user": 1, "k": 5, "explain": True})["items"],
                self.ask("POST", "/v1/similar", {"item": 1})["items"]]

    def workers(self) -> list[int]:
        """Processes that have the application loaded, which the supervisor and its helper have not."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if "msgspec" in Path(f"/proc/{child}/maps").read_text()]


@contextlib.contextmanager
def served(model: Path, cache: Path, workers: int = 1) -> Iterator[Served]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "RECSYS_WARMUP": "0"}
    process = subprocess.Popen([sys.executable, "-m", "recsys", "serve", str(model), "--port", "0", "--workers",
                                str(workers)], env=environment, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()], daemon=True).start()
    try:
        said = ""
        while "Serving at" not in said:
            said = lines.get(timeout=SECONDS)
        yield Served(process, int(said.split("http://127.0.0.1:")[1].split()[0]))
    finally:
        process.terminate()
        process.wait(SECONDS)
        process.stdout.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "ease.recsys"
    find("EASE")().fit(DATA).save(path)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, list[Any]]:
    """A folder in which a first start has compiled kernels, and what it answered."""
    folder = tmp_path_factory.mktemp("cache")
    with served(model, folder, workers=2) as first:
        assert first.kernels in ("compiled", "ahead of time")
        answers = first.recommended()
    assert len(list(folder.glob("kernels-*.zip"))) == 1
    return folder, answers


def anonymous(pid: int) -> int:
    """MB of a process that no other shares and no file has."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss_Anon")).split()[1]) // 1024


@needs_numba
@linux
def test_from_the_second_start_on_workers_do_without_numba(model: Path, cache: tuple[Path, list[Any]]) -> None:
    folder, answers = cache
    with served(model, folder, workers=2) as again:
        for _ in range(4):  # whichever worker answers
            assert again.recommended() == answers
            assert again.kernels == "ahead of time"
        workers = again.workers()
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        deadline = time.monotonic() + SECONDS
        while len(again.workers()) < 2 or workers[0] in again.workers():
            assert time.monotonic() < deadline
            time.sleep(.05)
        assert again.recommended() == answers
        for worker in again.workers():
            loaded = Path(f"/proc/{worker}/maps").read_text()
            assert "/llvmlite/" in loaded
            assert not [line for line in loaded.splitlines() if "/numba/" in line or "/scipy" in line]


@needs_numba
def test_damaged_code_is_made_again(model: Path, cache: tuple[Path, list[Any]]) -> None:
    folder, answers = cache
    kept = next(folder.glob("kernels-*.zip"))
    whole = kept.read_bytes()
    kept.write_bytes(whole[:len(whole) // 2])
    with served(model, folder) as third:
        assert third.kernels == "compiled"
        assert third.recommended() == answers
    with served(model, folder) as fourth:
        assert fourth.kernels == "ahead of time"
        assert fourth.recommended() == answers


@needs_numba
@linux
def test_workers_share_the_model(model: Path, cache: tuple[Path, list[Any]], tmp_path: Path) -> None:
    large = tmp_path / "large.recsys"
    find("EASE")().fit(datasets.simulate(n_users=200, n_items=3000, n_events=20000, seed=0)[0]).save(large)
    used = {}
    for path in (model, large):
        with served(path, cache[0]) as one:
            one.recommended()
            used[path] = anonymous(one.workers()[0])
    assert large.stat().st_size > 30 << 20
    assert used[large] < used[model] + 15


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("name", ["EASE", "ALS", "ItemKNN", "BPR", "Markov"])
def test_nothing_that_a_file_has_is_copied(name: str, text: bool, tmp_path: Path) -> None:
    data = DATA
    if text:
        data = Interactions.from_arrays(DATA.users.ids[DATA.user].astype(str), DATA.items.ids[DATA.item].astype(str))
    find(name)().fit(data).save(tmp_path / "model")
    fitted = storing.load(tmp_path / "model", mmap=True)
    fitted.recommend(history=fitted.items.ids[:3].tolist(), k=3)
    arrays = {**fitted.scorer.state()[1], "users": fitted.users.ids, "items": fitted.items.ids}
    features, seen = fitted.facts.item_features, fitted.facts.seen
    arrays |= {} if features is None else {"titles": features.titles}
    arrays |= {} if seen is None else {"seen.indptr": seen.indptr, "seen.indices": seen.indices}
    assert [key for key, array in arrays.items() if not is_mapped(array)] == []


def is_mapped(array: Any) -> bool:
    """Whether an array is a view into a mapped file."""
    while isinstance(array, np.ndarray):
        array = array.base
    while isinstance(array, memoryview):
        array = array.obj
    return isinstance(array, mmap.mmap)

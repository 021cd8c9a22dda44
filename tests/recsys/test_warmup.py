"""Kernels compiled ahead: few of them, once, and a second process that nothing depends on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from minidl import runtime
from recsys import cli, models, warmup

pytestmark = pytest.mark.skipif(not runtime.numba_enabled(), reason="compiles with Numba")

NAMES = ["ItemKNN", "ItemKNNBaseline", "ALS", "BPR", "MatrixFactorization", "MultDAE"]
WARM = """
import json, sys
from numba.core import event
from recsys import models, warmup
found = []
class Listener(event.Listener):
    def on_start(self, event): pass
    def on_end(self, event):
        function = event.data["dispatcher"].py_func
        found.append(f"{function.__module__}.{function.__qualname__}")
event.register("numba:compile", Listener())
for name in sys.argv[1:]:
    warmup.warm(models.find(name)())
print(json.dumps(found))
"""
# Functions with two types: a float32 and a float64 weight of the same loss, rows that may or may not be written to.
TWICE = {"minidl.kernels.numba_loss." + name for name in ("_softmax_gradient", "_row_gradient", "_probabilities")}
TWICE |= {"minidl.kernels.numba_rows._scatter_add"}
MOST = 70  # in all, with what Numba's own functions need


def _compiled(folder: Path, *names: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", WARM, *names], env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
                          check=True, text=True, capture_output=True)
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """An empty cache after a process that compiled for it was killed, and what was compiled in it afterwards."""
    folder = tmp_path_factory.mktemp("kernels")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "NUMBA_NUM_THREADS": "2"}
    environment.pop("RECSYS_WARMUP", None)
    code = ("import time; from recsys import models, warmup\n"
            "with warmup.beside([models.ItemKNN()]):\n    print('begun', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "begun\n"
        end = time.monotonic() + 60
        while not list(folder.rglob("*.nbi")) and time.monotonic() < end:
            time.sleep(0.02)
        parent.kill()  # kill -9: the second process is left alone, and ends
    lock = folder / "recsys-warmup.lock"
    end = time.monotonic() + 20
    while not _free(lock) and time.monotonic() < end:
        time.sleep(0.05)
    return folder, _free(lock), _compiled(folder, *NAMES)


def _free(lock: Path) -> bool:
    fcntl = pytest.importorskip("fcntl")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def test_the_second_process_ends_with_the_first(cold):
    assert cold[1]


def test_no_function_is_compiled_for_more_types_than_it_must(cold):
    counts = Counter(name for name in cold[2] if name.startswith(("minidl.", "recsys.")))
    more = {name: count for name, count in counts.items() if count > 1 and "<locals>" not in name}
    assert set(more) <= TWICE
    assert max(more.values(), default=0) <= 2
    assert len(cold[2]) <= MOST


def test_a_cache_whose_writer_was_killed_is_whole(cold):
    assert _compiled(cold[0], *NAMES) == []


def test_what_is_compiled_is_recorded(cold, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cold[0]))
    built = [models.find(name)() for name in NAMES]
    assert warmup.missing(built) == []
    assert warmup.missing([models.ItemKNN(neighbours=7)]) != []  # other parameters may need other kernels
    assert warmup.missing([models.ALS(seed=9)]) == []


def test_nothing_is_started_where_it_is_of_no_use(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    started = []
    monkeypatch.setattr(warmup.subprocess, "Popen", lambda *args, **kwargs: started.append(args))
    monkeypatch.setattr(warmup.runtime, "threads", lambda: 1)
    with warmup.beside([models.ALS()]):
        pass
    monkeypatch.setattr(warmup.runtime, "threads", lambda: 2)
    monkeypatch.setenv("RECSYS_WARMUP", "0")
    with warmup.beside([models.ALS()]):
        pass
    monkeypatch.delenv("RECSYS_WARMUP")
    warmup.remember([models.ALS()])
    with warmup.beside([models.ALS()]):
        pass
    assert started == []


def test_two_are_never_at_one_cache(tmp_path, monkeypatch):
    pytest.importorskip("fcntl")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with warmup._lock():
        assert warmup._lock() is None
    with warmup._lock() as again:
        assert again is not None


def test_the_command_says_what_it_compiled(capsys, monkeypatch, tmp_path):
    file = tmp_path / "popular.model"
    from recsys import datasets
    models.Popular().fit(datasets.simulate(30, 20, 200, seed=1)[0]).save(file)
    assert cli.main(["warmup", "Markov", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["models"] == ["Markov", "Popular"]
    assert cli.main(["warmup", "Markov"]) == 0
    assert "everything was in the cache; ready: Markov." in capsys.readouterr().out
    assert cli.main(["warmup", "Markow"]) == 2
    assert "there is no model 'Markow'" in capsys.readouterr().err

"""The runtime: variables, Numba's threads, guards, memory, report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import minidl.__main__
from minidl import kernels, runtime


def _child(code: str, **variables: str) -> Any:
    """What `code` prints as JSON, in a fresh interpreter."""
    environment = {k: v for k, v in os.environ.items() if k not in runtime.DEFAULTS} | variables
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


# ----------------------------------------------------------------------------------------- variables

def test_variables_are_set_before_numpy_but_not_over_the_users() -> None:
    code = "import json, os, minidl; r = minidl.runtime.report(); print(json.dumps([r['variables'], r['note']]))"
    assert _child(code) == [runtime.DEFAULTS, ""]
    assert _child(code, GOMP_SPINCOUNT="7")[0]["GOMP_SPINCOUNT"] == "7"


def test_numpy_imported_first_is_noted() -> None:
    code = "import json, numpy, minidl; print(json.dumps(minidl.runtime.report()['note']))"
    assert "NumPy was imported before minidl" in _child(code)


# --------------------------------------------------------------------------------------------- Numba

def test_threads_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = runtime.threads()
    assert before >= 1
    runtime.set_threads(1)
    assert runtime.threads() == 1
    runtime.set_threads(before)
    with pytest.raises(ValueError, match="at least one"):
        runtime.set_threads(0)
    monkeypatch.setenv("MINIDL_NUMBA", "0")
    assert runtime.threads() == 1
    runtime.set_threads(10**6)  # nothing to set


@pytest.mark.skipif(not runtime.numba_enabled(), reason="Numba is absent")
def test_too_many_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="NUMBA_NUM_THREADS"):
        runtime.set_threads(10**6)


def test_asking_for_threads_does_not_import_numba() -> None:
    code = ("import json, sys, minidl; n = minidl.runtime.threads(); minidl.runtime.report(); "
            "print(json.dumps([n >= 1, 'numba' in sys.modules]))")
    assert _child(code) == [True, False]


@pytest.mark.parametrize("safe", [False, True])
def test_the_guard_is_a_lock_where_the_layer_needs_one(safe: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "parallel_is_safe", lambda: safe)
    monkeypatch.setattr(kernels, "parallel_is_safe", lambda: safe)
    kernel = kernels.Kernels("minidl.kernels", "rows").scatter_add  # kernels come under the guard by themselves
    assert hasattr(kernel, "__wrapped__") or safe
    with runtime.parallel_guard(), ThreadPoolExecutor(1) as other:
        free = other.submit(_take_and_release, runtime._lock).result()
    assert free == safe


@pytest.mark.skipif(not runtime.numba_enabled(), reason="Numba is absent")
@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_the_layer_is_foreseen(layer: str) -> None:
    code = ("import json, numpy as np, minidl; from minidl import kernels, runtime; safe = runtime.parallel_is_safe(); "
            "minidl.ops.max_pool2d(minidl.tensor(np.ones((16, 8, 64, 64))), 2); "
            "print(json.dumps([safe, runtime.report()['numba_layer']]))")
    safe, chosen = _child(code, NUMBA_THREADING_LAYER=layer)
    assert safe == (chosen != "workqueue")


def _take_and_release(lock: Any) -> bool:
    taken: bool = lock.acquire(blocking=False)
    if taken:
        lock.release()
    return taken


# -------------------------------------------------------------------------------------- memory, report

def test_tune_says_what_it_did_and_does_it_once() -> None:
    code = ("import json, minidl; r = minidl.runtime; first = r.tune(); "
            "print(json.dumps([first, r.tune() == first, r.platform.libc_ver()[0]]))")
    done, same, library = _child(code)
    assert same
    assert set(done) == ({"M_MMAP_THRESHOLD", "M_TRIM_THRESHOLD"} if library == "glibc" else set())


def test_tune_does_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.platform, "libc_ver", lambda: ("", ""))
    assert runtime.tune.__wrapped__() == {}


def test_the_command_line_reports(capsys: pytest.CaptureFixture[str]) -> None:
    minidl.__main__.main(["report"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in runtime.report())


def test_warmup_trains_through_the_kernels(capsys: pytest.CaptureFixture[str],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    minidl.__main__.main(["warmup"])
    assert ("compiled" in capsys.readouterr().out) == runtime.numba_enabled()
    monkeypatch.setenv("MINIDL_NUMBA", "0")
    minidl.__main__.main(["warmup"])
    assert "nothing to compile" in capsys.readouterr().out

"""The compile clock: it runs while anything compiles, and is left out of what is timed."""

from __future__ import annotations

import threading
import time

import pytest

from minidl import compiling, runtime


@pytest.fixture
def clock(monkeypatch):
    made = compiling._Clock()
    monkeypatch.setattr(compiling, "clock", made)
    return made


def test_what_compiles_within_another_counts_once(clock):
    clock.start()
    clock.start()
    time.sleep(0.02)
    clock.stop()
    running = clock.seconds()
    clock.stop()
    after = clock.seconds()
    time.sleep(0.01)
    assert 0.02 <= running <= after == clock.seconds()
    assert clock.count == 2


def test_threads_that_compile_at_once_count_once(clock):
    both = threading.Barrier(2)

    def compile_something():
        both.wait()
        clock.start()
        time.sleep(0.05)
        clock.stop()

    threads = [threading.Thread(target=compile_something) for _ in range(2)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.05 <= clock.seconds() <= time.perf_counter() - begin


def test_a_stopwatch_leaves_compiling_out(clock):
    watch = runtime.Stopwatch()
    clock.start()
    time.sleep(0.05)
    clock.stop()
    begin = time.perf_counter()
    assert watch.compiling >= 0.05
    assert watch.seconds <= time.perf_counter() - begin + 0.04


@pytest.mark.skipif(not runtime.numba_enabled(), reason="compiles with Numba")
def test_numba_is_listened_to():
    numba = pytest.importorskip("numba")
    from minidl.kernels import listening

    listening.listen()
    watch, before = runtime.Stopwatch(), runtime.compilations()
    function = numba.njit(lambda x: x + 1)
    function(1)
    assert runtime.compilations() == before + 1
    first = watch.compiling
    function(2)
    assert 0 < first == watch.compiling
    assert runtime.compile_seconds() >= first

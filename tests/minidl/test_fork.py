"""A child that was forked after parallel kernels ran: it lives, and computes the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from minidl import runtime

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
              pytest.mark.skipif(not runtime.numba_enabled(), reason="Numba is absent")]

SETUP = """
import hashlib, multiprocessing, os, sys, threading
import numpy as np
import minidl
from minidl import kernels, runtime

def work(seed):
    "Bits after a step of Adam, of a loss and its gradient, and of a kernel that Numba itself runs in parallel."
    rng = np.random.default_rng(seed)
    w = minidl.tensor(rng.normal(size=1 << 18), requires_grad=True)
    w.grad = rng.normal(size=w.shape)
    minidl.optim.Adam([w], lr=.1).step()
    x = minidl.tensor(rng.normal(size=(512, 300)), requires_grad=True)
    minidl.ops.cross_entropy(x, rng.integers(0, 300, 512)).backward()
    pooled = minidl.ops.max_pool2d(minidl.tensor(rng.normal(size=(16, 8, 64, 64))), 2)
    return hashlib.sha256(w.data.tobytes() + x.grad.tobytes() + pooled.data.tobytes()).hexdigest()

def child(run):
    "The status of a child that runs `run`."
    pid = os.fork()
    if pid == 0:
        status = 9
        try:
            status = run() or 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

wanted = work(1)
assert runtime.report()["numba_layer"] is not None  # a parallel kernel has run
"""


def _runs(code: str, **variables: str) -> None:
    """Run `code` after SETUP in a fresh interpreter, which must end well and in time."""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", **variables}
    done = subprocess.run([sys.executable, "-c", SETUP + textwrap.dedent(code)], env=environment, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Terminating" not in done.stderr


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_a_forked_child_and_its_child_compute_the_same_bits(layer):
    _runs("""
        assert child(lambda: work(1) != wanted) == 0
        assert child(lambda: child(lambda: work(1) != wanted)) == 0
        assert work(1) == wanted  # the parent goes on with its threads
        assert runtime.threads() == 2
    """, NUMBA_THREADING_LAYER=layer)


def test_a_pool_of_forked_processes_works():
    _runs("""
        wanted = [work(seed) for seed in range(4)]
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(work, range(4)).get(60) == wanted
    """)


def test_threads_of_a_forked_child_work_too():
    _runs("""
        def threaded():
            found = []
            threads = [threading.Thread(target=lambda: found.append(work(1))) for _ in range(2)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            return found != [wanted] * 2
        assert child(threaded) == 0
    """)


def test_a_fork_from_another_thread_while_gradients_are_collected():
    _runs("""
        from minidl import engine
        engine._collecting.acquire()  # by the main thread, which the child does not have
        status = []
        t = threading.Thread(target=lambda: status.append(child(lambda: work(1) != wanted)))
        t.start()
        t.join(60)
        assert status == [0]
    """)


@pytest.mark.parametrize("lock", ["behind.lock", "blas.openblas()._lock", "compiling.clock._lock", "versions._lock"])
def test_a_fork_while_another_thread_has_a_lock(lock):
    _runs(f"""
        import time
        from minidl import behind, blas, compiling, versions
        if not {lock.startswith("blas")} or blas.openblas() is not None:
            lock, taken = {lock}, threading.Event()
            def hold():
                with lock:
                    taken.set()
                    time.sleep(.3)
            t = threading.Thread(target=hold)
            t.start()
            taken.wait()
            assert child(lambda: 0 if {lock}.acquire(timeout=10) else 5) == 0  # the one that is there now
            t.join()
    """)


def test_a_child_forgets_what_other_threads_had_begun():
    _runs("""
        import time
        from minidl import blas, compiling
        begun, library = threading.Event(), blas.openblas()
        def work():
            if library is not None:
                library.pin()
            compiling.clock.start()
            begun.set()
            time.sleep(.3)
            compiling.clock.stop()
        def idle():
            before = compiling.compile_seconds()
            time.sleep(.02)
            return compiling.compile_seconds() != before or (library is not None and library._pins)
        t = threading.Thread(target=work)
        t.start()
        begun.wait()
        assert child(idle) == 0
        t.join()
        assert compiling.compilations() == 1
    """)


def test_more_threads_are_refused_where_they_would_be_waited_for():
    _runs("""
        def ask():
            if runtime.report()["numba_layer"] != "omp":
                return 0
            runtime.set_threads(1)
            try:
                runtime.set_threads(2)
            except ValueError as error:
                return "spawn" not in str(error)
            return 1
        assert child(ask) == 0
    """)

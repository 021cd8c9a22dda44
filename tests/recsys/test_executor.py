"""One map: the same results in one process and in several, in order; processes that die, and whose parent dies."""

from __future__ import annotations

import importlib
import os

import pytest

from recsys.executor import Died, executor

WORK = """
import os
import signal

def work(shared, job):
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "raise":
        raise ValueError("it is wrong")
    return shared, job, os.environ.get("NUMBA_NUM_THREADS")
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A function of a module that other processes find."""
    (tmp_path / "work_of_the_test.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("work_of_the_test").work


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_order(work, workers):
    with executor(work, "all", workers) as run:
        assert [job for _, job, _ in run(range(7))] == list(range(7))
        assert list(run([])) == []
        with pytest.raises(ValueError, match="it is wrong"):
            list(run(["raise"]))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_result_is_there_before_later_jobs_fail(work, workers):
    with executor(work, None, workers) as run:
        results = run([1, "raise", 3])
        assert next(results)[1] == 1
        with pytest.raises(ValueError, match="it is wrong"):
            list(results)


def test_a_process_that_dies_loses_its_own_job_only(work):
    with executor(work, None, 2) as run:
        first, died, *others = run([1, "die", 2, 3])
        assert isinstance(died, Died)
        assert [job for _, job, _ in (first, *others)] == [1, 2, 3]
        assert next(run([4]))[1] == 4


def test_processes_share_the_cores(work):
    with executor(work, None, 2) as run:
        threads = {threads for *_, threads in run([1, 2])}
    assert threads == {str(max((os.cpu_count() or 1) // 2, 1))}

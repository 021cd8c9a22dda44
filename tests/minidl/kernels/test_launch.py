"""Parts that make up the whole, whoever does them."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import launch


@given(n=st.integers(0, 200), threads=st.integers(1, 5), large=st.booleans())
def test_every_row_is_done_once(n, threads, large):
    done, lock = [], threading.Lock()

    def kernel(first, last, *args):
        assert args == (1, "x")
        with lock:
            done.extend(range(first, last))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "threads", lambda: threads)
        launch.spread(kernel, n, large, 1, "x")
    assert sorted(done) == list(range(n))


def test_small_work_is_one_call_on_this_thread(monkeypatch):
    monkeypatch.setattr(launch, "threads", lambda: 4)
    calls = []
    launch.spread(lambda first, last: calls.append((first, last, threading.get_ident())), 100, False)
    assert calls == [(0, 100, threading.get_ident())]


def test_an_error_in_a_part_is_raised(monkeypatch):
    monkeypatch.setattr(launch, "threads", lambda: 3)

    def kernel(first, last):
        if first <= 50 < last:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        launch.spread(kernel, 100, True)

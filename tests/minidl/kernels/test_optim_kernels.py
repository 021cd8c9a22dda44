"""Optimizer kernels: rows cut in the middle, memory around them, and Numba's cache on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from minidl.kernels import numba_optim, numpy_optim

NUMBERS: dict[str, tuple[int, list[float]]] = {  # moments; what follows sign, shrink and decay
    "sgd": (1, [0.1, 0, 1, 0.9, 0.8, 0.3, 0.7]),
    "rmsprop": (3, [0.1, 1e-3, 1, 0.9, 0.8, 0.9, 0.1, 0.8]),
    "adam": (3, [0.1, 1e-3, 1, 0.9, 0.99, 1, 0.1, 0.01, 0.2, 0.5]),
    "adamax": (2, [0.1, 1e-3, 1, 0.9, 0.99, 0.1]),
    "adadelta": (2, [0.1, 1e-3, 1, 0.9, 0.9, 0.1]),
    "lion": (1, [0.1, 0, 0, 0.99, 0.9, 0.1, 0.01]),
}


def _arrays(name: str, n: int, d: int, k: int) -> list[Any]:
    """Table, indices, rows, state and numbers; state such as a rule leaves it."""
    rng = np.random.default_rng(0)
    moments, numbers = NUMBERS[name]
    state = rng.uniform(0.5, 1, (moments, n, d))
    state[-1] *= 0.5  # the variance of a centered RMSprop is positive
    s = np.array([-1.0, 0.99, 0.02, *numbers])
    return [rng.normal(size=(n, d)), rng.permutation(n)[:k], rng.normal(size=(k, d)), state, s]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(("n", "d", "k"), [(5, 60_001, 3), (1, 140_003, 1), (3, 0, 2), (4, 3, 0), (9, 1, 9)])
def test_every_element_of_the_rows_is_updated_once(name: str, n: int, d: int, k: int) -> None:
    """Also where chunks of a parallel run end in the middle of a row."""
    kernel, reference = getattr(numba_optim, name), getattr(numpy_optim, name)
    ours, theirs = _arrays(name, n, d, k), _arrays(name, n, d, k)
    kernel(*ours)
    reference(*theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a == b).all()


@pytest.mark.parametrize(("name", "catch_up"), [(name, catch_up) for name in NUMBERS for catch_up in (False, True)
                                                if (name, catch_up) != ("lion", True)])
def test_nothing_is_written_around_the_rows(name: str, catch_up: bool) -> None:
    p, indices, rows, state, s = _arrays(name, 6, 3, 2)
    s[2] = 0.0  # without weight decay rows come to rest

    def guarded(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        memory = np.full(array.size + 32, 7.0)
        inside = memory[16:-16].reshape(array.shape)
        inside[...] = array
        return memory, inside

    (table_memory, table), (state_memory, moments) = guarded(p), guarded(state)
    if catch_up:
        last = np.zeros(6, np.int64)
        getattr(numba_optim, f"{name}_catch_up")(table, indices, moments, last, np.tile(s, (500, 1)), 500)
        assert last[indices].tolist() == [500, 500]
    else:
        getattr(numba_optim, name)(table, indices, rows, moments, s)
    others = np.setdiff1d(np.arange(6), indices)
    assert (table[others] == p[others]).all()
    assert (moments[:, others] == state[:, others]).all()
    for memory in (table_memory, state_memory):
        assert (memory[:16] == 7).all()
        assert (memory[-16:] == 7).all()


SCRIPT = """
import json
import numpy as np
from minidl import runtime
from minidl.kernels import listening
listening.listen()
from minidl.kernels import numba_optim as k
p, i, state, s = np.ones((1, 4)), np.zeros(1, np.int64), np.zeros((1, 1, 4)), np.ones(10)
k.sgd(p, i, p.copy(), state, s)
k.sgd_catch_up(p, i, state, np.zeros(1, np.int64), np.ones((2, 10)), 2)
k.lion(p, i, p.copy(), state, s)
print(json.dumps([runtime.compilations(), p.tolist()]))
"""


def test_copies_of_one_code_are_found_in_the_cache(tmp_path: Any) -> None:
    """The second process compiles nothing, and takes no kernel for another."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    seen = [json.loads(subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True, text=True,
                                      capture_output=True).stdout) for _ in range(2)]
    assert seen[0][0] > 3
    assert seen[1] == [0, seen[0][1]]

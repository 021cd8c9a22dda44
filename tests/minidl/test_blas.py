"""Products of matrices: NumPy's results, one BLAS thread, the same bits for any number of threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from minidl import blas, runtime


class Threads:
    """The thread count of a library, and what it was set to."""

    def __init__(self, count: int) -> None:
        self.now = count
        self.calls: list[int] = []

    def get(self) -> int:
        return self.now

    def set(self, n: int) -> None:
        self.now = n
        self.calls.append(n)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Threads]:
    """A library with two threads, small limits, so that small products are pinned or cut."""
    threads = Threads(2)
    library = blas._OpenBLAS(threads.get, threads.set)
    monkeypatch.setattr(blas, "openblas", lambda: library)
    monkeypatch.setattr(blas, "BLAS_SMALL", 10**2)
    monkeypatch.setattr(blas, "BLAS_LARGE", 10**3)
    monkeypatch.setattr(blas, "_NARROWEST", 2)
    yield threads
    assert threads.now == 2


@given(mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", max_side=4), st.sampled_from([1, 2, 5]),
       st.sampled_from([0, 1, 8, 10**6]), st.sampled_from(["float32", "float64", "int8", "bool"]), st.booleans())
def test_matmul_is_numpys(shapes: Any, count: int, large: int, dtype: str, given_out: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in shapes.input_shapes)
    threads = Threads(count)
    library = blas._OpenBLAS(threads.get, threads.set)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("openblas", lambda: library), ("BLAS_SMALL", -1), ("BLAS_LARGE", max(large, 1)),
                            ("_NARROWEST", 1)):
            patch.setattr(blas, name, value)
        out = np.empty(shapes.result_shape, dtype) if given_out else None
        found = runtime.matmul(a, b, out=out)
    assert found is out or not given_out
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.matmul(a, b))  # whole numbers, so exactly
    assert threads.now == count


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_layouts_and_parts(seed: int, first: bool, last: bool) -> None:
    rng = np.random.default_rng(seed)
    m, k, n = rng.integers(1, 300, 3)
    a = rng.normal(size=(k, m)).T if first else rng.normal(size=(m, 2 * k))[:, ::2]
    b = rng.normal(size=(n, k)).T if last else rng.normal(size=(k, n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blas, "BLAS_LARGE", 2**18)
        found = runtime.matmul(a, b)
    np.testing.assert_allclose(found, np.matmul(a, b), rtol=1e-10, atol=1e-10)
    assert found.flags.c_contiguous


def test_only_middling_products_are_pinned_and_large_ones_cut(two: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[Any] = []
    whole = np.matmul
    monkeypatch.setattr(blas.np, "matmul", lambda a, b, out=None: parts.append((two.now, a.shape)) or whole(a, b, out))
    for n, seen in ((4, [(2, (4, 4))]), (6, [(1, (6, 6))]), (10, [(1, (5, 10)), (1, (5, 10))])):
        parts.clear()
        assert np.array_equal(runtime.matmul(np.ones((n, n)), np.ones((n, n))), np.full((n, n), float(n)))
        assert parts == seen


def test_products_that_overlap_their_result_are_not_cut(two: Threads) -> None:
    a = np.random.default_rng(0).normal(size=(12, 12))
    wanted = a @ a
    assert runtime.matmul(a, a, out=a) is a
    np.testing.assert_allclose(a, wanted)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((40, 40), (30, 40)), ((3,), (2, 3))])
def test_shapes_that_do_not_fit_are_numpys_error(shapes: Any, two: Threads) -> None:
    with pytest.raises(ValueError, match="matmul"):
        runtime.matmul(*map(np.ones, shapes))
    with pytest.raises(ValueError, match="matmul"):
        runtime.matmul(np.ones((40, 40)), np.ones((40, 40)), out=np.ones((40, 41)))


def test_a_failure_in_any_part_is_raised_and_the_count_comes_back(two: Threads,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(a: Any, b: Any, out: Any) -> None:
        raise FloatingPointError("planted")

    monkeypatch.setattr(blas.np, "matmul", broken)
    with pytest.raises(FloatingPointError, match="planted"):
        runtime.matmul(np.ones((40, 40)), np.ones((40, 40)))


def test_vectors_are_numpys() -> None:
    assert runtime.matmul(np.ones(3), np.ones(3)) == 3
    assert runtime.matmul(np.ones((2, 3)), np.ones(3)).tolist() == [3, 3]


def test_pins_of_several_threads_hold_until_the_last(two: Threads) -> None:
    library = blas.openblas()
    assert library is not None
    library.pin()
    library.pin()
    assert two.now == 1
    library.unpin()
    assert two.now == 1
    library.use(3)
    assert two.now == 1
    library.unpin()
    assert two.now == 3
    library.use(2)


def test_a_busy_helper_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked, leave = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: (blocked.set(), leave.wait(60)))
        blocked.wait(60)
        monkeypatch.setattr(blas, "_pool", lambda: pool)
        a = np.random.default_rng(0).normal(size=(512, 512))
        with runtime.blas_threads(2):
            np.testing.assert_allclose(runtime.matmul(a, a), a @ a, rtol=1e-9, atol=1e-9)
        leave.set()


def test_blas_threads_nest_and_come_back(two: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    with runtime.blas_threads(3):
        assert two.now == 3
        with runtime.deterministic():
            assert two.now == 1
        assert two.now == 3
    assert two.calls == [3, 1, 3, 2]
    with pytest.raises(ValueError, match="n=0"), runtime.blas_threads(0):
        pass
    monkeypatch.setattr(blas, "openblas", lambda: None)
    with runtime.blas_threads(1):
        assert runtime.matmul(np.ones((2, 2)), np.ones((2, 2))).tolist() == [[2, 2], [2, 2]]


def test_the_real_library_follows() -> None:
    library = blas.openblas()
    if library is None:
        pytest.skip("NumPy was built without OpenBLAS")
    get = next(getattr(each, s.format("get")) for each in map(blas.ctypes.CDLL, blas._libraries())
               for s in blas._SYMBOLS if hasattr(each, s.format("get")))
    before = get()
    with runtime.blas_threads(1):
        assert get() == 1
    assert get() == before == library.count


@pytest.mark.parametrize("shape", [(1024, 256, 256), (256, 1024, 256), (400, 400, 400), (2000, 64, 300)])
def test_same_bits_for_any_number_of_threads(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
    found = []
    for threads in (1, 2, 3):
        with runtime.blas_threads(threads):
            found += [runtime.matmul(a, b) for _ in range(3)]
    assert all(np.array_equal(each, found[0]) for each in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_can_multiply() -> None:
    a = np.ones((512, 512))
    with runtime.blas_threads(2):
        runtime.matmul(a, a)
        child = os.fork()
        if not child:
            os._exit(0 if runtime.matmul(a, a)[0, 0] == 512 else 1)
        assert os.waitpid(child, 0)[1] == 0

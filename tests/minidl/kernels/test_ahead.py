"""Kernels whose machine code another process has left: the same bits, and Numba's wherever anything is off."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minidl.kernels import ahead, machine
from minidl.runtime import numba_enabled

if not numba_enabled():
    pytest.skip("Numba is absent", allow_module_level=True)
errors = pytest.importorskip("numba.core.errors")

PACKAGES = ["minidl.kernels", "recsys.kernels"]

# Calls of kernels, in the process that leaves its code, and of both kinds of kernels in the tests.
CALLS = '''
import numpy as np


def normal(random, *shape):
    return random.normal(size=shape).astype(np.float32)


def relu(dense, random, n, m):
    return dense.relu(normal(random, n * m))


def row_norm(norm, random, n, m):
    return norm.row_norm(normal(random, n, m), normal(random, m), normal(random, m), np.float32(1e-5), True)


def attention(attention, random, n, m):
    q, k, v, nothing = *normal(random, 3, 2, n, m), np.empty((0, 0, 0), np.float32)
    return attention.attention(q, k, v, nothing, nothing, True, 0.5)[0]


def gru(recurrent, random, n, m):
    h, out = normal(random, n, m), np.zeros((3, n, m), np.float32)
    recurrent.forward(recurrent.GRU, normal(random, 3, n, 4 * m), normal(random, 4 * m), normal(random, m, 3 * m),
                      random.integers(0, 4, n), False, h, np.empty((n, 0), np.float32), out,
                      np.empty((0, n, m), np.float32))
    return out, h


def bag(rows, random, n, m):
    ends = np.concatenate([[0], np.cumsum(random.integers(0, 5, n))])
    return rows.bag(normal(random, m, 5), random.integers(0, m, ends[-1]), ends, normal(random, ends[-1]))


def sparse(random, n, m):
    indptr = np.concatenate([[0], np.cumsum(random.integers(0, min(m, 5), n))])
    indices = [np.sort(random.choice(m, count, replace=False)) for count in np.diff(indptr)]
    return indptr, np.concatenate(indices).astype(np.int32)


def windows(length, size):
    first = 2 * np.arange(max(0, length - size) // 2 + 1)
    last = np.minimum(first + size, length)
    return np.stack([first, last, last - first], axis=1)


def pool(pool, random, n, m):
    rows, cols = windows(n, 2 + n % 3), windows(m, 2 + n % 3)
    out, index = np.empty((3, len(rows), len(cols)), np.float32), np.empty((3, len(rows), len(cols)), np.int32)
    pool.max_pool(normal(random, 3, n, m), rows, cols, (1, 1), out, index)
    return out, index


def topk(ranking, random, n, m):
    return ranking.topk(random.integers(0, 9, (n, m)).astype(np.float32), *sparse(random, n, m), None, min(m, 7))


def search(retrieval, random, n, m):
    from recsys.estimator.retrieval import VectorIndex

    index = VectorIndex.build(normal(random, m, 6), normal(random, m) if n % 2 else None).index
    allowed = random.random(m) < .7 if n % 3 else None
    rows, items = random.integers(0, n, m), random.integers(0, m, m).astype(np.int32)
    queries = normal(random, n, 6)
    return *retrieval.search(queries, index, *sparse(random, n, m), allowed, min(m, 7)), retrieval.dots(
        queries, index.vectors, index.bias, rows, items)


def fold(als, random, n, m):
    (indptr, indices), items, out = sparse(random, n, m), normal(random, m, 6), np.empty((n, 6), np.float32)
    gram = (items.T @ items).astype(np.float64)
    als.fold(gram, indptr, indices, random.random(len(indices)), random.random(n), items, out)
    return out


def sums(neighbours, random, n, m):
    (indptr, indices), (columns, others) = sparse(random, n, m), sparse(random, m, m)
    weights, more = random.random(len(indices), np.float32), random.random(len(others), np.float32)
    return neighbours.sum_sparse_rows(indptr, indices, weights, columns, others, more, m)


def group(sparse, random, n, m):
    return sparse.group(random.integers(0, n, m).astype(np.int32), n)


CALLS = {"minidl.kernels.numba_attention": attention, "minidl.kernels.numba_dense": relu,
         "minidl.kernels.numba_norm": row_norm, "minidl.kernels.numba_pool": pool,
         "minidl.kernels.numba_recurrent": gru, "minidl.kernels.numba_rows": bag, "recsys.kernels.numba_als": fold,
         "recsys.kernels.numba_neighbours": sums, "recsys.kernels.numba_ranking": topk,
         "recsys.kernels.numba_retrieval": search, "recsys.kernels.numba_sparse": group}
'''

LEAVE = CALLS + '''
import importlib, sys
from pathlib import Path
from minidl.kernels import keeping, machine
machine.folder = lambda: Path(sys.argv[1])
PACKAGES = ["minidl.kernels", "recsys.kernels"]
for family, call in CALLS.items():
    for n in (1, 2, 3, 4):
        call(importlib.import_module(family), np.random.default_rng(0), n, 40)
sys.path.insert(0, sys.argv[1])
import own
own.run()
print(keeping.keep(PACKAGES), keeping.keep(PACKAGES))
'''

OWN = '''
import numpy as np
from minidl.kernels.ahead import njit


@njit(cache=True, nogil=True)
def allocates(out):
    some = np.empty(out.size)
    for i in range(out.size):
        some[i] = i
    for i in range(out.size):
        out[i] = some[out.size - 1 - i]


@njit(cache=True, nogil=True)
def answers(out):
    return out[0]


@njit(cache=True, nogil=True)
def every_kind(flag, small, whole, unsigned, real, pair, strided, out):
    if flag:
        out[0] = small
    out[1] = whole + pair[0]
    out[2] = unsigned
    out[3] = real * pair[1][0]
    for i in range(strided.shape[0]):
        for j in range(strided.shape[1]):
            out[4] += strided[i, j]


def every(kernel=None):
    out = np.zeros(5)
    strided = np.arange(24, dtype=np.int16).reshape(4, 6)[::2, 1::2]
    (kernel or every_kind)(True, np.float32(0.1), -7, np.uint64(2**63), 0.3, (5, np.array([2.0])), strided, out)
    return out


def run():
    out = np.zeros(5)
    allocates(out)
    answers(out)
    every()
'''


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a process has left its code."""
    folder = tmp_path_factory.mktemp("left")
    (folder / "own.py").write_text(OWN)
    done = subprocess.run([sys.executable, "-c", LEAVE, str(folder)], text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    count, again = map(int, done.stdout.split())
    assert count >= 16
    assert again == 0
    return folder


@pytest.fixture
def used(left: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder, while this process uses what is in it; no module of the package is imported meanwhile."""
    monkeypatch.setattr(machine, "folder", lambda: left)
    monkeypatch.syspath_prepend(str(left))
    assert ahead.use(PACKAGES)
    yield left
    monkeypatch.setattr(ahead, "_machine", None)


def again(module: str) -> Any:
    """A second copy of a module, with kernels of the kind that is made now."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def namespace() -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(CALLS, found)
    return found


@pytest.fixture
def both(used: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, Any]]:
    """Each family, Numba's and that of the code."""
    code = ahead._machine
    pairs = {}
    for family in namespace()["CALLS"]:
        native = again(family)
        monkeypatch.setattr(ahead, "_machine", None)
        pairs[family] = importlib.import_module(family), native
        monkeypatch.setattr(ahead, "_machine", code)
    return pairs


def test_the_same_bits(both: dict[str, tuple[Any, Any]]) -> None:
    calls = namespace()["CALLS"]

    @settings(max_examples=150, deadline=None)  # sizes for one thread: kernels on several are always Numba's
    @given(st.sampled_from(sorted(calls)), st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 70))
    @example("minidl.kernels.numba_attention", 0, 30, 70)
    def check(family: str, seed: int, n: int, m: int) -> None:
        numbas, native = (calls[family](module, np.random.default_rng(seed), n, m) for module in both[family])
        for expected, found in zip(*(each if isinstance(each, tuple) else (each,) for each in (numbas, native)),
                                   strict=True):
            assert expected.tobytes() == found.tobytes()

    check()
    for family, (_, module) in both.items():
        natives = [each for each in vars(module).values() if isinstance(each, ahead.Native)]
        assert natives, f"{family} is Numba's"
        assert all(each._dispatcher is None for each in natives), f"a kernel of {family} was compiled"


def test_every_kind_of_argument(used: Path) -> None:
    own = again("own")
    assert isinstance(own.every_kind, ahead.Native)
    expected = [np.float32(0.1), -2, 2.0**63, 0.6, 1 + 3 + 5 + 13 + 15 + 17]
    assert own.every().tolist() == pytest.approx(expected, rel=1e-15)
    assert own.every_kind._dispatcher is None


def test_what_needs_numba_is_compiled(used: Path) -> None:
    names = machine.read(next(used.glob("kernels-*.zip")))
    assert [name for name in names if name.startswith("own.")] == [name for name in names if "every_kind" in name] != []
    own, out = again("own"), np.zeros(5)
    own.allocates(out)
    assert out.tolist() == [4, 3, 2, 1, 0]
    assert own.answers(out) == 4  # all of its module are Numba's now
    assert not isinstance(own.every_kind, ahead.Native)
    assert own.every()[1] == -2


@pytest.mark.parametrize("given_", [
    lambda: np.arange(-2, 3.0), lambda: np.arange(-4, 5, dtype=np.float32)[::2], lambda: np.ones(3, ">f4"),
    lambda: np.frombuffer(bytearray(13), np.float32, offset=1)], ids=["double", "strided", "swapped", "unaligned"])
def test_other_types_are_never_taken_for_those_of_the_code(used: Path, given_: Any) -> None:
    dense, x = again("minidl.kernels.numba_dense"), given_()
    if x.dtype.isnative:
        assert dense.relu(x).tolist() == np.maximum(x, 0).tolist()
    else:
        with pytest.raises(errors.NumbaError):  # which does not take them either
            dense.relu(x)
    assert not isinstance(dense._relu, ahead.Native)


def test_read_only_arrays_are_taken(used: Path) -> None:
    dense, x = again("minidl.kernels.numba_dense"), -np.ones(6, np.float32)
    x.flags.writeable = False
    assert not dense.relu(x).any()
    assert isinstance(dense._relu, ahead.Native)


@pytest.mark.parametrize("damage", ["a byte", "the end", "all"])
def test_a_damaged_file_is_not_used(left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    whole = next(left.glob("kernels-*.zip"))
    data = bytearray(whole.read_bytes())
    with zipfile.ZipFile(whole) as archive:
        data[archive.infolist()[1].header_offset + 400] ^= 1
    (tmp_path / whole.name).write_bytes({"a byte": data, "the end": data[:-30], "all": b""}[damage])
    monkeypatch.setattr(machine, "folder", lambda: tmp_path)
    assert not ahead.use(PACKAGES)
    assert not ahead.in_use()


def test_the_file_is_that_of_these_sources_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_kernels").mkdir()
    source = tmp_path / "some_kernels" / "__init__.py"
    source.write_text("a = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(machine, "folder", lambda: tmp_path)
    first = machine.path_of(["some_kernels"])
    assert first is not None
    assert first == machine.path_of(["some_kernels"])
    monkeypatch.setenv("NUMBA_OPT", "1")
    assert machine.path_of(["some_kernels"]) != first
    monkeypatch.delenv("NUMBA_OPT")
    source.write_text("a = 2")
    assert machine.path_of(["some_kernels"]) != first


def test_where_nothing_can_be_kept_numba_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "folder", lambda: None)
    assert not ahead.use(["minidl.kernels"])


def test_code_that_cannot_be_loaded_is_not_kept(left: Path, tmp_path: Path) -> None:
    script = ("import sys; from pathlib import Path; from minidl.kernels import keeping, machine, ahead\n"
              "machine.folder = lambda: Path(sys.argv[1]); keeping._object = lambda *given: b'no object file'\n"
              "import numpy as np, minidl.kernels.numba_dense as d; d.relu(np.ones(2, np.float32))\n"
              "print(keeping.keep(['minidl.kernels']), list(Path(sys.argv[1]).iterdir()))")
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], text=True, capture_output=True, timeout=300,
                          env=os.environ)
    assert done.stdout.strip() == "0 []", done.stderr


def test_threads_that_call_a_kernel_first_at_once(used: Path) -> None:
    dense, start = again("minidl.kernels.numba_dense"), threading.Barrier(8)
    x = np.linspace(-1, 1, 1000, dtype=np.float32)

    def run(_: int) -> bytes:
        start.wait(30)
        return bytes(dense.relu(x).tobytes())

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(run, range(8))) == {np.maximum(x, 0).tobytes()}
    assert dense._relu._dispatcher is None

"""Hints about memory change nothing, whatever the layout, down to the last row."""

from __future__ import annotations

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from minidl.kernels.prefetch import prefetch_row  # noqa: E402  (it needs Numba)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
@pytest.mark.parametrize("shape", [(1, 1), (3, 0), (5, 7), (40, 200)])
def test_a_hint_reads_and_writes_nothing(dtype, shape):
    table = np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)
    before = table.copy()
    for view in (table, table[::-1], table[:, ::2]):
        for i in range(len(view)):
            prefetch_row(view, i)
    assert np.array_equal(table, before)


def test_the_instruction_is_there():
    prefetch_row(np.zeros((2, 64), np.float32), 1)
    fresh = numba.njit(prefetch_row.py_func)
    fresh(np.zeros((2, 64), np.float32), 1)
    assert "llvm.prefetch" in next(iter(fresh.inspect_llvm().values()))

"""Kernels of sparse structure: Numba equals its NumPy reference."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.kernels import numba_sparse, numpy_sparse


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=5), st.integers(0, 3),
       st.integers(0, 2**32 - 1), st.sampled_from([1, 2**40]))
def test_search_in_rows(rows, k, seed, scale):
    rng = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    keys = np.array([key for row in rows for key in sorted(row)], np.int64) * scale
    wanted = rng.integers(0, len(rows), 7)
    values = rng.integers(0, 11, (7, k)) * scale
    expected = [[indptr[r] + sum(key * scale <= v for key in rows[r]) for v in line]
                for r, line in zip(wanted, values.tolist(), strict=True)]
    for module in (numba_sparse, numpy_sparse):
        found = module.search_rows(keys, indptr, wanted, values)
        assert found.tolist() == expected
        assert found.shape == values.shape

"""Kernels of words: Numba equals its NumPy reference, and equal pieces alone have one number."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.kernels import numba_words, numpy_words


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_equal_pieces_have_one_number(pieces):
    data = np.frombuffer(b"".join(pieces), np.uint8)
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    starts = ends - np.array([len(piece) for piece in pieces], np.int64)
    distinct = list(dict.fromkeys(pieces))
    for module in (numba_words, numpy_words):
        numbers, first = module.number_distinct(data, starts, ends)
        assert numbers.dtype == first.dtype == np.int64
        assert [distinct[number] for number in numbers] == pieces
        assert [pieces[i] for i in first] == distinct
        assert first.tolist() == [pieces.index(piece) for piece in distinct]

"""Row kernels: Numba equals its NumPy reference, bits do not depend on threads, nothing is read out of bounds."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl import RowGrad, kernels
from minidl.kernels import numba_rows, numpy_rows

DTYPES = st.sampled_from([np.float32, np.float64])


@st.composite
def rows_of_a_table(draw):
    """Indices into a table of N rows, with duplicates, and one row for each."""
    n, size, width = draw(st.integers(0, 12)), draw(st.integers(1, 40)), draw(st.integers(0, 5))
    dtype = draw(DTYPES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    indices = rng.integers(0, size, n).astype(draw(st.sampled_from([np.int64, np.int32, np.uint16])))
    return size, indices, rng.normal(size=(n, width)).astype(dtype)


@st.composite
def bags(draw):
    """A table, indices, ends of bags (some empty) and factors."""
    size, indices, _ = draw(rows_of_a_table())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype, width = draw(DTYPES), draw(st.integers(0, 5))
    cuts = draw(st.lists(st.integers(0, len(indices)), max_size=4))
    ends = np.array([0, *sorted(cuts), len(indices)])
    table = rng.normal(size=(size, width)).astype(dtype)
    return table, indices, ends, rng.normal(size=len(indices)).astype(dtype)


@given(rows_of_a_table())
def test_scatter_add_equals_its_reference_bit_for_bit(drawn):
    size, indices, rows = drawn
    start = np.ones((size, rows.shape[1]), rows.dtype)
    fast, plain = start.copy(), start.copy()
    numba_rows.scatter_add(fast, indices, rows)
    numpy_rows.scatter_add(plain, indices, rows)
    assert np.array_equal(fast, plain)


@given(rows_of_a_table(), st.integers(0, 2))
def test_scatter_add_along_any_axis_is_that_along_the_first(drawn, axis):
    size, indices, rows = drawn
    first = np.zeros((size, 2, rows.shape[1]), rows.dtype)
    thick = np.stack([rows, -rows], axis=1)  # (n, 2, width)
    numpy_rows.scatter_add(first, indices, thick)
    for module in (numba_rows, numpy_rows):
        out = np.zeros_like(np.moveaxis(first, 0, axis), order="C")
        module.scatter_add(out, indices, np.moveaxis(thick, 0, axis), axis)
        assert np.array_equal(np.moveaxis(out, axis, 0), first)


@given(rows_of_a_table())
def test_coalesce_equals_its_reference_bit_for_bit(drawn):
    _, indices, rows = drawn
    for got, wanted in zip(numba_rows.coalesce(indices, rows), numpy_rows.coalesce(indices, rows), strict=True):
        assert got.dtype == wanted.dtype
        assert np.array_equal(got, wanted)


def test_coalesce_of_a_huge_table_sorts():
    indices = np.array([10**9, 3, 10**9])
    unique, total = numba_rows.coalesce(indices, np.ones((3, 2)))
    assert unique.tolist() == [3, 10**9]
    assert total.tolist() == [[1, 1], [2, 2]]


@given(bags())
def test_bags_equal_their_reference(drawn):
    table, indices, ends, scale = drawn
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if table.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    out = numba_rows.bag(table, indices, ends, scale)
    assert out.dtype == table.dtype
    np.testing.assert_allclose(out, numpy_rows.bag(table, indices, ends, scale), **tolerance)
    fast, plain = (module.bag_transposed(out, indices, ends, scale) for module in (numba_rows, numpy_rows))
    assert fast[0].tolist() == plain[0].tolist() == sorted(set(indices.tolist()))
    np.testing.assert_allclose(fast[1], plain[1], **tolerance)
    np.testing.assert_allclose(numba_rows.bag_dot(out, table, indices, ends),
                               numpy_rows.bag_dot(out, table, indices, ends), **tolerance)


@given(bags())
def test_largest_of_bags_equal_those_of_the_reference(drawn):
    table, indices, ends, _ = drawn
    table = np.round(table, 0)  # so that some are equal
    for spoilt in (table, np.where(table > 1, np.nan, table)):
        np.testing.assert_array_equal(numba_rows.bag_argmax(spoilt, indices, ends),
                                      numpy_rows.bag_argmax(spoilt, indices, ends))


def test_bags_have_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(50, 33)).astype(np.float32)
    indices = rng.integers(0, 50, 5000)  # more numbers to add than are left to one thread
    ends = np.array([0, *np.sort(rng.integers(0, 5000, 40)), 5000])
    scale = rng.normal(size=5000).astype(np.float32)
    before = numba.get_num_threads()
    answers = []
    try:
        for number in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(number)
            out = numba_rows.bag(table, indices, ends, scale)
            sums, dots = (numba_rows.bag_transposed(out, indices, ends, scale)[1],
                          numba_rows.bag_dot(out, table, indices, ends))
            answers.append((out, sums, dots))
    finally:
        numba.set_num_threads(before)
    for got, wanted in zip(answers[0], answers[-1], strict=True):
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize("module", [numba_rows, numpy_rows])
@pytest.mark.parametrize("bad", [-1, 5, 2**40])
def test_an_index_outside_the_table_is_refused(module, bad):
    indices, rows, ends = np.array([0, bad]), np.ones((2, 3)), np.array([0, 2])
    table = np.ones((5, 3))
    with pytest.raises(IndexError, match=f"index {bad} is out of range for a table of 5 rows"):
        module.scatter_add(table, indices, rows)
    with pytest.raises(IndexError, match=str(bad)):
        module.bag(table, indices, ends, np.ones(2))
    with pytest.raises(IndexError, match=str(bad)):
        module.bag_argmax(table, indices, ends)
    with pytest.raises(IndexError, match=str(bad)):
        module.bag_dot(np.ones((1, 3)), table, indices, ends)
    assert (table == 1).all()


@pytest.mark.parametrize("dtype", [np.int64, np.float16])
def test_other_dtypes_and_layouts_are_added_too(dtype):
    out = np.zeros((2, 4), dtype)[:, ::2]
    numba_rows.scatter_add(out, np.array([1, 1]), np.ones((2, 2), dtype))
    assert out.tolist() == [[0, 0], [2, 2]]
    unique, total = numba_rows.coalesce(np.array([1, 1]), np.ones((2, 2), dtype))
    assert (unique.tolist(), total.tolist(), total.dtype) == ([1], [[2, 2]], np.dtype(dtype))


@given(hnp.arrays(np.int64, st.integers(0, 8), elements=st.integers(0, 5)), DTYPES)
def test_a_row_gradient_is_its_dense_form(indices, dtype):
    rows = np.random.default_rng(len(indices)).normal(size=(len(indices), 3)).astype(dtype)
    g = RowGrad(indices, rows, (6, 3))
    dense = np.zeros((6, 3), dtype)
    np.add.at(dense, indices, rows)
    assert np.array_equal(g.to_dense(), dense)
    once = g.coalesce()
    assert np.array_equal(once.to_dense(), dense)
    assert np.array_equal(once.indices, np.unique(indices))
    np.testing.assert_allclose(g.append(g).to_dense(), 2 * dense, rtol=1e-5, atol=1e-6)


def test_the_family_resolves_to_numba():
    assert kernels.rows.module(True) is numba_rows
    assert kernels.rows.module(False) is numpy_rows
    assert set(numba_rows.__all__) == set(numpy_rows.__all__)

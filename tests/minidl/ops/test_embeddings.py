"""Tables beyond the op table: row gradients, padding, bags, refusals."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import RowGrad, ops
from minidl.errors import ShapeError

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(5, 3))
INTEGERS = [np.int8, np.int32, np.int64, np.uint8, np.uint32, np.uint64]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("make", [np.asarray, minidl.tensor, np.ndarray.tolist])
def test_indices_may_have_any_integer_dtype_and_shape(dtype, make):
    found = np.array([[4, 0], [4, 1]], dtype)
    table = minidl.tensor(TABLE.astype(np.float32), requires_grad=True)
    out = ops.embedding(make(found), table)
    assert (out.shape, out.dtype) == ((2, 2, 3), np.float32)
    assert np.array_equal(out.data, table.data[found.astype(int)])


def test_the_gradient_is_rows_and_owns_its_memory():
    table = minidl.tensor(TABLE, requires_grad=True)
    u = RNG.normal(size=(2, 2, 3))
    ops.embedding(np.array([[4, 0], [4, 1]]), table).backward(u)
    assert isinstance(table.grad, RowGrad)
    assert table.grad.indices.tolist() == [4, 0, 4, 1]
    assert not np.shares_memory(table.grad.rows, u)
    dense = np.zeros((5, 3))
    np.add.at(dense, [[4, 0], [4, 1]], u)
    np.testing.assert_allclose(table.grad.to_dense(), dense)


def test_a_gradient_outlives_the_buffer_that_held_the_indices():
    for lookup in (ops.embedding, lambda i, t: ops.embedding_bag(i[None], t, mode="sum")):
        table = minidl.tensor(TABLE, requires_grad=True)
        buffer = np.array([4, 0])
        for batch in ([4, 0], [1, 1]):
            buffer[:] = batch
            lookup(buffer, table).sum().backward()
        assert table.grad.to_dense()[:, 0].tolist() == [1, 2, 0, 0, 1]


def test_rows_and_dense_gradients_of_one_table_add_up():
    table = minidl.tensor(TABLE, requires_grad=True)
    (ops.embedding([1, 1], table).sum() + ops.embedding([2], table).sum()).backward()
    assert isinstance(table.grad, RowGrad)
    assert table.grad.to_dense()[:, 0].tolist() == [0, 2, 1, 0, 0]
    table.grad = None
    (ops.embedding([1, 1], table).sum() + table.sum()).backward()
    assert isinstance(table.grad, np.ndarray)
    assert table.grad[:, 0].tolist() == [1, 3, 1, 1, 1]


def test_under_create_graph_the_gradient_is_a_dense_tensor():
    table = minidl.tensor(TABLE, requires_grad=True)
    (ops.embedding([1, 1], table) ** 3).sum().backward(create_graph=True)
    assert isinstance(table.grad, minidl.Tensor)
    second = minidl.grad(lambda t: minidl.grad(lambda s: (ops.embedding([1, 1], s) ** 3).sum())(t).sum())(TABLE)
    wanted = np.zeros((5, 3))
    wanted[1] = 12 * TABLE[1]
    np.testing.assert_allclose(second, wanted)
    table.grad = None


@pytest.mark.parametrize("padding", [1, -4])
def test_the_padding_row_gets_no_gradient(padding):
    for create_graph in (False, True):
        table = minidl.tensor(TABLE, requires_grad=True)
        out = ops.embedding([1, 0, 1, 4], table, padding_idx=padding)
        assert np.array_equal(out.data, TABLE[[1, 0, 1, 4]])
        out.sum().backward(create_graph=create_graph)
        g = table.grad.data if create_graph else table.grad.to_dense()
        assert g[:, 0].tolist() == [1, 0, 0, 0, 1]
        table.grad = None


@pytest.mark.parametrize("bad", [-1, 5, 2**63])
def test_an_index_outside_the_table_is_named_with_the_size(bad):
    found = np.array([0, bad], np.uint64 if bad > 5 else np.int64)
    for call in (lambda: ops.embedding(found, TABLE), lambda: ops.embedding_bag(found[None], TABLE)):
        with pytest.raises(IndexError, match=str(bad)):
            call()
    with pytest.raises(IndexError, match="index 5 is out of range for a table of 5 rows; indices go from 0 to 4"):
        ops.embedding(5, TABLE)


def test_what_is_not_a_table_or_an_index_is_refused():
    with pytest.raises(ValueError, match="a table has shape"):
        ops.embedding([0], np.ones(3))
    with pytest.raises(IndexError, match="use integers"):
        ops.embedding([0.5], TABLE)
    with pytest.raises(IndexError, match="padding_idx=5"):
        ops.embedding([0], TABLE, padding_idx=5)


def test_no_index_no_rows():
    table = minidl.tensor(TABLE, requires_grad=True)
    out = ops.embedding(np.zeros((0, 2), int), table)
    assert out.shape == (0, 2, 3)
    out.sum().backward()
    assert not table.grad.to_dense().any()
    assert ops.embedding_bag([], TABLE, offsets=[0, 0]).tolist() == [[0, 0, 0]] * 2
    assert ops.embedding_bag(np.zeros((2, 0), int), TABLE, mode="mean").tolist() == [[0, 0, 0]] * 2


@given(st.data())
def test_a_bag_is_the_sum_or_mean_of_its_rows(data):
    found = np.array(data.draw(st.lists(st.integers(0, 4), max_size=8)), int)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(found)), max_size=3)))
    ends = [0, *cuts, len(found)]
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    table = TABLE.astype(dtype)
    for mode, reduce in (("sum", np.sum), ("mean", np.mean)):
        wanted = [reduce(table[found[a:b]], axis=0) if b > a else np.zeros(3)
                  for a, b in pairwise(ends)]
        got = ops.embedding_bag(found, table, offsets=ends[:-1], mode=mode)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
        csr = ops.embedding_bag(found, table, offsets=ends, mode=mode, include_last_offset=True)
        assert np.array_equal(csr, got)


def test_the_gradient_of_a_bag_has_one_row_for_each_index_that_occurs():
    table = minidl.tensor(TABLE, requires_grad=True)
    factors = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    u = RNG.normal(size=(2, 3))
    ops.embedding_bag([4, 0, 4], table, [0, 2], "sum", factors).backward(u)
    assert table.grad.indices.tolist() == [0, 4]
    np.testing.assert_allclose(table.grad.rows, [2 * u[0], u[0] + 3 * u[1]])
    np.testing.assert_allclose(factors.grad, np.sum(u[[0, 0, 1]] * TABLE[[4, 0, 4]], axis=1))


@pytest.mark.parametrize(("kwargs", "says"), [
    ({"mode": "min"}, "mode='min'"), ({"mode": "max", "per_sample_weights": np.ones(3)}, "mode='sum' only"),
    ({"offsets": None}, "indices have shape"), ({"offsets": [1]}, "must start at 0"),
    ({"offsets": [0, 2, 1]}, "not decrease"), ({"offsets": [0, 4]}, "within the 3 indices"),
    ({"offsets": [[0]]}, "one dimension"), ({"offsets": [0], "per_sample_weights": np.ones(3)}, "mode='sum' only"),
    ({"offsets": [0], "mode": "sum", "per_sample_weights": np.ones(2)}, "per_sample_weights have shape"),
    ({"offsets": [0, 2], "include_last_offset": True}, "their number as the last"),
    ({"offsets": [], "include_last_offset": True}, "must start at 0"),
])
def test_bags_that_make_no_sense_are_refused(kwargs, says):
    with pytest.raises(ValueError, match=says):
        ops.embedding_bag([0, 1, 2], TABLE, **kwargs)


def test_offsets_do_not_go_with_two_dimensions():
    with pytest.raises(ValueError, match="each row is a bag"):
        ops.embedding_bag([[0, 1]], TABLE, offsets=[0])


def test_a_bag_of_maxima_gives_the_gradient_to_one_row_of_each_column():
    table, u = minidl.tensor(TABLE, requires_grad=True), np.arange(1.0, 1 + 3 * TABLE.shape[1]).reshape(3, -1)
    out = ops.embedding_bag([4, 0, 4, 1], table, [0, 3, 3], "max")
    np.testing.assert_array_equal(out.data, [TABLE[[4, 0]].max(axis=0), 0 * TABLE[0], TABLE[1]])
    out.backward(u)
    assert isinstance(table.grad, minidl.RowGrad)
    wanted = np.zeros(TABLE.shape)
    wanted[1] = u[2]
    np.add.at(wanted, (np.array([4, 0])[TABLE[[4, 0]].argmax(axis=0)], np.arange(TABLE.shape[1])), u[0])
    np.testing.assert_array_equal(table.grad.to_dense(), wanted)


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_padding_is_left_out_of_bags(mode):
    table = minidl.tensor(TABLE, requires_grad=True)
    out = ops.embedding_bag([[4, 0, 2], [0, 0, 0]], table, mode=mode, padding_idx=0)
    np.testing.assert_allclose(out.data, [getattr(TABLE[[4, 2]], mode)(axis=0), 0 * TABLE[0]])
    out.sum().backward()
    assert 0 not in table.grad.indices
    with pytest.raises(IndexError, match=r"embedding_bag: padding_idx=9 is out of range"):
        ops.embedding_bag([[0]], TABLE, padding_idx=9)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.longdouble, ">f8", ">f4"])
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bags_of_any_real_dtype(dtype, mode):
    table = np.array([[1, 2], [4, 6], [7, 9]], dtype)
    got = ops.embedding_bag(np.array([[0, 1], [2, 2]]), table, mode=mode)
    np.testing.assert_allclose(got, getattr(table[[[0, 1], [2, 2]]].astype(float), mode)(axis=1), rtol=1e-3)
    assert got.dtype == (table.dtype.newbyteorder("=") if table.dtype.kind == "f" else np.float64)


def test_bags_of_half_precision_have_a_gradient():
    table = minidl.tensor(np.ones((3, 2), np.float16), requires_grad=True)
    factors = minidl.tensor(np.full((1, 2), 2, np.float16), requires_grad=True)
    ops.embedding_bag(np.array([[0, 2]]), table, mode="sum", per_sample_weights=factors).sum().backward()
    np.testing.assert_array_equal(table.grad.to_dense(), [[2, 2], [0, 0], [2, 2]])
    np.testing.assert_array_equal(factors.grad, [[2, 2]])
    assert table.grad.dtype == factors.grad.dtype == np.float16


# ------------------------------------------------------------------------------- entries of a product

def test_entries_of_a_product_make_no_product():
    """Of 200,000 x 200,000 entries, which would take 320 GB."""
    x, weight = (minidl.tensor(RNG.normal(size=(200_000, 2)), requires_grad=True) for _ in range(2))
    columns = RNG.integers(0, 200_000, 200_000)
    out = ops.sampled_matmul(x, weight, columns, np.arange(200_001))
    np.testing.assert_allclose(out.data, np.sum(x.data * weight.data[columns], axis=1))
    out.sum().backward()
    np.testing.assert_allclose(x.grad, weight.data[columns])
    assert len(weight.grad.indices) == len(np.unique(columns))


@pytest.mark.parametrize(("args", "error", "says"), [
    (([[1.0, 2.0]], TABLE, [0], [0, 1]), ShapeError, r"x has shape \(1, 2\), weight \(5, 3\)"),
    (([1.0, 2.0, 3.0], TABLE, [0], [0, 1]), ShapeError, "x has shape"),
    ((np.ones((2, 3)), TABLE, [0], [0, 1]), ShapeError, "offsets cut 1 rows, and x has 2"),
    ((np.ones((1, 3)), TABLE, [0, 1], [0, 1]), ValueError, "sampled_matmul: offsets must start at 0"),
    ((np.ones((1, 3)), TABLE, [5], [0, 1]), IndexError, "sampled_matmul: index 5 is out of range"),
    ((np.ones((1, 3)), TABLE, [-1], [0, 1]), IndexError, "sampled_matmul: index -1"),
    ((np.ones((1, 3)), TABLE, [0.5], [0, 1]), IndexError, "use integers"),
])
def test_wrong_entries_of_a_product(args, error, says):
    x, *others = args
    with pytest.raises(error, match=says):
        ops.sampled_matmul(np.array(x), *others)


def test_entries_of_a_product_of_two_dtypes():
    x = np.ones((1, 3), np.float32)
    assert ops.sampled_matmul(x, TABLE, [0], [0, 1]).dtype == np.float64
    assert ops.sampled_matmul(x, x, [0], [0, 1]).dtype == np.float32


@pytest.mark.parametrize(("dtype", "size"), [(np.float16, 300), (np.float32, 1e20), (np.float32, 3e38)])
def test_rows_whose_squares_overflow_are_shortened_to_the_norm(dtype, size):
    table = np.full((2, 4), size, dtype)
    ops.embedding(np.array([0]), table, max_norm=float(table[0, 0]))
    np.testing.assert_allclose(table, np.full((2, 4), size) * [[0.5], [1]], rtol=1e-6)

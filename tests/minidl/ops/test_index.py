"""Indexing beyond the op table: every kind of index, dtypes, out of range, ties, huge tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.testing.strategies import arrays, index_for, indices, shapes

X = np.arange(12.0).reshape(3, 4)
INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


@given(st.data())
def test_the_gradient_of_reading_counts_how_often_each_element_was_read(data):
    x = data.draw(arrays())
    index = data.draw(index_for(x.shape))
    counts = np.zeros(x.shape)
    np.add.at(counts, index, 1)
    assert np.array_equal(minidl.grad(lambda t: t[index].sum())(x), counts)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_every_integer_dtype_indexes(dtype):
    pick = np.array([2, 0, 2], dtype)
    for index in (pick, minidl.tensor(pick), (slice(None), pick), (pick, minidl.tensor(pick))):
        plain = tuple(np.asarray(i.data if isinstance(i, minidl.Tensor) else i) if not isinstance(i, slice) else i
                      for i in index) if isinstance(index, tuple) else pick
        x = minidl.tensor(X, requires_grad=True)
        out = x[index]
        assert np.array_equal(out.data, X[plain])
        out.sum().backward()
        counts = np.zeros(X.shape)
        np.add.at(counts, plain, 1)
        assert np.array_equal(x.grad, counts)
    assert np.array_equal(ops.take(X, pick, axis=1), X[:, pick.astype(int)])


@pytest.mark.parametrize("index", [[], [[]], np.zeros((2, 0), int), np.zeros(3, bool), slice(3, 3)])
def test_an_index_may_select_nothing(index):
    x = minidl.tensor(X, requires_grad=True)
    out = x[index]
    assert out.size == 0
    out.sum().backward()
    assert not x.grad.any()


@pytest.mark.parametrize("index", [3, (0, 4), np.array([0, 3]), np.array([-4]), np.array([3], np.uint64),
                                   (np.array([0]), np.array([-5]))])
def test_out_of_range_is_an_index_error_that_names_op_and_shape(index):
    with pytest.raises(IndexError, match=r"getitem\(float64\(3, 4\).*out of bounds"):
        minidl.tensor(X)[index]


@pytest.mark.parametrize("bad", [[0.0, 1.0], np.array([1.5]), np.array(["a"])])
def test_indices_that_are_not_integers_are_refused(bad):
    with pytest.raises(IndexError, match="use integers"):
        ops.take(X, bad)
    with pytest.raises(IndexError):
        minidl.tensor(X)[bad]


def test_an_unsigned_index_does_not_wrap_around():
    huge = np.array([2**64 - 1], np.uint64)
    with pytest.raises(IndexError, match="larger than any array"):
        ops.take(X, huge)
    with pytest.raises(IndexError):
        ops.scatter_add(X, huge, 1.0)


def test_a_boolean_is_a_mask_and_not_an_integer():
    x = minidl.tensor(X, requires_grad=True)
    assert x[True].shape == (1, 3, 4)
    x[np.array(False)].sum().backward()
    assert not x.grad.any()


def test_a_0d_array_has_an_element():
    x = minidl.tensor(np.array(3.0), requires_grad=True)
    for index in ((), Ellipsis, None, (None, ...)):
        x.grad = None
        x[index].sum().backward()
        assert x.grad == 1


@given(st.data())
def test_scatter_add_is_add_at_and_leaves_its_argument_alone(data):
    x = data.draw(arrays())
    index = data.draw(index_for(x.shape))
    updates = data.draw(arrays(x[index].shape))
    before, wanted = x.copy(), np.array(x)
    np.add.at(wanted, index, updates)
    np.testing.assert_allclose(ops.scatter_add(x, index, updates), wanted, rtol=1e-12, atol=1e-12)
    assert np.array_equal(x, before)


def test_scatter_add_takes_numbers_tensors_and_mixed_dtypes():
    assert ops.scatter_add(np.zeros(3), [0, 0, 2], 1.5).tolist() == [3, 0, 1.5]
    assert ops.scatter_add(np.zeros(3, np.float32), [0], 1.5).dtype == np.float32
    assert ops.scatter_add(np.zeros(3, int), [0], np.array([0.5])).tolist() == [0.5, 0, 0]
    with pytest.raises(ValueError, match="scatter_add"):
        ops.scatter_add(minidl.tensor(X), [0, 1], np.ones(3))


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_take_is_that_of_numpy(axis):
    for pick in (2, [0, -1], [[0, 1], [2, 2]], np.zeros((0, 2), int)):
        assert np.array_equal(ops.take(X, pick, axis), np.take(X, pick, axis))
    with pytest.raises(IndexError, match=r"take\(float64\(\d+.*out of bounds"):
        ops.take(minidl.tensor(X), [12], axis)


def test_gather_takes_rows():
    assert np.array_equal(ops.gather(X, [2, 0]), X[[2, 0]])


@given(st.data())
def test_take_along_axis_broadcasts_as_in_numpy(data):
    x = data.draw(arrays(shapes(min_dims=2, max_dims=2, min_side=1)))
    pick = data.draw(indices(x.shape[1], st.sampled_from([(1, 3), (x.shape[0], 2)])))
    assert np.array_equal(ops.take_along_axis(x, pick, 1), np.take_along_axis(x, pick.astype(int), 1))
    with pytest.raises(ValueError, match="as many dimensions"):
        ops.take_along_axis(x, pick[0], 1)


@given(st.data())
def test_sort_and_topk_agree_with_numpy_under_ties(data):
    shape = data.draw(shapes(min_dims=1))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    x = rng.integers(0, 3, shape).astype(data.draw(st.sampled_from([np.float32, np.int64, np.uint8])))
    assert np.array_equal(ops.sort(x, axis), np.sort(x, axis))
    k = data.draw(st.integers(0, shape[axis]))
    values, order = ops.topk(x, k, axis)
    descending = np.take(np.argsort(-x.astype(float), axis=axis, kind="stable"), np.arange(k), axis)
    assert np.array_equal(order, descending)
    assert np.array_equal(values, np.take_along_axis(x, descending, axis))


def test_topk_refuses_more_than_there_is():
    with pytest.raises(ValueError, match="k=5 but axis -1 of shape"):
        ops.topk(X, 5)
    assert ops.sort(X[::-1], None).tolist() == X.ravel().tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reading_rows_of_a_large_table_adds_in_order(dtype):
    rng = np.random.default_rng(0)
    x = minidl.tensor(rng.normal(size=(1000, 3)).astype(dtype), requires_grad=True)
    pick = rng.integers(-1000, 1000, 5000)
    u = rng.normal(size=(5000, 3)).astype(dtype)
    x[pick].backward(u)
    wanted = np.zeros((1000, 3), dtype)
    np.add.at(wanted, pick, u)
    assert np.array_equal(x.grad, wanted)


@pytest.mark.parametrize("call", [
    lambda x: ops.take(x, [0], 2), lambda x: ops.gather(x, [0], -3), lambda x: ops.take_along_axis(x, [[0]], 2),
    lambda x: ops.sort(x, 2), lambda x: ops.topk(x, 1, -3), lambda x: ops.topk(x[0, 0], 1)])
def test_an_axis_that_is_not_there_is_an_error(call):
    with pytest.raises(IndexError, match="axis"):
        call(minidl.tensor(X))


def test_scatter_add_takes_lists():
    x = minidl.tensor(np.zeros(3), requires_grad=True)
    out = ops.scatter_add(x, [0, 0], [1.0, 2.0])
    out.sum().backward()
    np.testing.assert_array_equal(out.data, [3, 0, 0])


def test_places_are_plain_integers_as_of_numpy():
    x = np.array([[1.0, 3.0, 3.0], [np.nan, 0.0, 0.0]])
    t = minidl.tensor(x, requires_grad=True)
    for kwargs in ({}, {"axis": 0}, {"axis": -1}, {"axis": 1, "keepdims": True}, {"keepdims": True}):
        for ours, theirs in ((ops.argmax, np.argmax), (ops.argmin, np.argmin)):
            got = ours(t, **kwargs)
            assert not isinstance(got, minidl.Tensor)
            np.testing.assert_array_equal(got, theirs(x, **kwargs))
            np.testing.assert_array_equal(ours(x, **kwargs), theirs(x, **kwargs))
    with pytest.raises(ValueError, match="argmax"):
        ops.argmax(np.zeros(0))


def test_one_hot_is_rows_of_the_identity():
    found = np.array([[2, 0], [1, 1]], np.uint8)
    np.testing.assert_array_equal(ops.one_hot(minidl.tensor(found)), np.eye(3, dtype=int)[found])
    assert ops.one_hot(found, 5).shape == (2, 2, 5)
    assert ops.one_hot(found).dtype == np.int64
    assert ops.one_hot(np.zeros((0, 2), int), 4).shape == (0, 2, 4)
    for wrong, kind, says in (((found, 2), IndexError, "from 0 to 2; with num_classes=2"),
                              (([-1],), ValueError, "at least"), (([-1, 3],), IndexError, "from -1 to 3"),
                              ((np.zeros(0, int),), ValueError, "pass it"),
                              (([0.5],), IndexError, "use integers"), (([0], 0), ValueError, "num_classes=0")):
        with pytest.raises(kind, match=f"one_hot: .*{says}"):
            ops.one_hot(*wrong)

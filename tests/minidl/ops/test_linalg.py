"""Products and linear algebra beyond the op table: forms, dtypes, memory, errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minidl
from minidl import ops

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 5))


@given(hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, min_side=0, max_side=4),
       st.sampled_from([np.float32, np.float64]))
def test_matmul_is_that_of_numpy(drawn, dtype):
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=shape).astype(dtype) for shape in drawn.input_shapes)
    wanted = np.matmul(a, b)
    for got in (ops.matmul(a, b), (minidl.tensor(a) @ b).data, (a @ minidl.tensor(b)).data):
        assert got.shape == wanted.shape
        assert got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_matmul_and_linear_say_which_shapes_do_not_fit():
    with pytest.raises(ValueError, match=r"matmul\(float64\(3, 4\), float64\(3, 4\)\)"):
        minidl.tensor(A) @ A
    with pytest.raises(ValueError, match=r"matmul\(float64\(\), float64\(3, 4\)\)"):
        ops.matmul(minidl.tensor(1.0), A)
    with pytest.raises(ValueError, match="last axis of x must be as long as the rows of weight"):
        ops.linear(minidl.tensor(A), B)
    with pytest.raises(ValueError, match=r"bias has shape \(4,\), weight gives \(5,\)"):
        ops.linear(minidl.tensor(A), B.T, np.ones(4))


def test_linear_is_the_affine_map_and_leaves_weight_and_bias_alone():
    weight, bias = B.T.copy(), RNG.normal(size=5)
    kept = weight.copy(), bias.copy()
    for shape in [(4,), (3, 4), (2, 3, 4), (0, 4), (2, 0, 4)]:
        x = RNG.normal(size=shape)
        np.testing.assert_allclose(ops.linear(x, weight, bias), x @ weight.T + bias)
    assert np.array_equal(weight, kept[0])
    assert np.array_equal(bias, kept[1])
    assert ops.linear(A.astype(np.float32), weight.astype(np.float32), bias).dtype == np.float64


def test_the_weight_gradient_of_linear_is_contiguous():
    weight = minidl.tensor(B.T, requires_grad=True)
    out = ops.linear(A, weight)
    node = out.node
    _, gradient, _ = node.rule(np.ones(out.shape), None, node.inputs, [False, True, False])
    assert gradient.flags.c_contiguous
    np.testing.assert_allclose(gradient, np.ones(out.shape).T @ A)


def test_only_the_gradients_that_are_needed_are_computed():
    out = ops.matmul(A, minidl.tensor(B, requires_grad=True))
    node = out.node
    left, right = node.rule(np.ones(out.shape), None, node.inputs, [False, True])
    assert left is None
    np.testing.assert_allclose(right, A.T @ np.ones(out.shape))


@pytest.mark.parametrize(("subscripts", "shapes"), [
    ("ij,jk", [(3, 4), (4, 5)]), ("ba", [(3, 4)]), ("ii", [(3, 3)]), ("...ij,...jk", [(2, 3, 4), (4, 5)]),
    (" i j , j k -> i k ", [(3, 4), (4, 5)]), ("...", [(2, 3)]), ("->", [()]), ("a,b,c->cab", [(2,), (3,), (4,)]),
    ("i...->...", [(3, 2, 2)]), ("...a,...a", [(2, 1, 3), (4, 3)]), ("aA,Ab->ab", [(2, 3), (3, 4)]),
])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_einsum_is_that_of_numpy(subscripts, shapes, dtype):
    operands = [RNG.normal(size=shape).astype(dtype) for shape in shapes]
    wanted = np.einsum(subscripts, *operands)
    got = ops.einsum(subscripts, *operands)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.einsum(subscripts, *map(minidl.tensor, operands)).data, wanted, rtol=1e-4, atol=1e-6)


def test_einsum_repeats_lengths_of_one_as_numpy_does_and_so_does_its_gradient():
    x, y = RNG.normal(size=(2, 1)), RNG.normal(size=(3, 4))
    np.testing.assert_allclose(ops.einsum("ij,jk->ik", x, y), np.einsum("ij,jk->ik", x, y))
    gx, gy = minidl.grad(lambda a, b: ops.einsum("ij,jk->ik", a, b).sum(), (0, 1))(x, y)
    np.testing.assert_allclose(gx, np.full((2, 1), y.sum()))
    np.testing.assert_allclose(gy, np.full((3, 4), x.sum()))


@pytest.mark.parametrize(("subscripts", "operands"), [
    ("ij,jk->ik", [A]), ("ij", [np.ones(3)]), ("i", [A]), ("ij,jk->ik", [A, A]), ("ij->k", [A]), ("ij->ii", [A]),
    ("i-j", [np.ones(3)]), ("....", [A]),
])
def test_einsum_refuses_subscripts_that_do_not_fit(subscripts, operands):
    with pytest.raises(ValueError, match="einsum"):
        ops.einsum(subscripts, *map(minidl.tensor, operands))


def test_einsum_wants_subscripts_first():
    with pytest.raises(TypeError, match="string of subscripts"):
        ops.einsum(A, [0, 1])


def test_row_dot_scores_pairs():
    np.testing.assert_allclose(ops.row_dot(A, A), np.sum(A * A, axis=1))
    assert ops.row_dot(A.astype(np.float32), A.astype(np.float32)).dtype == np.float32
    with pytest.raises(ValueError, match="row_dot"):
        ops.row_dot(minidl.tensor(A), B)


def test_outer_flattens():
    assert np.array_equal(ops.outer(A, [1.0, 2.0]), np.outer(A, [1.0, 2.0]))


@pytest.mark.parametrize("name", ["inv", "cholesky", "solve"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_linear_algebra_is_that_of_numpy_and_keeps_the_dtype(name, dtype):
    a = (np.eye(3) + 0.1 * RNG.normal(size=(2, 3, 3))).astype(dtype)
    a = a @ a.swapaxes(-1, -2)
    rest = [RNG.normal(size=(2, 3, 2)).astype(dtype)] if name == "solve" else []
    x = minidl.tensor(a, requires_grad=True)
    out = getattr(ops, name)(x, *rest)
    np.testing.assert_allclose(out.data, getattr(np.linalg, name)(a, *rest), rtol=1e-5)
    out.sum().backward()
    assert out.dtype == x.grad.dtype == dtype


@pytest.mark.parametrize("name", ["inv", "cholesky", "solve"])
def test_linear_algebra_refuses_what_is_not_square_or_singular(name):
    rest = [np.ones(3)] if name == "solve" else []
    with pytest.raises(ValueError, match=name):
        getattr(ops, name)(minidl.tensor(A), *rest)
    with pytest.raises(ValueError, match=name):
        getattr(ops, name)(minidl.tensor(np.zeros((3, 3))), *rest)


def test_the_gradient_of_cholesky_is_symmetric_and_reads_the_lower_triangle():
    a = np.array([[4.0, 99.0], [2.0, 3.0]])
    value, g = minidl.value_and_grad(lambda t: ops.cholesky(t).sum())(a)
    assert np.isclose(value, np.linalg.cholesky([[4.0, 2.0], [2.0, 3.0]]).sum())
    np.testing.assert_allclose(g, g.T)


def test_constants_in_lists_have_gradients_beside_them():
    a = minidl.tensor(np.eye(2), requires_grad=True)
    for f in (lambda a: ops.matmul([[1.0, 2.0]], a), lambda a: ops.matmul(a, [[1.0], [2.0]]),
              lambda a: ops.matmul([1.0, 2.0], a), lambda a: ops.solve(a, [[1.0], [2.0]])):
        a.grad = None
        f(a).sum().backward()
        assert a.grad.shape == (2, 2)


def test_a_diagonal_of_unequal_lengths_is_refused():
    with pytest.raises(ValueError, match=r"einsum: the axes of shape \(0, 3\) that share a letter of 'ii'"):
        ops.einsum("ii->i", np.ones((0, 3)))  # NumPy reads beyond the array

"""NumPy called on Tensors: the op of that name, plain answers without a derivative, or a refusal that helps."""

import importlib
import pkgutil

import numpy as np
import pytest

import minidl
from minidl import ops

X = np.array([[0.3, 0.7, 0.2], [0.9, 0.1, 0.5]])
M = np.array([[2.0, 0.3], [0.1, 1.5]])

SAME_NAME = {
    "exp": lambda t: np.exp(t), "log": lambda t: np.log(t), "tanh": lambda t: np.tanh(t), "abs": lambda t: np.abs(t),
    "fabs": lambda t: np.fabs(t), "square": lambda t: np.square(t), "negative": lambda t: -t,
    "add": lambda t: np.add(t, 1), "power": lambda t: np.power(t, 2), "maximum": lambda t: np.maximum(t, 0.4),
    "matmul": lambda t: np.matmul(t, X.T), "divide": lambda t: np.true_divide(1.0, t),
    "vecdot": lambda t: np.vecdot(t, X), "sum": lambda t: np.sum(t, axis=0), "sum kw": lambda t: np.sum(a=t, axis=1),
    "sum keepdims": lambda t: np.sum(t, 1, keepdims=True), "mean": lambda t: np.mean(t, -1),
    "var": lambda t: np.var(t, 0, ddof=1), "std": lambda t: np.std(t, axis=1, keepdims=True),
    "max": lambda t: np.max(t, axis=1), "amax": lambda t: np.amax(t, axis=(0, 1)), "amin": lambda t: np.amin(t),
    "prod": lambda t: np.prod(t, axis=0), "cumsum": lambda t: np.cumsum(t, 1),
    "concatenate": lambda t: np.concatenate([t, X], axis=1), "concatenate None": lambda t: np.concatenate((X, t), None),
    "stack": lambda t: np.stack([X, t], axis=-1), "where": lambda t: np.where(X > 0.4, t, 2.0),
    "transpose": lambda t: np.transpose(t), "transpose axes": lambda t: np.transpose(t, (1, 0)),
    "reshape": lambda t: np.reshape(t, (3, 2)), "reshape -1": lambda t: np.reshape(t, -1),
    "ravel": lambda t: np.ravel(t),
    "squeeze": lambda t: np.squeeze(t[:1], axis=0), "expand_dims": lambda t: np.expand_dims(t, (0, 1)),
    "broadcast_to": lambda t: np.broadcast_to(t, (4, 2, 3)), "swapaxes": lambda t: np.swapaxes(t, 0, 1),
    "moveaxis": lambda t: np.moveaxis(t, 0, 1), "flip": lambda t: np.flip(t, 1),
    "roll": lambda t: np.roll(t, 1, axis=1),
    "split": lambda t: np.split(t, 3, axis=1)[2], "array_split": lambda t: np.array_split(t, 2, 1)[0],
    "pad": lambda t: np.pad(t, 1), "pad value": lambda t: np.pad(t, ((0, 1), (2, 0)), constant_values=3.0),
    "pad mode": lambda t: np.pad(t, 1, mode="edge"), "repeat": lambda t: np.repeat(t, 2, axis=0),
    "tile": lambda t: np.tile(t, (2, 1)), "take": lambda t: np.take(t, [0, 2], axis=1),
    "take_along_axis": lambda t: np.take_along_axis(t, np.array([[0], [1]]), 1), "sort": lambda t: np.sort(t, axis=0),
    "sort kind": lambda t: np.sort(t, kind="stable"), "clip": lambda t: np.clip(t, 0.25, 0.6),
    "clip below": lambda t: np.clip(t, 0.25, None), "outer": lambda t: np.outer(t, X), "dot": lambda t: np.dot(t, X.T),
    "dot number": lambda t: np.dot(2.0, t), "einsum": lambda t: np.einsum("ij,kj->ik", t, X),
    "einsum optimize": lambda t: np.einsum("ij->j", t, optimize=True), "norm": lambda t: np.linalg.norm(t, axis=1),
    "norm positional": lambda t: np.linalg.norm(t, 1, 0), "inv": lambda t: np.linalg.inv(t @ X.T + 2 * np.eye(2)),
    "solve": lambda t: np.linalg.solve(M, t), "cholesky": lambda t: np.linalg.cholesky(t @ X.T + 2 * np.eye(2)),
    "floor": lambda t: np.floor(t), "ceil": lambda t: np.ceil(t), "round": lambda t: np.round(t, 1),
    "around": lambda t: np.around(t, decimals=1), "arctan2": lambda t: np.arctan2(t, 2),
    "hypot": lambda t: np.hypot(1, t), "logaddexp": lambda t: np.logaddexp(t, X[0]), "exp2": lambda t: np.exp2(t),
    "log2": lambda t: np.log2(t), "log10": lambda t: np.log10(t),
    "reciprocal": lambda t: np.reciprocal(t), "arcsinh": lambda t: np.arcsinh(t),
    "arccosh": lambda t: np.arccosh(t + 1), "arctanh": lambda t: np.arctanh(t), "asinh": lambda t: np.asinh(t),
    "cumprod": lambda t: np.cumprod(t, axis=1), "cumprod flat": lambda t: np.cumprod(t),
    "diagonal": lambda t: np.diagonal(t, 1), "diagonal axes": lambda t: np.diagonal(t[None], axis1=2, axis2=1),
    "linalg.diagonal": lambda t: np.linalg.diagonal(t[None], offset=1), "tril": lambda t: np.tril(t, -1),
    "triu": lambda t: np.triu(t, k=1), "det": lambda t: np.linalg.det(t @ X.T),
    "tensordot": lambda t: np.tensordot(t, X.T, 1), "tensordot axes": lambda t: np.tensordot(t, X, axes=[[0], [0]]),
    "linalg.tensordot": lambda t: np.linalg.tensordot(t, X, axes=2),
    "dot stacks": lambda t: np.dot(t, np.ones((2, 3, 4))),
}


@pytest.mark.parametrize("name", SAME_NAME)
def test_numpy_on_a_tensor_is_the_op_and_keeps_the_history(name):
    call = SAME_NAME[name]
    wanted = call(X)
    out = call(minidl.tensor(X, requires_grad=True))
    assert isinstance(out, minidl.Tensor)
    assert out.requires_grad
    np.testing.assert_allclose(out.data, wanted, rtol=1e-12)


@pytest.mark.parametrize("left", [2.0, 2, np.float64(2), np.float32(2), np.array([1.0, 2.0, 3.0]), np.array(2.0)])
def test_arithmetic_works_from_both_sides(left):
    t = minidl.tensor(X, requires_grad=True)
    for f in (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: a ** b):
        for out, wanted in ((f(left, t), f(left, X)), (f(t, left), f(X, left))):
            assert isinstance(out, minidl.Tensor)
            assert out.requires_grad
            np.testing.assert_allclose(out.data, wanted)


PLAIN = {
    "shape": np.shape, "ndim": np.ndim, "size": np.size, "argmax": lambda t: np.argmax(t, axis=1),
    "argmin": np.argmin, "argsort": lambda t: np.argsort(t, axis=-1), "isnan": np.isnan, "isfinite": np.isfinite,
    "isinf": np.isinf, "greater": lambda t: np.greater(t, 0.5), "equal": lambda t: np.equal(t, t),
    "logical_and": lambda t: np.logical_and(t, t > 0.5), "logical_not": np.logical_not, "any": np.any,
    "all": lambda t: np.all(t, axis=0), "array_equal": lambda t: np.array_equal(t, X),
    "allclose": lambda t: np.allclose(t, X), "isclose": lambda t: np.isclose(X, t),
    "nonzero": np.nonzero, "count_nonzero": np.count_nonzero, "searchsorted": lambda t: np.searchsorted([0.4, 0.6], t),
    "result_type": lambda t: np.result_type(t, np.float32), "signbit": np.signbit,
    "out": lambda t: np.greater(t, 0.5, out=np.empty(X.shape, bool)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_has_no_derivative_answers_plainly(name):
    got, wanted = (PLAIN[name](a) for a in (minidl.tensor(X, requires_grad=True), X))
    assert not isinstance(got, minidl.Tensor)
    assert type(got) is type(wanted)
    assert np.array_equal(got, wanted) if name != "result_type" else got == wanted


@pytest.mark.parametrize("like", [np.zeros_like, np.ones_like, np.empty_like, lambda t: np.full_like(t, 2.5)])
def test_arrays_like_a_tensor_are_arrays(like):
    made = like(minidl.tensor(X.astype(np.float32), requires_grad=True))
    assert (type(made), made.shape, made.dtype) == (np.ndarray, X.shape, np.float32)


def test_a_value_to_fill_with_is_not_detached():
    with pytest.raises(TypeError, match="no differentiable op"):
        np.full_like(X, minidl.tensor(1.0, requires_grad=True))


REFUSED = {
    "rint": lambda t: np.rint(t), "trunc": lambda t: np.trunc(t), "floor_divide": lambda t: np.floor_divide(t, 2),
    "mod": lambda t: np.mod(t, 2), "median": lambda t: np.median(t), "fft": lambda t: np.fft.fft(t),
    "unique": lambda t: np.unique(t), "interp": lambda t: np.interp(t, [0, 1], [0, 1]),
    "svd": lambda t: np.linalg.svd(t),
    "frexp": lambda t: np.frexp(t), "vstack": lambda t: np.vstack([t, t]), "trace": lambda t: np.trace(t),
    "conjugate": lambda t: np.conjugate(t),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_op_is_refused_and_never_detached(name):
    with pytest.raises(TypeError, match=r"np\.[\w.]+ has no differentiable op in minidl.*t\.data"):
        REFUSED[name](minidl.tensor(X, requires_grad=True))


KEYWORDS = {
    "out": lambda t: np.add(t, 1, out=np.empty(X.shape)), "where": lambda t: np.exp(t, where=X > 0.5),
    "dtype": lambda t: np.exp(t, dtype=np.float32), "casting": lambda t: np.add(t, 1, casting="unsafe"),
    "sum out": lambda t: np.sum(t, out=np.empty(())), "sum dtype": lambda t: np.sum(t, dtype=np.float32),
    "sum where": lambda t: np.sum(t, where=X > 0.5), "sum initial": lambda t: np.sum(t, initial=1.0),
    "take mode": lambda t: np.take(t, [0], mode="wrap"), "concatenate dtype": lambda t: np.concatenate([t], dtype="f4"),
    "cholesky upper": lambda t: np.linalg.cholesky(t @ t.T, upper=True), "pad": lambda t: np.pad(t, 1, "edge", foo=1),
    "clip out": lambda t: np.clip(t, 0, 1, out=np.empty(X.shape)), "in place": lambda t: np.ones(X.shape).__iadd__(t),
    "einsum dtype": lambda t: np.einsum("ij", t, dtype=float),
    "dot out": lambda t: np.dot(t, t.T, out=np.empty((2, 2))),
    "sort order": lambda t: np.sort(t, order="a"), "broadcast subok": lambda t: np.broadcast_to(t, (2, 3), subok=True),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_keywords_that_ops_do_not_have_are_refused_by_name(name):
    with pytest.raises(TypeError, match=r"np\.[\w.]+: \w+= is not supported on Tensors"):
        KEYWORDS[name](minidl.tensor(X, requires_grad=True))


@pytest.mark.parametrize(("method", "call", "instead"), [
    ("reduce", lambda t: np.add.reduce(t), "minidl.ops.sum"),
    ("reduce", lambda t: np.maximum.reduce(t), "minidl.ops.max"),
    ("accumulate", lambda t: np.add.accumulate(t), "minidl.ops.cumsum"),
    ("accumulate", lambda t: np.multiply.accumulate(t), "minidl.ops.cumprod"),
    ("outer", lambda t: np.multiply.outer(t, t), "outer"),
    ("reduce", lambda t: np.subtract.reduce(t), "t.data"), ("at", lambda t: np.add.at(t, [0], 1.0), "scatter_add"),
])
def test_ufunc_methods_name_the_op_to_use(method, call, instead):
    with pytest.raises(TypeError, match=rf"np\.\w+\.{method} has no differentiable op.*{instead}"):
        call(minidl.tensor(X, requires_grad=True))


def test_clip_takes_the_names_of_newer_numpy_too():
    t = minidl.tensor(X, requires_grad=True)
    assert np.array_equal(ops.dispatch_function(np.clip, (t,), {"min": 0.25}).data, np.maximum(X, 0.25))


def test_every_family_is_collected():
    parts = {"factored", "loss_parts", "masks", "methods", "per_example", "per_example_formulas", "pool_windows",
             "precision", "winograd"}
    families = {m.name for m in pkgutil.iter_modules(ops.__path__)} - parts
    names = {n for family in families for n in importlib.import_module(f"minidl.ops.{family}").__all__}
    assert names == set(ops.__all__)


def test_names_that_are_imported_later_are_found_and_others_not():
    with pytest.raises(AttributeError, match=r"'minidl\.ops' has no attribute 'nonsense'"):
        ops.nonsense  # noqa: B018
    assert callable(ops.conv2d)
    assert "conv2d" in vars(ops)  # after the first time, without a detour


def test_every_public_name_is_an_op_with_a_docstring():
    assert len(set(ops.__all__)) == len(ops.__all__)
    for name in ops.__all__:
        assert callable(getattr(ops, name))
        assert getattr(ops, name).__doc__, name

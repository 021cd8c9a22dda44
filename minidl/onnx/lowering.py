"""Ops in terms of ONNX: one table of lowerings, one of compositions.

A lowering appends nodes to the graph and returns the name of the result. Ops in `COMPOSED` are run as the
composition given there, and fused ops as their own `reference`, so that neither needs a lowering.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import ops
from minidl.onnx.graph import Call, Graph, array_of
from minidl.onnx.indexing import getitem, scatter_add, take
from minidl.onnx.layers import avg_pool, conv, conv_transpose, fold, max_pool, recurrent, unfold

__all__ = ["COMPOSED", "LOWERINGS"]

Lowering = Callable[[Graph, Call], str]


# -------------------------------------------------------------------------------------------- elementwise

def _elementwise(kind: str, **attributes: Any) -> Lowering:
    """Operands in the dtype of the result."""
    return lambda g, c: g.node(kind, *(g.value(a, c.dtype) for a in c.args), **attributes)


def _compared(kind: str) -> Lowering:
    """Operands in their common dtype; the result is a boolean."""
    def lower(g: Graph, c: Call) -> str:
        arrays = [array_of(a) for a, _ in c.args]
        return g.node(kind, *(g.value(a, np.result_type(*arrays)) for a in c.args))

    return lower


def _with(kind: str, **names: str) -> Lowering:
    """One operand, and numbers that ONNX takes as attributes: attribute="parameter"."""
    def lower(g: Graph, c: Call) -> str:
        attributes: dict[str, Any] = {k: float(c[v]) for k, v in names.items()}
        return g.node(kind, g.value(c.args[0], c.dtype), **attributes)

    return lower


def _power(g: Graph, c: Call) -> str:
    return g.node("Pow", g.value(c.args[0], c.dtype), g.value(c.params["y"], c.dtype))


def _clip(g: Graph, c: Call) -> str:
    name = g.value(c.args[0], c.dtype)
    for kind, bound in (("Max", "a_min"), ("Min", "a_max")):
        if c.params[bound][0] is not None:
            name = g.node(kind, name, g.value(c.params[bound], c.dtype))
    return name


def _round(g: Graph, c: Call) -> str:
    """ONNX rounds halves to even, too, but to whole numbers only."""
    x = g.value(c.args[0], c.dtype)
    if not c["decimals"]:
        return g.node("Round", x)
    scale = g.constant(10.0 ** c["decimals"], c.dtype)
    return g.node("Div", g.node("Round", g.node("Mul", x, scale)), scale)


def _shrink(g: Graph, c: Call, moved: bool) -> str:
    """ONNX has both kinds as one: what is kept is moved towards 0 by the bias."""
    return g.node("Shrink", g.value(c.args[0], c.dtype), lambd=float(c["lambd"]), bias=float(c["lambd"]) * moved)


def _where(g: Graph, c: Call) -> str:
    return g.node("Where", g.value(c.params["condition"], bool), *(g.value(a, c.dtype) for a in c.args))


def _astype(g: Graph, c: Call) -> str:
    return g.value(c.args[0], c.dtype)


# --------------------------------------------------------------------------------------------- reductions

def _reduced(kind: str) -> Lowering:
    def lower(g: Graph, c: Call) -> str:
        x, axis = g.value(c.args[0], c.dtype), c["axis"]
        axes = () if axis is None else (g.constant(np.ravel(axis)),)
        return g.node(kind, x, *axes, keepdims=int(c["keepdims"]))

    return lower


def _truth(kind: str) -> Lowering:
    """Whether any or all are true: the largest or smallest of zeros and ones."""
    def lower(g: Graph, c: Call) -> str:
        axes = () if c["axis"] is None else (g.constant(np.ravel(c["axis"])),)
        numbers = g.node("Cast", g.value(c.args[0], bool), to=g.code(np.int32))
        return g.node("Cast", g.node(kind, numbers, *axes, keepdims=int(c["keepdims"])), to=g.code(bool))

    return lower


def _softmax(kind: str) -> Lowering:
    """One node, or where several axes are normalised together, the formula."""
    def lower(g: Graph, c: Call) -> str:
        x, axis = g.value(c.args[0], c.dtype), c["axis"]
        if isinstance(axis, int):
            return g.node(kind, x, axis=axis)
        axes = () if axis is None else (g.constant(axis),)
        x = g.node("Sub", x, g.node("ReduceMax", x, *axes, keepdims=1))
        e = g.node("Exp", x)
        total = g.node("ReduceSum", e, *axes, keepdims=1)
        return g.node("Div", e, total) if kind == "Softmax" else g.node("Sub", x, g.node("Log", total))

    return lower


def _position(kind: str) -> Lowering:
    """The index of an element along an axis, or in the flattened array."""
    def lower(g: Graph, c: Call) -> str:
        x, axis = g.value(c.args[0]), c["axis"]
        if axis is None:
            x = g.reshape(x, ((-1,), (-1,)))
        found = g.node(kind, x, axis=0 if axis is None else axis, keepdims=int(c["keepdims"]))
        return g.reshape(found, c.shapes(c.out)) if axis is None else found

    return lower


def _softplus(g: Graph, c: Call) -> str:
    x, beta = g.value(c.args[0], c.dtype), g.constant(c["beta"], c.dtype)
    z = g.node("Mul", x, beta)
    out = g.node("Div", g.node("Softplus", z), beta)
    if c["threshold"] == math.inf:
        return out
    return g.node("Where", g.node("Greater", z, g.constant(c["threshold"], c.dtype)), x, out)


def _sum_to(g: Graph, c: Call) -> str:
    shape, wanted = c.shapes(c.args[0])[0], c["shape"]
    lead = len(shape) - len(wanted)
    axes = [*range(lead), *(lead + i for i, n in enumerate(wanted) if n == 1 and shape[lead + i] != 1)]
    return g.reshape(g.node("ReduceSum", g.value(c.args[0]), g.constant(axes), noop_with_empty_axes=1), c.shapes(c.out))


def _cumsum(g: Graph, c: Call) -> str:
    name, axis = g.value(c.args[0], c.dtype), c["axis"]
    if axis is None:
        name = g.reshape(name, ((-1,), (-1,)))
    return g.node("CumSum", name, g.constant(0 if axis is None else axis))


# ------------------------------------------------------------------------------------------ rearranging

def _reshape(g: Graph, c: Call) -> str:
    return g.reshape(g.value(c.args[0]), c.shapes(c.out))


def _permuted(g: Graph, c: Call) -> str:
    """Any op that exchanges axes: its forward function tells the order."""
    if c.ndim(0) < 2:
        return g.value(c.args[0])
    told = c.forward(np.empty(tuple(range(c.ndim(0)))), **{k: c[k] for k in c.params})
    return g.node("Transpose", g.value(c.args[0]), perm=list(told.shape))


def _broadcast_to(g: Graph, c: Call) -> str:
    return g.node("Expand", g.value(c.args[0]), g.ints(*c.shapes(c.out)))


def _concatenate(g: Graph, c: Call) -> str:
    return g.node("Concat", *(g.value(a, c.dtype) for a in c.args), axis=c["axis"])


def _stack(g: Graph, c: Call) -> str:
    axis = g.constant([c["axis"] % (c.ndim(0) + 1)])
    return g.node("Concat", *(g.node("Unsqueeze", g.value(a, c.dtype), axis) for a in c.args),
                  axis=c["axis"] % (c.ndim(0) + 1))


def _pad(g: Graph, c: Call) -> str:
    if not c["widths"]:
        return g.value(c.args[0])
    before, after = zip(*c["widths"], strict=True)
    return g.node("Pad", g.value(c.args[0]), g.constant([*before, *after]), g.value(c.params["value"], c.dtype))


def _tile(g: Graph, c: Call) -> str:
    reps = np.ravel(c["reps"]).tolist()
    shape = c.shapes(c.args[0])
    ndim = max(len(reps), len(shape[0]))
    x = g.value(c.args[0])
    if ndim > len(shape[0]):
        x = g.reshape(x, tuple((1,) * (ndim - len(s)) + s for s in shape))
    return g.node("Tile", x, g.constant([1] * (ndim - len(reps)) + reps))


def _flip(x: Any, axis: Any) -> Any:
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in np.ravel(axis)]
    return x[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim))]


def _roll(x: Any, shift: Any, axis: Any) -> Any:
    if axis is None:
        return _roll(ops.ravel(x), shift, 0).reshape(x.shape)
    for by, along in np.broadcast(shift, axis):
        front = (slice(None),) * (along % x.ndim)
        by = int(by) % max(x.shape[along], 1)
        x = ops.concatenate([x[(*front, slice(-by, None))], x[(*front, slice(None, -by))]], along) if by else x
    return x


def _cumprod(x: Any, axis: int) -> Any:
    """Products of windows of lengths 1, 2, 4, ..., each of two that lie side by side."""
    front, step = (slice(None),) * (axis % x.ndim), 1
    while step < x.shape[axis]:
        head, tail, back = (x[(*front, s)] for s in (slice(None, step), slice(step, None), slice(None, -step)))
        x, step = ops.concatenate([head, tail * back], axis), 2 * step
    return x


# --------------------------------------------------------------------------------------------- products

def _linear(g: Graph, c: Call) -> str:
    x, weight = (g.value(a, c.dtype) for a in c.args[:2])
    bias = () if c.args[2][0] is None else (g.value(c.args[2], c.dtype),)
    if c.ndim(0) == 2:
        return g.node("Gemm", x, weight, *bias, transB=1)
    product = g.node("MatMul", x, g.node("Transpose", weight, perm=[1, 0]))
    return g.node("Add", product, *bias) if bias else product


def _einsum(g: Graph, c: Call) -> str:
    return g.node("Einsum", *(g.value(a, c.dtype) for a in c.args), equation=f"{','.join(c['terms'])}->{c['output']}")


def _bags(g: Graph, c: Call) -> tuple[str, int]:
    """The rows of bags of one length L, (B L,) indices -> (B, L, d); and L."""
    ends = c.params["ends"]
    lengths = {int(n) for e in ends for n in np.diff(e)} if isinstance(ends[0], np.ndarray) else set()
    if len(lengths) != 1:
        raise g.refusal("has bags of different lengths; give indices of two dimensions, (B, L)")
    length = lengths.pop()
    indices = g.reshape(g.value(c.params["indices"]), tuple((len(e) - 1, length) for e in ends))
    return g.node("Gather", g.value(c.args[0]), indices, axis=0), length


def _embedding_bag_max(g: Graph, c: Call) -> str:
    rows, length = _bags(g, c)
    if not length:
        return g.node("ReduceSum", rows, g.constant([1]), keepdims=0)  # zeros
    return g.node("ReduceMax", rows, g.constant([1]), keepdims=0)


def _embedding_bag(g: Graph, c: Call) -> str:
    """(B, L, d) rows -> (B, d)."""
    ends = c.params["ends"]
    rows, length = _bags(g, c)
    scale = c.params["scale"] if "scale" in c.params else c.args[1]
    if isinstance(scale[0], np.ndarray) and np.unique(np.concatenate(scale)).size == 1:
        factor = g.constant(scale[0][0], c.dtype)
    else:
        factor = g.reshape(g.value(scale, c.dtype), tuple((len(e) - 1, length, 1) for e in ends))
    return g.node("ReduceSum", g.node("Mul", rows, factor), g.constant([1]), keepdims=0)


# -------------------------------------------------------------------------------------------- the tables

LOWERINGS: dict[str, Lowering] = {
    **{name: _elementwise(name.capitalize()) for name in (
        "exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "abs", "sign", "sigmoid", "relu",
        "ceil", "floor", "reciprocal", "det")},
    "add": _elementwise("Add"), "subtract": _elementwise("Sub"), "multiply": _elementwise("Mul"),
    "divide": _elementwise("Div"), "negative": _elementwise("Neg"), "maximum": _elementwise("Max"),
    "minimum": _elementwise("Min"), "power": _elementwise("Pow"), "power_number": _power,
    "arcsin": _elementwise("Asin"), "arccos": _elementwise("Acos"), "arctan": _elementwise("Atan"),
    "arcsinh": _elementwise("Asinh"), "arccosh": _elementwise("Acosh"), "arctanh": _elementwise("Atanh"),
    "round": _round, "hardshrink": lambda g, c: _shrink(g, c, False), "softshrink": lambda g, c: _shrink(g, c, True),
    "argmax": _position("ArgMax"), "argmin": _position("ArgMin"),
    "alias": _elementwise("Identity"),
    "leaky_relu": _with("LeakyRelu", alpha="negative_slope"), "elu": _with("Elu", alpha="alpha"),
    "celu": _with("Celu", alpha="alpha"),
    "clip": _clip, "where": _where, "astype": _astype,
    "equal": _compared("Equal"), "less": _compared("Less"), "less_equal": _compared("LessOrEqual"),
    "greater": _compared("Greater"), "greater_equal": _compared("GreaterOrEqual"),
    "not_equal": lambda g, c: g.node("Not", _compared("Equal")(g, c)), "remainder": _elementwise("Mod"),
    "logical_not": _compared("Not"), "logical_and": _compared("And"), "logical_or": _compared("Or"),
    "invert": _compared("Not"), "bitwise_and": _compared("And"), "bitwise_or": _compared("Or"),
    "sum": _reduced("ReduceSum"), "mean": _reduced("ReduceMean"), "max": _reduced("ReduceMax"),
    "min": _reduced("ReduceMin"), "prod": _reduced("ReduceProd"), "logsumexp": _reduced("ReduceLogSumExp"),
    "any": _truth("ReduceMax"), "all": _truth("ReduceMin"),
    "norm": _reduced("ReduceL2"), "sum_to": _sum_to, "cumsum": _cumsum,
    "softplus": _softplus, "softmax": _softmax("Softmax"), "log_softmax": _softmax("LogSoftmax"),
    "reshape": _reshape, "transpose": _permuted, "swapaxes": _permuted, "moveaxis": _permuted,
    "broadcast_to": _broadcast_to, "concatenate": _concatenate, "stack": _stack, "pad": _pad, "tile": _tile,
    "getitem": getitem, "take": take, "embedding": take, "scatter_add": scatter_add,
    "conv2d": conv, "conv_transpose2d": conv_transpose, "max_pool": max_pool, "avg_pool": avg_pool,
    "unfold": unfold, "fold": fold,
    "rnn": recurrent, "gru": recurrent, "lstm": recurrent,
    "matmul": _elementwise("MatMul"), "linear": _linear, "einsum": _einsum, "embedding_bag": _embedding_bag,
    "embedding_bag_max": _embedding_bag_max,
}
"""Name of the rule to lowering."""

COMPOSED: dict[str, Callable[..., Any]] = {
    "expm1": lambda x: ops.exp(x) - 1,
    "log1p": lambda x: ops.log(x + 1),
    "exp2": lambda x: ops.power(2.0, x),
    "log2": lambda x: ops.log(x) * (1 / math.log(2)),
    "log10": lambda x: ops.log(x) * (1 / math.log(10)),
    "hypot": lambda x, y: ops.sqrt(x * x + y * y),
    "logaddexp": lambda x, y: ops.maximum(x, y) + ops.log(1 + ops.exp(-ops.abs(x - y))),
    "power_norm": lambda x, axis, keepdims, p: ops.power(ops.power(ops.abs(x), p).sum(axis, keepdims), 1 / p),
    "cumprod": _cumprod,
    "rsqrt": lambda x: 1 / ops.sqrt(x),
    "square": lambda x: x * x,
    "silu": lambda x: x * ops.sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + ops.erf(x * math.sqrt(0.5))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + ops.tanh(math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x))),
    "mish": lambda x: x * ops.tanh(ops.softplus(x)),
    "hardtanh": lambda x, low, high: ops.clip(x, low, high),
    "tanhshrink": lambda x: x - ops.tanh(x),
    "prelu": lambda x, slopes: ops.relu(x) - slopes * ops.relu(-x),
    "bce": lambda x, t: -(t * ops.maximum(ops.log(x), -100) + (1 - t) * ops.maximum(ops.log(1 - x), -100)),
    "bce_logits": lambda x, t: ops.softplus(x) - x * t,
    "turned": lambda x, y: x * y,
    "var": lambda x, axis, ddof, keepdims: _spread(x, axis, ddof, keepdims),
    "std": lambda x, axis, ddof, keepdims: ops.sqrt(_spread(x, axis, ddof, keepdims)),
    "row_dot": lambda a, b: (a * b).sum(axis=-1),
    "scatter": lambda g, index, shape: ops.scatter_add(np.zeros(shape, g.dtype), index, g),
    "flip": _flip,
    "roll": _roll,
}
"""Name of the rule to the same function in other ops."""


def _spread(x: Any, axis: Any, ddof: int, keepdims: bool) -> Any:
    centred = x - x.mean(axis=axis, keepdims=True)
    n = x.size / max(x.mean(axis=axis).size, 1)
    return (centred * centred).mean(axis=axis, keepdims=keepdims) * (n / (n - ddof))

"""Building an ONNX graph from two traces of one module, which differ in the batch size.

What is equal in both is a constant. A length that is proportional to the batch size is computed in the graph. An
array that differs is rebuilt if it repeats along the batch or counts it (`zeros((B, n))`, `arange(B)`), a number if it
is a multiple of 1/B, as in a mean. Anything else was computed from the inputs where the graph did not see it, and is
refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.onnx.trace import Lost, Step, Value, View

__all__ = ["OPSET", "Call", "Graph", "Pair", "array_of"]

OPSET = 18
Pair = Sequence[Any]  # one thing in the two traces


class Call:
    """One step in both traces."""

    def __init__(self, first: Step, second: Step) -> None:
        self.op, self.module, self.forward, self.name = first.op, first.module, first.forward, first.out.name
        self.args: list[Pair] = list(zip(first.args, second.args, strict=True))
        self.params: dict[str, Pair] = {k: (v, second.params[k]) for k, v in first.params.items()}
        self.out: Pair = (first.out, second.out)
        self.dtype = first.out.array.dtype

    @property
    def where(self) -> str:
        """The op and the module it runs in, for messages."""
        return f"{self.op} in module {self.module!r}" if self.module else f"{self.op} in the outermost module"

    def __getitem__(self, name: str) -> Any:
        """A parameter that has to be the same for every batch size."""
        a, b = self.params[name]
        if not _equal(a, b):
            raise ValueError(f"onnx.export: {self.where} has {name}={a} for one batch size and {b} for another, which "
                             "a graph cannot follow; make it independent of the batch")
        return a

    def shapes(self, pair: Pair) -> Pair:
        """Shapes of an operand in the two traces."""
        return [array_of(x).shape for x in pair]

    def ndim(self, i: int) -> int:
        """Number of axes of an operand."""
        return array_of(self.args[i][0]).ndim


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else a is b or bool(a == b)


def array_of(operand: Any) -> np.ndarray:
    """An array with the shape and dtype of an operand."""
    if isinstance(operand, View):
        return operand.value.array.ravel()[operand.places]
    return operand.array if isinstance(operand, (Value, Lost)) else np.asarray(operand)


class Graph:
    """Nodes and initializers of an ONNX graph.

    Parameters
    ----------
    onnx : module
        The package `onnx`.
    batches : pair of int
        The two batch sizes.
    source : str, int
        An input and its axis that the batch size is read from.
    parameters : set of str
        Names of values that are initializers.
    """

    def __init__(self, onnx: Any, batches: tuple[int, int], source: tuple[str, int], parameters: set[str]) -> None:
        self.onnx, self.batches, self.source, self.parameters = onnx, batches, source, parameters
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.call: Call | None = None
        self.names: dict[str, str] = {}  # of values, where a step came out as something that has a name already
        self._made: dict[Any, str] = {}  # constants, casts and lengths that exist already

    # ------------------------------------------------------------------------------------------ nodes

    def node(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """Append a node with one output; its name."""
        return self.outputs_of(kind, inputs, 1, out, **attributes)[0]

    def outputs_of(self, kind: str, inputs: Sequence[str], count: int, out: str = "", **attributes: Any) -> list[str]:
        """Append a node; the names of its outputs."""
        prefix = self.call.name if self.call else ""
        name = out or f"{prefix}/{kind}_{len(self.nodes)}".lstrip("/")
        outs = [name] if count == 1 else [f"{name}:{i}" for i in range(count)]
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), outs, name=f"{name}:{kind}", **attributes))
        return outs

    def code(self, dtype: Any) -> int:
        """ONNX's number for a dtype."""
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def constant(self, array: Any, dtype: Any = np.int64) -> str:
        """An initializer without a name of its own."""
        array = np.ascontiguousarray(array, dtype).reshape(np.shape(array))
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._made:
            name = f"constant_{len(self.initializers)}"
            self.initializers[name] = self.onnx.numpy_helper.from_array(array, name)
            self._made[key] = name
        return self._made[key]

    # --------------------------------------------------------------------------------------- operands

    def value(self, pair: Pair, dtype: Any = None) -> str:
        """The name of an operand, cast to a dtype."""
        first, second = pair
        if isinstance(first, Value):
            if first.name in self.parameters and first.name not in self.initializers:
                array = np.ascontiguousarray(first.array).reshape(first.array.shape)
                self.initializers[first.name] = self.onnx.numpy_helper.from_array(array, first.name)
            return self._cast(self.names.get(first.name, first.name), first.array.dtype, dtype)
        if isinstance(first, View):
            return self._cast(self._view(first, second), first.value.array.dtype, dtype)
        if isinstance(first, Lost):
            raise self.refusal(f"uses an array of shape {first.array.shape} that was made from an input by a function "
                               "of NumPy that is not followed; those that are: arithmetic, comparisons, views, astype, "
                               "where, sum, max, min, any, all")
        a, b = np.asarray(first), np.asarray(second)
        wanted = a.dtype if dtype is None else np.dtype(dtype)
        if a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            return self.constant(a, wanted)
        return self._cast(self._grown(a, b), a.dtype, wanted)

    def _cast(self, name: str, dtype: Any, wanted: Any) -> str:
        if wanted is None or np.dtype(wanted) == dtype:
            return name
        key = (name, np.dtype(wanted))
        if key not in self._made:
            self._made[key] = self.node("Cast", name, to=self.code(wanted))
        return self._made[key]

    def _view(self, first: View, second: View) -> str:
        """Elements of a value, rearranged: reshaped, or picked within each row of the batch."""
        whole, shape = self.value((first.value, second.value)), (first.places.shape, second.places.shape)
        both = ((first.places, first.value.array), (second.places, second.value.array))
        if all(np.array_equal(places.ravel(), np.arange(whole.size)) for places, whole in both):
            return self.reshape(whole, shape)
        if np.array_equal(first.places, second.places):
            return self.node("Gather", self.reshape(whole, ((-1,), (-1,))), self.constant(first.places), axis=0)
        for axis in range(first.places.ndim):
            inside, other = (self._within_rows(np.moveaxis(places, axis, 0), whole) for places, whole in both)
            if inside is not None and other is not None and np.array_equal(inside, other):
                rows = self.node("Reshape", whole, self.ints(*[(w.shape[0], -1) for _, w in both]))
                picked = self.node("Gather", rows, self.constant(inside), axis=1)
                order = np.moveaxis(np.arange(first.places.ndim), 0, axis)
                return picked if axis == 0 else self.node("Transpose", picked, perm=order.tolist())
        raise self.refusal(f"reads its input in an arrangement of shape {shape[0]} that mixes the rows of the batch")

    @staticmethod
    def _within_rows(places: np.ndarray, whole: np.ndarray) -> np.ndarray | None:
        """What `places` read of the first row, if they read the same of every row."""
        row = whole.size // len(whole)
        steps = (np.arange(len(places)) * row).reshape((-1,) + (1,) * (places.ndim - 1))
        same = len(places) == len(whole) and np.array_equal(places, places[:1] + steps)
        return places[0] if same and places[0].max() < row else None

    def _grown(self, a: np.ndarray, b: np.ndarray) -> str:
        """A constant that follows the batch size: it repeats along the batch, counts it, or is divided by it."""
        if a.ndim == b.ndim == 0 and a.dtype.kind == "f":
            whole, other = a * self.batches[0], b * self.batches[1]
            if np.isclose(whole, other, rtol=1e-6, atol=0):
                length = self._cast(self.ints(self.batches[:1], self.batches[1:]), np.int64, a.dtype)
                return self.node("Squeeze", self.node("Div", self.constant([whole], a.dtype), length))
        axes = [i for i, (m, n) in enumerate(zip(a.shape, b.shape, strict=False)) if m != n]
        if a.ndim == b.ndim and axes:
            first = tuple(slice(0, 1) if i in axes else slice(None) for i in range(a.ndim))
            if (np.array_equal(a[first], b[first]) and (a == a[first]).all() and (b == b[first]).all()):
                return self.node("Expand", self.constant(a[first], a.dtype), self.ints(a.shape, b.shape))
            if len(axes) == 1 and a.dtype.kind == "i":
                steps = {int(s) for x in (a, b) for s in np.unique(np.diff(x, axis=axes[0]))}
                if len(steps) == 1 and np.array_equal(a[first], b[first]):
                    return self._counted(a, b, axes[0], steps.pop())
        raise self.refusal(f"uses an array of shape {a.shape} that was computed from the inputs or the batch size by "
                           "other means than minidl.ops; compute it with them, or give it to the module as an input")

    def _counted(self, a: np.ndarray, b: np.ndarray, axis: int, step: int) -> str:
        length = self.node("Squeeze", self.ints((a.shape[axis],), (b.shape[axis],)))
        count = self.node("Range", self.constant(0), length, self.constant(1))
        column = self.reshape(count, ((-1,) + (1,) * (a.ndim - axis - 1),) * 2)
        first = np.take(a, [0], axis).astype(np.int64)
        out = self.node("Add", self.node("Mul", column, self.constant(step)), self.constant(first))
        return self._cast(out, np.int64, a.dtype)

    # ------------------------------------------------------------------------------------------ lengths

    def ints(self, first: Sequence[int], second: Sequence[int]) -> str:
        """A vector of integers, of which some are a multiple of the batch size."""
        if tuple(first) == tuple(second):
            return self.constant(first)
        parts = [self.constant([a]) if a == b else self._times(a, b) for a, b in zip(first, second, strict=True)]
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)

    def _times(self, a: int, b: int) -> str:
        factor, rest = divmod(a, self.batches[0])
        if rest or factor * self.batches[1] != b:
            raise self.refusal(f"has a length of {a} for a batch of {self.batches[0]} and of {b} for "
                               f"{self.batches[1]}, which is no multiple of the batch size")
        key = ("length", factor)
        if key not in self._made:
            name, axis = self.source
            length = self.node("Shape", name, start=axis, end=axis + 1)
            self._made[key] = length if factor == 1 else self.node("Mul", length, self.constant([factor]))
        return self._made[key]

    def reshape(self, name: str, shape: Pair) -> str:
        """A Reshape to the shapes that the two traces have."""
        first, second = (list(s) for s in shape)
        changing = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
        if len(changing) == 1 and not {0, -1} & set(first):
            first[changing[0]] = second[changing[0]] = -1
        return self.node("Reshape", name, self.ints(first, second), allowzero=int(-1 not in first))

    def refusal(self, reason: str) -> ValueError:
        """The error for what a graph cannot do."""
        return ValueError(f"onnx.export: {self.call.where if self.call else 'an output'} {reason}")

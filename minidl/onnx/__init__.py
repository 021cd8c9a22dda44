"""Write a module as an ONNX file, for any runtime that reads the format.

    minidl.onnx.export(model, example_inputs, "model.onnx")

The module runs twice, on batches of two sizes made from the example, and the steps it takes become a graph
(`trace`). What differs between the runs follows the batch size, or is refused (`graph`). Each op is written in ONNX
by a small table (`lowering`); a fused op is its `reference`, so it needs no entry.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minidl.errors import MissingExtraError
from minidl.files import replacing
from minidl.nn.module import Module
from minidl.onnx.graph import OPSET, Call, Graph, Pair, array_of
from minidl.onnx.lowering import COMPOSED, LOWERINGS
from minidl.onnx.trace import Trace, run, values_of
from minidl.tensors import Tensor, as_array

__all__ = ["export"]

_BATCHES = (3, 5)  # no length that a module has by itself is likely to be in the same ratio


def export(module: Module, example_inputs: Any, path: str | os.PathLike[str], *,
           batch_axes: int | Sequence[int | None] | None = 0, input_names: Sequence[str] | None = None,
           output_names: Sequence[str] | None = None) -> None:
    """Write what a module computes to an ONNX file (opset 18), for batches of any size.

    Parameters
    ----------
    module : Module
        Exported as it is in evaluation: dropout off, running statistics used.
    example_inputs : array, Tensor or tuple of them
        Positional arguments of the module; None for an optional one that is left out. Integers become int64. Several
        rows, all different, are best: what is the same for all of them is taken for a constant.
    path : path
        Of the file; it is complete or not there at all.
    batch_axes : int, None or a sequence of them, one for each input
        The axis that may have another length at run time; None where there is none.
    input_names : sequence of str, optional
        By default the names of the arguments of `forward`.
    output_names : sequence of str, optional
        By default "output", or "output_0", "output_1", ... for a module that returns several.

    Raises
    ------
    ValueError
        When an op has no counterpart, or something was computed from the inputs outside of the ops: one sentence
        names the op and the module.
    MissingExtraError
        When the package `onnx` is not installed.

    Examples
    --------
    >>> import numpy as np, minidl.onnx
    >>> from minidl import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> minidl.onnx.export(model, np.zeros((1, 4), np.float32), "model.onnx")  # doctest: +SKIP
    """
    onnx = _package()
    examples = _named(module, example_inputs, input_names)
    axes = _axes(examples, batch_axes)
    parameters = {name for name, _ in module.named_arrays()}
    if clash := parameters & set(examples):
        raise ValueError(f"onnx.export: input {clash.pop()!r} has the name of a parameter; pass input_names=")
    learning = [m for m in module.modules() if m.training]
    module.eval()
    try:
        runs = [run(module, _batch(examples, axes, n, i), set(LOWERINGS), COMPOSED) for i, n in enumerate(_BATCHES)]
    finally:
        for m in learning:
            m.training = True
    (first, returned), (second, again) = runs
    outputs = _outputs([(first, returned), (second, again)], output_names)
    source = next(((name, axis) for name, axis in axes.items() if axis is not None), ("", 0))
    graph = Graph(onnx, _BATCHES, source, parameters)
    _lower(graph, first, second, list(outputs.values()))
    for name, pair in outputs.items():
        graph.node("Identity", graph.value(pair), out=name)
    information = onnx.helper.make_tensor_value_info
    given = [information(name, graph.code(array.dtype), ["batch" if i == axes[name] else n
                                                         for i, n in enumerate(array.shape)])
             for name, array in examples.items() if array is not None]
    answers = [information(name, graph.code(array_of(pair[0]).dtype), [_length(a, b) for a, b in zip(
        *(array_of(x).shape for x in pair), strict=True)]) for name, pair in outputs.items()]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, type(module).__name__, given, answers, list(graph.initializers.values())),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8, producer_name="minidl")
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as file:
        file.write(model.SerializeToString())


def _package() -> Any:
    try:
        import onnx
        import onnx.checker
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", "minidl.onnx.export") from error
    return onnx


# ------------------------------------------------------------------------------------------------ inputs

def _named(module: Module, example_inputs: Any, names: Sequence[str] | None) -> dict[str, np.ndarray | None]:
    """The example as arrays under the names of the arguments of `forward`."""
    given = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    if names is None:
        names = list(inspect.signature(module.forward).parameters)[:len(given)]
    if len(names) != len(given) or len(set(names)) != len(names):
        raise ValueError(f"onnx.export: {len(given)} example inputs, but the names {list(names)}; pass input_names=")
    found: dict[str, np.ndarray | None] = {}
    for name, x in zip(names, given, strict=True):
        array = None if x is None else as_array(x.data if isinstance(x, Tensor) else x)
        if array is not None and array.dtype.kind in "iu":
            array = array.astype(np.int64)
        if array is not None and array.dtype.kind not in "ifb":
            raise TypeError(f"onnx.export: input {name!r} has dtype {array.dtype}; numbers and booleans are possible")
        found[name] = array
    return found


def _axes(examples: Mapping[str, np.ndarray | None], axes: int | Sequence[int | None] | None) -> dict[str, int | None]:
    """The batch axis of each input, which are of one length."""
    each = list(axes) if isinstance(axes, Sequence) else [axes] * len(examples)
    if len(each) != len(examples):
        raise ValueError(f"onnx.export: {len(each)} batch_axes for {len(examples)} inputs")
    found: dict[str, int | None] = {}
    for (name, array), axis in zip(examples.items(), each, strict=True):
        if array is None or (array.ndim == 0 and not isinstance(axes, Sequence)):
            axis = None
        elif axis is not None and not -array.ndim <= axis < array.ndim:
            raise ValueError(f"onnx.export: batch axis {axis} of input {name!r}, whose shape is {array.shape}")
        found[name] = None if axis is None or array is None else axis % array.ndim
    lengths = {name: examples[name].shape[axis] for name, axis in found.items() if axis is not None}  # type: ignore
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise ValueError(f"onnx.export: the inputs' batches have lengths {lengths}; they have to be one, not 0 "
                         "(batch_axes= says where they are)")
    return found


def _batch(examples: Mapping[str, np.ndarray | None], axes: Mapping[str, int | None], size: int,
           turn: int) -> dict[str, np.ndarray | None]:
    """A batch of another size from the rows of the example, and other values at each `turn`."""
    made: dict[str, np.ndarray | None] = {}
    for name, array in examples.items():
        if array is not None:
            axis = axes[name]
            if axis is not None:
                array = np.take(array, (np.arange(size) + turn) % array.shape[axis], axis)
            array = np.array(array, order="C")
            if array.dtype.kind == "f" and axis is not None:
                _mix(np.moveaxis(array, axis, 0), turn)
        made[name] = array
    return made


def _mix(rows: np.ndarray, turn: int) -> None:
    """Exchange the elements of each row, and make them a little smaller: they keep their range, but what a module
    computes from them, such as where they are positive or how they are sorted, does not look like a constant.
    """
    for i, row in enumerate(rows):
        rows[i] = np.roll(row, i + turn) * (1 - turn / 16)


# ----------------------------------------------------------------------------------------------- outputs

def _outputs(runs: Sequence[tuple[Trace, Any]], names: Sequence[str] | None) -> dict[str, Pair]:
    """What the module returned, nested sequences laid out flat, under names."""
    flat = [[trace.find(x) for x in _flat(out)] for trace, out in runs]
    if len(flat[0]) != len(flat[1]):
        raise ValueError("onnx.export: the module returns another number of outputs for another batch size")
    if names is None:
        names = ["output"] if len(flat[0]) == 1 else [f"output_{i}" for i in range(len(flat[0]))]
    if len(names) != len(flat[0]):
        raise ValueError(f"onnx.export: {len(names)} output_names for {len(flat[0])} outputs")
    return dict(zip(names, zip(*flat, strict=True), strict=True))


def _flat(out: Any) -> Iterator[Any]:
    if isinstance(out, (tuple, list)):
        for each in out:
            yield from _flat(each)
    elif isinstance(out, (Tensor, np.ndarray)):
        yield out
    elif out is not None:
        raise TypeError(f"onnx.export: the module returns a {type(out).__name__}; arrays and tuples of them can be "
                        "exported")


def _length(a: int, b: int) -> int | str:
    if a == b:
        return a
    return "batch" if (a, b) == _BATCHES else f"{a / _BATCHES[0]:g}*batch"


# ---------------------------------------------------------------------------------------------- lowering

def _lower(graph: Graph, first: Trace, second: Trace, wanted: Sequence[Pair]) -> None:
    """Lower the steps that lead to the outputs, in order."""
    if [s.op for s in first.steps] != [s.op for s in second.steps]:
        raise ValueError("onnx.export: the module takes other steps for another batch size or other values; "
                         "a graph has one sequence of steps")
    needed = {getattr(v, "name", "") for v in values_of([x for pair in wanted for x in pair])}
    calls = []
    for one, other in zip(reversed(first.steps), reversed(second.steps), strict=True):
        if one.out.name in needed:
            needed |= {getattr(v, "name", "") for v in values_of([*one.args, *one.params.values()])}
            calls.append(Call(one, other))
    for call in reversed(calls):
        graph.call = call
        lowering = LOWERINGS.get(call.op)
        if lowering is None:
            raise graph.refusal("has no counterpart in ONNX here")
        graph.names[call.name] = lowering(graph, call)
    graph.call = None

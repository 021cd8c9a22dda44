"""Exported modules give the same numbers in onnxruntime, for batches of any size, or are refused in a sentence."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
import minidl.onnx
from minidl import nn, ops
from minidl.onnx.lowering import COMPOSED, LOWERINGS
from minidl.onnx.trace import run
from minidl.testing.proofs import draw_cases
from minidl.testing.spec import Case, Op
from minidl.testing.table import table

ABSENT = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
needs_onnx = pytest.mark.skipif(bool(ABSENT), reason=f"{' and '.join(ABSENT)} not installed; see make test-peers")
RNG = np.random.default_rng(0)


class Function(nn.Module):
    """A function as a module, with layers that it may use."""

    def __init__(self, function: Callable[..., Any], **layers: Any) -> None:
        self.function, self.names = function, list(layers)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs, **{name: getattr(self, name) for name in self.names})


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def leaves(out: Any) -> list[Any]:
    """What a module returned, without its tuples and what is None."""
    if isinstance(out, tuple):
        return [leaf for part in out for leaf in leaves(part)]
    return [] if out is None else [out]


def session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def agrees(tmp_path: Path, module: nn.Module, *examples: np.ndarray, sizes: tuple[int, ...] = (1, 2, 7),
           **options: Any) -> Any:
    """Export, run in onnxruntime for several batch sizes, compare; the graph."""
    import onnx

    path = tmp_path / "m.onnx"
    names = [f"x{i}" for i in range(len(examples))]
    minidl.onnx.export(module, examples, path, input_names=names, **options)
    run, module = session(path), module.eval()
    for size in sizes:
        batch = [np.take(x, np.arange(size) % len(x), 0) for x in examples]
        wanted = module(*batch)
        known = {i.name for i in run.get_inputs()}
        got = run.run(None, {n: x for n, x in zip(names, batch, strict=True) if n in known})
        for one, other in zip(got, leaves(wanted), strict=True):
            array = np.asarray(other.data if isinstance(other, minidl.Tensor) else other)
            assert one.dtype == array.dtype
            np.testing.assert_allclose(one, array, rtol=2e-5, atol=2e-6)
    return onnx.load(path).graph


# ------------------------------------------------------------------------------------------- every op

@pytest.mark.parametrize("name", table())
def test_every_op_has_a_lowering_or_its_row_says_that_onnx_has_none(name: str) -> None:
    op, steps = table()[name], set()
    for case in draw_cases(op, 4, seed=1):
        inputs = {f"x{i}": np.array(case.args[i]) for i in case.wrt}
        if inputs and all(x.size for x in inputs.values()):
            trace, _ = run(Function(called(op, case)), inputs, set(LOWERINGS), COMPOSED)
            steps |= {step.op for step in trace.steps}
    missing = steps - set(LOWERINGS)
    assert bool(missing) == (op.onnx is None), (
        f"no lowering for {sorted(missing)}: write it in minidl.onnx.lowering, or say onnx=None in the row if ONNX has "
        "no such op" if missing else "onnx=None in the row, but there is a lowering")


def called(op: Op, case: Case) -> Callable[..., Any]:
    """A call of an op as a function of what is differentiated in it."""
    def call(*xs: Any) -> Any:
        args = list(case.args)
        for i, x in zip(case.wrt, xs, strict=True):
            args[i] = x
        return op.function(*args, **case.kwargs)

    return call


@needs_onnx
@pytest.mark.parametrize("name", table())
def test_every_op_gives_the_same_or_is_refused(name: str, tmp_path: Path) -> None:
    op = table()[name]
    for case in draw_cases(op, 4, seed=1):
        inputs = [np.array(case.args[i], np.float32) for i in case.wrt]
        if inputs and all(x.size for x in inputs):  # onnxruntime refuses some nodes without elements
            _same_or_refused(op, case, inputs, tmp_path / "o.onnx")


def _same_or_refused(op: Op, case: Case, inputs: list[np.ndarray], path: Path) -> None:
    call = called(op, case)
    names = [f"x{i}" for i in range(len(inputs))]
    refusal = ""
    try:
        minidl.onnx.export(Function(call), tuple(inputs), path, batch_axes=None, input_names=names)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert op.onnx != "", "the row says that every case is exported"
        assert re.fullmatch(r"onnx\.export: \w+ in the outermost module .*", refusal)
        return
    assert op.onnx is not None
    model = session(path)
    known = {i.name for i in model.get_inputs()}
    got = model.run(None, {n: x for n, x in zip(names, inputs, strict=True) if n in known})[0]
    wanted = np.asarray(call(*inputs))
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=5e-6, atol=5e-6)


# ---------------------------------------------------------------------------------------- whole modules

@needs_onnx
def test_an_mlp_keeps_the_names_of_its_parameters(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Dropout(0.5), nn.Linear(8, 2), nn.Softmax())
    model.train()
    graph = agrees(tmp_path, model, floats(4, 6))
    assert {i.name for i in graph.initializer} >= set(model.state_dict())
    assert [d.dim_param or d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == ["batch", 6]
    assert [d.dim_param or d.dim_value for d in graph.output[0].type.tensor_type.shape.dim] == ["batch", 2]


@needs_onnx
def test_the_mode_of_a_module_stays_as_it_was(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    model[1].eval()
    minidl.onnx.export(model, floats(1, 2), tmp_path / "m.onnx")
    assert [m.training for m in model.modules()] == [True, True, False]


@needs_onnx
def test_integers_go_in(tmp_path: Path) -> None:
    def score(users: Any, items: Any, user: Any, item: Any, bag: Any) -> Any:
        return ops.row_dot(user(users), item(items[:, 0])) + bag(items).sum(axis=1)

    agrees(tmp_path, Function(score, user=nn.Embedding(9, 4), item=nn.Embedding(8, 4), bag=nn.EmbeddingBag(8, 3)),
           np.array([3, 1, 8]), RNG.integers(0, 8, (3, 5)))
    agrees(tmp_path, Function(lambda x, e: e(x), e=nn.Embedding(9, 2)), np.array([3, 1, 8], np.uint8).astype(np.int64))


@needs_onnx
def test_answers_in_integers(tmp_path: Path) -> None:
    agrees(tmp_path, Function(lambda x: (ops.argmax(x, 1), ops.argmin(x, -1, keepdims=True))), floats(4, 5))
    agrees(tmp_path, Function(lambda x: ops.take_along_axis(x, ops.argmax(x, 1, keepdims=True), 1)), floats(4, 5))
    agrees(tmp_path, Function(lambda items: ops.one_hot(items, 6)), RNG.integers(0, 6, (4, 3)))
    bag = nn.EmbeddingBag(8, 3, mode="max")
    agrees(tmp_path, Function(lambda items, bag: bag(items), bag=bag), RNG.integers(0, 8, (3, 5)))


@needs_onnx
def test_bags_without_their_padding_differ_in_length(tmp_path: Path) -> None:
    bag = nn.EmbeddingBag(8, 3, padding_idx=0)
    with pytest.raises(ValueError, match="bags of different lengths"):
        minidl.onnx.export(bag, RNG.integers(1, 8, (3, 5)), tmp_path / "m.onnx")


@needs_onnx
def test_masks_made_with_numpy_are_followed(tmp_path: Path) -> None:
    def pooled(items: Any, table: Any) -> Any:
        rows = table(items)
        mask = items != 0
        chosen = ops.where(mask[:, :, None], rows, 0.0)
        share = chosen.sum(axis=1) / np.maximum(mask.sum(axis=1), 1)[:, None].astype(np.float32)
        bias = np.where(mask, 0.0, -9.0)
        return share, rows[np.arange(len(items)), mask.sum(axis=1) - 1], ops.softmax(rows.sum(axis=2) + bias[:, ::-1])

    def truths(items: Any, table: Any) -> Any:
        seen = (items > 2).any(axis=1, keepdims=True) | ~(items > 0).all(axis=1, keepdims=True)
        return ops.where(seen, table(items.max(axis=1) - items.min(axis=1)), 0.0)

    agrees(tmp_path, Function(truths, table=nn.Embedding(6, 1)), RNG.integers(0, 6, (6, 3)))
    agrees(tmp_path, Function(pooled, table=nn.Embedding(6, 4).double()), RNG.integers(0, 6, (4, 5)))


@needs_onnx
@pytest.mark.parametrize("function", [
    lambda x: x.reshape(len(x), -1),
    lambda x: x.reshape(-1, 3) @ np.ones((3, 2), np.float32),
    lambda x: x.reshape(len(x) * 2, 6).T,
    lambda x: x + np.zeros(x.shape, np.float32),
    lambda x: ops.concatenate([x, np.full((len(x), 1, 3), 2, np.float32)], axis=1),
    lambda x: ops.broadcast_to(x[:, :1], x.shape),
    lambda x: x[np.arange(len(x)), np.arange(len(x)) * 0 + 1],
    lambda x: x[np.arange(len(x))],
    lambda x: x[: len(x)][::-1, 1:-1, ::2],
    lambda x: x * np.arange(len(x))[:, None, None].astype(np.int32),
    lambda x: ops.einsum("bij,bkj->bik", x, x),
    lambda x: ops.stack([x[:, 0], x[:, -1]], axis=1),
    lambda x: x.mean(axis=0, keepdims=True) - x,
    lambda x: x * (6.0 / len(x)),
    lambda x: (x[:, None] @ x[:, None].swapaxes(2, 3), x.max(axis=(1, 2))),
    lambda x: x[:, [0, 2, 2]][:, :, None],
    lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=3.0),
    lambda x: ops.matmul(x.reshape(len(x), 12), x.reshape(len(x), 12).T)])
def test_shapes_follow_the_batch(tmp_path: Path, function: Callable[..., Any]) -> None:
    agrees(tmp_path, Function(function), floats(3, 4, 3))


@needs_onnx
def test_a_batch_axis_may_be_elsewhere_or_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    module = Function(lambda x, y: x.sum(axis=0) + y)
    minidl.onnx.export(module, (floats(4, 3), floats(1)), path, batch_axes=[1, None], input_names=["x", "y"])
    x, y = floats(4, 9), floats(1)
    np.testing.assert_allclose(session(path).run(None, {"x": x, "y": y})[0], x.sum(axis=0) + y, rtol=1e-5)


@needs_onnx
def test_a_fused_op_is_exported_as_its_reference(tmp_path: Path) -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError("the kernel is not what is exported")

    cube = minidl.fused(lambda x: (x * x * x, None), refuse, lambda x: x * ops.square(x), name="cube")
    graph = agrees(tmp_path, Function(cube), floats(2, 3))
    assert [n.op_type for n in graph.node] == ["Mul", "Mul", "Identity"]


@needs_onnx
def test_outputs_are_laid_out_flat_and_what_none_needs_is_left_out(tmp_path: Path) -> None:
    def several(x: Any) -> Any:
        ops.sort(x)  # could not be exported
        return x, (x + 1, [x * 2])

    minidl.onnx.export(Function(several), floats(2, 2), tmp_path / "m.onnx", input_names=["x"])
    run, x = session(tmp_path / "m.onnx"), floats(5, 2)
    assert [o.name for o in run.get_outputs()] == ["output_0", "output_1", "output_2"]
    for got, wanted in zip(run.run(None, {"x": x}), (x, x + 1, x * 2), strict=True):
        np.testing.assert_array_equal(got, wanted)


@needs_onnx
def test_a_shared_parameter_is_written_once(tmp_path: Path) -> None:
    layer = nn.Linear(3, 3)
    graph = agrees(tmp_path, nn.Sequential(layer, layer), floats(2, 3))
    assert [i.name for i in graph.initializer] == ["0.weight", "0.bias"]


# -------------------------------------------------------------------------------------------- refusals

@needs_onnx
@pytest.mark.parametrize(("function", "says"), [
    (lambda x: ops.inv(x[:, :3]), r"inv in module 'inner' has no counterpart"),
    (lambda x: ops.sort(x), "was computed from the inputs or the batch size by other means"),
    (lambda x: ops.where(x.data > 0, x, 0.0), "where in module 'inner' uses an array of shape"),
    (lambda x: x * float(x.data.mean()), r"an array of shape \(\) that was computed"),
    (lambda x: x * (1.0 / len(x) ** 2), "by other means than minidl.ops"),
    (lambda x: ops.threshold(x, 0.1, 2.0), "where in module 'inner' uses an array of shape"),
    (lambda x: x[: len(x) // 2], "no multiple of the batch size"),
    (lambda x: x + 1 if len(x) > 3 else x * 2 + 1, "other steps for another batch size"),
    (lambda x: x[x.data > 0], "mask of booleans|has another"),
    (lambda x: {"x": x}, "returns a dict"),
    (lambda x: ops.scatter_add(x, (slice(None), 0), x[:, 0]), "adds at slices or masks")])
def test_what_a_graph_cannot_do_is_said(tmp_path: Path, function: Callable[..., Any], says: str) -> None:
    module = Function(lambda x, inner: inner(x), inner=Function(function))
    with pytest.raises((ValueError, TypeError), match=says) as caught:
        minidl.onnx.export(module, floats(1, 4, 3), tmp_path / "m.onnx", input_names=["x"])
    assert str(caught.value).startswith("onnx.export: ")
    assert not list(tmp_path.iterdir())


@needs_onnx
def test_assigning_into_a_mask_is_refused(tmp_path: Path) -> None:
    def changed(items: Any, e: Any) -> Any:
        mask = items > 2
        mask[:, 0] = True
        return ops.where(mask, e(items), 0.0)

    with pytest.raises(ValueError, match="assigns into one of its inputs"):
        minidl.onnx.export(Function(changed, e=nn.Embedding(9, 1)), np.ones((2, 3), int), tmp_path / "m.onnx",
                           input_names=["items"])


@needs_onnx
@pytest.mark.parametrize("lose", [lambda items: items.argsort(axis=1), lambda items: items.cumsum(axis=1),
                                  lambda items: np.flip(np.sort(items, axis=1), 1), lambda items: np.maximum.accumulate(
                                      items, axis=1), lambda items: items[:, [1, 0]] + 1])
def test_what_numpy_makes_of_an_input_unfollowed_is_refused_even_if_it_looks_constant(tmp_path: Path,
                                                                                      lose: Any) -> None:
    module = Function(lambda items, e: e(lose(items) % 9), e=nn.Embedding(9, 2))
    with pytest.raises(ValueError, match="function of NumPy that is not followed"):
        minidl.onnx.export(module, np.array([[0, 1]]), tmp_path / "m.onnx", input_names=["items"])


@needs_onnx
@pytest.mark.parametrize(("options", "says"), [
    ({"input_names": ["x"]}, "2 example inputs, but the names"),
    ({"batch_axes": [0]}, "1 batch_axes for 2 inputs"),
    ({"batch_axes": 5}, "batch axis 5 of input 'x'"),
    ({"batch_axes": [1, 0]}, r"lengths \{'x': 3, 'y': 2\}"),
    ({"input_names": ["weight", "y"]}, "'weight' has the name of a parameter"),
    ({"output_names": ["a", "b"]}, "2 output_names for 1 outputs")])
def test_arguments_that_do_not_fit(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    module = Function(lambda x, y, weight: x + y + weight, weight=nn.Parameter([1.0]))
    with pytest.raises(ValueError, match=says):
        minidl.onnx.export(module, (floats(2, 3), floats(2, 3)), tmp_path / "m.onnx",
                           **{"input_names": ["x", "y"], **options})


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(minidl.MissingExtraError, match=r"pip install 'minidl\[onnx\]'"):
        minidl.onnx.export(nn.Linear(2, 2), floats(1, 2), tmp_path / "m.onnx")

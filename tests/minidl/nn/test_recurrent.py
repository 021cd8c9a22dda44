"""Recurrent modules: values and gradients of torch.nn, options, errors. make_recurrent.py writes the file."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.nn import recurrent
from minidl.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

with np.load(Path(__file__).with_name("recurrent.npz")) as file:
    RECORDED = dict(file)
RUNS = [key.removesuffix(".given") for key in RECORDED if key.endswith(".given")]
CELLS = [RNNCell, GRUCell, LSTMCell]
LAYERS = [RNN, GRU, LSTM]


def cut(vector: np.ndarray, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """A flat vector as arrays of these shapes."""
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
    assert ends[-1] == vector.size
    return [part.reshape(shape) for part, shape in zip(np.split(vector, ends[:-1]), shapes, strict=True)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("run", RUNS)
def test_values_and_gradients_are_those_of_torch(run: str, dtype: Any) -> None:
    i = int(run.removesuffix("p"))
    name, options = str(RECORDED["names"][i]), ast.literal_eval(str(RECORDED["options"][i]))
    layer = getattr(recurrent, name)(2, 3, **options, dtype=dtype)
    lstm, cell = name.startswith("LSTM"), name.endswith("Cell")
    weights = dict(layer.named_parameters())
    for p, values in zip(weights.values(), cut(RECORDED[f"{run}.state"], [p.shape for p in weights.values()]),
                         strict=True):
        p.data[...] = values
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    shapes = [(3, 2), *[(3, 3)] * (1 + lstm)] if cell else [
        (3, 4, 2) if options.get("batch_first") else (4, 3, 2), *[(rows, 3, 3)] * (1 + lstm)]
    given = [minidl.tensor(a.astype(dtype), requires_grad=True) for a in cut(RECORDED[f"{run}.given"], shapes)]
    lengths = {"lengths": RECORDED["lengths"]} if run.endswith("p") else {}
    found = layer(given[0], tuple(given[1:]) if lstm else given[1], **lengths)
    found = found if isinstance(found, tuple) else (found,)
    outputs = [a for o in found for a in (o if isinstance(o, tuple) else (o,))]
    sum((o * o).sum() for o in outputs).backward()
    tolerance = {"rtol": 0, "atol": 1e-13 if dtype == np.float64 else 2e-6}
    for got, expected in zip(outputs, cut(RECORDED[f"{run}.output"], [o.shape for o in outputs]), strict=True):
        np.testing.assert_allclose(got.data, expected, **tolerance)
    leaves = [*given, *weights.values()]
    for leaf, expected in zip(leaves, cut(RECORDED[f"{run}.gradient"], [p.shape for p in leaves]), strict=True):
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(leaf.grad / scale, expected / scale, **tolerance)


@pytest.mark.parametrize("make", [*CELLS, *LAYERS])
def test_initial_values_are_those_of_torch_and_follow_the_seed(make: Any) -> None:
    first, second, third = (make(30, 100, generator=np.random.default_rng(seed)) for seed in (1, 1, 2))
    for p, q, r in zip(first.parameters(), second.parameters(), third.parameters(), strict=True):
        assert p.dtype == np.float32
        assert np.array_equal(p.data, q.data)
        assert not np.array_equal(p.data, r.data)
        assert 0.09 < np.abs(p.data).max() <= 0.1  # uniform in +-1/sqrt(100)


@pytest.mark.parametrize("make", LAYERS)
def test_names_and_shapes_of_parameters(make: Any) -> None:
    rows = 4 * {RNN: 1, GRU: 3, LSTM: 4}[make]
    layer = make(2, 4, num_layers=2, bidirectional=True)
    expected = {}
    for k, inputs in ((0, 2), (1, 8)):
        for direction in ("", "_reverse"):
            expected |= {f"weight_ih_l{k}{direction}": (rows, inputs), f"weight_hh_l{k}{direction}": (rows, 4),
                         f"bias_ih_l{k}{direction}": (rows,), f"bias_hh_l{k}{direction}": (rows,)}
    assert {name: p.shape for name, p in layer.named_parameters()} == expected
    assert [name for name, _ in make(2, 4, bias=False).named_parameters()] == ["weight_ih_l0", "weight_hh_l0"]


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layouts_of_batches_agree(make: Any, bidirectional: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3, 2))
    layer = make(2, 4, 2, bidirectional=bidirectional, dtype=np.float64)
    output, final = layer(x)
    final = final if make is LSTM else (final,)
    other = make(2, 4, 2, bidirectional=bidirectional, batch_first=True, dtype=np.float64)
    other.load_state_dict(layer.state_dict())
    first, same = other(x.swapaxes(0, 1))
    np.testing.assert_allclose(first.data.swapaxes(0, 1), output.data, atol=1e-14)
    for s, t in zip(final, same if make is LSTM else (same,), strict=True):
        np.testing.assert_array_equal(s.data, t.data)
    for one in (layer, other):
        single, last = one(x[:, 1])
        np.testing.assert_allclose(single.data, output.data[:, 1], atol=1e-14)
        for s, t in zip(final, last if make is LSTM else (last,), strict=True):
            np.testing.assert_allclose(t.data, s.data[:, 1], atol=1e-14)
    start = [rng.normal(size=(2 * (1 + bidirectional), 4)) for _ in final]
    single, _ = layer(x[:, 1], tuple(start) if make is LSTM else start[0])
    batch = [s[:, None] for s in start]
    whole, _ = layer(x[:, 1:2], tuple(batch) if make is LSTM else batch[0])
    np.testing.assert_allclose(single.data, whole.data[:, 0], atol=1e-14)


@pytest.mark.parametrize(("cell", "make"), list(zip(CELLS, LAYERS, strict=True)))
def test_cells_step_by_step_are_the_layer(cell: Any, make: Any) -> None:
    x = np.random.default_rng(1).normal(size=(6, 3, 2))
    step, layer = cell(2, 4, dtype=np.float64), make(2, 4, dtype=np.float64)
    layer.load_state_dict({f"{name}_l0": value for name, value in step.state_dict().items()})
    state, alone = None, None
    for t in range(6):
        state, alone = step(x[t], state), step(x[t, 2], alone)
    final = layer(x)[1]
    for s, a, f in zip(*((v if make is LSTM else (v,)) for v in (state, alone, final)), strict=True):
        np.testing.assert_allclose(s.data, f.data[0], atol=1e-14)
        np.testing.assert_allclose(a.data, f.data[0, 2], atol=1e-14)


def test_dropout_stands_between_layers_in_training_only() -> None:
    x = np.ones((4, 50, 2), np.float32)
    layers = [GRU(2, 20, 2, dropout=0.5, generator=np.random.default_rng(3)) for _ in range(2)]
    one, other = (layer(x)[0].data for layer in layers)
    assert np.array_equal(one, other)  # the masks follow the generator
    assert not np.array_equal(one, layers[0](x)[0].data)
    layers[0].eval()
    plain = layers[0](x)[0].data
    assert np.array_equal(plain, layers[0](x)[0].data)
    assert np.allclose(plain, plain[:, :1])  # all samples are the same again
    single = GRU(2, 20, 1, dropout=0.5)
    assert np.array_equal(single(x)[0].data, single(x)[0].data)
    nothing = GRU(2, 20, 2, dropout=1.0)
    assert np.array_equal(nothing(x)[0].data, nothing(x * 2)[0].data)


def test_a_sequence_without_steps_keeps_its_state() -> None:
    layer, h0 = GRU(2, 3, bidirectional=True), np.random.default_rng(0).random((2, 2, 3), np.float32)
    output, h = layer(np.ones((4, 2, 2), np.float32), h0, lengths=[0, 4])
    assert not output.data[:, 0].any()
    assert np.array_equal(h.data[:, 0], h0[:, 0])
    assert not np.array_equal(h.data[:, 1], h0[:, 1])


def test_double_and_repr() -> None:
    layer = LSTM(2, 3, 2, batch_first=True, bidirectional=True, dropout=0.1).double()
    assert layer(np.ones((1, 4, 2)))[0].dtype == np.float64
    assert repr(layer) == "LSTM(2, 3, num_layers=2, batch_first=True, dropout=0.1, bidirectional=True)"
    assert repr(RNN(2, 3, nonlinearity="relu", bias=False)) == "RNN(2, 3, bias=False, nonlinearity='relu')"
    assert repr(GRUCell(2, 3, bias=False)) == "GRUCell(2, 3, bias=False)"
    assert repr(RNNCell(2, 3)) == "RNNCell(2, 3)"


X = np.ones((4, 3, 2), np.float32)


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: GRU(2, 3, num_layers=0), ValueError, "GRU: num_layers=0"),
    (lambda: GRU(2, 3, dropout=1.5), ValueError, "GRU: dropout=1.5"),
    (lambda: RNN(2, 3, nonlinearity="sin"), ValueError, "RNN: nonlinearity='sin'"),
    (lambda: RNNCell(2, 3, nonlinearity="sin"), ValueError, "RNNCell: nonlinearity='sin'"),
    (lambda: GRU(2, 3)(X[0, 0]), ValueError, r"GRU: x has shape \(2,\); it has to be \(steps, samples, features\)"),
    (lambda: GRU(2, 3, batch_first=True)(X[0, 0]), ValueError, r"\(samples, steps, features\)"),
    (lambda: GRU(5, 3)(X), ValueError, r"weight_ih has shape \(9, 5\); \(9, 2\)"),
    (lambda: GRU(2, 3)(X, np.zeros((3, 3))), ValueError, r"GRU: an initial state has shape \(3, 3\); \(1, 3, 3\)"),
    (lambda: LSTM(2, 3)(X, np.zeros((1, 3, 3))), TypeError, r"LSTM: the initial state has to be a pair \(h0, c0\)"),
    (lambda: GRU(2, 3)(X, lengths=[1, 2]), ValueError, "one for each of the 3 samples"),
    (lambda: GRUCell(2, 3)(X), ValueError, r"GRUCell: x has shape \(4, 3, 2\)"),
    (lambda: LSTMCell(2, 3)(X[0], X[0]), TypeError, "LSTMCell: the initial state"),
])
def test_errors(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()

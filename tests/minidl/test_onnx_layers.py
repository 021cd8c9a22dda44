"""Every layer, alone and in networks, gives the same numbers in onnxruntime, for batches of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidl import nn, ops
from tests.minidl.test_onnx import Function, agrees, floats, needs_onnx

RNG = np.random.default_rng(0)


def integers(high: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, high, shape)


def shares(*shape: int) -> np.ndarray:
    return RNG.uniform(0.1, 0.9, shape).astype(np.float32)


def signs(*shape: int) -> np.ndarray:
    return RNG.choice([-1, 1], shape)


ALONE: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[Any, ...]]] = [  # class, arguments, options, inputs
    *((name, (), {}, (3 * floats(4, 6),)) for name in (
        "CELU", "Dropout", "ELU", "GELU", "GLU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU",
        "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax", "Softmin",
        "Softplus", "Softsign", "Tanh", "Tanhshrink")),
    ("GELU", ("tanh",), {}, (floats(4, 6),)),
    ("PReLU", (3,), {}, (floats(4, 3, 2),)),
    ("Linear", (3, 5), {}, (floats(4, 2, 3),)),
    ("Bilinear", (3, 4, 5), {}, (floats(4, 3), floats(4, 4))),
    ("Embedding", (7, 3), {"padding_idx": 0}, (integers(7, 4, 3),)),
    *(("EmbeddingBag", (7, 3), {"mode": mode}, (integers(7, 4, 3),)) for mode in ("sum", "mean", "max")),
    *((name, (3, 6, 3), options, (floats(4, 3, *shape),)) for name, shape in (("Conv1d", (9,)), ("Conv2d", (8, 9)))
      for options in ({"bias": False}, {"stride": 2, "padding": 1, "groups": 3}, {"padding": "same", "dilation": 2})),
    ("ConvTranspose2d", (3, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 3},
     (floats(4, 3, 4, 5),)),
    ("Unfold", (3,), {"padding": 1, "stride": 2}, (floats(4, 3, 8, 9),)),
    ("Fold", ((4, 5), 2), {}, (floats(4, 12, 12),)),
    *((f"{kind}Pool{dims}d", (3,), options, (floats(4, 3, *(8, 9)[:dims]),))
      for kind in ("Max", "Avg") for dims in (1, 2)
      for options in ({}, {"stride": 2, "padding": 1}, {"stride": 2, "ceil_mode": True})),
    ("AvgPool2d", (3,), {"padding": 1, "count_include_pad": False}, (floats(4, 3, 8, 9),)),
    *((f"Adaptive{kind}Pool{dims}d", (4,), {}, (floats(4, 3, *(8, 9)[:dims]),)) for kind in ("Max", "Avg")
      for dims in (1, 2)),
    *((f"Dropout{dims}d", (), {}, (floats(4, 3, *(8, 9)[:dims]),)) for dims in (1, 2)),
    *((f"BatchNorm{dims}d", (3,), {}, (floats(4, 3, *(8, 9)[:dims]),)) for dims in (1, 2)),
    *((name, (3,), {}, (floats(4, 5, 3),)) for name in ("LayerNorm", "RMSNorm")),
    *(("GroupNorm", (2, 6), {}, (floats(4, 6, *shape),)) for shape in ((), (3,), (3, 2))),
    ("LayerNorm", ((5, 3),), {"elementwise_affine": False}, (floats(4, 5, 3),)),
    *(("Flatten", args, {}, (floats(4, 3, 2, 5),)) for args in ((), (2,), (0, 1))),
    ("MultiheadAttention", (8, 2), {"batch_first": True}, (floats(4, 5, 8), floats(4, 3, 8), floats(4, 3, 8))),
    *(("TransformerEncoderLayer", (8, 2, 16), {"batch_first": True, "norm_first": first, "activation": activation},
       (floats(4, 5, 8),)) for first, activation in ((True, "relu"), (False, "gelu"))),
    *((kind, (3, 4), {"batch_first": True, "bias": bias}, (floats(4, 5, 3),)) for kind in ("RNN", "GRU", "LSTM")
      for bias in (True, False)),
    ("LRU", (3,), {}, (floats(4, 5, 3),)),
    ("RNN", (3, 4), {"batch_first": True, "nonlinearity": "relu"}, (floats(4, 5, 3),)),
    *((kind, (3, 4), {}, (floats(4, 3), floats(4, 4))) for kind in ("RNNCell", "GRUCell")),
    ("LSTMCell", (3, 4), {}, (floats(4, 3),)),
    *((name, (), {}, (floats(4, 5), floats(4, 5))) for name in (
        "BPRLoss", "CosineSimilarity", "HuberLoss", "L1Loss", "MSELoss", "PairwiseDistance", "PoissonNLLLoss",
        "SmoothL1Loss")),
    *((name, (), {}, (floats(4, 5), shares(4, 5))) for name in ("BCEWithLogitsLoss", "KLDivLoss", "MultinomialLoss")),
    *((name, (), {}, (floats(4, 5), integers(5, 4))) for name in ("CrossEntropyLoss", "MultiMarginLoss", "NLLLoss")),
    *((name, (), {}, (floats(4, 5), signs(4, 5))) for name in ("HingeEmbeddingLoss", "SoftMarginLoss")),
    ("BCELoss", (), {}, (shares(4, 5), shares(4, 5))),
    ("CosineEmbeddingLoss", (), {}, (floats(4, 5), floats(4, 5), signs(4))),
    ("GaussianNLLLoss", (), {}, (floats(4, 5), floats(4, 5), shares(4, 5))),
    ("HingeLoss", (), {}, (floats(4, 5), floats(4, 5))),
    ("MarginRankingLoss", (), {}, (floats(4), floats(4), signs(4))),
    ("MultiLabelSoftMarginLoss", (), {}, (floats(4, 5), integers(2, 4, 5))),
    ("TripletMarginLoss", (), {}, (floats(4, 5), floats(4, 5), floats(4, 5))),
]

OTHERWISE = {"Module", "ModuleDict", "ModuleList", "Parameter", "ParameterDict", "ParameterList", "Sequential",
             "functional", "init", "manual_seed", "utils",
             "SampledSoftmaxLoss",  # draws at random
             "Threshold"}  # refused: its condition is an array that the graph does not see made


def test_every_layer_is_here() -> None:
    assert set(nn.__all__) - OTHERWISE == {name for name, *_ in ALONE}


@needs_onnx
@pytest.mark.parametrize(("name", "args", "options", "inputs"), ALONE,
                         ids=[f"{name}-{i}" for i, (name, *_) in enumerate(ALONE)])
def test_a_layer_alone(tmp_path: Path, name: str, args: Any, options: Any, inputs: Any) -> None:
    layer = getattr(nn, name)(*args, **options)
    for _, statistics in layer.named_buffers():
        statistics[...] = statistics + shares(*statistics.shape)
    agrees(tmp_path, layer, *inputs, sizes=(1, 7))


# -------------------------------------------------------------------------------------------- networks

class Attention(nn.Module):
    """Causal self-attention on items, of which 0 is padding."""

    def __init__(self) -> None:
        self.table = nn.Embedding(9, 8)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, items: Any) -> Any:
        x = self.norm(self.table(items))
        later = np.triu(np.ones((items.shape[1],) * 2, bool), 1)
        return self.attention(x, x, x, key_padding_mask=items == 0, attn_mask=later, need_weights=False)[0]


LAYERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], np.ndarray], set[str]]] = {
    "conv net": (lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(4, 6, 3, padding="same", groups=2), nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(),
        nn.Linear(24, 5), nn.LogSoftmax()), lambda: floats(2, 3, 15, 16),
        {"Conv", "MaxPool", "AveragePool"}),
    "transposed": (lambda: nn.ConvTranspose2d(3, 2, 3, stride=2, output_padding=1), lambda: floats(2, 3, 4, 5),
                   {"ConvTranspose"}),
    "adaptive": (lambda: nn.AdaptiveAvgPool2d((2, 3)), lambda: floats(2, 3, 7, 8), set()),
    "one dimension": (lambda: nn.Sequential(nn.Conv1d(3, 4, 2), nn.MaxPool1d(2)), lambda: floats(2, 3, 9),
                      {"Conv", "MaxPool"}),
    **{kind: (lambda kind=kind: Function(lambda x, rnn: rnn(x)[0][:, -1], rnn=getattr(nn, kind)(
        3, 4, num_layers=2, bidirectional=True, batch_first=True)), lambda: floats(2, 5, 3), {kind})
       for kind in ("RNN", "GRU", "LSTM")},
    "embeddings, bags and an MLP": (lambda: Function(
        lambda items, one, bag, mlp: mlp(ops.concatenate([one(items[:, 0]), bag(items)], axis=1)),
        one=nn.Embedding(9, 4), bag=nn.EmbeddingBag(9, 3), mlp=nn.Sequential(
            nn.Linear(7, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 1), nn.Flatten(0))),
        lambda: integers(9, 4, 5), {"Gather", "Gemm"}),
    "attention": (Attention, lambda: np.concatenate([np.ones((3, 1), int), RNG.integers(0, 9, (3, 4))], axis=1), set()),
}


@needs_onnx
@pytest.mark.parametrize("name", LAYERS)
def test_layers_become_the_nodes_that_onnx_has(tmp_path: Path, name: str) -> None:
    make, draw, kinds = LAYERS[name]
    graph = agrees(tmp_path, make(), draw())
    assert {n.op_type for n in graph.node} >= kinds


@needs_onnx
def test_sequences_of_several_lengths(tmp_path: Path) -> None:
    agrees(tmp_path, Function(lambda x, lengths, rnn: rnn(x, lengths=lengths)[0],
                              rnn=nn.LSTM(3, 4, batch_first=True, bidirectional=True)),
           floats(3, 5, 3), np.array([5, 1, 3]))



"""Layers of both packages with one state_dict, moved either way: outputs and gradients are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import nn


def _shares(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.1, 0.9, (6, 4))


def _signs(rng: np.random.Generator) -> np.ndarray:
    return rng.choice([-1, 1], (6, 4))


ROWS: list[tuple[str, tuple, dict, tuple]] = [  # class, arguments, options, of each input: shape, bound or function
    ("Linear", (4, 3), {}, ((5, 4),)),
    ("Linear", (4, 3), {"bias": False}, ((2, 5, 4),)),
    ("Embedding", (7, 3), {"padding_idx": 2}, (7,)),
    ("EmbeddingBag", (7, 3), {"mode": "sum"}, (7,)),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, ((2, 4, 9),)),
    ("Conv2d", (4, 6, 3), {"padding": "same", "dilation": 2}, ((2, 4, 9, 8),)),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (1, 2), "padding": (1, 0), "bias": False}, ((2, 4, 9, 8),)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, ((2, 4, 5, 4),)),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, ((2, 3, 9),)),
    ("MaxPool2d", (3,), {"stride": 2, "ceil_mode": True}, ((2, 3, 8, 9),)),
    ("AvgPool1d", (2,), {}, ((2, 3, 9),)),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, ((2, 3, 8, 9),)),
    ("AdaptiveAvgPool2d", ((2, 3),), {}, ((2, 3, 8, 9),)),
    ("AdaptiveMaxPool2d", (3,), {}, ((2, 3, 8, 9),)),
    ("Flatten", (), {}, ((2, 3, 4),)),
    *((kind, (4, 5), options, ((3, 6, 4),)) for kind in ("RNN", "GRU", "LSTM")
      for options in ({}, {"num_layers": 2, "bidirectional": True, "batch_first": True}, {"bias": False})),
    ("RNN", (4, 5), {"nonlinearity": "relu"}, ((3, 6, 4),)),
    *((kind, (4, 5), {}, ((3, 4), *more)) for kind, more in
      (("RNNCell", ((3, 5),)), ("GRUCell", ((3, 5),)), ("LSTMCell", ()))),
    ("LayerNorm", (4,), {}, ((3, 5, 4),)),
    ("GroupNorm", (2, 6), {}, ((3, 6, 4),)),
    *(("TransformerEncoderLayer", (8, 2, 16), {"dropout": 0.0, "norm_first": first, "activation": activation},
       ((5, 3, 8),)) for first, activation in ((True, "relu"), (False, "gelu"))),
    ("LayerNorm", ((5, 4),), {"eps": 1e-3, "elementwise_affine": False}, ((3, 5, 4),)),
    ("RMSNorm", (4,), {}, ((3, 5, 4),)),
    ("BatchNorm1d", (4,), {}, ((6, 4),)),
    ("BatchNorm2d", (4,), {"momentum": 0.3}, ((3, 4, 2, 5),)),
    ("MultiheadAttention", (8, 2), {"batch_first": True}, ((3, 5, 8), (3, 6, 8), (3, 6, 8))),
    ("Bilinear", (3, 4, 5), {}, ((6, 3), (6, 4))),
    ("PReLU", (3,), {}, ((2, 3, 4),)),
    ("CrossEntropyLoss", (), {"label_smoothing": 0.1}, ((6, 4), 4)),
    ("SmoothL1Loss", (), {"beta": 0.5}, ((6, 4), (6, 4))),
    *((name, (), {}, ((3, 4),)) for name in (
        "CELU", "ELU", "GELU", "GLU", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid", "Mish",
        "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh", "Tanhshrink")),
    *((name, (1,), {}, ((3, 4, 2),)) for name in ("LogSoftmax", "Softmax", "Softmin")),
    ("Threshold", (0.1, 20.0), {}, ((3, 4),)),
    ("AdaptiveAvgPool1d", (4,), {}, ((2, 3, 9),)),
    ("AdaptiveMaxPool1d", (4,), {}, ((2, 3, 9),)),
    ("Unfold", ((3, 2),), {"padding": 1, "stride": 2}, ((2, 3, 8, 9),)),
    ("Fold", ((4, 5), 2), {}, ((2, 12, 12),)),
    *((name, (), {}, ((6, 4), (6, 4))) for name in (
        "CosineSimilarity", "HuberLoss", "L1Loss", "MSELoss", "PairwiseDistance", "PoissonNLLLoss")),
    ("BCEWithLogitsLoss", (), {}, ((6, 4), _shares)),
    ("KLDivLoss", (), {"reduction": "batchmean"}, ((6, 4), _shares)),
    *((name, (), {}, ((6, 4), _signs)) for name in ("HingeEmbeddingLoss", "SoftMarginLoss")),
    *((name, (), {}, ((6, 4), 4)) for name in ("MultiMarginLoss", "NLLLoss")),
    ("BCELoss", (), {}, (_shares, _shares)),
    ("MultiLabelSoftMarginLoss", (), {}, ((6, 4), lambda rng: rng.integers(0, 2, (6, 4)))),
    ("CosineEmbeddingLoss", (), {}, ((6, 4), (6, 4), lambda rng: _signs(rng)[:, 0])),
    ("MarginRankingLoss", (), {"margin": 0.2}, ((6, 4), (6, 4), _signs)),
    ("GaussianNLLLoss", (), {}, ((6, 4), (6, 4), _shares)),
    ("TripletMarginLoss", (), {"swap": True}, ((6, 4), (6, 4), (6, 4))),
]

OTHERWISE = {"Dropout", "Dropout1d", "Dropout2d",  # draw at random
             "Hardsigmoid",  # PyTorch's has 1/6 in single precision; see `counterparts`
             "BPRLoss", "HingeLoss", "MultinomialLoss", "SampledSoftmaxLoss",  # PyTorch has none
             "Module", "ModuleDict", "ModuleList", "Parameter", "ParameterDict", "ParameterList", "Sequential",
             "functional", "init", "manual_seed", "utils"}


def test_every_layer_has_a_row() -> None:
    assert set(nn.__all__) - OTHERWISE == {name for name, *_ in ROWS}


def _draw(rng: np.random.Generator, shape: Any) -> np.ndarray:
    if callable(shape):
        return np.asarray(shape(rng))
    return rng.integers(0, shape, (6,) if shape == 4 else (6, 3)) if isinstance(shape, int) else rng.normal(size=shape)


def _leaves(out: Any) -> list[Any]:
    if isinstance(out, (tuple, list)):
        return [leaf for o in out for leaf in _leaves(o)]
    return [out] if out is not None else []


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("name", "args", "options", "shapes"), ROWS,
                         ids=[f"{name}-{i}" for i, (name, *_) in enumerate(ROWS)])
def test_layer(name: str, args: tuple, options: dict, shapes: tuple, training: bool) -> None:
    rng = np.random.default_rng(1)
    theirs = getattr(torch.nn, name)(*args, **options).double().train(training)
    ours = getattr(nn, name)(*args, **options).double().train(training)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    state = {k: rng.normal(size=v.shape) ** 2 + 0.1 for k, v in ours.state_dict().items()}  # variances are positive
    wanted = theirs.state_dict()
    theirs.load_state_dict({k: torch.tensor(v).to(wanted[k].dtype) for k, v in state.items()}, strict=False)
    assert {k for k in wanted if not k.endswith("num_batches_tracked")} == {
        k for k in state if not k.endswith("num_batches_tracked")}
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})

    inputs = [_draw(rng, shape) for shape in shapes]
    floats = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    a = [minidl.tensor(x, requires_grad=True) if i in floats else x for i, x in enumerate(inputs)]
    b = [torch.tensor(x, requires_grad=i in floats) for i, x in enumerate(inputs)]
    left, right = _leaves(ours(*a)), _leaves(theirs(*b))
    assert len(left) == len(right)
    weights = [rng.normal(size=tuple(r.shape)) for r in right]
    sum((o * w).sum() for o, w in zip(left, weights, strict=True)).backward()
    sum((o * torch.tensor(w)).sum() for o, w in zip(right, weights, strict=True)).backward()
    for one, other in zip(left, right, strict=True):
        _close(one.data, other)
    for i in floats:
        _close(a[i].grad, b[i].grad)
    theirs_of = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        _close(parameter.grad, theirs_of[key].grad)
    for key, buffer in ours.named_buffers():
        _close(buffer, dict(theirs.named_buffers())[key])


def _close(ours: Any, theirs: Any) -> None:
    ours = ours.to_dense() if isinstance(ours, minidl.RowGrad) else ours
    other = theirs.detach().numpy(force=True)
    np.testing.assert_allclose(np.zeros(other.shape) if ours is None else ours, other, rtol=1e-9, atol=1e-10)

"""Losses as modules: each is its function with options, and keeps weights as buffers."""

import inspect
from typing import Any

import numpy as np
import pytest

from minidl import ops as functions
from minidl.nn import loss as losses

_RNG = np.random.default_rng(2)
_X, _Z, _T = _RNG.normal(size=(4, 3)), _RNG.normal(size=(4, 3)), _RNG.uniform(0.5, 2, size=(4, 3))
_P, _Y, _C, _W = _T / 2, _RNG.choice([-1, 1], (4, 3)), np.array([0, 2, 1, 1]), np.array([0.5, 1.0, 2.0])
MODULES = {
    "MSELoss": ("mse_loss", (_X, _Z), {}),
    "L1Loss": ("l1_loss", (_X, _Z), {}),
    "HuberLoss": ("huber_loss", (_X, _Z), {"delta": 0.3}),
    "SmoothL1Loss": ("smooth_l1_loss", (_X, _Z), {"beta": 0.3}),
    "PoissonNLLLoss": ("poisson_nll_loss", (_T, 3 * _T), {"full": True, "eps": 0.7, "log_input": False}),
    "GaussianNLLLoss": ("gaussian_nll_loss", (_X, _Z, _T), {"full": True, "eps": 0.7}),
    "BCELoss": ("binary_cross_entropy", (_P / 1.1, _P), {"weight": _W}),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", (_X, _P), {"weight": _W, "pos_weight": _W[::-1]}),
    "MultiLabelSoftMarginLoss": ("multilabel_soft_margin_loss", (_X, _P), {"weight": _W}),
    "CrossEntropyLoss": ("cross_entropy", (_X, _C), {"weight": _W, "ignore_index": 1, "label_smoothing": 0.1}),
    "NLLLoss": ("nll_loss", (_X, _C), {"weight": _W, "ignore_index": 1}),
    "KLDivLoss": ("kl_div", (_X, _P), {"log_target": True}),
    "MultinomialLoss": ("multinomial_loss", (_X, _C, np.array([0, 1, 1, 3])), {}),
    "BPRLoss": ("bpr_loss", (_X, _Z), {}),
    "SampledSoftmaxLoss": ("sampled_softmax_loss", (_X[:, 0], _X), {}),
    "HingeLoss": ("hinge_loss", (_X, _Z), {"margin": 0.3}),
    "MarginRankingLoss": ("margin_ranking_loss", (_X, _Z, _Y), {"margin": 0.3}),
    "HingeEmbeddingLoss": ("hinge_embedding_loss", (_X, _Y), {"margin": 0.3}),
    "SoftMarginLoss": ("soft_margin_loss", (_X, _Y), {}),
    "MultiMarginLoss": ("multi_margin_loss", (_X, _C), {"p": 2, "margin": 0.3, "weight": _W}),
    "CosineSimilarity": ("cosine_similarity", (_X, _Z), {"dim": 0, "eps": 2.0}),
    "PairwiseDistance": ("pairwise_distance", (_X, _Z), {"p": 1.0, "eps": 0.1, "keepdim": True}),
    "CosineEmbeddingLoss": ("cosine_embedding_loss", (_X, _X + 0.1, -np.ones(4)), {"margin": 0.3}),
    "TripletMarginLoss": ("triplet_margin_loss", (_X, _Z, _T), {"margin": 4.0, "p": 1.0, "eps": 0.1, "swap": True}),
}


def test_every_module_is_tested() -> None:
    assert set(MODULES) == set(losses.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_their_functions_with_options(name: str) -> None:
    make = getattr(losses, name)
    function, args, options = MODULES[name]
    f = getattr(functions, function)
    defaults = {k: p.default for k, p in inspect.signature(f).parameters.items()}
    given = {k: p.default for k, p in inspect.signature(make).parameters.items()}
    reduced = "reduction" in defaults
    assert set(given) == {*options, *(["reduction"] if reduced else [])}
    assert given == {k: defaults[k] for k in given}
    assert np.array_equal(make()(*args), f(*args))
    for reduction in ({"reduction": r} for r in (("sum", "none") if reduced else ())):
        assert np.array_equal(make(**options, **reduction)(*args), f(*args, **options, **reduction))
    assert not np.array_equal(make(**options)(*args), make()(*args)) or not options


@pytest.mark.parametrize("name", MODULES)
def test_modules_show_their_options_and_save_their_weights(name: str) -> None:
    _, _, options = MODULES[name]
    module = getattr(losses, name)(**options)
    arrays: dict[str, Any] = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
    assert all(f"{k}={v!r}" in repr(module) for k, v in options.items() if k not in arrays)
    assert set(module.state_dict()) == set(arrays)
    assert all(np.array_equal(getattr(module, k), v) for k, v in options.items())
    other = getattr(losses, name)(**{k: np.ones(3) if k in arrays else v for k, v in options.items()})
    other.load_state_dict(module.state_dict())
    assert all(np.array_equal(getattr(other, k), v) for k, v in arrays.items())


def test_arguments_have_names() -> None:
    assert losses.MSELoss()(input=_X, target=_Z) == functions.mse_loss(_X, _Z)
    hits = np.array([True, False, False])
    got = losses.SampledSoftmaxLoss("sum")(_X[:, 0], _X, hits=hits)
    assert got == functions.sampled_softmax_loss(_X[:, 0], _X, hits=hits, reduction="sum")

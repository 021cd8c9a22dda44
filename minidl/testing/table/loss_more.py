"""Rows of the op table: losses of margins, distances, likelihoods and sampled or counted classes."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.cases import cases
from minidl.testing.spec import Case, Convention, Op
from minidl.testing.strategies import arrays, as_strategy, broadcastable, indices, shapes, spaced

__all__ = ["OPS"]

# ------------------------------------------------------------------------------------------ references


def _reduced(losses: Any, reduction: str = "mean") -> Any:
    return {"none": losses, "sum": np.sum(losses), "mean": np.sum(losses) / max(losses.size, 1)}[reduction]


def _weighted_mean(losses: Any, weight: Any, reduction: str) -> Any:
    return np.sum(losses * weight) / np.sum(weight) if reduction == "mean" else _reduced(losses * weight, reduction)


def _mse(x: Any, t: Any, reduction: str, weight: Any) -> Any:
    return _weighted_mean((x - t) ** 2, weight, reduction)


def _l1(x: Any, t: Any, reduction: str, weight: Any) -> Any:
    return _weighted_mean(_positive(x - t) + _positive(t - x), weight, reduction)


def _huber(x: Any, t: Any, reduction: str, weight: Any) -> Any:
    d = _positive(x - t) + _positive(t - x)
    return _reduced(weight * np.where(d.real < 1, d * d / 2, d - 0.5), reduction)


def _positive(x: Any) -> Any:
    return np.where(x.real > 0, x, 0)


def _margin_ranking(a: Any, b: Any, y: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    better, worse = np.where(y > 0, a, b), np.where(y > 0, b, a)
    return _reduced(_positive(margin - better + worse), reduction)


def _hinge_embedding(x: Any, y: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    return _reduced(np.where(y > 0, x, _positive(margin - x)), reduction)


def _soft_margin(x: Any, y: Any, reduction: str = "mean") -> Any:
    return _reduced(np.log(1 + np.exp(-y * x)), reduction)


def _multi_margin(x: Any, t: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean") -> Any:
    """Sample by sample, class by class."""
    rows, classes = (x[None], [int(t)]) if x.ndim == 1 else (x, t.tolist())
    losses = []
    for row, right in zip(rows, classes, strict=True):
        terms = [_positive(margin - row[right] + row[c]) ** p for c in range(len(row)) if c != right]
        losses.append(sum(terms) / len(row) * (1 if weight is None else weight[right]))
    return _reduced(np.array(losses).reshape(np.shape(t)), reduction)


def _multilabel(x: Any, t: Any, weight: Any = 1.0, reduction: str = "mean") -> Any:
    p = 1 / (1 + np.exp(-x))
    return _reduced(np.mean(-weight * (t * np.log(p) + (1 - t) * np.log(1 - p)), axis=-1), reduction)


def _poisson(x: Any, t: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8,
             reduction: str = "mean") -> Any:
    rate, log_rate = (np.exp(x), x) if log_input else (x, np.log(x + eps))
    factorial = np.where(t.real > 1, (t + 0.5) * np.log(t) - t + 0.5 * math.log(2 * math.pi), 0)
    return _reduced(rate - t * log_rate + (factorial if full else 0), reduction)


def _gaussian(x: Any, t: Any, var: Any, full: bool = False, reduction: str = "mean") -> Any:
    """Minus the logarithm of the density, without its constant unless `full`."""
    v = var[..., None] if var.ndim < x.ndim else var
    density = np.exp(-(x - t) ** 2 / (2 * v)) / np.sqrt(2 * math.pi * v if full else v)
    return _reduced(-np.log(density), reduction)


def _length(d: Any, p: float = 2.0) -> Any:
    d = _positive(d) + _positive(-d)
    if p == math.inf:
        return np.sum(np.where(d.real == np.max(d.real, axis=-1, keepdims=True), d, 0), axis=-1)
    return np.sum(d ** p, axis=-1) ** (1 / p)


def _distance(a: Any, b: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    length = _length(a - b + eps, p)
    return length[..., None] if keepdim else length


def _cosine(a: Any, b: Any, dim: int = 1) -> Any:
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = (np.moveaxis(np.broadcast_to(v, shape), dim, -1) for v in (a, b))
    return np.sum(a / _length(a)[..., None] * (b / _length(b)[..., None]), axis=-1)


def _cosine_embedding(a: Any, b: Any, y: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    cosine = _cosine(a, b, -1)
    return _reduced(np.where(y > 0, 1 - cosine, _positive(cosine - margin)), reduction)


def _triplet(a: Any, b: Any, c: Any, margin: float = 1.0, p: float = 2.0, swap: bool = False,
             reduction: str = "mean") -> Any:
    near, far, other = _distance(a, b, p), _distance(a, c, p), _distance(b, c, p)
    if swap:
        far = np.where(other.real < far.real, other, far)
    return _reduced(_positive(near - far + margin), reduction)


def _log_softmax(x: Any) -> Any:
    x = x - np.max(x.real, initial=0.0)
    return x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True))


def _multinomial(x: Any, t: Any, offsets: Any = None, counts: Any = None, reduction: str = "mean") -> Any:
    """Row by row; a sparse batch class by class."""
    log_p = _log_softmax(x)
    if offsets is None:
        return _reduced(-np.sum(t * log_p, axis=-1), reduction)
    counts = np.ones(t.size) if counts is None else counts
    ends = [*offsets.tolist()[:len(x)], t.size]
    losses = [-sum(counts[k] * log_p[i, t[k]] for k in range(lo, hi)) for i, (lo, hi) in enumerate(pairwise(ends))]
    return _reduced(np.array(losses, log_p.dtype), reduction)


def _sampled(p: Any, n: Any, positive_log_q: Any = 0.0, negative_log_q: Any = 0.0, hits: Any = False,
             reduction: str = "mean") -> Any:
    """-log of the share, of expected counts e^s / q."""
    right = np.exp(p) / np.exp(positive_log_q)
    others = np.where(hits, 0, np.exp(n) / np.exp(negative_log_q))
    return _reduced(-np.log(right / (right + np.sum(others, axis=-1))), reduction)


# ------------------------------------------------------------------------------------------------ cases

_NOT_PARALLEL = ("C", "Fortran", "reversed", "strided")
_REDUCTION = st.sampled_from(["mean", "sum", "none"])
_TOTAL = st.sampled_from(["sum", "none"])
_FULL = shapes(min_side=1)


def _reduced_cases(*slots: Any, shape: Any = None, empty: Any = None, **kwargs: Any) -> Any:
    """Calls with any reduction; the mean only of something."""
    first, *rest = slots
    full = cases(first(_FULL if shape is None else shape), *rest, reduction=_REDUCTION, **kwargs)
    if shape is not None and empty is None:
        return full
    return st.one_of(full, cases(first(shapes() if empty is None else empty), *rest, reduction=_TOTAL, **kwargs))


def _alike(*args: Any) -> Any:
    return arrays(args[0].shape)


def _apart(*kinks: float) -> Any:
    """A second array whose distance from the first stays away from the kinks."""
    return lambda x: arrays(x.shape, -3, 3, away_from=kinks).map(lambda d: np.asarray(x - d))


def _weights(*args: Any) -> Any:
    return arrays(args[0].shape, 0.4, 2)


def _probabilities(x: Any) -> Any:
    return arrays(x.shape, 0.1, 0.9)


def _from(low: float, high: float, away_from: Any = ()) -> Any:
    """Arrays of the first one's shape, or of a shape."""
    return lambda *args: arrays(getattr(args[0], "shape", args[0]), low, high, away_from=away_from)


def _signs(shape_of: Any = lambda x: x.shape) -> Any:
    """1 and -1 as integers."""
    return lambda *args: _signed(shape_of(args[0]))


def _signed(shape: Any) -> Any:
    return arrays(shape, -1, 1, layout=False).map(lambda a: np.where(a > 0, 1, -1))


def _rank(gap: float) -> Any:
    """Scores of classes of which no two differ by about the margin."""
    return lambda shape: as_strategy(shape).flatmap(lambda s: spaced(s, gap))


_VECTORS = shapes(min_dims=1, max_dims=2, min_side=2)  # (D,) or (N, D)
_BATCH = shapes(min_dims=2, max_dims=2, min_side=2)


def _classes(x: Any) -> Any:
    return indices(x.shape[-1], x.shape[:-1], negative=False)


def _class_weights(x: Any, t: Any) -> Any:
    return arrays(x.shape[-1:], 0.4, 2, layout=False)


@st.composite
def _vectors(draw: Any, /, p: float = 2.0, **kwargs: Any) -> Case:
    """Two arrays of vectors that broadcast, no element of a difference near 0 or another's magnitude."""
    wide = draw(shapes(min_dims=1, min_side=1))
    narrow = draw(st.sampled_from([wide, wide[1:] or wide, (1, *wide[1:])]))
    b = draw(arrays(narrow))
    levels = draw(spaced(wide, centre=4.0))
    a = np.broadcast_to(b, wide) + np.where(np.arange(levels.size).reshape(wide) % 2, levels, -levels)
    args = (b, a) if draw(st.booleans()) else (a, b)
    return Case(args, {"p": p, **{k: draw(as_strategy(v)) for k, v in kwargs.items()}}, (0, 1))




@st.composite
def _aligned(draw: Any) -> Case:
    """Vectors along any axis of two shapes that broadcast, none so short that a difference would turn it."""
    one, other = draw(broadcastable(2, min_dims=1, min_side=1))
    length = draw(st.integers(2, 3))  # a vector of one number has only a sign
    one, other = (*one, length), (*other, length)
    axis = draw(st.integers(-min(len(one), len(other)), -1))
    args = [np.moveaxis(draw(arrays(s, low, 3, away_from=[0.0], margin=0.5, layout=_NOT_PARALLEL)), -1, axis)
            for s, low in ((one, -3), (other, 0.5))]
    ndim = max(len(one), len(other))
    return Case(tuple(args), {"dim": axis + draw(st.sampled_from([0, ndim]))}, (0, 1))


@st.composite
def _cosines(draw: Any, margin: float) -> Case:
    """Pairs of vectors in the plane at angles whose cosine is not the margin."""
    shape = draw(st.sampled_from([(), (1,), (3,)]))
    start, turn = draw(arrays(shape, 0, 6)), draw(arrays(shape, 0.2, 2.9, away_from=[math.acos(margin)]))
    one, other = (np.stack([np.cos(angle), np.sin(angle)], axis=-1) * draw(arrays((*shape, 1), 0.5, 2, layout=False))
                  for angle in (start, start + turn))
    return Case((one, other, draw(_signed(shape))), {"margin": margin, "reduction": draw(_REDUCTION)}, (0, 1))


@st.composite
def _triplets(draw: Any, p: float, swap: bool) -> Case:
    """Anchors with a positive and a negative at distances that leave the margin, and the swap, no doubt.

    Along each axis the three are at -1, 0 and 1, in an order of its own, times a factor of the row, moved a little.
    """
    shape = draw(st.sampled_from([(3,), (1, 2), (4, 3)]))
    base = draw(arrays(shape, layout=False))
    step = draw(arrays((*shape[:-1], 1), 0.4, 1.5, layout=False))
    # the first, which is always drawn, has a loss; so a bug in any reduction shows
    ways = draw(st.sampled_from([(0.0, 2.6, -1.0), (0.0, 1.0, 3.2), (0.0, 3.0, 1.2), (0.0, -0.8, 2.6)]))
    moved = [draw(arrays(shape, -0.05, 0.05, layout=False)) for _ in ways]
    signs = np.where(np.arange(shape[-1]) % 2, 1.0, -1.0)
    args = tuple(base + signs * (step * way) + little for way, little in zip(ways, moved, strict=True))
    return Case(args, {"margin": 0.05, "p": p, "swap": swap, "reduction": draw(_REDUCTION)}, (0, 1, 2))


@st.composite
def _baskets(draw: Any, counted: bool = False) -> Case:
    """Logits and a sparse batch: empty rows, classes that occur twice, offsets with and without the end."""
    n, width = draw(st.integers(0, 4)), draw(st.integers(2, 5))
    x = draw(arrays((n, width), -4, 4))
    total = draw(st.integers(0, 7)) if n else 0
    classes = draw(indices(width, (total,), negative=False))
    cuts = sorted(draw(st.lists(st.integers(0, total), min_size=max(n - 1, 0), max_size=max(n - 1, 0))))
    ends = np.array([0, *cuts, total][:n + 1] if n else [0], draw(st.sampled_from([np.int64, np.uint8])))
    offsets = ends if draw(st.booleans()) else ends[:-1]
    counts = draw(arrays((total,), 0.4, 2, layout=False)) if counted else None
    return Case((x, classes, offsets, counts), {"reduction": draw(_REDUCTION if n else _TOTAL)}, (0,))


@st.composite
def _samples(draw: Any, corrected: bool = False) -> Case:
    """Positives of any shape and K > 0 negatives each."""
    shape = draw(shapes(max_dims=2))
    k = draw(st.integers(1, 4))
    p, n = draw(arrays(shape)), draw(arrays((*shape, k)))
    kwargs: dict[str, Any] = {"reduction": draw(_REDUCTION if p.size else _TOTAL)}
    if corrected:
        kwargs["positive_log_q"] = draw(arrays(shape, -2, 0, layout=False))
        kwargs["negative_log_q"] = draw(arrays(draw(st.sampled_from([(k,), n.shape])), -2, 0, layout=False))
        kwargs["hits"] = draw(arrays((k,), -1, 1, layout=False)) > 0.4
        kwargs["hits"][0] = False
    return Case((p, n), kwargs, (0, 1))


_EDGE = np.array([1.0])

OPS = [
    Op("mse_loss[weight]", ops.mse_loss, _mse, _reduced_cases(arrays, _alike, weight=_weights, shape=_FULL), order=3),
    Op("l1_loss[weight]", ops.l1_loss, _l1, _reduced_cases(arrays, _apart(0), weight=_weights, shape=_FULL)),
    Op("huber_loss[weight]", ops.huber_loss, _huber, _reduced_cases(arrays, _apart(-1, 1), weight=_weights)),

    Op("margin_ranking_loss", ops.margin_ranking_loss, _margin_ranking,
       _reduced_cases(arrays, _apart(-0.3, 0.3), _signs(), margin=0.3),
       conventions=(Convention("0 at the edge of the margin", (_EDGE, np.zeros(1), np.ones(1)), np.zeros(1),
                               {"margin": 1.0}),)),
    Op("hinge_embedding_loss", ops.hinge_embedding_loss, _hinge_embedding,
       _reduced_cases(_from(-2, 2, away_from=[0.6]), _signs(), margin=0.6),
       conventions=(Convention("0 at the edge of the margin", (_EDGE, -np.ones(1)), np.zeros(1)),)),
    Op("soft_margin_loss", ops.soft_margin_loss, _soft_margin, _reduced_cases(arrays, _signs()), order=3),
    Op("multi_margin_loss", ops.multi_margin_loss, _multi_margin,
       _reduced_cases(_rank(0.4), _classes, margin=0.2, shape=_VECTORS),
       conventions=(Convention("0 at the edge of the margin", (np.array([1.0, 0.0]), np.array(0)), np.zeros(2)),)),
    Op("multi_margin_loss[2]", ops.multi_margin_loss, _multi_margin,
       _reduced_cases(_rank(0.4), _classes, p=2, margin=0.2, weight=_class_weights, shape=_VECTORS,
                      empty=shapes(min_dims=2, max_dims=2).map(lambda s: (s[0], s[1] + 2)))),
    Op("multilabel_soft_margin_loss", ops.multilabel_soft_margin_loss, _multilabel,
       _reduced_cases(arrays, _probabilities, shape=shapes(min_dims=1, min_side=1),
                      empty=shapes(min_dims=2).map(lambda s: (*s[:-1], s[-1] + 1))), order=3),
    Op("multilabel_soft_margin_loss[weight]", ops.multilabel_soft_margin_loss, _multilabel,
       _reduced_cases(arrays, _probabilities, weight=_class_weights, shape=shapes(min_dims=1, min_side=1)), order=3),

    Op("poisson_nll_loss", ops.poisson_nll_loss, _poisson, _reduced_cases(arrays, _from(0.2, 4, away_from=[1])),
       order=3),
    Op("poisson_nll_loss[full]", ops.poisson_nll_loss, _poisson,
       _reduced_cases(_from(0.3, 4), _from(0.2, 4, away_from=[1]), log_input=False, full=True, eps=0.1), order=3),
    Op("gaussian_nll_loss", ops.gaussian_nll_loss, _gaussian, _reduced_cases(arrays, _alike, _from(0.5, 2)), order=3,
       conventions=(Convention("a variance below eps counts as eps, the mean's gradient stays finite",
                               (np.array([2.0]), np.zeros(1), np.zeros(1)), np.array([4.0]), {"eps": 0.5}),)),
    Op("gaussian_nll_loss[shared]", ops.gaussian_nll_loss, _gaussian,
       _reduced_cases(arrays, _alike, lambda x, t: arrays(x.shape[:-1], 0.5, 2, layout=_NOT_PARALLEL),  # no two alike,
                      full=st.booleans(), shape=shapes(min_dims=1, min_side=1)), order=3),  # or it seems to broadcast

    Op("cosine_similarity", ops.cosine_similarity, _cosine, _aligned(), order=3,
       conventions=(Convention("a vector of zeros gets that of the product, over eps",
                               (np.zeros((1, 2)), np.array([[0.0, 4.0]])), np.array([[0.0, 2.0]]), {"eps": 0.5}),)),
    Op("pairwise_distance", ops.pairwise_distance, _distance, _vectors(keepdim=st.booleans()), order=3,
       conventions=(Convention("0 where the difference and eps cancel", (np.zeros((1, 2)), np.zeros((1, 2))),
                               np.zeros((1, 2)), {"eps": 0.0}),)),
    Op("pairwise_distance[1]", ops.pairwise_distance, _distance, _vectors(1.0)),
    Op("pairwise_distance[3]", ops.pairwise_distance, _distance, _vectors(3.0), order=3,
       conventions=(Convention("0 where the difference and eps cancel", (np.zeros((1, 2)), np.zeros((1, 2))),
                               np.zeros((1, 2)), {"eps": 0.0, "p": 3.0}),)),
    Op("pairwise_distance[inf]", ops.pairwise_distance, _distance, _vectors(math.inf)),
    Op("cosine_embedding_loss", ops.cosine_embedding_loss, _cosine_embedding, _cosines(0.0),
       conventions=(Convention("0 at the edge of the margin", (_EDGE[None], _EDGE[None], -np.ones(1)),
                               np.zeros((1, 1)), {"margin": 1.0}),)),
    Op("cosine_embedding_loss[margin]", ops.cosine_embedding_loss, _cosine_embedding, _cosines(0.4)),
    Op("triplet_margin_loss", ops.triplet_margin_loss, _triplet, _triplets(2.0, False),
       conventions=(Convention("0 at the edge of the margin", (np.zeros((1, 1)), _EDGE[None], 3 * _EDGE[None]),
                               np.zeros((1, 1)), {"margin": 2.0, "eps": 0.0}),)),
    Op("triplet_margin_loss[swap]", ops.triplet_margin_loss, _triplet, _triplets(2.0, True)),
    Op("triplet_margin_loss[1]", ops.triplet_margin_loss, _triplet, _triplets(1.0, True)),

    Op("multinomial_loss", ops.multinomial_loss, _multinomial,
       _reduced_cases(_from(-4, 4), _from(0.1, 3), shape=shapes(min_dims=1, min_side=2),
                      empty=shapes(min_dims=2).map(lambda s: (*s[:-1], s[-1] + 2))), order=3),
    Op("multinomial_loss[offsets]", ops.multinomial_loss, _multinomial, _baskets(), order=3),
    Op("multinomial_loss[counts]", ops.multinomial_loss, _multinomial, _baskets(counted=True), order=3),
    Op("sampled_softmax_loss", ops.sampled_softmax_loss, _sampled, _samples(), order=3),
    Op("sampled_softmax_loss[corrected]", ops.sampled_softmax_loss, _sampled, _samples(corrected=True), order=3),
]

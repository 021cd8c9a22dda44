"""Losses as modules; the formulas stand at the functions of `minidl.ops`.

A module holds the options of its function, under the same names, and `loss(*args)` is
`function(*args, **options)`. Options that are weights are buffers: saved, but not learned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minidl import ops
from minidl.names import either_name
from minidl.nn.module import Module

__all__ = ["BCELoss", "BCEWithLogitsLoss", "BPRLoss", "CosineEmbeddingLoss", "CosineSimilarity", "CrossEntropyLoss",
           "GaussianNLLLoss", "HingeEmbeddingLoss", "HingeLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss",
           "MarginRankingLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss", "MultinomialLoss", "NLLLoss",
           "PairwiseDistance", "PoissonNLLLoss", "SampledSoftmaxLoss", "SmoothL1Loss", "SoftMarginLoss",
           "TripletMarginLoss"]


class _Loss(Module):
    """A function of `minidl.ops` with options."""

    function: ClassVar[Callable[..., Any]]
    options: tuple[str, ...]

    def __init__(self, **options: Any) -> None:
        self.options = tuple(options)
        for name, value in options.items():
            if name in ("weight", "pos_weight"):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the function takes -> what it gives."""
        return type(self).function(*args, **kwargs, **{name: getattr(self, name) for name in self.options})

    def extra_repr(self) -> str:
        """The options, without arrays."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.options if name not in self._buffers)


class _Reduced(_Loss):
    """A loss without options but its reduction: "mean", "sum" or "none"."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


# ------------------------------------------------------------------------------------------ regression

class MSELoss(_Reduced):
    """`minidl.ops.mse_loss`."""

    function = ops.mse_loss


class L1Loss(_Reduced):
    """`minidl.ops.l1_loss`."""

    function = ops.l1_loss


class HuberLoss(_Loss):
    """`minidl.ops.huber_loss`."""

    function = ops.huber_loss

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction, delta=delta)


class SmoothL1Loss(_Loss):
    """`minidl.ops.smooth_l1_loss`."""

    function = ops.smooth_l1_loss

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction, beta=beta)


class PoissonNLLLoss(_Loss):
    """`minidl.ops.poisson_nll_loss`, of expected counts or their logarithms."""

    function = ops.poisson_nll_loss

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(log_input=log_input, full=full, eps=eps, reduction=reduction)


class GaussianNLLLoss(_Loss):
    """`minidl.ops.gaussian_nll_loss`, of means, numbers and variances."""

    function = ops.gaussian_nll_loss

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(full=full, eps=eps, reduction=reduction)


# ---------------------------------------------------------------------------------------- probabilities

class BCELoss(_Loss):
    """`minidl.ops.binary_cross_entropy`, of probabilities."""

    function = ops.binary_cross_entropy

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(weight=weight, reduction=reduction)


class BCEWithLogitsLoss(_Loss):
    """`minidl.ops.binary_cross_entropy_with_logits`."""

    function = ops.binary_cross_entropy_with_logits

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(weight=weight, reduction=reduction, pos_weight=pos_weight)


class MultiLabelSoftMarginLoss(_Loss):
    """`minidl.ops.multilabel_soft_margin_loss`, of logits (N, C)."""

    function = ops.multilabel_soft_margin_loss

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(weight=weight, reduction=reduction)


class CrossEntropyLoss(_Loss):
    """`minidl.ops.cross_entropy`, of logits and classes or probabilities: (N, C) and (N,) -> ()."""

    function = ops.cross_entropy

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
                 label_smoothing: float = 0.0) -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing)


class NLLLoss(_Loss):
    """`minidl.ops.nll_loss`, of log-probabilities and classes: (N, C) and (N,) -> ()."""

    function = ops.nll_loss

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction)


class KLDivLoss(_Loss):
    """`minidl.ops.kl_div`, of log-probabilities and probabilities."""

    function = ops.kl_div

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction, log_target=log_target)


class MultinomialLoss(_Reduced):
    """`minidl.ops.multinomial_loss`, of logits (N, C) and dense counts, or classes and offsets."""

    function = ops.multinomial_loss


# --------------------------------------------------------------------------------- ranking and margins

class BPRLoss(_Reduced):
    """`minidl.ops.bpr_loss`, of scores that should be higher and scores that should be lower."""

    function = ops.bpr_loss


class SampledSoftmaxLoss(_Reduced):
    """`minidl.ops.sampled_softmax_loss`, of scores (N,) of positives and (N, K) of negatives."""

    function = ops.sampled_softmax_loss


class HingeLoss(_Loss):
    """`minidl.ops.hinge_loss`, of scores that should be higher and scores that should be lower."""

    function = ops.hinge_loss

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class MarginRankingLoss(_Loss):
    """`minidl.ops.margin_ranking_loss`, of two scores and 1 or -1."""

    function = ops.margin_ranking_loss

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class HingeEmbeddingLoss(_Loss):
    """`minidl.ops.hinge_embedding_loss`, of distances and 1 or -1."""

    function = ops.hinge_embedding_loss

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class SoftMarginLoss(_Reduced):
    """`minidl.ops.soft_margin_loss`, of scores and 1 or -1."""

    function = ops.soft_margin_loss


class MultiMarginLoss(_Loss):
    """`minidl.ops.multi_margin_loss`, of scores and classes: (N, C) and (N,) -> ()."""

    function = ops.multi_margin_loss

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(p=p, margin=margin, weight=weight, reduction=reduction)


# ------------------------------------------------------------------------------------------- distances

class CosineSimilarity(_Loss):
    """`minidl.ops.cosine_similarity`: two of (N, D) -> (N,)."""

    function = ops.cosine_similarity

    @either_name
    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__(dim=dim, eps=eps)


class PairwiseDistance(_Loss):
    """`minidl.ops.pairwise_distance`: two of (N, D) -> (N,)."""

    function = ops.pairwise_distance

    @either_name
    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__(p=p, eps=eps, keepdim=keepdim)


class CosineEmbeddingLoss(_Loss):
    """`minidl.ops.cosine_embedding_loss`, of vectors (N, D), others, and 1 or -1 (N,)."""

    function = ops.cosine_embedding_loss

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(margin=margin, reduction=reduction)


class TripletMarginLoss(_Loss):
    """`minidl.ops.triplet_margin_loss`, of three times (N, D)."""

    function = ops.triplet_margin_loss

    def __init__(self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
                 reduction: str = "mean") -> None:
        super().__init__(margin=margin, p=p, eps=eps, swap=swap, reduction=reduction)

"""Losses as modules; the formulas stand at the functions of `minidl.ops`."""

from __future__ import annotations

from typing import Any

from minidl.nn import functional
from minidl.nn.module import Module

__all__ = ["BCELoss", "BCEWithLogitsLoss", "BPRLoss", "CrossEntropyLoss", "HingeLoss", "HuberLoss", "KLDivLoss",
           "L1Loss", "MSELoss", "NLLLoss", "SmoothL1Loss"]


class _Loss(Module):
    """A loss with a `reduction`: "mean", "sum" or "none"."""

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with weights that are not learned but saved: of elements, or of classes."""

    weight: Any

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)


class MSELoss(_Loss):
    """`minidl.ops.mse_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        """Two of the same shape -> ()."""
        return functional.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """`minidl.ops.l1_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        """Two of the same shape -> ()."""
        return functional.l1_loss(input, target, reduction=self.reduction)


class HuberLoss(_Loss):
    """`minidl.ops.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """Two of the same shape -> ()."""
        return functional.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class SmoothL1Loss(_Loss):
    """`minidl.ops.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """Two of the same shape -> ()."""
        return functional.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class BCELoss(_WeightedLoss):
    """`minidl.ops.binary_cross_entropy`, of probabilities."""

    def forward(self, input: Any, target: Any) -> Any:
        """Two of the same shape -> ()."""
        return functional.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """`minidl.ops.binary_cross_entropy_with_logits`."""

    pos_weight: Any

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        """Two of the same shape -> ()."""
        return functional.binary_cross_entropy_with_logits(input, target, self.weight, reduction=self.reduction,
                                                           pos_weight=self.pos_weight)


class CrossEntropyLoss(_WeightedLoss):
    """`minidl.ops.cross_entropy`, of logits and classes or probabilities."""

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
                 label_smoothing: float = 0.0) -> None:
        super().__init__(weight, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """(N, C) and (N,) -> ()."""
        return functional.cross_entropy(input, target, self.weight, self.ignore_index, self.reduction,
                                        self.label_smoothing)


class NLLLoss(_WeightedLoss):
    """`minidl.ops.nll_loss`, of log-probabilities and classes."""

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """(N, C) and (N,) -> ()."""
        return functional.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class KLDivLoss(_Loss):
    """`minidl.ops.kl_div`, of log-probabilities and probabilities."""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        """Two of the same shape -> ()."""
        return functional.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class BPRLoss(_Loss):
    """`minidl.ops.bpr_loss`, of scores that should be higher and scores that should be lower."""

    def forward(self, positive: Any, negative: Any) -> Any:
        """Two of the same shape -> ()."""
        return functional.bpr_loss(positive, negative, reduction=self.reduction)


class HingeLoss(_Loss):
    """`minidl.ops.hinge_loss`, of scores that should be higher and scores that should be lower."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, positive: Any, negative: Any) -> Any:
        """Two of the same shape -> ()."""
        return functional.hinge_loss(positive, negative, margin=self.margin, reduction=self.reduction)

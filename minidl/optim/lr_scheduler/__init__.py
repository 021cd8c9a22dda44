"""Schedules of the learning rate, with the names, arguments and formulas of `torch.optim.lr_scheduler`.

A schedule is made after the optimizer and stepped after it, once an epoch or once a batch. To write one, subclass
`FactorLR` and give `factor_at(t)`, or subclass `LRScheduler` and give `rate(base, now, t)`.
"""

from minidl.optim.lr_scheduler.base import LRScheduler
from minidl.optim.lr_scheduler.composed import ChainedScheduler, SequentialLR
from minidl.optim.lr_scheduler.cycles import CosineAnnealingLR, CosineAnnealingWarmRestarts, OneCycleLR
from minidl.optim.lr_scheduler.factors import (
    ConstantLR,
    ExponentialLR,
    FactorLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from minidl.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = ["ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR",
           "FactorLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR",
           "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR"]

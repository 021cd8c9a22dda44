"""Experiments on people: who sees what, what was shown by chance, what that says, and what it would have said."""

from recsys.experiments.assignment import Variants
from recsys.experiments.exploration import explore, generator
from recsys.experiments.off_policy import Estimate, Logged, OffPolicy, estimate_policy
from recsys.experiments.readout import Arm, Readout, dealt, rates
from recsys.experiments.sequences import (
    Interval,
    Moments,
    betting_sequence,
    confidence_sequence,
    difference_sequence,
)

__all__ = [
    "Arm", "Estimate", "Interval", "Logged", "Moments", "OffPolicy", "Readout", "Variants", "betting_sequence",
    "confidence_sequence", "dealt", "difference_sequence", "estimate_policy", "explore", "generator", "rates",
]

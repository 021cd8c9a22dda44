"""Experiments on people: who sees what, what was shown by chance, what that says, and what it would have said."""

from recsys.experiments.assignment import Variants
from recsys.experiments.exploration import explore, generator

__all__ = ["Variants", "explore", "generator"]

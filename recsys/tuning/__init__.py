"""Tuning: search spaces from what is known of each parameter, Optuna's search, and a file of what was found."""

from recsys.tuning.study import require
from recsys.tuning.tuning import Finalist, Tuned, tune

__all__ = ["Finalist", "Tuned", "require", "tune"]

"""Experiments on people: who sees what, what was shown by chance, what that says, and what it would have said.

Names resolve on first use: a server needs the first two parts alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.lazy import resolving

if TYPE_CHECKING:
    from recsys.experiments.assignment import Variants as Variants
    from recsys.experiments.exploration import explore as explore
    from recsys.experiments.exploration import generator as generator
    from recsys.experiments.off_policy import Estimate as Estimate
    from recsys.experiments.off_policy import Logged as Logged
    from recsys.experiments.off_policy import OffPolicy as OffPolicy
    from recsys.experiments.off_policy import estimate_policy as estimate_policy
    from recsys.experiments.readout import Arm as Arm
    from recsys.experiments.readout import Readout as Readout
    from recsys.experiments.readout import dealt as dealt
    from recsys.experiments.readout import rates as rates
    from recsys.experiments.sequences import Interval as Interval
    from recsys.experiments.sequences import Moments as Moments
    from recsys.experiments.sequences import betting_sequence as betting_sequence
    from recsys.experiments.sequences import confidence_sequence as confidence_sequence
    from recsys.experiments.sequences import difference_sequence as difference_sequence

_NAMES = {
    "assignment": ("Variants",),
    "exploration": ("explore", "generator"),
    "off_policy": ("Estimate", "Logged", "OffPolicy", "estimate_policy"),
    "readout": ("Arm", "Readout", "dealt", "rates"),
    "sequences": ("Interval", "Moments", "betting_sequence", "confidence_sequence", "difference_sequence"),
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}

__all__ = [*_HOMES]
__getattr__, __dir__ = resolving(__name__, _HOMES)

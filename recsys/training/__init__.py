"""Networks by epochs: the trainer, early stopping, checkpoints, losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.lazy import resolving

if TYPE_CHECKING:
    from recsys.training.trainer import Callback as Callback
    from recsys.training.trainer import Objective as Objective
    from recsys.training.trainer import Run as Run
    from recsys.training.trainer import Trainer as Trainer
    from recsys.training.trainer import shuffled as shuffled

__all__ = ["Callback", "Objective", "Run", "Trainer", "shuffled"]

__getattr__, __dir__ = resolving(__name__, dict.fromkeys(__all__, "recsys.training.trainer"))

"""The plain loop: index arrays, batches, Adam, and SparseAdam for the tables with sparse gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.harness import Arrays


class Trainer:
    """Trains a network by an objective, with the first batches that `recsys.training.Trainer` has of this seed."""

    def __init__(self, network: nn.Module, objective: Any, options: dict[str, Any], seed: int,
                 batches: int | None) -> None:
        torch.set_num_threads(2)
        torch.manual_seed(seed)
        self.network, self.objective, self.options, self.seed = network, objective, options, seed
        self.batches = batches

    def start(self, weights: Arrays) -> Callable[[], float]:
        """Begin with these weights; what is returned trains for an epoch, and gives the mean loss."""
        self.network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
        tables = [part.weight for part in self.network.modules() if isinstance(part, nn.Embedding) and part.sparse]
        others = [p for p in self.network.parameters() if all(p is not table for table in tables)]
        lr, decay = self.options["lr"], self.options["weight_decay"]
        optimizers: list[torch.optim.Optimizer] = [torch.optim.Adam(others, lr, weight_decay=decay)]
        if tables:
            optimizers.append(torch.optim.SparseAdam(tables, lr))
        return partial(self._epoch, optimizers)

    def _epoch(self, optimizers: list[torch.optim.Optimizer]) -> float:
        self.network.train()
        rng = np.random.default_rng((self.seed, 0))
        total, examples = 0.0, 0
        divide = getattr(self.objective, "divide", _shuffled)
        for batch in divide(self.objective.begin(0, rng), self.options["batch_size"], rng)[:self.batches]:
            loss = self.objective.loss(batch, rng)
            self.network.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            total, examples = total + loss.item() * len(batch), examples + len(batch)
        return total / examples


def _shuffled(n: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    order = rng.permutation(n)
    return [order[first:first + size] for first in range(0, n, size)]

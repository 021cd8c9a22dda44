"""Sparse rows, and who has not met what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Arrays

__all__ = ["Batch", "Rows", "draw"]


class Batch(NamedTuple):
    """Some rows: `offsets` (B + 1,); for each entry its row in the batch, its column and its value, (nnz,)."""

    offsets: Tensor
    row: Tensor
    column: Tensor
    value: Tensor

    def dense(self, width: int) -> Tensor:
        """(B, width)."""
        x = torch.zeros(len(self.offsets) - 1, width)
        x[self.row, self.column] = self.value
        return x


class Rows:
    """A matrix by rows, of users or (`transposed`) items; its values are those in the arrays, or 1."""

    def __init__(self, arrays: Arrays, *, transposed: bool = False, values: bool = False) -> None:
        row, column, shape = arrays["user"], arrays["item"], arrays["shape"]
        if transposed:
            row, column, shape = column, row, shape[::-1]
        order = np.argsort(row, kind="stable")
        value = arrays["value"][order] if values else np.ones(len(order), np.float32)
        self.column, self.value = torch.from_numpy(column[order].astype(np.int64)), torch.from_numpy(value)
        self.counts = torch.from_numpy(np.bincount(row, minlength=shape[0]))
        self.first = self.counts.cumsum(0) - self.counts
        self.shape = shape.tolist()
        self.active = self.counts.nonzero()[:, 0]

    def take(self, which: Tensor) -> Batch:
        """The rows int (B,)."""
        counts = self.counts[which]
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
        row = torch.repeat_interleave(counts)
        entries = torch.arange(len(row)) + (self.first[which] - offsets[:-1])[row]
        return Batch(offsets, row, self.column[entries], self.value[entries])


def draw(unseen: Tensor, count: Tensor, users: Tensor, negatives: int) -> Tensor:
    """Items drawn evenly from the first `count` (U,) of each user's row of `unseen` (U, C): int (n, negatives)."""
    place = torch.rand(len(users), negatives, dtype=torch.float64) * count[users, None]
    return unseen[users[:, None], place.long()].long()

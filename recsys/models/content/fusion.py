"""From several contents of an item to one vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minidl import nn, ops
from recsys.data.csr import CSR

__all__ = ["FusionTower", "WordTower"]

_HIDDEN = 0.3  # of the modalities, in training


class WordTower(nn.Module):
    """The sum of the vectors of an item's words, by their weights: a linear layer for sparse rows.

    Parameters
    ----------
    n_words, factors : int
    dropout : float
        Of the words, in training.
    generator : numpy.random.Generator

    Examples
    --------
    >>> tower = WordTower(5, 3, 0.0, np.random.default_rng(0))
    >>> tower(CSR.from_pairs([0, 0, 2], [1, 4, 2], [1.0, 0.5, 2.0], (3, 5))).shape
    (3, 3)
    """

    def __init__(self, n_words: int, factors: int, dropout: float, generator: np.random.Generator) -> None:
        self.vectors = nn.EmbeddingBag(n_words, factors, mode="sum", include_last_offset=True, generator=generator)
        nn.init.normal_(self.vectors.weight, 0, 0.1, generator)
        self.dropout = nn.Dropout(dropout, generator=generator)

    def forward(self, rows: CSR) -> Any:
        """CSR (B, n_words) -> (B, factors)."""
        return self.vectors(rows.indices, rows.indptr, self.dropout(rows.weights))


class FusionTower(nn.Module):
    """The mean of the vectors of the towers, over the modalities that an item has.

    `t_i = sum_m a_im t_m(i)` with `a_im = g_im exp(l_m) / sum_n g_in exp(l_n)`; l is learned, and g is 1 if item i has
    the modality m and else 0. What is missing has the weight 0, whatever its tower would say of zeros.
    In training, three tenths of the modalities of items are left out at random, but for the last one of an item: so
    each tower learns to do without the others (Neverova et al., ModDrop, PAMI 2016, section 4.3).

    Parameters
    ----------
    towers : mapping of str to Module
        Each from what its reader prepares of the items that have the modality to (b, factors).
    factors : int
    generator : numpy.random.Generator

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> tower = FusionTower({"a": nn.Linear(3, 2, generator=rng), "b": nn.Linear(4, 2, generator=rng)}, 2, rng)
    >>> both = [(np.ones((2, 3), np.float32), np.array([True, True])), (np.ones((0, 4)), np.array([False, False]))]
    >>> bool(np.all(tower(both).data == tower.towers[0](both[0][0]).data))
    True
    """

    def __init__(self, towers: Mapping[str, nn.Module], factors: int, generator: np.random.Generator) -> None:
        self.towers = nn.ModuleList(towers.values())
        self.logits = nn.Parameter(np.zeros(len(towers), np.float32))
        self.factors, self.generator = factors, generator

    def shares(self) -> np.ndarray:
        """The weights in an item that has all modalities: float64 (n_modalities,)."""
        weights = np.exp(self.logits.data.astype(np.float64) - self.logits.data.max())
        return np.asarray(weights / weights.sum())

    def forward(self, parts: Sequence[tuple[Any, np.ndarray]]) -> Any:
        """For each modality, content (b, ...) of those that have it, and which do, bool (B,) -> (B, factors)."""
        given = np.stack([given for _, given in parts], axis=1)  # (B, n_modalities)
        if self.training:
            left = given & (self.generator.random(given.shape) >= _HIDDEN)
            given = np.where(left.any(axis=1, keepdims=True), left, given)
        weights = ops.exp(self.logits - self.logits.max()) * given.astype(np.float32)
        weights = weights / weights.sum(axis=1, keepdims=True)
        total = 0.0
        for m, (tower, (content, held)) in enumerate(zip(self.towers, parts, strict=True)):
            if held.any():
                nothing = np.zeros((1, self.factors), np.float32)
                rows = ops.concatenate([nothing, tower(content)])[np.where(held, np.cumsum(held), 0)]
                total = total + rows * weights[:, m:m + 1]
        return total


def fusion(rng: np.random.Generator, makers: Mapping[str, Callable[..., nn.Module]], *, factors: int,
           parts: Sequence[Mapping[str, Any]]) -> FusionTower:
    """A `FusionTower` of towers that are made by name, `parts` being the name and the options of each."""
    towers = {}
    for number, part in enumerate(parts):
        options = {name: value for name, value in part.items() if name != "tower"}
        towers[str(number)] = makers[part["tower"]](rng, factors=factors, **options)
    return FusionTower(towers, factors, rng)

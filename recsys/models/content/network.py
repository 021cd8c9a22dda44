"""From vectors of items and users to scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from minidl import nn, ops
from recsys.models.autoencoders.network import dense
from recsys.models.content.fusion import WordTower, fusion
from recsys.models.content.image_tower import ImageTower
from recsys.models.content.text_tower import TextTower

__all__ = ["ContentNetwork", "TOWERS", "content"]


class ContentNetwork(nn.Module):
    """`p_u . [t_i, q_i] + b_u + b_i`, with t the tower's vector of an item's content and q a vector of the item's own.

    Parameters
    ----------
    tower : minidl.nn.Module
        From what the reader prepares, (B, ...), to vectors (B, factors).
    n_users, n_items, factors : int
    own : int
        Length of q; may be 0.
    std : float
        Of the initial vectors p and q.
    generator : numpy.random.Generator
    """

    of_users: ClassVar[tuple[str, ...]] = ("users", "user_bias")

    def __init__(self, tower: nn.Module, n_users: int, n_items: int, factors: int, own: int, std: float,
                 generator: np.random.Generator) -> None:
        self.tower = tower
        self.blank = nn.Parameter(np.zeros((1, factors), np.float32))  # t of items without content
        self.users = nn.Embedding(n_users, factors + own)
        self.own = nn.Embedding(n_items, own) if own else None
        self.user_bias, self.item_bias = nn.Embedding(n_users, 1), nn.Embedding(n_items, 1)
        nn.init.normal_(self.users.weight, 0, std, generator)
        if self.own is not None:
            nn.init.normal_(self.own.weight, 0, std, generator)
        nn.init.zeros_(self.user_bias.weight)
        nn.init.zeros_(self.item_bias.weight)

    def vectors(self, content: Any, given: np.ndarray) -> Any:
        """Vectors t of n items, from the content of those that have some: (m, ...), bool (n,) -> (n, factors)."""
        rows = ops.concatenate([self.blank, self.tower(content)]) if given.any() else self.blank  # (1 + m, factors)
        return rows[np.where(given, np.cumsum(given), 0)]

    def forward(self, users: np.ndarray, items: np.ndarray, content: Any, given: np.ndarray) -> Any:
        """Scores of some users and items: int (U,), int (I,), and the items' content -> (U, I)."""
        t = self.vectors(content, given)
        t = t if self.own is None else ops.concatenate([t, self.own(items)], axis=1)
        return self.users(users) @ t.T + self.user_bias(users) + self.item_bias(items).T


TOWERS: dict[str, Callable[..., nn.Module]] = {
    "text": lambda rng, **options: TextTower(**options, generator=rng),
    "image": lambda rng, **options: ImageTower(**options, generator=rng),
    "vectors": lambda rng, *, inputs, factors: dense(inputs, factors, rng),
    "words": lambda rng, **options: WordTower(**options, generator=rng),
    "fusion": lambda rng, **options: fusion(rng, TOWERS, **options)}
"""What makes each tower of a generator and of its options."""


def content(n_users: int, n_items: int, rng: np.random.Generator, *, tower: str, factors: int, own: int,
            init_std: float, **options: Any) -> ContentNetwork:
    """A `ContentNetwork` of its options and those of its tower, whose vectors are of the length `factors`."""
    made = TOWERS[tower](rng, factors=factors, **options)
    return ContentNetwork(made, n_users, n_items, factors, own, init_std, rng)

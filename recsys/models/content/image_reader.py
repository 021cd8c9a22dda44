"""Item images and vectors, prepared for a network: missing ones found, sizes reduced, channels scaled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from recsys.data.features import Features
from recsys.data.images import given_rows
from recsys.errors import DataError

__all__ = ["ImageReader", "VectorReader"]

_BLOCK = 256  # rows that are copied at a time


@dataclass(frozen=True, eq=False)
class VectorReader:
    """Takes an attribute of items to vectors whose columns have mean 0 and one deviation, and their length is about 1.

    An item whose numbers are all NaN, all -1 or all 0 has no vector; so `Features.take` fills what it does not know.

    Parameters
    ----------
    name : str
        Of the attribute; an array of numbers, shape (n, ...).
    shape : tuple of int
        Of what `read` gives, without n: (d,).
    mean, std : ndarray, float32, shape (d,)
        Of the items that were learned from.

    Examples
    --------
    >>> features = Features(attributes={"sound": np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, np.nan]])})
    >>> reader = VectorReader.learn(features, "sound", np.ones(3, bool), "Model.fit")
    >>> rows, given = reader.read(features, "Model.fit")
    >>> reader.prepare(rows[given]), given
    (array([[-0.70710677,  0.        ],
           [ 0.70710677,  0.        ]], dtype=float32), array([ True,  True, False]))
    """

    name: str
    shape: tuple[int, ...]
    mean: np.ndarray
    std: np.ndarray

    wanted: ClassVar[str] = "numbers of shape (n_items, ...)"

    @classmethod
    def learn(cls, features: Features | None, name: str, known: np.ndarray, who: str, **options: Any) -> Any:
        """A reader for such data, scaled by the items `known`, bool (n,); `who` begins the messages."""
        unscaled = cls(name, (), np.zeros(1), np.ones(1), **options)
        rows, given = unscaled.read(features, who)
        return cls(name, rows.shape[1:], *_moments(rows, known & given), **options)

    def read(self, features: Features | None, who: str) -> tuple[np.ndarray, np.ndarray]:
        """The rows as they are, shape (n, *shape), and which are there, bool (n,).

        Raises
        ------
        DataError
            There is no such attribute, it has another shape or dtype, or a row is partly NaN or infinite.
        """
        attributes = {} if features is None else features.attributes
        if self.name not in attributes:
            raise DataError(f"{who}: the item features have no attribute {self.name!r} (they have "
                            f"{', '.join(attributes) or 'none'}); give {self.wanted} as "
                            f"Features(attributes={{{self.name!r}: ...}}), or name another attribute.")
        values = attributes[self.name]
        if values.dtype.kind not in "buif" or not self._fits(values):
            raise DataError(f"{who}: the item attribute {self.name!r} is {values.dtype}{values.shape}; "
                            f"give {self.wanted}.")
        given = given_rows(values, self.name, who)
        rows = self._arranged(values)
        if self.shape and rows.shape[1:] != self.shape:
            raise DataError(f"{who}: the item attribute {self.name!r} has the shape {values.shape[1:]} an item, which "
                            f"makes {rows.shape[1:]}, and the training had {self.shape}; give items of one shape.")
        return rows, given

    def prepare(self, rows: np.ndarray) -> np.ndarray:
        """Some rows of `read` as the network takes them: float32 (B, d)."""
        return np.asarray(self._scaled(rows) / np.sqrt(len(self.mean)), np.float32)

    def _scaled(self, rows: np.ndarray) -> np.ndarray:
        pixels = math.prod(rows.shape[1:-1])  # repeated for each: NumPy's loops over 3 channels would be too short
        flat = rows.reshape(len(rows), pixels * rows.shape[-1])
        scaled = (flat - np.tile(self.mean, pixels)) / np.tile(self.std, pixels)
        return np.asarray(scaled, np.float32).reshape(rows.shape)

    def state(self) -> dict[str, np.ndarray]:
        """What has been learned, as arrays."""
        return {"content.shape": np.array(self.shape), "content.mean": self.mean, "content.std": self.std}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray], name: str, **options: Any) -> Any:
        """The reader whose `state` this is."""
        return cls(name, tuple(state["content.shape"].tolist()), state["content.mean"], state["content.std"], **options)

    def _fits(self, values: np.ndarray) -> bool:
        return values.ndim >= 1 and values.size > 0

    def _arranged(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(len(values), -1)  # (n, ...) -> (n, d)


@dataclass(frozen=True, eq=False)
class ImageReader(VectorReader):
    """Takes an attribute with images, shape (n, H, W) or (n, H, W, C), to images of channels that have mean 0 and
    deviation 1.

    An image that is all NaN, all -1 or all 0 (black) is missing. Of larger images than `side`, squares of pixels are
    replaced by their mean, so that no side is longer; what is left over at the right and at the bottom is cut off.

    Parameters
    ----------
    name, shape, mean, std
        As of `VectorReader`; shape is (h, w, C), the moments are of the channels.
    side : int

    Examples
    --------
    >>> features = Features(attributes={"poster": np.arange(1, 97, dtype=np.uint8).reshape(2, 6, 8)})
    >>> reader = ImageReader.learn(features, "poster", np.ones(2, bool), "Model.fit", side=4)
    >>> rows, given = reader.read(features, "Model.fit")
    >>> rows.shape, reader.prepare(rows).shape, given.tolist()
    ((2, 3, 4, 1), (2, 1, 3, 4), [True, True])
    """

    side: int

    wanted: ClassVar[str] = "images of shape (n_items, height, width) or (n_items, height, width, channels)"

    def prepare(self, rows: np.ndarray) -> np.ndarray:
        """Some images of `read` as the network takes them: (B, h, w, C) -> float32 (B, C, h, w)."""
        return np.ascontiguousarray(self._scaled(rows).transpose(0, 3, 1, 2))

    def _fits(self, values: np.ndarray) -> bool:
        return values.ndim in (3, 4) and values.size > 0

    def _arranged(self, values: np.ndarray) -> np.ndarray:
        images = values if values.ndim == 4 else values[..., None]
        n, height, width, channels = images.shape
        k = -(-max(height, width) // self.side)
        if k == 1:
            return images
        k_y, k_x = min(k, height), min(k, width)
        h, w = height // k_y, width // k_x
        small = np.empty((n, h, w, channels), np.float32)
        for start in range(0, n, _BLOCK):
            part = images[start:start + _BLOCK, :h * k_y, :w * k_x]
            squares = part.reshape(len(part), h, k_y, w, k_x, channels)  # (n, H, W, C) -> (n, h, k, w, k, C)
            small[start:start + _BLOCK] = squares.mean(axis=(2, 4), dtype=np.float32)
        return small


def _moments(rows: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (1 if it is 0) over all axes but the last: (n, ..., C) -> float32 (C,), (C,)."""
    numbers = np.flatnonzero(which)
    width = rows.shape[-1]
    count, total, squares = 0, np.zeros(width), np.zeros(width)
    for start in range(0, len(numbers), _BLOCK):
        part = rows[numbers[start:start + _BLOCK]].reshape(-1, width).astype(np.float64)
        count += len(part)
        total += part.sum(axis=0)
        squares += np.square(part).sum(axis=0)
    mean = total / max(count, 1)
    std = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0))
    constant = std <= 1e-6 * np.abs(mean)
    return mean.astype(np.float32), np.where(constant, 1, std).astype(np.float32)

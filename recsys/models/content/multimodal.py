"""The recommender that knows items by several kinds of content at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.estimator import Facts
from recsys.estimator.arrays import Arrays
from recsys.estimator.parameters import Check, optional, sizes, whole
from recsys.models.content.base import CONTENT_CHECKS, ContentModel, Reader
from recsys.models.content.fields import readable
from recsys.models.content.image_reader import ImageReader
from recsys.models.content.modalities import Modalities, WordReader, seen_or_heard
from recsys.models.fields import NAMES

__all__ = ["Multimodal"]


class Multimodal(ContentModel):
    """Score = `p_u . sum_m a_im t_m(i) + b_u + b_i`: words, images, sounds and vectors of an item, each by its tower.

    Towers: of words, a vector for each word of each field, summed up by BM25 weights with fields of one length; of
    images, `ImageCNN`'s, which spectrograms of sounds go through as well (see `recsys.data.audio`); of vectors, a
    linear one. The weights a are learned, above 0, and sum to 1 over what an item has: what it lacks has no weight at
    all, and is no vector of zeros.
    A modality that no item of the training has is left out. Items with nothing share a vector that is learned.

    Parameters
    ----------
    fields : tuple of str, optional
        What is read: as words, what `ContentProfile` reads; and attributes with images, (n_items, H, W) or
        (n_items, H, W, C), or with vectors, (n_items, d), of which what is all 0, all -1 or all NaN is missing. By
        default all that there are.
    min_count : int
        A word counts if at least so many items with interactions have it.
    image_size, filters, dense
        As of `ImageCNN`, smaller by default.
    factors : int
        Length of the vectors of items and users.
    dropout : float
        Of words, and of the dense layers of images.
    loss, negatives, init_std, epochs, batch_size, seed, lr, weight_decay, patience
        As in `ContentModel`.

    Attributes
    ----------
    missing_ : int
        How many items have no content.
    shares_ : dict of str to float
        The weight of each modality in an item that has all.

    References
    ----------
    Late fusion: Baltrusaitis, Ahuja and Morency, Multimodal Machine Learning: A Survey and Taxonomy, PAMI 2019, section
    6.1. The towers are those of `ContentProfile` and `ImageCNN`.

    Examples
    --------
    "moon" is cold, and has no title.

    >>> from recsys.data import IdMap
    >>> images = np.full((5, 8, 8), [[[9]], [[8]], [[1]], [[2]], [[1]]], np.uint8)
    >>> features = Features(titles=["bright", "bright", "dark", "dark", ""], attributes={"poster": images})
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["sun", "day", "night", "cave", "night", "sun"],
    ...     item_ids=IdMap(["sun", "day", "night", "cave", "moon"]), item_features=features)
    >>> model = Multimodal(factors=4, dense=16, epochs=40, lr=0.01).fit(data)
    >>> model.recommend(2, k=1).items.tolist(), list(model.shares_)
    (['moon'], ['words', 'poster'])
    """

    checks: ClassVar[dict[str, Check]] = {**CONTENT_CHECKS, "fields": optional(NAMES), "min_count": whole(1),
                                          "image_size": whole(1), "filters": sizes(), "dense": whole(1)}

    fields: tuple[str, ...] | None
    min_count: int
    image_size: int
    filters: tuple[int, ...]
    dense: int

    def __init__(self, *, fields: tuple[str, ...] | None = None, min_count: int = 2, image_size: int = 32,
                 filters: tuple[int, ...] = (16, 32), dense: int = 64, factors: int = 32, dropout: float = 0.5,
                 loss: str = "bpr", negatives: int = 4, init_std: float = 0.1, epochs: int = 20, batch_size: int = 64,
                 lr: float = 0.005, weight_decay: float = 1e-4, patience: int | None = None, seed: int = 0) -> None:
        self.store_parameters(locals())

    def _content_needed(self, features: Features) -> str:
        return "" if readable(features) or seen_or_heard(features) else "words, images or vectors of the items"

    def _blank(self, features: Features, n_items: int) -> Features:
        return replace(features, text=np.full(n_items, "", np.dtypes.StringDType()))

    def _learn_reader(self, data: Interactions, facts: Facts) -> Reader:
        return Modalities.learn(data.item_features, self.fields, facts.item_counts > 0, self.min_count, self.image_size,
                                f"{type(self).__name__}.fit")

    def restore_reader(self, arrays: Arrays) -> Reader:
        """The reader whose `state` is among the arrays."""
        return Modalities.restore(arrays, self.image_size)

    def _tower(self, reader: Modalities) -> dict[str, Any]:
        return {"tower": "fusion", "parts": [self._part(each) for each in reader.readers.values()]}

    def _part(self, reader: Any) -> dict[str, Any]:
        """Name and options of the tower of one modality."""
        if isinstance(reader, WordReader):
            return {"tower": "words", "n_words": max(reader.fields.width, 1), "dropout": self.dropout}
        if isinstance(reader, ImageReader):
            return {"tower": "image", "shape": reader.shape, "filters": self.filters, "hidden": self.dense,
                    "dropout": self.dropout}
        return {"tower": "vectors", "inputs": reader.shape[0]}

    def _found(self, network: Any, reader: Modalities) -> dict[str, Any]:
        return {"shares_": dict(zip(reader.readers, network.tower.shares().tolist(), strict=True))}

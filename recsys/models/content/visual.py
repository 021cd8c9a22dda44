"""Recommenders that know items by their images, or by vectors that somebody else has made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.estimator import Facts
from recsys.estimator.arrays import Arrays
from recsys.estimator.parameters import Check, sizes, whole
from recsys.models.content.base import CONTENT_CHECKS, ContentModel, Reader
from recsys.models.content.image_reader import ImageReader, VectorReader

__all__ = ["ImageCNN", "VisualBPR"]

_NAME = Check(lambda value: isinstance(value, str), "a name")


def _attribute_needed(name: str, features: Features) -> str:
    return "" if name in features.attributes else f"item images or vectors, the attribute {name!r}"


def _blank(name: str, features: Features, n_items: int) -> Features:
    return replace(features, attributes={**features.attributes, name: np.zeros((n_items, 1, 1), np.uint8)})


class ImageCNN(ContentModel):
    """Score = `p_u . cnn(image_i) + b_u + b_i`; its sigmoid is how likely the user is to like the item.

    The network: convolutions of 3 x 3 with 32, 64 and 128 filters, each with relu and followed by max-pooling of 2 x 2,
    a dense layer of 512 with relu, and a linear one to the item's vector. Cold items are scored by their
    image; items without an image share a vector that is learned.

    Parameters
    ----------
    image : str
        The attribute of the item features that has the images: numbers of any dtype, of shape (n_items, H, W) or
        (n_items, H, W, C). An image that is all 0, all -1 or all NaN is missing.
    image_size : int
        Images with a longer side are reduced to it by taking means of squares of pixels.
    filters : tuple of int
        Of each convolution. An axis that pooling has brought down to 1 is not pooled any more, so images may be small.
    dense : int
        Width of the dense layer.
    factors : int
        Length of the vectors of items and users.
    dropout : float
        Of the dense layer.
    loss, negatives, init_std, epochs, batch_size, seed, lr, weight_decay, patience
        As in `ContentModel`.

    Attributes
    ----------
    missing_ : int
        How many items have no image.

    References
    ----------
    The layers are those of a widespread introductory network for images. As a tower of a recommender: van den Oord et
    al., Deep Content-based Music Recommendation, NIPS 2013, section 3.2; trained with the users as here: Lei et al.,
    Comparative Deep Learning of Hybrid Representations for Image Recommendations, CVPR 2016.

    Examples
    --------
    Bright and dark images; "moon" is cold.

    >>> from recsys.data import IdMap
    >>> images = np.full((5, 8, 8), [[[9]], [[8]], [[1]], [[2]], [[1]]], np.uint8)
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["sun", "day", "night", "cave", "night", "sun"],
    ...     item_ids=IdMap(["sun", "day", "night", "cave", "moon"]),
    ...     item_features=Features(attributes={"poster": images}))
    >>> model = ImageCNN(factors=4, dense=16, epochs=40, lr=0.01).fit(data)
    >>> model.recommend(2, k=1).items, model.similar_items("sun", k=1).items, model.missing_
    (array(['moon'], dtype='<U5'), array(['day'], dtype='<U5'), 0)
    """

    renamed: ClassVar[dict[str, str]] = {"side": "image_size", "hidden": "dense"}
    checks: ClassVar[dict[str, Check]] = {**CONTENT_CHECKS, "image_size": whole(1), "filters": sizes(),
                                          "dense": whole(1), "image": _NAME}

    image: str
    image_size: int
    filters: tuple[int, ...]
    dense: int

    def __init__(self, *, image: str = "poster", image_size: int = 64, filters: tuple[int, ...] = (32, 64, 128),
                 dense: int = 512, factors: int = 32, dropout: float = 0.5, loss: str = "bce", negatives: int = 4,
                 init_std: float = 0.1, epochs: int = 20, batch_size: int = 64, lr: float = 1e-3,
                 weight_decay: float = 0.0, patience: int | None = None, seed: int = 0) -> None:
        self.store_parameters(locals())

    def _content_needed(self, features: Features) -> str:
        return _attribute_needed(self.image, features)

    def _blank(self, features: Features, n_items: int) -> Features:
        return _blank(self.image, features, n_items)

    def _learn_reader(self, data: Interactions, facts: Facts) -> Reader:
        reader: Reader = ImageReader.learn(data.item_features, self.image, facts.item_counts > 0,
                                           f"{type(self).__name__}.fit", side=self.image_size)
        return reader

    def restore_reader(self, arrays: Arrays) -> Reader:
        """The reader whose `state` is among the arrays."""
        reader: Reader = ImageReader.restore(arrays, self.image, side=self.image_size)
        return reader

    def _tower(self, reader: ImageReader) -> dict[str, Any]:
        return {"tower": "image", "shape": reader.shape, "filters": self.filters, "hidden": self.dense,
                "dropout": self.dropout}


class VisualBPR(ContentModel):
    """Score = `p_u . q_i + w_u . E f_i + b_u + b_i`: factors of the item's own, and what its given vector f adds.

    E is learned. Cold items are scored by `E f`; items without f share a vector that is learned in its place.
    What all the `w_u` have in common is the paper's visual bias.

    Parameters
    ----------
    vectors : str
        The attribute of the item features that has f: numbers of shape (n_items, ...), flattened and scaled column by
        column. Those of a network come from its `add_vectors`; images will do, too, as a baseline without a network.
        A vector that is all 0, all -1 or all NaN is missing.
    factors : int
        Length of p and q.
    visual_factors : int
        Length of w, rows of E.
    loss, negatives, init_std, epochs, batch_size, seed, lr, weight_decay, patience
        As in `ContentModel`.

    Attributes
    ----------
    missing_ : int
        How many items have no vector.

    References
    ----------
    He and McAuley, VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback, AAAI 2016, equation 4.

    Examples
    --------
    "moon" is cold.

    >>> from recsys.data import IdMap
    >>> light = np.array([[0.9, 0.1], [0.8, 0.1], [0.2, 0.9], [0.1, 0.8], [0.1, 0.9]])
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["sun", "day", "night", "cave", "night", "sun"],
    ...     item_ids=IdMap(["sun", "day", "night", "cave", "moon"]),
    ...     item_features=Features(attributes={"light": light}))
    >>> VisualBPR(vectors="light", factors=2, visual_factors=2, epochs=60, lr=0.02).fit(data).recommend(2, k=1).items
    array(['moon'], dtype='<U5')
    """

    checks: ClassVar[dict[str, Check]] = {**CONTENT_CHECKS, "visual_factors": whole(1), "vectors": _NAME}

    vectors: str
    visual_factors: int

    def __init__(self, *, vectors: str = "poster", factors: int = 32, visual_factors: int = 16, loss: str = "bpr",
                 negatives: int = 4, init_std: float = 0.1, epochs: int = 60, batch_size: int = 64, lr: float = 0.01,
                 weight_decay: float = 1e-5, patience: int | None = None, seed: int = 0) -> None:
        self.store_parameters(locals())

    @property
    def _width(self) -> int:
        return self.visual_factors

    @property
    def _own(self) -> int:
        return self.factors

    def _content_needed(self, features: Features) -> str:
        return _attribute_needed(self.vectors, features)

    def _blank(self, features: Features, n_items: int) -> Features:
        return _blank(self.vectors, features, n_items)

    def _learn_reader(self, data: Interactions, facts: Facts) -> Reader:
        reader: Reader = VectorReader.learn(data.item_features, self.vectors, facts.item_counts > 0,
                                            f"{type(self).__name__}.fit")
        return reader

    def restore_reader(self, arrays: Arrays) -> Reader:
        """The reader whose `state` is among the arrays."""
        reader: Reader = VectorReader.restore(arrays, self.vectors)
        return reader

    def _tower(self, reader: VectorReader) -> dict[str, Any]:
        return {"tower": "vectors", "inputs": reader.shape[0]}

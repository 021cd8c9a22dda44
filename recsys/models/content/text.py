"""Recommenders that know items by their text."""

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
from recsys.models.content.text_reader import TextReader

__all__ = ["TextCNN"]


class TextCNN(ContentModel):
    """Score = `p_u . cnn(text_i) + b_u + b_i`; its sigmoid is how likely the user is to like the item.

    A text is the title and the text of the item features, in words of lower case. The network: vectors of the words,
    convolutions over runs of 3, 4 and 5 words, relu and the maximum over the text, and a linear layer to the item's
    vector. Cold items are scored by their text; items without known words share a vector that is learned.

    Parameters
    ----------
    factors : int
        Length of the vectors of items and users.
    words : int
        Length of the words' vectors.
    widths : tuple of int
        Lengths of the runs.
    filters_per_width : int
        Convolutions of each length.
    min_count, max_words : int
        The vocabulary has the words that the most items have, at most so many and each in at least `min_count` items,
        of those with interactions. It is kept with the model.
    max_length : int
        Words that are read of a text.
    dropout : float
        Of the maxima.
    loss, negatives, init_std, epochs, batch_size, seed, lr, weight_decay, patience
        As in `ContentModel`.

    Attributes
    ----------
    missing_ : int
        How many items have no text, or no word that is known.

    References
    ----------
    Kim, Convolutional Neural Networks for Sentence Classification, EMNLP 2014, section 2. As a tower of a recommender:
    Kim et al., Convolutional Matrix Factorization for Document Context-Aware Recommendation, RecSys 2016, section 3.2;
    here the item's vector is the tower's alone, so that items without ratings have one like all others.

    Examples
    --------
    "earl" is cold: it has no interactions.

    >>> from recsys.data import Features, IdMap
    >>> text = ["hot black tea", "hot green tea", "cold orange juice", "cold apple juice", "hot earl grey tea"]
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["black", "green", "orange", "apple", "orange", "black"],
    ...     item_ids=IdMap(["black", "green", "orange", "apple", "earl"]), item_features=Features(text=text))
    >>> model = TextCNN(factors=4, filters_per_width=8, epochs=60, lr=0.01).fit(data)
    >>> model.recommend(1, k=1).items, model.missing_, model.reader.words.tolist()
    (array(['earl'], dtype='<U6'), 0, ['cold', 'hot', 'juice', 'tea'])
    """

    renamed: ClassVar[dict[str, str]] = {"filters": "filters_per_width"}
    checks: ClassVar[dict[str, Check]] = {**CONTENT_CHECKS,
        "words": whole(1), "widths": sizes(), "filters_per_width": whole(1), "min_count": whole(1),
        "max_words": whole(1), "max_length": whole(1)}

    words: int
    widths: tuple[int, ...]
    filters_per_width: int
    min_count: int
    max_words: int
    max_length: int

    def __init__(self, *, factors: int = 32, words: int = 32, widths: tuple[int, ...] = (3, 4, 5),
                 filters_per_width: int = 64, min_count: int = 2, max_words: int = 20_000, max_length: int = 100,
                 dropout: float = 0.5, loss: str = "bce", negatives: int = 4, init_std: float = 0.1, epochs: int = 20,
                 batch_size: int = 64, lr: float = 1e-3, weight_decay: float = 0.0, patience: int | None = None,
                 seed: int = 0) -> None:
        self.store_parameters(locals())

    def _content_needed(self, features: Features) -> str:
        return "titles or texts of the items" if features.titles is None and features.text is None else ""

    def _blank(self, features: Features, n_items: int) -> Features:
        return replace(features, text=np.full(n_items, "", np.dtypes.StringDType()))

    def _learn_reader(self, data: Interactions, facts: Facts) -> Reader:
        return TextReader.learn(data.item_features, facts.item_counts > 0, self.min_count, self.max_words,
                                self.max_length, f"{type(self).__name__}.fit")

    def restore_reader(self, arrays: Arrays) -> Reader:
        """The reader whose `state` is among the arrays."""
        return TextReader.restore(arrays, self.max_length)

    def _tower(self, reader: TextReader) -> dict[str, Any]:
        return {"tower": "text", "n_words": len(reader.words) + 2, "words": self.words, "widths": self.widths,
                "filters": self.filters_per_width, "dropout": self.dropout}

"""The recommender that knows what people like by the words of their items."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from recsys.data.csr import CSR, stacked
from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.errors import DataWarning
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, at_least, one_of, optional, whole
from recsys.estimator.scorers.profiles import Profiles
from recsys.models.content.fields import WordFields, readable
from recsys.models.fields import NAMES

__all__ = ["ContentProfile", "Shared"]


class Shared(NamedTuple):
    """A word that speaks for an item, or against it."""

    word: str
    """With its field: "genres=Drama", "text=murder"."""
    contribution: float


class ContentProfile(Recommender):
    """Items that are described as those of the history are: BM25 or TF-IDF of words and labels.

    Every item has, in each field (titles, text, genres, attributes), words with weights d: BM25, or TF-IDF with rows of
    length 1. The profile of a user is the mean of the items of the history, each field of each divided by its length:
    `p = sum_j w_j q_j / sum_j |w_j|`; and the score of i is `p . d_i`, a sum over the fields. A field that an item does
    not have adds nothing to its score, and a long one does not drown the others. Cold items are scored as all others.

    `explain` gives what each item of the history adds to a score, and `shared_words` what each word does; both sum to
    it.

    `partial_fit` takes items by their descriptions, with events or without. Words, rarities and usual lengths stay
    those of the fit; all else is as if all had been there.

    Parameters
    ----------
    similarity : {"bm25", "tfidf"}
        BM25 lets items of which much is said, as of those that many know, match more; TF-IDF is the cosine.
    fields : tuple of str, optional
        What is read: "titles", "text", "genres", and names of attributes. By default these three and all attributes of
        one text, flag or number an item. Numbers are read as tenths of the catalogue.
    min_count : int
        A word counts if at least so many items with interactions have it.
    weights : {"binary", "value"}
        Whether an item of the history counts 1, or its (last) value less the mean of the history's: what somebody
        dislikes then counts against what is like it.
    prior : float
        The mean of a history's values is taken with so many values more, equal to the mean of the training.
    recent : int or None
        Only so many last events of a history count; 1 gives what is like the last item.

    References
    ----------
    Pazzani and Billsus, Content-Based Recommendation Systems, The Adaptive Web 2007, section 10.3 (Rocchio's profile);
    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, section 3.4; Salton and
    Buckley, Term-weighting approaches in automatic text retrieval, 1988 (TF-IDF).

    Examples
    --------
    "earl" is cold: it has no interactions.

    >>> from recsys.data import IdMap
    >>> text = ["hot black tea", "hot green tea", "cold orange juice", "cold apple juice", "hot earl grey tea"]
    >>> data = Interactions.from_arrays([1, 1, 2, 2], ["black", "green", "orange", "apple"],
    ...     item_ids=IdMap(["black", "green", "orange", "apple", "earl"]), item_features=Features(text=text))
    >>> model = ContentProfile().fit(data)
    >>> model.recommend(1, k=1).items.tolist(), model.recommend(history=["apple"], k=1).items.tolist()
    (['earl'], ['orange'])
    >>> [reason.word for reason in model.shared_words(1, "earl")]
    ['text=hot', 'text=tea']
    """

    can: ClassVar[Can] = Can(fold_in=True, cold_item=True, partial_fit=True, explain=True, explain_exact=True)
    reads: ClassVar[Any] = ("item_features",)
    checks: ClassVar[dict[str, Check]] = {
        "similarity": one_of("bm25", "tfidf"), "fields": optional(NAMES), "min_count": whole(1),
        "weights": one_of("binary", "value"), "prior": at_least(0), "recent": optional(whole(1))}

    similarity: str
    fields: tuple[str, ...] | None
    min_count: int
    weights: str
    prior: float
    recent: int | None

    def __init__(self, *, similarity: str = "bm25", fields: tuple[str, ...] | None = None, min_count: int = 1,
                 weights: str = "binary", prior: float = 5.0, recent: int | None = None) -> None:
        self.store_parameters(locals())

    @property
    def keeps_events(self) -> bool:
        """A history goes on where it ended."""
        return True

    def lacks(self, data: Interactions) -> str:
        """What the model needs and the data does not have; empty if nothing."""
        nothing = not readable(data.item_features)
        return super().lacks(data) or ("titles, texts, genres or attributes of the items" if nothing else "")

    def with_blanks(self, data: Interactions) -> Interactions:
        """The data, and if nothing is said of its items, with empty texts."""
        if readable(data.item_features):
            return data
        blank = np.full(data.n_items, "", np.dtypes.StringDType())
        return replace(data, item_features=replace(data.item_features or Features(), text=blank))

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The words of the items, and what each says."""
        facts, features = context.facts, data.item_features or Features()
        fields = WordFields.learn(features, self.fields, facts.item_counts > 0, self.similarity, self.min_count,
                                  f"{type(self).__name__}.fit")
        return self._learned(fields, *fields.read(features), data.csr, facts, facts.mean_value)

    def _learned(self, fields: WordFields, said: CSR, asked: np.ndarray, events: CSR, facts: Facts,
                 mean: float) -> Learned:
        histories = Histories("items" if self.weights == "binary" else "values", self.recent)
        scorer = Profiles(self.can, histories.storing(events, facts.seen), said, asked, float(self.prior), mean)
        return Learned(scorer, {"words_": fields.width}, ({}, fields.state()))

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """The words of new items, and longer histories."""
        facts, before, fields = context.facts, fitted.answers_by(Profiles), self._fields_of(fitted)
        if facts.events is None:
            raise ValueError("the events were not kept")
        said, asked = before.said, before.asked
        new = np.arange(before.n_items, data.n_items)
        if len(new):
            rows, weights = fields.read((data.item_features or Features(titles=np.full(data.n_items, ""))).take(new))
            silent = int(np.count_nonzero(rows.counts == 0))
            if silent:
                warnings.warn(f"{type(self).__name__}.partial_fit: of {silent:,} of {len(new):,} new items no word is "
                              f"known; they are like none.", DataWarning, stacklevel=4)
            said = stacked([said, rows], said.shape[1])
            asked = np.concatenate([asked, weights])
        return self._learned(fields, said, asked, facts.events, facts, before.mean)

    def _fields_of(self, fitted: Fitted) -> WordFields:
        return WordFields.restore(fitted.learned.memory[1], fitted.parameters["similarity"])

    def shared_words(self, user_or_history: Any, item: Any, k: int = 5, *, values: Any = None) -> list[Shared]:
        """The words that an item shares with a history, and what each adds to its score, the largest first.

        Parameters
        ----------
        user_or_history : user id, or sequence of item ids
        item : item id
        k : int
            How many; all together sum to the score.
        values : sequence of float, optional
            The values of a history's events.

        Returns
        -------
        list of Shared
        """
        fitted = self.require("shared_words")
        whole(1).require(f"{type(self).__name__}.shared_words", "k", k)
        indices, held, target, _ = fitted.history_and_item("shared_words", user_or_history, item, values)
        words, parts = fitted.answers_by(Profiles).contributions_of_words(indices, held, target)
        fields, best = self._fields_of(fitted), np.argsort(-np.abs(parts), kind="stable")[:k]
        return [Shared(fields.name_of(int(words[j])), float(parts[j])) for j in best]

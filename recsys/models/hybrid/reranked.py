"""A wrapper around any model that puts its best items in an order that serves more than accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.errors import DataError, ParameterError
from recsys.estimator import Can, Context, Facts, Learned
from recsys.estimator.capabilities import Depends
from recsys.estimator.parameters import Check, between, one_of, whole
from recsys.estimator.scorers import reranked as scorers
from recsys.evaluation import evaluate
from recsys.models.hybrid.composed import Composed
from recsys.models.hybrid.naming import Spec, settled

__all__ = ["Reranked"]

_HEAD = 0.2  # of all events are of the most popular items, and as many of the least popular ones


def _can(can: Can, model: Any) -> Can:
    (part,) = model.parts()
    own: Can = part.can
    return replace(own, ratings=False, partial_fit=False, explain_exact=False)


def _read(model: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*Composed.reads.fget(model), *["item_features"] * (model.by == "calibration")]))


class Reranked(Composed):
    """The best items of a model in an order that also varies them, or follows the user's own mix.

    Of each list so many candidates are put in order greedily, with the trade-off `strength` between the score, brought
    to 0 .. 1, and

    - `by="diversity"`: unlikeness to what stands before, by the model's own vectors or similarities (MMR);
    - `by="calibration"`: the mix of genres (labels) in the user's history;
    - `by="popularity"`: the mix of very popular, other and rare items in the user's history, so that who likes rare
      items is not given popular ones alone. Very popular are the items with the first fifth of all events, rare
      those with the last.

    Parameters
    ----------
    model : model, name, or pair of a name and a dict of hyper-parameters
    by : {"diversity", "calibration", "popularity"}
    strength : float
        From 0, which leaves the model's order, to 1, which forgets its scores.
    candidates : int
        How many items are put in order; lists that are longer go on as the model has them.

    References
    ----------
    Carbonell, Goldstein, The use of MMR, diversity-based reranking for reordering documents, SIGIR 1998. Steck,
    Calibrated recommendations, RecSys 2018. Abdollahpouri et al., User-centered evaluation of popularity bias in
    recommender systems, UMAP 2021 (the groups).

    Examples
    --------
    >>> from recsys import datasets
    >>> data = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)[0]
    >>> model = Reranked(model="EASE", by="calibration", strength=0.5).fit(data)
    >>> len(model.recommend(1, k=3).items)
    3
    """

    can: ClassVar[Any] = Depends(Can(fold_in=True, explain=True), _can)
    reads: ClassVar[Any] = property(_read)
    checks: ClassVar[dict[str, Check]] = {"by": one_of("diversity", "calibration", "popularity"),
                                          "strength": between(0, 1), "candidates": whole(2)}

    by: str
    strength: float
    candidates: int

    def __init__(self, *, model: Spec = "ALS", by: str = "diversity", strength: float = 0.3, candidates: int = 50
                 ) -> None:
        model = settled(model)
        self.store_parameters(locals())

    def lacks(self, data: Interactions) -> str:
        """What the model needs and the data does not have, and the genres to calibrate to."""
        missing = self.by == "calibration" and (data.item_features is None or data.item_features.genres is None)
        return ", ".join(filter(None, [super().lacks(data), "genres of the items" if missing else ""]))

    def learn(self, data: Interactions, context: Context) -> Learned:
        """What the model learns, and the labels."""
        (part,) = self.parts()
        learned = part.learn(data, context)
        labels = self._labels(data, context.facts)
        if labels is None and learned.scorer.alike(np.zeros(1, np.int32)) is None:
            raise ParameterError(f"Reranked: {type(part).__name__} does not say how alike items are; choose "
                                 f"by='calibration' or another model.")
        scorer = scorers.Reranked(learned.scorer, float(self.strength), self.candidates, context.facts.pairs, labels)
        return Learned(scorer, learned.taken)

    def _labels(self, data: Interactions, facts: Facts) -> CSR | None:
        """Shares of each item's labels: (n_items, G)."""
        if self.by == "diversity":
            return None
        if self.by == "popularity":
            order = np.argsort(-facts.item_counts, kind="stable")
            before = np.cumsum(facts.item_counts[order]) - facts.item_counts[order]
            share = before / max(int(facts.item_counts.sum()), 1)
            group = np.empty(len(order), np.int32)
            group[order] = (share >= _HEAD).astype(np.int32) + (share >= 1 - _HEAD)
            return CSR.from_pairs(np.arange(len(group)), group, np.ones(len(group), np.float32), (len(group), 3))
        genres = None if data.item_features is None else data.item_features.genres
        if genres is None:
            raise DataError("Reranked: by='calibration' needs the items' genres (labels), and the data has none; add "
                            "item features, or choose by='popularity'.")
        weights = np.abs(genres.weights)
        total = np.bincount(genres.row_of_entry, weights, genres.shape[0])[genres.row_of_entry]
        return CSR(genres.indptr, genres.indices, (weights / np.where(total > 0, total, 1)).astype(np.float32),
                   genres.shape)

    def curve(self, split: Split, strengths: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9), k: int = 10,
              part: str = "valid") -> list[dict[str, float]]:
        """What each strength costs and gains, without fitting anew.

        Parameters
        ----------
        split : Split
            Whose training part this model was fitted on.
        strengths : sequence of float
        k : int
            Length of the lists.
        part : {"valid", "test"}

        Returns
        -------
        list of dict of str to float
            For each strength: `strength`, NDCG and recall, coverage, Gini index and mean popularity of the lists, and
            where the items have genres the diversity and miscalibration.
        """
        fitted = self.require("curve")
        scorer = fitted.answers_by(scorers.Reranked)
        genres = split.train.item_features is not None and split.train.item_features.genres is not None
        names = ["ndcg", "recall", "coverage", "gini", "popularity", *["diversity", "miscalibration"] * genres]
        found = []
        for strength in strengths:
            between(0, 1).require("Reranked.curve", "strengths", strength)
            again = scorers.Reranked(scorer.part, float(strength), scorer.candidates, scorer.seen, scorer.labels)
            one = replace(fitted, learned=replace(fitted.learned, scorer=again))
            metrics: Mapping[str, float] = evaluate(one, split, k=k, metrics=names, part=part).metrics
            found.append({"strength": float(strength), **metrics})
        return found

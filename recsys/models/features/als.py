"""ALS whose vectors are drawn to what features foretell: one model for who is known and who is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR, beside
from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.data.splits import split_random
from recsys.estimator import Can, Context, Facts, Fitted, Learned
from recsys.estimator.capabilities import Depends
from recsys.estimator.parameters import Check, at_least, optional
from recsys.estimator.scorers.anchored import Anchored
from recsys.estimator.scorers.confidence import Confidence, summed
from recsys.estimator.scorers.factors import Factors, gram
from recsys.estimator.updating import grown
from recsys.evaluation.evaluator import Question
from recsys.evaluation.metrics import parse
from recsys.models.factorisation.als import ALS, Side
from recsys.models.features.priors import Known, Prior, foretold, friends, scaled
from recsys.models.features.vocabulary import Vocabulary, read_new
from recsys.models.fields import FRIENDS, NAMES, chosen_fields

__all__ = ["FeatureALS"]

_SIDES = ("user", "item")
_HELD_OUT = 0.1  # of each user's events
_BETTER = "ndcg@100"  # steadier than of shorter lists


def _read(model: FeatureALS) -> tuple[str, ...]:
    """Any name but "friends" may be of items and of users."""
    described = ("item_features", "user_features") if set(model.fields or ()) != {FRIENDS} else ()
    return (*described, *([FRIENDS] if FRIENDS in (model.fields or (FRIENDS,)) else []))


class FeatureALS(ALS):
    """`ALS`, where vectors are drawn not to 0 but to what features foretell of them.

    Minimises `sum_{u,i} c_ui (p_ui - x_u . y_i)**2 + sum_u reg_u |x_u - A f_u|**2 + sum_i reg_i |y_i - B g_i|**2`, and
    a penalty of A and B, over the users and items that have events. The users' vectors are solved for as in ALS, then A
    by a ridge regression of these on their features f, then the items' vectors and B.

    A user or an item without events has the vector `A f_u` or `B g_i`, and one with few events is near it. Friends,
    tags, genres, numbers, categories, vectors that a network has made of images, and texts are all features: each is a
    field of the rows f and g.

    What tells nothing is left out: a field counts only if the vectors of users, or items, are foretold better by it
    than by their mean, when they are left out of its learning. And vectors of those who have events are drawn to what
    is foretold only if this ranks a tenth of the events, held out, better by NDCG@100. If not, they are those of ALS,
    and A or B is learned of them in the end, for those who have no events.

    Parameters
    ----------
    factors, epochs, cg_steps, seed : int
        As in `ALS`.
    reg, alpha, reg_exponent : float, optional
        As in `ALS`.
    fields : tuple of str, optional
        What is read of users and of items: "titles" and "text" (TF-IDF of their words), "genres" (any labels), names of
        attributes, and "friends" (the social graph, either way). By default all.
    coupling : float, optional
        How much the part of a vector that a field foretells varies a priori, relative to the vector's own part: c makes
        the penalty of each column of A the mean of `reg_u`, divided by c. 0 is ALS. By default chosen for each field,
        by leaving out a third of the vectors that ALS has learned at a time: the least of 1/64, 1/16, 1/4 and 1 with
        nine tenths of what the best of them gains over the mean; 0 if none gains more than two standard errors. This
        takes the time of up to three more fits.

    Attributes
    ----------
    alpha_, reg_, reg_exponent_ : float
        What was taken.
    coupling_ : dict of str to float
        By field, such as "item genres".
    joined_ : list of str
        The sides, "user" and "item", whose vectors are drawn to what is foretold.
    curves_ : dict of list of float
        `"loss"`: the objective, between the two halves of each epoch.

    Notes
    -----
    Rows of a field have length 1, but for numbers, which have mean 0 and a mean square of 1. A user's friends include
    the user: so two users are alike if they are friends, or have friends in common.

    A history of somebody who is not of the training, and of whom no features are known, is folded in as in ALS, its
    vector drawn to 0. `partial_fit` takes users and items by their features alone, which are read as in the training,
    or with events: then two sweeps as in ALS, with A and B as they are. What is known of known ones stays.

    In an explanation of a user's list, what belongs to no item of the history is what the user's features add.

    References
    ----------
    Hu, Koren, Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008, for the first sum. Agarwal
    and Chen, Regression-based Latent Factor Models, KDD 2009, equations 1 to 3, for vectors with regressions as their
    prior means.

    Examples
    --------
    "moon" is cold.

    >>> from recsys.data import IdMap
    >>> from recsys.data.features import Features
    >>> items = IdMap(["sun", "day", "night", "cave", "moon"])
    >>> light = np.array([[1.0], [0.9], [-1.0], [-0.9], [-0.8]])
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["sun", "day", "night", "cave", "night", "sun"],
    ...     item_ids=items, item_features=Features(attributes={"light": light}))
    >>> FeatureALS(factors=2, coupling=1.0).fit(data).recommend(2, k=1).items
    array(['moon'], dtype='<U5')
    """

    can: ClassVar[Any] = Depends(Can(fold_in=True, cold_user=True, cold_item=True, partial_fit=True, explain=True,
                                     explain_exact=True, embeddings=True), lambda can, model: can)
    reads: ClassVar[Any] = property(_read)
    checks: ClassVar[dict[str, Check]] = {**ALS.checks, "fields": optional(NAMES), "coupling": optional(at_least(0))}

    fields: tuple[str, ...] | None
    coupling: float | None

    def __init__(self, *, factors: int = 64, epochs: int = 15, reg: float | None = None, alpha: float | None = None,
                 reg_exponent: float | None = None, fields: tuple[str, ...] | None = None,
                 coupling: float | None = None, cg_steps: int = 3, seed: int = 0) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """Vectors of users and of items and the maps that foretell them, in turn."""
        known = self._known(data, context.facts)
        known = self._chosen(data, known) if self.coupling is None else [each.coupled(self.coupling) for each in known]
        return self._with(data, context, known)

    def _with(self, data: Interactions, context: Context, known: Sequence[Known]) -> Learned:
        users, items = (partial(Prior, known=side) for side in known)
        return self.solved(data, context, (users, items))

    def _known(self, data: Interactions, facts: Facts) -> list[Known]:
        """Of users and of items."""
        given, present = (data.user_features, data.item_features), (facts.pairs.counts > 0, facts.item_counts > 0)
        words = [Vocabulary.learn(features, there, text=True) for features, there in zip(given, present, strict=True)]
        names = chosen_fields(f"{type(self).__name__}.fit", self.fields,
                              [*dict.fromkeys(field.name for own in words for field in own.fields),
                               *([] if data.social is None else [FRIENDS])])
        links = data.social if FRIENDS in names else None
        kept = [Vocabulary(tuple(field for field in own.fields if field.name in names)) for own in words]
        return [Known.of(own, features, len(there), more)
                for own, features, there, more in zip(kept, given, present, (links, None), strict=True)]

    def _chosen(self, data: Interactions, known: Sequence[Known]) -> list[Known]:
        """What couples the fields of each side, and whether they join the training, by what is held out of the data."""
        if not any(side.fields for side in known):
            return list(known)
        pairs = summed(data.csr)
        values = None if data.value is None else pairs.weights
        split = split_random(replace(data, user=pairs.row_of_entry, item=pairs.indices, value=values, time=None),
                             valid=0, test=_HELD_OUT)
        context = Context(Facts.of(split.train, keep_events=False))

        def ranked(known: Sequence[Known]) -> tuple[np.ndarray, Any]:
            learned = self._with(split.train, context, known)
            if not len(split.test):
                return np.zeros(1), learned.scorer
            question = Question(split, [parse(_BETTER)], "ranking", "test")
            found = question.ask(Fitted(type(self).__name__, {}, context.facts, learned))
            return found.per_user[_BETTER], learned.scorer

        found, plain = ranked(known)
        events = summed(split.train.csr)
        known = [replace(side.chosen(Side.of(rows, plain.fold_in), vectors), joins=False)
                 for side, rows, vectors in zip(known, (events, events.T), (plain.user_factors, plain.item_factors),
                                                strict=True)]
        for number in (1, 0):
            tried = [replace(side, joins=side.joins or number == i) for i, side in enumerate(known)]
            gains = ranked(tried)[0] - found if known[number].used else np.zeros(1)
            if gains.mean() > gains.std() / np.sqrt(len(gains)):
                known, found = tried, found + gains
        return list(known)

    def _finished(self, X: np.ndarray, Y: np.ndarray, fold_in: Confidence, history: dict[str, list[float]],
                  pulls: Any) -> Learned:
        users, items = pulls
        users.settle(X)
        items.settle(Y)
        arrays = users.state("user") | items.state("item")
        arrays |= {} if items.toward is None else {"foretold.item": items.toward}
        if users.works:
            fold_in = Anchored.of(fold_in, users.toward, X[users.present].mean(axis=0), users.by_friend())
        taken = {"curves_": history, "joined_": [name for name, pull in zip(_SIDES, pulls, strict=True)
                                                 if pull.works and pull.known.joins],
                 "coupling_": {name if name == FRIENDS else f"{side} {name}": c
                               for side, pull in zip(_SIDES, pulls, strict=True)
                               for name, c in pull.known.couplings.items()}}
        return self._answering(X, Y, fold_in, items.present if items.works else None, arrays, taken)

    def _answering(self, X: np.ndarray, Y: np.ndarray, fold_in: Confidence, warm: np.ndarray | None,
                   arrays: dict[str, np.ndarray], taken: Mapping[str, Any]) -> Learned:
        """A scorer; `warm` says which items a history is held against, None being all."""
        described = isinstance(fold_in, Anchored), warm is not None
        scorer = Factors(replace(self.can, cold_user=described[0], cold_item=described[1]), X, Y,
                         np.zeros(len(Y), np.float32), fold_in, described=described,
                         gram=None if warm is None else gram(Y[warm]))
        numbers = {"alpha_": fold_in.alpha, "reg_": fold_in.reg, "reg_exponent_": fold_in.reg_exponent}
        return Learned(scorer, {**taken, **numbers}, memory=({}, arrays))

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """What the maps foretell of new users and items, and some sweeps over those with new events."""
        before, arrays = fitted.answers_by(Factors), dict(fitted.learned.memory[1])
        fold_in, facts = before.folded_by(Confidence), context.facts
        new_users = new_items = None
        if isinstance(fold_in, Anchored):
            new_users = self._foretell("user", arrays, data.user_features, len(before.user_factors), len(facts.users))
            fold_in, new_users = _with_new(fold_in, new_users, data.social)
        if before.described[1]:
            new_items = self._foretell("item", arrays, data.item_features, before.n_items, len(facts.items))
            if "foretold.item" in arrays:
                arrays["foretold.item"] = np.concatenate([arrays["foretold.item"], new_items])
        toward = getattr(fold_in, "foretold", None), arrays.get("foretold.item")
        X, Y, swept = self.swept(data, fitted, context, toward)
        warm = facts.item_counts > 0
        for vectors, old, new, there in ((X, before.user_factors, new_users, facts.pairs.counts > 0),
                                         (Y, before.item_factors, new_items, warm)):
            if new is not None:
                vectors[~there] = np.concatenate([old, new])[~there]
        return self._answering(X, Y, fold_in.with_history(swept.history), warm if before.described[1] else None, arrays,
                               fitted.learned.taken)

    def _foretell(self, side: str, arrays: Mapping[str, np.ndarray], features: Features | None, known: int,
                  n: int) -> np.ndarray:
        """What the map that is among the arrays foretells of those who come after the training: (n - known, f)."""
        words, weights = Vocabulary.restore(f"words.{side}", arrays), arrays[f"map.{side}"]
        fields = scaled(words, read_new(type(self).__name__, side, words, features, known, n))
        return foretold(beside(fields), weights) if fields else np.zeros((n - known, weights.shape[1]), np.float32)


def _with_new(fold_in: Anchored, new: np.ndarray, social: CSR | None) -> tuple[Anchored, np.ndarray]:
    """The fold-in of more users, and what is foretold of them, their friends counting: (m, f)."""
    by_friend = fold_in.by_friend
    if by_friend is not None:
        known = len(by_friend)
        by_friend = grown(by_friend, known + len(new))
        if social is not None:
            new = new + foretold(friends(social).rows(np.arange(known, len(by_friend))), by_friend)
    near = None if fold_in.foretold is None else np.concatenate([fold_in.foretold, new])
    return replace(fold_in, foretold=near, by_friend=by_friend), new

"""ALS whose vectors are drawn to what features foretell: one model for who is known and who is new."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.estimator import Can, Context, Fitted, Learned
from recsys.estimator.capabilities import Depends
from recsys.estimator.parameters import Check, at_least, optional
from recsys.estimator.scorers.anchored import Anchored
from recsys.estimator.scorers.confidence import Confidence
from recsys.estimator.scorers.factors import Factors, gram
from recsys.estimator.updating import grown
from recsys.models.factorisation.als import ALS, Side
from recsys.models.features.priors import Prior, beside, foretold, friends, scaled
from recsys.models.features.vocabulary import Vocabulary, read_new

__all__ = ["FeatureALS"]

_SIDES = ("user", "item")
_NAMES = Check(lambda value: isinstance(value, tuple) and all(isinstance(name, str) for name in value),
               "a tuple of names")


class FeatureALS(ALS):
    """`ALS`, where vectors are drawn not to 0 but to what features foretell of them.

    Minimises `sum_{u,i} c_ui (p_ui - x_u . y_i)**2 + sum_u reg_u |x_u - A f_u|**2 + sum_i reg_i |y_i - B g_i|**2`, and
    a penalty of A and B, over the users and items that have events. The users' vectors are solved for as in ALS, then A
    by a ridge regression of these on their features f, then the items' vectors and B.

    A user or an item without events has the vector `A f_u` or `B g_i`, and one with few events is near it. Friends,
    tags, genres, numbers, categories, vectors that a network has made of images, and texts are all features: each is a
    field of the rows f and g.

    What does not tell anything is left out: a field counts only if the vectors of users, or items, are foretold better
    by it than by their mean, when they are left out of its learning. If no field does so, the model is ALS.

    Parameters
    ----------
    factors, epochs, cg_steps, seed : int
        As in `ALS`.
    reg, alpha, reg_exponent : float, optional
        As in `ALS`.
    features : tuple of str, optional
        The fields that are read, of users and of items: names of attributes, "genres" (any labels), "text" (the words
        of title and text, TF-IDF), "friends" (the social graph, either way). By default all.
    coupling : float, optional
        How much the part of a vector that a field foretells varies a priori, relative to the vector's own part: c makes
        the penalty of each column of A the mean of `reg_u`, divided by c. 0 is ALS. By default chosen for each field,
        by leaving out a third of the vectors at a time, after a third of the epochs without features: the least of
        1/64, 1/16, 1/4 and 1 with four fifths of what the best of them gains over the mean; 0 if none gains.

    Attributes
    ----------
    alpha_, reg_, reg_exponent_ : float
        What was taken.
    coupling_ : dict of str to float
        By field, such as "item genres".
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
    checks: ClassVar[dict[str, Check]] = {**ALS.checks, "features": optional(_NAMES), "coupling": optional(at_least(0))}

    features: tuple[str, ...] | None
    coupling: float | None

    def __init__(self, *, factors: int = 64, epochs: int = 15, reg: float | None = None, alpha: float | None = None,
                 reg_exponent: float | None = None, features: tuple[str, ...] | None = None,
                 coupling: float | None = None, cg_steps: int = 3, seed: int = 0) -> None:
        self.store_parameters(locals())

    def _pulls(self, data: Interactions, sides: tuple[Side, Side]) -> tuple[Prior, Prior]:
        """What features foretell of users, and of items."""
        links = None if data.social is None or not self._reads("friends") else friends(data.social)
        given = data.user_features, data.item_features
        words = [Vocabulary.learn(features, np.diff(side.indptr) > 0, text=True)
                 for features, side in zip(given, sides, strict=True)]
        self._require_fields([*dict.fromkeys(field.name for own in words for field in own.fields),
                              *([] if data.social is None else ["friends"])])
        kept = [Vocabulary(tuple(field for field in own.fields if self._reads(field.name))) for own in words]
        users, items = (Prior(side, own, scaled(own, own.read(features, len(side.order))[0]), more, self.coupling,
                              self.epochs // 3)
                        for side, own, features, more in zip(sides, kept, given, (links, None), strict=True))
        return users, items

    def _reads(self, name: str) -> bool:
        return self.features is None or name in self.features

    def _require_fields(self, there: list[str]) -> None:
        missing = [name for name in self.features or () if name not in there]
        if missing:
            raise DataError(f"{type(self).__name__}.fit: features names {missing[0]!r}, and the data has no such "
                            f"field; it has {', '.join(there) or 'none'}.")

    def _finished(self, X: np.ndarray, Y: np.ndarray, fold_in: Confidence, history: dict[str, list[float]],
                  pulls: Any) -> Learned:
        users, items = pulls
        arrays = users.state("user") | items.state("item")
        arrays |= {"foretold.item": items.of_all()} if items.works else {}
        for pull, vectors in ((users, X), (items, Y)):
            if pull.works:
                vectors[~pull.present] = pull.of_all()[~pull.present]
        if users.works:
            fold_in = _anchored(fold_in, users.of_all(), X[users.present].mean(axis=0), users.by_friend())
        taken = {"curves_": history, "coupling_": users.taken("user") | items.taken("item")}
        return self._answering(X, Y, fold_in, items.present if items.works else None, arrays, taken)

    def _answering(self, X: np.ndarray, Y: np.ndarray, fold_in: Confidence, met: np.ndarray | None,
                   arrays: dict[str, np.ndarray], taken: dict[str, Any]) -> Learned:
        """A scorer; `met` says which items a history is held against, None being all."""
        described = isinstance(fold_in, Anchored), met is not None
        scorer = Factors(replace(self.can, cold_user=described[0], cold_item=described[1]), X, Y,
                         np.zeros(len(Y), np.float32), fold_in, described=described,
                         gram=None if met is None else gram(Y[met]))
        numbers = {"alpha_": fold_in.alpha, "reg_": fold_in.reg, "reg_exponent_": fold_in.reg_exponent}
        return Learned(scorer, numbers | taken, memory=({}, arrays))

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """What the maps foretell of new users and items, and some sweeps over those with new events."""
        before, (_, arrays) = fitted.answers_by(Factors), fitted.learned.memory
        fold_in, facts = before.folded_by(Confidence), context.facts
        name, described = type(self).__name__, before.described
        of_users = of_items = None
        if isinstance(fold_in, Anchored):
            known = len(before.user_factors)
            words = Vocabulary.restore("words.user", arrays)
            new = _foretold_new(name, "user", words, arrays, data.user_features, known, len(facts.users))
            by_friend = None if fold_in.by_friend is None else grown(fold_in.by_friend, len(facts.users))
            if by_friend is not None and data.social is not None:
                new += foretold(friends(data.social).rows(np.arange(known, len(facts.users))), by_friend)
            of_users = np.concatenate([fold_in.foretold, new])
            fold_in = _anchored(fold_in, of_users, fold_in.usual, by_friend)
        if described[1]:
            words = Vocabulary.restore("words.item", arrays)
            new = _foretold_new(name, "item", words, arrays, data.item_features, before.n_items, len(facts.items))
            of_items = np.concatenate([arrays["foretold.item"], new])
            arrays = {**arrays, "foretold.item": of_items}
        X, Y, swept = self._swept(data, fitted, context, (of_users, of_items))
        met = facts.item_counts > 0
        for vectors, near, there in ((X, of_users, facts.pairs.counts > 0), (Y, of_items, met)):
            if near is not None:
                vectors[~there] = near[~there]
        return self._answering(X, Y, fold_in.with_history(swept.history), met if described[1] else None, dict(arrays),
                               {"curves_": fitted.learned.taken["curves_"],
                                "coupling_": fitted.learned.taken["coupling_"]})


def _anchored(fold_in: Confidence, near: np.ndarray, usual: np.ndarray, by_friend: np.ndarray | None) -> Anchored:
    return Anchored(fold_in.alpha, fold_in.reg, fold_in.reg_exponent, fold_in.unit, fold_in.history, foretold=near,
                    usual=usual, by_friend=by_friend)


def _foretold_new(who: str, side: str, words: Vocabulary, arrays: Any, features: Any, known: int,
                  n: int) -> np.ndarray:
    """What the map that is among the arrays foretells of those who come after the training: (n - known, f)."""
    weights = arrays[f"map.{side}"]
    fields = scaled(words, read_new(who, side, words, features, known, n))
    return foretold(beside(fields), weights) if fields else np.zeros((n - known, weights.shape[1]), np.float32)

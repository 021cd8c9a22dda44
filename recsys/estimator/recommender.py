"""The one estimator: fit, recommend, predict, similar, explain, save, for every model.

External ids go in and come out of the public verbs, which stand here once, over what was fitted: facts of the training
data and a scorer. A model is a subclass that writes

- `__init__` with keyword-only hyper-parameters, which calls `self.store_parameters(locals())`, and a row in `checks`
  for each;
- `can`, what it supports, and `reads`, what changes its answers besides events;
- `learn(data, context)`, which gives what was learned: a scorer, and what else is to be kept. It runs on a copy that
  has the hyper-parameters of the fit, and changes nothing. Or `training(data, context)`, if it trains a network;
- `update(data, fitted, context)`, if `can.partial_fit`; or `learns_again`.

A scorer may be one of `recsys.estimator.scorers`, or one of your own: a subclass of `Scorer` with `score(users)`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from recsys.data import given
from recsys.data.cleaning import warn_of_nothing
from recsys.data.csr import CSR
from recsys.data.given import Data
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.parts import require_same_ids
from recsys.errors import DataError, NotFittedError, ParameterError, UnsupportedError
from recsys.estimator import updating
from recsys.estimator.capabilities import Can
from recsys.estimator.context import Context
from recsys.estimator.facts import Facts
from recsys.estimator.fitted import Fitted, Learned
from recsys.estimator.parameters import Parameters
from recsys.estimator.registry import unsupported
from recsys.estimator.results import Reason, Recs
from recsys.estimator.stating import about

if TYPE_CHECKING:
    from recsys.estimator.forgetting import Forgotten
    from recsys.estimator.staying import Staying
    from recsys.estimator.training import Training
    from recsys.training import Run

__all__ = ["Recommender"]


class Recommender(Parameters):
    """Base class of all models; the module's docstring says what a subclass writes.

    A model is its hyper-parameters and, once fitted, what it has learned, which is a frozen thing of its own:
    attributes such as `seen` are read from it. All models keep the facts of their training data that
    `recsys.estimator.facts.Facts` has: `users`, `items`, `seen`, `item_counts`, `rating_range`, `mean_value`,
    `fingerprint`.

    Attributes
    ----------
    can : Can
        What the model supports.
    """

    can: ClassVar[Any] = Can()
    learns_again: ClassVar[bool] = False  # `partial_fit` fits on the events kept from before and the new ones
    reads: ClassVar[Any] = ()  # "item_features", "user_features", "friends"; a property where parameters say which
    needs: ClassVar[tuple[str, ...]] = ()  # of that, "friends" if it does not learn without a social graph
    trains: ClassVar[bool] = False  # by epochs of a network, which may be stopped and gone on with

    _fitted: Fitted | None = None

    if TYPE_CHECKING:
        users: IdMap
        items: IdMap
        seen: CSR | None
        item_counts: np.ndarray
        fingerprint: str
    else:  # or mypy would take every name for an attribute
        def __getattr__(self, name):
            """What was learned is read from what was fitted."""
            new = "curves_" if name == "history_" else type(self).renamed.get(name)
            if new is not None:
                warnings.warn(f"{type(self).__name__}.{name} is {new} now; the old name goes with the next version.",
                              FutureWarning, stacklevel=2)
                return getattr(self, new)
            if self._fitted is None or name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}"
                                     f"{'' if self.fitted else ' (it is not fitted)'}")
            return self._fitted.attribute(name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Hyper-parameters count from the next `fit`; what was learned stays as it is."""
        if self._fitted is not None and name not in self.parameter_names() and self._fitted.has(name):
            raise AttributeError(f"{type(self).__name__}.{name} was learned by fit and cannot be set; fit again, with "
                                 f"other data or hyper-parameters.")
        super().__setattr__(name, value)

    # ---------------------------------------------------------------------------- what a model writes
    def learn(self, data: Interactions, context: Context) -> Learned:
        """What there is to learn of the data; everything is checked that all models need.

        By default, what `training` gives when it has run.
        """
        from recsys.estimator.training import train  # models that train nothing start without it

        return train(self, self.training(data, context), data, context)

    def training(self, data: Interactions, context: Context) -> Training:
        """The training of a network on the data, before its first epoch."""
        raise NotImplementedError(f"{type(self).__name__} defines neither learn nor training.")

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """What there is to learn of new events, numbered by extended id maps, beside what was learned."""
        raise NotImplementedError(f"{type(self).__name__} does not define update.")

    def unlearn(self, data: Interactions, fitted: Fitted, staying: Staying, context: Context
                ) -> tuple[Learned, str, float] | None:
        """What there is to learn of those who stay, from what was learned of all, if there is a short way.

        Parameters
        ----------
        data : Interactions
            The events of those who stay, numbered without the others.
        fitted : Fitted
            The model with them.
        staying : Staying
            Who stays.
        context : Context
            With the facts of `data`.

        Returns
        -------
        (Learned, str, float) or None
            What is learned, how it was found, and how far it may be from `learn`; None to learn again.
        """
        return None

    def kept_content(self, fitted: Fitted) -> dict[str, Any] | None:
        """What a fitted model holds of the content that it reads, as fields of `Interactions`; None if not all."""
        return None if self.reads else {}

    @property
    def draws(self) -> bool:
        """Whether learning draws numbers, so that a training is one of many."""
        return self.trains or "seed" in self.parameter_names()

    @property
    def looks_at_times(self) -> bool:
        """Whether learning reads more of times than the order of events."""
        return self.get_params().get("half_life") is not None

    @property
    def keeps_events(self) -> bool:
        """Whether `partial_fit` needs more of the training events than what each user has seen."""
        return self.learns_again

    @property
    def looks_at_values(self) -> bool:
        """Whether it matters to the model how much an event is worth."""
        return self.can.ratings or getattr(self, "weights", "binary") == "value"

    def lacks(self, data: Interactions) -> str:
        """What the model needs and the data does not have, such as "ratings"; empty if nothing."""
        if self.clone().can.ratings and data.value is None:
            return "data with values"
        return "a social graph" if "friends" in self.needs and data.social is None else ""

    def with_blanks(self, data: Interactions) -> Interactions:
        """The data with content that no item has, or links that nobody has, where the model needs them to be there."""
        if "friends" in self.needs and data.social is None:
            return replace(data, social=CSR.empty((data.n_users, data.n_users)))
        return data

    # ------------------------------------------------------------------------------------- learning
    def fit(self, data: Data, valid: Data | None = None, *, valid_history: Data | None = None,
            checkpoint: str | PathLike[str] | None = None,
            callbacks: Sequence[Callable[[int, dict[str, float]], bool | None]] = (), progress: Any = None) -> Self:
        """Learn from the data; what was learned before is replaced, or kept to the bit if this fails or is interrupted.

        Parameters
        ----------
        data : Interactions, or pandas or polars frame
            Columns of a frame are recognised by name, as in `Interactions.from_dataframe`.
        valid : like data, optional
            For models that stop early or choose by validation: networks keep the weights of the epoch that answers
            these events best, and with `patience` stop early.
        valid_history : Interactions, optional
            What may be seen of the users of `valid`, if training has none of their events. Only networks can make
            use of it; for other models there is then no validation.
        checkpoint : path, optional
            Of networks: a `.npz` or `.safetensors` file that is written after every epoch; if it is there, the training
            goes on from it, to the same bits as without the interruption.
        callbacks : sequence of callable
            Of networks: `callback(epoch, report)` after every epoch; one that returns True ends the training.
        progress : object with start, advance and stop, optional

        Returns
        -------
        Recommender
            The model itself.

        Raises
        ------
        ParameterError
            A hyper-parameter is out of its range.
        DataError
            The data has no rows, or lacks a column that the model needs; or the parts number users or items
            differently.
        """
        learner, data, context = self._occasion(data, valid, valid_history)
        if not self.trains and (checkpoint is not None or callbacks):
            raise ParameterError(f"{type(self).__name__}.fit does not train a network, so there is no "
                                 f"{'checkpoint' if checkpoint is not None else 'callback'} between epochs; leave it "
                                 f"out.")
        context = replace(context, checkpoint=checkpoint, callbacks=tuple(callbacks), progress=progress)
        self._fitted = learner.as_fitted(context.facts, learner.learn(data, context), about(learner, data))
        return self

    def prepare(self, data: Data, valid: Data | None = None, *, valid_history: Data | None = None) -> Run:
        """The training of a model's network before its first epoch, to look at or to train otherwise.

        Parameters
        ----------
        data, valid, valid_history
            As for `fit`.

        Returns
        -------
        Run
            Network, objective, optimizer and validation; `recsys.training.Trainer` runs it.

        Raises
        ------
        UnsupportedError
            The model is no network.

        Examples
        --------
        >>> from recsys.models import GMF
        >>> run = GMF(factors=4).prepare(Interactions.from_arrays([1, 1, 2], ["tea", "jam", "tea"]))
        >>> run.network.users.weight.shape
        (2, 4)
        """
        if not self.trains:
            raise UnsupportedError(f"{type(self).__name__}.prepare: this model is no network that is trained by "
                                   f"epochs; call fit.")
        learner, data, context = self._occasion(data, valid, valid_history)
        return learner.training(data, context).run

    def _occasion(self, data: Any, valid: Any, valid_history: Any) -> tuple[Self, Interactions, Context]:
        """A copy that is about to learn, the data, and what goes with it; hyper-parameters and data are checked."""
        name = type(self).__name__
        data, valid, valid_history = given.training(f"{name}.fit", data, valid, valid_history)
        self.check_parameters()
        if not len(data):
            raise DataError(f"{name}.fit: the data has no rows; give at least one interaction.")
        require_same_ids(f"{name}.fit", train=data, valid=valid, valid_history=valid_history)
        learner = type(self)(**{key: value if callable(value) else copy.deepcopy(value)
                                for key, value in self.get_params().items()})
        if learner.can.ratings and data.value is None:
            raise DataError(f"{name}.fit predicts ratings and needs data with values; give values, "
                            f"or use a model for implicit data, such as ItemKNN.")
        if not learner.looks_at_values:
            warn_of_nothing(data)
        usable = valid is not None and len(valid) > 0 and (self.trains or valid_history is None)
        return learner, data, Context(Facts.of(data, learner.keeps_events), valid if usable else None,
                                      valid_history if usable else None)

    def as_fitted(self, facts: Facts, learned: Learned, about: Mapping[str, Any]) -> Fitted:
        """What answers, of what was learned; a model may keep back what nobody is to know."""
        return Fitted(type(self).__name__, self.get_params(), facts, learned, self.remedy(), about=about)

    def partial_fit(self, data: Data) -> Self:
        """Learn from new events, with new users and items if there are any, or not at all; the first call is `fit`.

        New events count as later than all before. The hyper-parameters are those of the last `fit`. The docstring of a
        model says how far it is then from one that is fitted on all events.

        Parameters
        ----------
        data : Interactions
            The new events alone, with ids in any numbering. Models that read features learn of users and items that the
            id maps have and that are without events from `user_features` and `item_features`; then there need be
            no rows at all. What is known of users and items that are known stays as it is.

        Returns
        -------
        Recommender
            The model itself. Users and items keep their numbers; new ones follow.

        Raises
        ------
        UnsupportedError
            The model cannot, or was saved without seen items; the message names models that can.
        DataError
            The data has values and the training had none, or the other way round; ids of another kind; or nothing but
            users or items without events, for a model that reads no features of them.

        Warns
        -----
        DataWarning
            Features are missing, or have words that the training did not have; these count nothing.

        Examples
        --------
        >>> from recsys.models import ItemKNN
        >>> model = ItemKNN().fit(Interactions.from_arrays([1, 1, 2], ["tea", "jam", "tea"]))
        >>> model.partial_fit(Interactions.from_arrays([2, 3, 3], ["bun", "bun", "tea"])).recommend(1, k=1).items
        array(['bun'], dtype='<U3')
        """
        if not self.can.partial_fit:
            raise unsupported(type(self).__name__, "partial_fit", "partial_fit", "call fit with all data")
        data = given.interactions(f"{type(self).__name__}.partial_fit", data)
        fitted = self._fitted
        if fitted is None:
            return self.fit(data)
        if updating.is_news(fitted, data):
            learner = type(self)(**fitted.parameters)
            new = updating.renumbered(fitted.facts, data)
            if not learner.looks_at_values:
                warn_of_nothing(new)
            fitted.require_seen("partial_fit")
            if self.learns_again:
                everything, facts = updating.together(fitted, new)
                learned = learner.learn(everything, Context(facts))
            else:
                facts = fitted.facts.grown(new)
                learned = learner.update(new, fitted, Context(facts))
            self._fitted = learner.as_fitted(facts, learned, fitted.about)
        return self

    def forget(self, users: Any, data: Data | None = None, *, removed_only: bool = False, progress: Any = None
               ) -> Forgotten:
        """Forget people: the model is then as if it had been trained without them.

        It learns again from the events that it keeps of the others, or by a shorter way where there is one; its items
        stay, also those that nobody else had. An index for approximate search is dropped if vectors were learned again.

        Parameters
        ----------
        users : id or sequence of ids
        data : Interactions or frame, optional
            The training data, for models that do not keep all of it. People whom the model does not know, because they
            were forgotten before, are left out again.
        removed_only : bool
            Accept that ids, histories and vectors go, and that what all others share has still learned of these people.
        progress : object with start, advance and stop, optional

        Returns
        -------
        Forgotten
            The level that was reached, and how.

        Raises
        ------
        UnknownIdError
            Naming the users that the model does not know; nobody is forgotten then.
        UnsupportedError
            The model does not keep what it learned from, and no data was given.
        DataError
            The data is not what the model learned from; or nobody would be left.

        Examples
        --------
        >>> from recsys.models import EASE
        >>> data = Interactions.from_arrays(["ann", "ann", "bob", "bob", "eve"], ["tea", "jam", "tea", "bun", "jam"])
        >>> model = EASE(reg=1.0).fit(data)
        >>> model.forget("bob").level, model.users
        ('exact', IdMap(2 ids: 'ann', 'eve'))
        """
        from recsys.estimator import forgetting

        given_data = None if data is None else given.interactions(f"{type(self).__name__}.forget", data)
        self._fitted, told = forgetting.forget(self, users, given_data, removed_only=removed_only, progress=progress)
        return told

    # ------------------------------------------------------------------------------------ answering
    def recommend(self, users: Any = None, k: int = 10, *, history: Any = None, values: Any = None,
                  filter_seen: bool = True, items: Any = None, exclude: Any = None,
                  on_unknown: str = "raise", profiling: str = "on") -> Recs:
        """The k best items for users, or for the histories of people who were not in the training data.

        Parameters
        ----------
        users : id or sequence of ids, optional
            Without users and history, all users of the training data.
        k : int
            Length of the lists; a list is shorter where there are fewer candidates with events, and says so.
        history : sequence of item ids, or sequence of such sequences, optional
            In time order; any array, Series or iterator will do. A dict maps items to their values. A set has no
            order, so models that read one refuse it. Needs a model that can fold in.
        values : like history, optional
            The value of each event of the history.
        filter_seen : bool
            Leave out the items of the user's training events, or of the history.
        items, exclude : sequence of item ids, or mapping of user to such sequences, optional
            Recommend only these; do not recommend these. A mapping gives each user their own; who has no entry is not
            restricted. Keys are external ids, or positions of histories.
        on_unknown : {"raise", "fallback", "skip"}
            What to do with ids that the model does not know. For a user, "fallback" answers with the
            most popular items and "skip" leaves the user out; an item of a history or of a filter is
            left out by both.
        profiling : {"on", "off"}
            "off" gives one list in which nothing of anybody is read, neither users nor a history: what the model says
            to nobody in particular, or the most popular items.

        Returns
        -------
        Recs
            `source` says of each entry where it comes from: "model", or "popular" for the items with the most events,
            which stand in, behind the model's own, for what it has no evidence of: for unknown users and those without
            events, and for items that nothing in a history speaks for. Items without events are listed only if the
            model knows them by their content (`can.cold_item`).

        Raises
        ------
        UnknownIdError
            Naming the ids.
        DataError
            Ids of another kind than those of the training, whatever `on_unknown` is: "12" for 12, say.
        UnsupportedError
            For a history, when the model cannot fold in; the message names models that can.
        """
        return self.require("recommend").recommend(users, k, history=history, values=values, filter_seen=filter_seen,
                                                   items=items, exclude=exclude, on_unknown=on_unknown,
                                                   profiling=profiling)

    def predict(self, users: Any, items: Any, on_unknown: str = "raise") -> Any:
        """Ratings (or scores, if not `can.ratings`) of pairs of external ids.

        Parameters
        ----------
        users, items : id or sequence of ids
            Of equal length; one id goes with every id of the other.
        on_unknown : {"raise", "fallback", "skip"}
            Unknown ids raise; or get what the model can say without them; or NaN.

        Returns
        -------
        float, or ndarray of float32, shape (n,)
            Ratings are clipped to the range of the training data.
        """
        return self.require("predict").predict(users, items, on_unknown)

    def score_block(self, users: np.ndarray, history: CSR | None = None) -> np.ndarray:
        """Scores of all items for a block of users, in internal indices; what evaluation calls.

        Parameters
        ----------
        users : ndarray, int32, shape (B,)
        history : CSR, shape (B, n_items), optional
            What the model may see of these users. Models that fold in answer from it, others from
            training.

        Returns
        -------
        ndarray, float32, shape (B, n_items)
        """
        return self.require("score_block").score_block(users, history)

    def products(self, users: np.ndarray, history: CSR | None = None) -> Any:
        """What gives the order of `score_block` without all scores, if they are products: as `Fitted.products`."""
        return self.require("products").products(users, history)

    def similar_items(self, items: Any, k: int = 10) -> Recs:
        """The k items most like each item, never the item itself; fewer where fewer are like it at all.

        Nothing is like an item without training events, unless the model knows it by its content (`can.cold_item`).
        """
        return self.require("similar_items").similar_items(items, k)

    def similar_users(self, users: Any, k: int = 10) -> Recs:
        """The k users most like each user, never the user itself; fewer where fewer are like it at all.

        Nobody is like a user without training events, unless the model knows features of users.
        """
        return self.require("similar_users").similar_users(users, k)

    def explain(self, user_or_history: Any, item: Any, k: int = 5, *, values: Any = None) -> list[Reason]:
        """Why an item gets its score: what each item of the history adds to it.

        Parameters
        ----------
        user_or_history : user id, or sequence of item ids
        item : item id
        k : int
            How many reasons; the largest come first.
        values : sequence of float, optional
            The values of a history's events.

        Returns
        -------
        list of Reason
            If `can.explain_exact`, all reasons together sum to the score; the one whose `item` is None is
            what no item of the history explains. Else a part is what the score loses without that item.
        """
        return self.require("explain").explain(user_or_history, item, k, values=values)

    def title(self, item: Any) -> str | None:
        """The title of an item (external id), or None where the data had none."""
        return self.require("title").title(item)

    def save(self, path: str | PathLike[str], *, seen: bool = True) -> None:
        """Write the model to one file that `recsys.load` reads, all or nothing.

        Parameters
        ----------
        path : str or path
            Replaced in one step if it exists.
        seen : bool
            Whether the file holds what each user has seen. Without, it answers histories, and users only with
            `filter_seen=False` and only from models that have vectors for them.

        Raises
        ------
        NotFittedError
        UnsupportedError
            `seen=False` for a model that is nothing without its users' histories.
        ArtifactError
            A hyper-parameter that JSON cannot hold, or a network or scorer of one's own.
        """
        from recsys.estimator import storing

        storing.save(self.require("save"), path, seen=seen)

    # ------------------------------------------------------------------------------------- machinery
    @property
    def fitted(self) -> bool:
        """Whether `fit` or `load` has been done."""
        return self._fitted is not None

    @property
    def fitted_params(self) -> dict[str, Any]:
        """The hyper-parameters of the last `fit`, by which the model answers; `get_params` gives those of the next."""
        return dict(self.require("fitted_params").parameters)

    @property
    def reads_features(self) -> tuple[bool, bool]:
        """Whether it knows users, and items, by their features, so that it can be told of some without events."""
        return self.require("reads_features").scorer.described

    @property
    def needs_histories(self) -> bool:
        """Whether it is nothing without its users' histories, so that it cannot be saved without them."""
        return self.require("needs_histories").scorer.needs_histories

    def require(self, verb: str) -> Fitted:
        """What was fitted, or NotFittedError, naming the class and the verb, before `fit`."""
        if self._fitted is None:
            raise NotFittedError(f"{type(self).__name__}.{verb} needs a fitted model; call fit(data) first.")
        return self._fitted

    def require_fitted(self, verb: str) -> Self:
        """A copy with the hyper-parameters of the fit, that answers as this model does; NotFittedError before `fit`."""
        return self.adopt(self.require(verb))

    @classmethod
    def adopt(cls, fitted: Fitted) -> Self:
        """A model of this class that answers from what was fitted."""
        model = cls(**fitted.parameters)
        model._fitted = fitted
        return model

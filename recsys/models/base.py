"""The one estimator: fit, recommend, predict, similar, explain, save, for every model.

External ids go in and come out of the public verbs, which stand here once. A model is a subclass
that writes these, on internal indices (int32) and float32 scores:

- `_fit(data, valid, progress)` learns; `self.users, items, seen, item_counts, mean_value` are there. `self` is a copy
  that answers, once it has learned, in the place of the one before; `fit` and the verbs see to that.
- `_score(users)`: int32 (B,) -> (B, n_items).
- `_fold(history)`: CSR (B, n_items) -> (B, n_items), when `can.fold_in`.
- `_predict(users, items)`: pairs -> (n,), where picking from `_score` would be slow or wrong.
- `_item_vectors()`, `_user_vectors()`: (n, d), when `can.embeddings`.
- `_explain(indices, values, item)`: contributions (n,) of a history's events; by default what the
  score loses without the event.
- `_state()`, `_restore(state)`: what was learned, as a dictionary of arrays.
- `_partial_fit(data)`, when `can.partial_fit`: new events, on id maps that are already extended, with the help of
  `recsys.models.updating`; or the model is one of `recsys.models.relearning`.

Hyper-parameters are keyword-only, stored under their names, with a row each in `checks`.
"""

from __future__ import annotations

import copy
from os import PathLike
from typing import Any, Self

import numpy as np

from recsys.data import asked, given
from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.ids import is_one
from recsys.data.interactions import Interactions
from recsys.data.parts import require_same_ids
from recsys.errors import DataError, ParameterError, RecsysError, UnsupportedError
from recsys.models import answering, updating
from recsys.models.choosing import choose
from recsys.models.hooks import Can, Hooks, answers
from recsys.recs import Reason, Recs

__all__ = ["Can", "Recommender"]


class Recommender(Hooks):
    """Base class of all models; the module's docstring says what a subclass writes.

    Attributes
    ----------
    can : Can
        What the model supports.
    users, items : IdMap
        External ids of the training data.
    seen : CSR, shape (n_users, n_items), or None
        Training pairs, each once, sorted by item; None in a model that was saved without them.
    events : CSR, shape (n_users, n_items), or None
        All training events with their values, in the order of time, in models that `partial_fit` needs them for.
    item_counts : ndarray, int64, shape (n_items,)
        Training events of each item.
    item_features : Features or None
        The items' titles, where the data had some; nothing else of the data's features is kept here.
    rating_range : (float, float) or None
        Smallest and largest value of the training data; predicted ratings stay inside.
    mean_value : float
        Mean value of the training data (1 if it has no values).
    fingerprint : str
        Of the training data; after `partial_fit`, of all its parts in turn.
    """

    # ------------------------------------------------------------------------------------- learning
    def fit(self, data: Interactions, valid: Interactions | None = None, *,
            valid_history: Interactions | None = None, progress: Any = None) -> Self:
        """Learn from the data; what was learned before is replaced, or kept to the bit if this fails or is interrupted.

        Parameters
        ----------
        data : Interactions, or pandas or polars frame
            Columns of a frame are recognised by name, as in `Interactions.from_dataframe`.
        valid : like data, optional
            For models that stop early or choose by validation.
        valid_history : Interactions, optional
            What may be seen of the users of `valid`, if training has none of their events. Only networks can make
            use of it; for other models there is then no validation.
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
        data, valid, valid_history = given.training(f"{type(self).__name__}.fit", data, valid, valid_history)
        learner = self._learner(data, valid, valid_history)
        usable = valid is not None and len(valid) > 0 and valid_history is None
        learner._fit(data, valid if usable else None, progress)
        return self._adopt(learner)

    def _learner(self, data: Interactions, valid: Interactions | None = None,
                 valid_history: Interactions | None = None) -> Self:
        """A copy that is about to learn, with what every model keeps; hyper-parameters and data are checked."""
        name = type(self).__name__
        self.check_parameters()
        if not len(data):
            raise DataError(f"{name}.fit: the data has no rows; give at least one interaction.")
        require_same_ids(f"{name}.fit", train=data, valid=valid, valid_history=valid_history)
        learner = type(self)(**{key: value if callable(value) else copy.deepcopy(value)
                                for key, value in self.get_params().items()})
        if learner._lacks_values(data):
            raise DataError(f"{name}.fit predicts ratings and needs data with values; give values, "
                            f"or use a model for implicit data, such as ItemKNN.")
        learner._warn_of_values(data)
        learner._remember(data)
        return learner

    def _adopt(self, learner: Self) -> Self:
        """Answer from a copy that has learned, from this one assignment on: all or nothing."""
        learner._fitted = True
        self._learned = learner
        return self

    def partial_fit(self, data: Interactions) -> Self:
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
            raise self._unsupported("partial_fit", "partial_fit", "call fit with all data")
        data = given.interactions(f"{type(self).__name__}.partial_fit", data)
        learned = self._learned
        if learned is None:
            return self.fit(data)
        return self._adopt(learned._updated(data)) if updating.is_news(learned, data) else self

    def _updated(self, data: Interactions) -> Self:
        """A copy that has learned from new events, too."""
        constant = self.users, self.items, self.item_features, self.seen, self.events  # not changed in place
        learner = copy.deepcopy(self, {id(each): each for each in constant})
        learner._partial_fit(learner._grow(data))
        return learner

    def _remember(self, data: Interactions) -> None:
        self.users, self.items = data.users, data.items
        titles = None if data.item_features is None else data.item_features.titles
        self.item_features = None if titles is None else Features(titles=titles)
        self.fingerprint = data.fingerprint()
        self.seen = data.csr.unique()
        self.events = updating.events_of(data) if self._keeps_events else None
        self.item_counts = np.bincount(data.item, minlength=len(data.items))
        self.rating_range, self.mean_value = None, 1.0
        if data.value is not None:
            self.rating_range = float(data.value.min()), float(data.value.max())
            self.mean_value = float(data.value.mean(dtype=np.float64))

    def _grow(self, data: Interactions) -> Interactions:
        """The new events on extended id maps; what every model keeps takes them in."""
        seen, before = self.require_seen("partial_fit"), int(self.item_counts.sum())
        self._warn_of_values(data)
        self.item_features = updating.all_titles(self, data)
        data = updating.renumbered(self, data)
        self.users, self.items = data.users, data.items
        pairs = np.concatenate([seen.row_of_entry, data.user]), np.concatenate([seen.indices, data.item])
        self.seen = CSR.from_pairs(*pairs, shape=(len(data.users), len(data.items))).unique()
        self.events = None if self.events is None else updating.behind(self.events, data.csr)
        counts = np.bincount(data.item, minlength=len(data.items))
        counts[:len(self.item_counts)] += self.item_counts
        self.item_counts = counts
        self.fingerprint = updating.chained(self.fingerprint, data.fingerprint())
        if data.value is not None and len(data) and self.rating_range is not None:
            low, high = self.rating_range
            self.rating_range = min(low, float(data.value.min())), max(high, float(data.value.max()))
            total = self.mean_value * before + float(data.value.sum(dtype=np.float64))
            self.mean_value = total / (before + len(data))
        return data

    # ------------------------------------------------------------------------------------ answering
    @answers
    def recommend(self, users: Any = None, k: int = 10, *, history: Any = None, values: Any = None,
                  filter_seen: bool = True, items: Any = None, exclude: Any = None,
                  on_unknown: str = "raise") -> Recs:
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
        answering.check(self, "recommend", k=k, filter_seen=filter_seen, on_unknown=on_unknown)
        if users is not None and history is not None:
            raise ParameterError(f"{type(self).__name__}.recommend takes users or a history, not both.")
        asked.check_values_belong(f"{type(self).__name__}.recommend", history, values)
        skip = on_unknown != "raise"
        if history is not None:
            rows, single = self._encode_history("recommend", history, values, on_unknown)
            choice = choose(self.items, np.arange(rows.shape[0]), items, exclude, skip)
            return answering.rank_histories(self, rows, k, filter_seen, choice, single)
        labels, single = (self.users.ids, False) if users is None else asked.ids(
            f"{type(self).__name__}.recommend", "users", users)
        numbers = self.users.encode(labels, answering.unknown(on_unknown))
        if on_unknown == "skip":
            labels, numbers = labels[numbers >= 0], numbers[numbers >= 0]
            if single and not len(labels):
                return Recs(users, self.items.ids[:0], np.zeros(0, np.float32), 0, np.zeros(0, np.str_),
                            answering.titles(self))
        choice = choose(self.items, labels, items, exclude, skip)
        return answering.rank_users(self, labels, numbers, k, filter_seen, choice, single)

    @answers
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
        answering.check(self, "predict", on_unknown=on_unknown)
        users, one_user = asked.ids(f"{type(self).__name__}.predict", "users", users)
        items, one_item = asked.ids(f"{type(self).__name__}.predict", "items", items)
        user = self.users.encode(users, answering.unknown(on_unknown))
        item = self.items.encode(items, answering.unknown(on_unknown))
        if len(user) != len(item) and 1 not in (len(user), len(item)):
            raise ParameterError(f"{type(self).__name__}.predict: users and items must pair up, "
                                 f"got {len(user)} and {len(item)}.")
        user, item = (np.ascontiguousarray(index) for index in np.broadcast_arrays(user, item))
        known = (user >= 0) & (item >= 0)
        out = np.full(len(user), np.nan, np.float32)
        out[known] = self._predict(user[known], item[known])
        self._refuse_nan(out[known])
        if on_unknown == "fallback":
            out[~known] = self._predict_unknown(user[~known], item[~known])
        if self.can.ratings and self.rating_range is not None:
            np.clip(out, *self.rating_range, out=out)
        return float(out[0]) if one_user and one_item else out

    @answers
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
        scores = self._score(users) if history is None or not self.can.fold_in else self._fold(history)
        scores = np.ascontiguousarray(scores, np.float32)
        self._refuse_nan(scores)
        return scores

    @answers
    def similar_items(self, items: Any, k: int = 10) -> Recs:
        """The k items most like each item, never the item itself; fewer where fewer are like it at all.

        Nothing is like an item without training events, unless the model knows it by its content (`can.cold_item`).
        """
        answering.check(self, "similar_items", k=k)
        return answering.most_similar(self, self.items, self._known_items(), items, k, self._item_similarity,
                                      answering.titles(self))

    @answers
    def similar_users(self, users: Any, k: int = 10) -> Recs:
        """The k users most like each user, never the user itself; fewer where fewer are like it at all.

        Nobody is like a user without training events, unless the model knows features of users.
        """
        answering.check(self, "similar_users", k=k)
        return answering.most_similar(self, self.users, self._known_users(), users, k, self._user_similarity)

    @answers
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
        answering.check(self, "explain", k=k)
        if not self.can.explain:
            raise self._unsupported("explain", "explain")
        target = int(self.items.encode(asked.one_id(f"{type(self).__name__}.explain", "item", item))[0])
        if is_one(user_or_history):
            asked.check_values_belong(f"{type(self).__name__}.explain", None, values)
            user = asked.one_id(f"{type(self).__name__}.explain", "user_or_history", user_or_history)
            rows = self._history_of(self.users.encode(user))
        else:
            given, single = self._encode_history("explain", user_or_history, values, "raise")
            if not single:
                raise ParameterError(f"{type(self).__name__}.explain takes one history, not {given.shape[0]}.")
            rows = self._query(given)
        return answering.reasons(self, *rows.row(0), target, k)

    @answers
    def title(self, item: Any) -> str | None:
        """The title of an item (external id), or None where the data had none."""
        index = int(self.items.encode(asked.one_id(f"{type(self).__name__}.title", "item", item))[0])
        titles = None if self.item_features is None else self.item_features.titles
        return None if titles is None else str(titles[index]) or None

    def save(self, path: str | PathLike[str], *, seen: bool = True) -> None:
        """Write the model to one file that `recsys.load` reads; see `recsys.artifact.save`."""
        from recsys import artifact

        artifact.save(self, path, seen=seen)

    # ------------------------------------------------------------------------------------- machinery
    def _unsupported(self, verb: str, flag: str, hint: str = "") -> UnsupportedError:
        from recsys.models import models_that

        names = ", ".join(models_that(flag))
        return UnsupportedError(f"{type(self).__name__} does not support {verb}; {hint}{', or ' if hint else ''}"
                                f"use a model that does: {names}.")

    def _encode_history(self, verb: str, history: Any, values: Any, on_unknown: str) -> tuple[CSR, bool]:
        if not self.can.fold_in:
            raise self._unsupported(f"{verb} from a history", "fold_in")
        return answering.encode_history(self, history, values, on_unknown)

    def _refuse_nan(self, scores: np.ndarray) -> None:
        if scores.size and np.isnan(scores.min()):  # one pass, no temporary: min is NaN if any is
            raise RecsysError(f"{type(self).__name__} gives NaN scores; its training diverged: {self.remedy()}.")

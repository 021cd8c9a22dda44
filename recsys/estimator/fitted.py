"""A fitted model: facts of its training data and a scorer, and what the two answer; it learns nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from recsys.data import asked
from recsys.data.csr import CSR
from recsys.data.ids import IdMap, is_one
from recsys.errors import ParameterError, RecsysError, UnsupportedError
from recsys.estimator import answering
from recsys.estimator.capabilities import Can
from recsys.estimator.choosing import choose
from recsys.estimator.facts import Facts
from recsys.estimator.registry import unsupported
from recsys.estimator.results import Reason, Recs
from recsys.estimator.retrieval import VectorIndex
from recsys.estimator.scorers import Scorer, State
from recsys.estimator.scorers.base import Queries

__all__ = ["Fitted", "Learned"]

S = TypeVar("S", bound=Scorer)

_SAMPLED = 64  # users, to see how long queries are


@dataclass(frozen=True, eq=False)
class Learned:
    """What learning gives.

    Parameters
    ----------
    scorer : Scorer
        What answers.
    taken : mapping of str to JSON values
        What was taken from the data for parameters that were None, learning curves, and other findings; attributes of
        the fitted model by these names.
    memory : (dict, dict of str to ndarray)
        Settings and arrays that learning goes on from and answering does without.
    """

    scorer: Scorer
    taken: Mapping[str, Any] = field(default_factory=dict)
    memory: State = field(default_factory=lambda: ({}, {}))


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted thing that answers and nothing else: what a `Recommender` has learned, or what a file holds.

    It is never changed, and may be shared by threads.

    Parameters
    ----------
    name : str
        Of the model's class.
    parameters : mapping
        The hyper-parameters of the fit.
    facts : Facts
    learned : Learned
    remedy : str
        What to do where scores are not finite, in terms of the parameters.
    kept : VectorIndex, optional
        The index of the scorer's vectors, from a file that has one.
    about : mapping of str to JSON values
        What the model's class says of itself, as `recsys.estimator.stating.about` gives it; an early file has nothing.
    """

    name: str
    parameters: Mapping[str, Any]
    facts: Facts
    learned: Learned
    remedy: str = "fit it again"
    kept: VectorIndex | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scorer(self) -> Scorer:
        """What answers."""
        return self.learned.scorer

    def answers_by(self, kind: type[S]) -> S:
        """The scorer, which is of this kind."""
        if not isinstance(self.scorer, kind):
            raise TypeError(f"{self.name} answers by {type(self.scorer).__name__}, not by {kind.__name__}")
        return self.scorer

    @property
    def can(self) -> Can:
        """What it supports."""
        return self.scorer.can

    def _holders(self) -> tuple[Any, ...]:
        scorer = self.scorer
        return self.facts, scorer, getattr(scorer, "fold_in", None), getattr(scorer, "histories", None)

    def has(self, name: str) -> bool:
        """Whether something was learned by this name."""
        return name in self.learned.taken or any(hasattr(holder, name) for holder in self._holders())

    def attribute(self, name: str) -> Any:
        """What was learned by a name: taken from the data, or of the facts, the scorer or its parts."""
        if name in self.learned.taken:
            return self.learned.taken[name]
        for holder in self._holders():
            if hasattr(holder, name):
                return getattr(holder, name)
        raise AttributeError(f"{self.name!r} object has no attribute {name!r}")

    @property
    def users(self) -> IdMap:
        """External ids of the users."""
        return self.facts.users

    @property
    def items(self) -> IdMap:
        """External ids of the items."""
        return self.facts.items

    @property
    def seen(self) -> CSR | None:
        """Training pairs, if they are there."""
        return self.facts.seen

    @property
    def fingerprint(self) -> str:
        """Of the training data."""
        return self.facts.fingerprint

    # ------------------------------------------------------------------------------------ external ids
    def recommend(self, users: Any = None, k: int = 10, *, history: Any = None, values: Any = None,
                  filter_seen: bool = True, items: Any = None, exclude: Any = None, on_unknown: str = "raise",
                  profiling: str = "on") -> Recs:
        """The k best items, as `Recommender.recommend` says."""
        answering.check(self, "recommend", k=k, filter_seen=filter_seen, on_unknown=on_unknown, profiling=profiling)
        if users is not None and history is not None:
            raise ParameterError(f"{self.name}.recommend takes users or a history, not both.")
        asked.check_values_belong(f"{self.name}.recommend", history, values)
        skip, facts = on_unknown != "raise", self.facts
        if profiling == "off":
            if users is not None or history is not None:
                raise ParameterError(f"{self.name}.recommend reads nothing of anybody with profiling='off'; leave "
                                     f"users and history out.")
            nobody = CSR(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), (1, len(facts.items)))
            return answering.rank_histories(self, nobody, k, False, choose(facts.items, np.arange(1), items, exclude,
                                                                          skip), single=True)
        if history is not None:
            rows, single = self.encode_history("recommend", history, values, on_unknown)
            choice = choose(facts.items, np.arange(rows.shape[0]), items, exclude, skip)
            return answering.rank_histories(self, rows, k, filter_seen, choice, single)
        labels, single = (facts.users.ids, False) if users is None else asked.ids(
            f"{self.name}.recommend", "users", users)
        numbers = facts.users.encode(labels, answering.unknown(on_unknown))
        if on_unknown == "skip":
            labels, numbers = labels[numbers >= 0], numbers[numbers >= 0]
            if single and not len(labels):
                return Recs(users, facts.items.ids[:0], np.zeros(0, np.float32), 0, np.zeros(0, np.str_),
                            answering.titles(self))
        choice = choose(facts.items, labels, items, exclude, skip)
        return answering.rank_users(self, labels, numbers, k, filter_seen, choice, single)

    def predict(self, users: Any, items: Any, on_unknown: str = "raise") -> Any:
        """Ratings or scores of pairs, as `Recommender.predict` says."""
        answering.check(self, "predict", on_unknown=on_unknown)
        users, one_user = asked.ids(f"{self.name}.predict", "users", users)
        items, one_item = asked.ids(f"{self.name}.predict", "items", items)
        user = self.facts.users.encode(users, answering.unknown(on_unknown))
        item = self.facts.items.encode(items, answering.unknown(on_unknown))
        if len(user) != len(item) and 1 not in (len(user), len(item)):
            raise ParameterError(f"{self.name}.predict: users and items must pair up, got {len(user)} and {len(item)}.")
        user, item = (np.ascontiguousarray(index) for index in np.broadcast_arrays(user, item))
        out = self.pairs(user, item)
        if on_unknown == "skip":
            out[(user < 0) | (item < 0)] = np.nan
        if self.can.ratings and self.facts.rating_range is not None:
            np.clip(out, *self.facts.rating_range, out=out)
        return float(out[0]) if one_user and one_item else out

    def similar_items(self, items: Any, k: int = 10) -> Recs:
        """The k items most like each item, as `Recommender.similar_items` says."""
        answering.check(self, "similar_items", k=k)
        return answering.most_similar(self, "items", items, k)

    def similar_users(self, users: Any, k: int = 10) -> Recs:
        """The k users most like each user, as `Recommender.similar_users` says."""
        answering.check(self, "similar_users", k=k)
        return answering.most_similar(self, "users", users, k)

    def explain(self, user_or_history: Any, item: Any, k: int = 5, *, values: Any = None) -> list[Reason]:
        """What each item of a history adds to a score, as `Recommender.explain` says."""
        answering.check(self, "explain", k=k)
        if not self.can.explain:
            raise self.unsupported("explain", "explain")
        indices, known, target, user = self.history_and_item("explain", user_or_history, item, values)
        return answering.reasons(self, indices, known, target, k, user)

    def history_and_item(self, verb: str, user_or_history: Any, item: Any,
                         values: Any = None) -> tuple[np.ndarray, np.ndarray | None, int, int]:
        """The items of one user's or a given history and their values, the item, the user (-1: nobody's), by number.

        Raises
        ------
        ParameterError
            Several histories, or values beside a user.
        """
        target = int(self.facts.items.encode(asked.one_id(f"{self.name}.{verb}", "item", item))[0])
        if is_one(user_or_history):
            asked.check_values_belong(f"{self.name}.{verb}", None, values)
            user = asked.one_id(f"{self.name}.{verb}", "user_or_history", user_or_history)
            number = self.facts.users.encode(user)
            rows = self.stored(number)
        else:
            number = np.full(1, -1)
            history, single = self.encode_history(verb, user_or_history, values, "raise")
            if not single:
                raise ParameterError(f"{self.name}.{verb} takes one history, not {history.shape[0]}.")
            self.require_values(history)
            rows = self.scorer.transform_history(history)
        return *rows.row(0), target, int(number[0])

    def title(self, item: Any) -> str | None:
        """The title of an item, or None where the data had none."""
        index = int(self.facts.items.encode(asked.one_id(f"{self.name}.title", "item", item))[0])
        return answering.title(self, index)

    def encode_history(self, verb: str, history: Any, values: Any, on_unknown: str) -> tuple[CSR, bool]:
        """Item ids of one history or of several, as `recommend` takes them -> CSR (B, n_items), and whether it was one.
        """
        if not self.can.fold_in:
            raise self.unsupported(f"{verb} from a history", "fold_in")
        return answering.encode_history(self, history, values, on_unknown)

    # ----------------------------------------------------------------------------------- internal indices
    def score_block(self, users: np.ndarray, history: CSR | None = None) -> np.ndarray:
        """Scores of all items: for histories, if it folds in and they are given, and else for users by training.

        Parameters
        ----------
        users : ndarray of int, shape (B,)
        history : CSR, shape (B, n_items), optional

        Returns
        -------
        ndarray of float32, shape (B, n_items)
        """
        if history is None or not self.can.fold_in:
            if not self.scorer.knows_users:
                raise self.without_histories()
            scores = self.scorer.score(users)
        else:
            self.require_values(history)
            scores = self.scorer.fold(history)
        scores = np.ascontiguousarray(scores, np.float32)
        self.refuse_nan(scores)
        return scores

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores of pairs, -1 being unknown, where there is anything to say of them: float32 (n,)."""
        known = (users >= 0) & (items >= 0)
        out = np.empty(len(users), np.float32)
        if known.any():
            if not self.scorer.knows_users:
                raise self.without_histories()
            out[known] = self.scorer.pairs(users[known], items[known])
            self.refuse_nan(out[known])
        if not known.all():
            cold = self.scorer.cold_pairs(users[~known], items[~known])
            usual = self.facts.mean_value if self.can.ratings else 0.0
            out[~known] = usual if cold is None else cold
        return out

    def stored(self, users: np.ndarray) -> CSR:
        """The histories of users, as explanations take them."""
        if not self.scorer.knows_users:
            raise self.without_histories()
        histories = self.scorer.stored(users)
        return self.require_seen("explain").rows(users) if histories is None else histories

    # ----------------------------------------------------------------------------------------- search
    @cached_property
    def index(self) -> VectorIndex | None:
        """Where lists are searched for, if scores are products of vectors; built at its first use."""
        held = self.scorer.vectors()
        if self.kept is not None or held is None:
            return self.kept
        index = VectorIndex.build(*held, self._length() if held[1] is not None and held[1].any() else 1.0)
        return index if index.finite else None

    def _length(self) -> float:
        """About what norm queries have."""
        if not self.scorer.knows_users or not len(self.facts.users):
            return 1.0
        some = np.unique(np.linspace(0, len(self.facts.users) - 1, _SAMPLED, dtype=np.int32))
        lengths = np.linalg.norm(self.scorer.queries(some).vectors.astype(np.float64), axis=1)
        return float(np.median(lengths)) or 1.0

    @cached_property
    def popular(self) -> np.ndarray:
        """The items that have events, those with most of them first: int32 (m,); of a file, what it holds."""
        counts = self.facts.item_counts
        return np.argsort(-counts, kind="stable")[:np.count_nonzero(counts)].astype(np.int32)

    @cached_property
    def listed(self) -> np.ndarray | None:
        """Which items may be in lists of the model: bool (n_items,), or None for all."""
        known = self.known_items()
        return None if known.all() else known

    def products(self, users: np.ndarray, history: CSR | None = None) -> tuple[VectorIndex, np.ndarray] | None:
        """The index of the items' vectors and what is multiplied by them, float32 (B, f), in the order of the scores.

        Parameters
        ----------
        users : ndarray of int, shape (B,)
        history : CSR, shape (B, n_items), optional
            As for `score_block`.

        Returns
        -------
        (VectorIndex, ndarray) or None
            None if scores are no products.
        """
        return None if self.index is None else (self.index, self.queries(users, history).vectors)

    def queries(self, users: np.ndarray, history: CSR | None = None) -> Queries:
        """What is multiplied by the vectors of the index, as `score_block` scores.

        Raises
        ------
        RecsysError
            A number is not finite.
        """
        if history is None or not self.can.fold_in:
            if not self.scorer.knows_users:
                raise self.without_histories()
            queries = self.scorer.queries(users)
        else:
            self.require_values(history)
            queries = self.scorer.fold_queries(history)
        parts = [queries.vectors, *([] if queries.shift is None else [queries.shift])]
        if not all(np.isfinite(part).all() for part in parts):
            raise self.diverged()
        return queries

    # --------------------------------------------------------------------------------- what is known
    def known_items(self) -> np.ndarray:
        """Which items it can say something of, having events or content: bool (n_items,)."""
        return np.ones(len(self.facts.items), bool) if self.can.cold_item else np.asarray(self.facts.item_counts > 0)

    def known_users(self) -> np.ndarray:
        """Which users it can tell from others: bool (n_users,); all, if it was saved without what they saw."""
        seen = self.facts.seen
        if seen is None or self.scorer.described[0]:
            return np.ones(len(self.facts.users), bool)
        return np.asarray(seen.counts > 0)

    def has_evidence(self, users: np.ndarray) -> np.ndarray:
        """Which users (-1 is unknown) it knows something of: bool (B,)."""
        known, seen = users >= 0, self.facts.seen
        if self.can.cold_user or not len(self.facts.users) or seen is None or self.scorer.described[0]:
            return known
        some = np.maximum(users, 0)
        return np.asarray(known & (seen.indptr[some + 1] > seen.indptr[some]))

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Which scores of items, int (n,) or (B, n) and float32 (B, n), rest on anything that was learned: bool."""
        said = self.scorer.evident(items, scores)
        return np.broadcast_to(self.known_items()[items], scores.shape) if said is None else said

    # --------------------------------------------------------------------------------------- refusing
    def unsupported(self, verb: str, flag: str) -> UnsupportedError:
        """What to raise for what the model cannot do; it names models that can."""
        return unsupported(self.name, verb, flag)

    def require_seen(self, verb: str) -> CSR:
        """The seen items, or UnsupportedError if the model was saved without them."""
        if self.facts.seen is None:
            how = {"recommend": "pass history=", "explain": "pass a history instead of the user"}
            ways = [how[verb]] if self.can.fold_in and verb in how else []
            ways += ["pass filter_seen=False"] * (verb == "recommend") or ["save it with seen=True"]
            raise UnsupportedError(f"{self.name}.{verb} needs the seen items, and this model was saved with "
                                   f"seen=False; {', or '.join(ways)}.")
        return self.facts.seen

    def require_values(self, history: CSR) -> None:
        """Raise ParameterError for histories without the ratings that the model cannot do without."""
        if self.scorer.needs_values and history.data is None:
            raise ParameterError(f"{self.name} predicts ratings; give the history's ratings as values=.")

    def without_histories(self) -> UnsupportedError:
        """What to raise when a user is asked for whose history was not saved."""
        way = "pass a history instead of a user" if self.can.fold_in else "save it with seen=True"
        return UnsupportedError(f"{self.name} was saved with seen=False, without its users' histories; {way}.")

    def refuse_nan(self, scores: np.ndarray) -> None:
        """Raise RecsysError for scores that are not numbers."""
        if scores.size and np.isnan(scores.min()):  # one pass, no temporary: min is NaN if any is
            raise self.diverged()

    def diverged(self) -> RecsysError:
        """What to raise for numbers that are none."""
        return RecsysError(f"{self.name} gives NaN scores; its training diverged: {self.remedy}.")

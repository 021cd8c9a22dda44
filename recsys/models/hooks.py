"""What a model is, and what it may write: the private half of the estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

import numpy as np

from recsys.data.cleaning import warn_of_nothing
from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.errors import NotFittedError, UnsupportedError
from recsys.models import answering
from recsys.models.parameters import Parameters
from recsys.models.sparse import blocks

__all__ = ["Can", "Hooks", "answers"]

Verb = TypeVar("Verb", bound=Callable[..., Any])


def answers(verb: Verb) -> Verb:
    """A public verb that the fitted copy answers, so that what has been set on the model since does not count."""
    @wraps(verb)
    def ask(self: Hooks, *arguments: Any, **options: Any) -> Any:
        return verb(self.require_fitted(verb.__name__), *arguments, **options)
    return cast(Verb, ask)


@dataclass(frozen=True)
class Can:
    """What a model supports.

    Attributes
    ----------
    ratings, ranking : bool
        Whether `predict` answers in the unit of the ratings; whether the scores rank items.
    fold_in : bool
        Answers a history that it was not trained on.
    cold_user, cold_item : bool
        Scores users, items without any training event by itself.
    sequence : bool
        The order of a history matters.
    partial_fit : bool
        Learns from new events, of new users and items too, without being given the old ones again.
    explain, explain_exact : bool
        Splits a score over the history; whether the parts sum to the score.
    embeddings : bool
        Has a vector for every item.
    """

    ratings: bool = False
    ranking: bool = True
    fold_in: bool = False
    cold_user: bool = False
    cold_item: bool = False
    sequence: bool = False
    partial_fit: bool = False
    explain: bool = False
    explain_exact: bool = False
    embeddings: bool = False


class Hooks(Parameters):
    """The attributes of a fitted model, and the verbs on internal indices with what they do by default.

    A model is its hyper-parameters and, once fitted, `_learned`: a copy with the hyper-parameters of then, which holds
    all that was learned, answers and is saved. Attributes that the model itself lacks are read from the copy.
    """

    can: ClassVar[Can] = Can()
    needs_histories: ClassVar[bool] = False  # it is nothing without its users' histories

    users: IdMap
    items: IdMap
    seen: CSR | None
    events: CSR | None
    item_counts: np.ndarray
    item_features: Features | None
    rating_range: tuple[float, float] | None
    mean_value: float
    fingerprint: str
    _learned: Self | None = None
    _fitted: bool = False  # of a copy: it has learned, or is measured while it does

    if not TYPE_CHECKING:  # or mypy would take every name for an attribute
        def __getattr__(self, name):
            """What was learned is read from the copy that has learned it."""
            if self._learned is None or name.startswith("__"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}"
                                     f"{'' if self.fitted else ' (it is not fitted)'}")
            return getattr(self._learned, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Hyper-parameters count from the next `fit`; what was learned stays as it is."""
        if self._learned is not None and name in vars(self._learned) and name not in self.parameter_names():
            raise AttributeError(f"{type(self).__name__}.{name} was learned by fit and cannot be set; fit again, with "
                                 f"other data or hyper-parameters.")
        super().__setattr__(name, value)

    def lacks(self, data: Interactions) -> str:
        """What the model needs and the data does not have, such as "ratings"; empty if nothing."""
        return "data with values" if self.clone()._lacks_values(data) else ""

    def with_blanks(self, data: Interactions) -> Interactions:
        """The data with content that no item has, if the model reads some and can learn without; else as it is."""
        return data

    def _looks_at_values(self) -> bool:
        """Whether it matters to the model how much an event is worth."""
        return self.can.ratings or getattr(self, "weights", "binary") == "value"

    def _warn_of_values(self, data: Interactions) -> None:
        """A warning of values up to 0, if the model does not look at them."""
        if not self._looks_at_values():
            warn_of_nothing(data)

    @property
    def reads_features(self) -> tuple[bool, bool]:
        """Whether it knows users, and items, by their features, so that it can be told of some without events."""
        return False, False

    @property
    def _keeps_events(self) -> bool:
        """Whether `partial_fit` needs more of the training events than what each user has seen."""
        return False

    def _lacks_values(self, data: Interactions) -> bool:
        return self.can.ratings and data.value is None

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not define _fit.")

    def _partial_fit(self, data: Interactions) -> None:
        raise NotImplementedError(f"{type(self).__name__} does not define _partial_fit.")

    def _score(self, users: np.ndarray) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} does not define _score.")

    def _fold(self, history: CSR) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} does not define _fold.")

    def _predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores of pairs, picked from blocks of whole rows of scores."""
        out = np.empty(len(users), np.float32)
        rows, place = np.unique(users, return_inverse=True)
        for block in blocks(len(rows), len(self.items)):
            pairs = np.flatnonzero((place >= block.start) & (place < block.stop))
            out[pairs] = self._score(rows[block])[place[pairs] - block.start, items[pairs]]
        return out

    def _predict_unknown(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """For pairs of which at least one is unknown (-1): the mean rating, or the score 0."""
        return np.full(len(users), self.mean_value if self.can.ratings else 0.0, np.float32)

    def _item_vectors(self) -> np.ndarray | None:
        return None

    def _user_vectors(self) -> np.ndarray | None:
        return None

    def _item_similarity(self, indices: np.ndarray) -> np.ndarray:
        """Items to all items: int32 (B,) -> (B, n_items); -inf where they are not alike at all."""
        return answering.cosine(self, "similar_items", self._item_vectors(), indices)

    def _user_similarity(self, indices: np.ndarray) -> np.ndarray:
        return answering.cosine(self, "similar_users", self._user_vectors(), indices)

    def _known_items(self) -> np.ndarray:
        """Which items the model can say something of, having events or content: bool (n_items,)."""
        return np.ones(len(self.items), bool) if self.can.cold_item else np.asarray(self.item_counts > 0)

    def _known_users(self) -> np.ndarray:
        """Which users the model can tell from others: bool (n_users,); all, if it was saved without what they saw."""
        return np.ones(len(self.users), bool) if self.seen is None else np.asarray(self.seen.counts > 0)

    def _evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Which scores of items, int (n,) or (B, n) and float32 (B, n), rest on anything that was learned: bool."""
        return np.broadcast_to(self._known_items()[items], scores.shape)

    def _query(self, history: CSR) -> CSR:
        """A given history in the form that `_explain` wants."""
        return history

    def _history_of(self, users: np.ndarray) -> CSR:
        """The training events of users, as `_explain` takes them."""
        return self.require_seen("explain").rows(users)

    def _explain(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """What the score of `item` loses without each event of the history: (n,)."""
        n = len(indices)
        rows, kept = np.nonzero(~np.eye(n + 1, n, dtype=bool))  # row j lacks event j; the last row is complete
        data = None if values is None else values[kept]
        scores = self._fold(CSR.from_pairs(rows, indices[kept], data, (n + 1, len(self.items))))[:, item]
        return np.asarray(scores[n] - scores[:n])

    def _unexplained(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> float:
        """The part of a score that belongs to no event of the history."""
        return 0.0

    def _state(self) -> dict[str, np.ndarray]:
        return {}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        """Take back what `_state` gave; ids, seen items and counts are restored before."""

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `load` has been done."""
        return self._fitted or self._learned is not None

    @property
    def fitted_params(self) -> dict[str, Any]:
        """The hyper-parameters of the last `fit`, by which the model answers; `get_params` gives those of the next."""
        return self.require_fitted("fitted_params").get_params()

    def has_evidence(self, users: np.ndarray) -> np.ndarray:
        """Which users (-1 is unknown) the model knows something of: bool (B,)."""
        known = users >= 0
        if self.can.cold_user or not len(self.users):
            return known
        return np.asarray(known & self._known_users()[np.maximum(users, 0)])

    def require_seen(self, verb: str) -> CSR:
        """The seen items, or UnsupportedError if the model was saved without them."""
        if self.seen is None:
            how = {"recommend": "pass history=", "explain": "pass a history instead of the user"}
            ways = [how[verb]] if self.can.fold_in and verb in how else []
            ways += ["pass filter_seen=False"] * (verb == "recommend") or ["save it with seen=True"]
            raise UnsupportedError(f"{type(self).__name__}.{verb} needs the seen items, and this model was saved with "
                                   f"seen=False; {', or '.join(ways)}.")
        return self.seen

    def require_fitted(self, verb: str) -> Self:
        """The copy that answers, or NotFittedError, naming the class and the verb, before `fit`."""
        if self._learned is not None:
            return self._learned
        if not self._fitted:
            raise NotFittedError(f"{type(self).__name__}.{verb} needs a fitted model; call fit(data) first.")
        return self

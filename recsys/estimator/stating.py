"""What determines a model's recommendations, in plain words, generated from the model itself.

Article 27 of the Digital Services Act asks for the main parameters of a recommender in plain language: what they are,
why they weigh what they weigh, and how people may change them. A `Statement` says what the model at hand reads,
measures what weighs most in its lists, and says what anybody can do about it. Nothing depends on the name of a model:
what it reads follows from what was fitted, and how it works is a sentence of the kind of its scorer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.features import FIELDS, Features
from recsys.errors import ParameterError
from recsys.estimator.fitted import Fitted

if TYPE_CHECKING:
    from recsys.data.interactions import Interactions

__all__ = ["Input", "Statement", "about", "statement"]

_PEOPLE = 64  # whose lists are looked at
_LIST = 10
_HEAD = 0.1  # of the items, the most popular ones
_SIDES = {"item_features": "what is known of the items", "user_features": "what is known of you",
          "friends": "whom you trust, or are friends with"}


@dataclass(frozen=True)
class Input:
    """Something that the model reads.

    Attributes
    ----------
    name : str
    says : str
        What it is and why it counts, in a sentence.
    weight : float or None
        Which share of the places in a list of ten changes when it is taken away or exchanged, over a sample of people;
        None where that cannot be tried without training again.
    """

    name: str
    says: str
    weight: float | None = None


@dataclass(frozen=True)
class Statement:
    """The main parameters of a model.

    Attributes
    ----------
    model : str
        Its name.
    works : str
        How it finds what is shown first.
    inputs : list of Input
        What it reads, what weighs most first, and what was not measured last.
    unread : list of str
        What it does not read.
    popular : float or None
        The share of a list's places that the most popular tenth of the items has.
    popular_events : float
        The share of all events that are of these items.
    changes : list of str
        What a person can do.
    summary : str
        The first line of the model's documentation, for those who know the field.
    """

    model: str
    works: str
    inputs: list[Input]
    unread: list[str]
    popular: float | None
    popular_events: float
    changes: list[str]
    summary: str = ""

    def to_record(self) -> dict[str, Any]:
        """What JSON can hold."""
        return asdict(self) | {"text": str(self)}

    @property
    def weighs(self) -> list[str]:
        """What weighs most, in sentences."""
        said = [f"{each.name[0].upper()}{each.name[1:]}: {_of_ten(each.weight)} places of a list of ten change without "
                f"it." for each in self.inputs if each.weight is not None]
        if self.popular is not None:
            said.append(f"The most popular tenth of the items has {_of_ten(self.popular)} places of a list of ten; of "
                        f"all that people do, {self.popular_events:.0%} is with these items.")
        return said or ["This was not measured: the file does not say what people have had."]

    def sections(self) -> list[tuple[str, list[str]]]:
        """Titles, and the sentences below each."""
        parts = [("How it chooses", [self.works]),
                 ("What it reads", [f"{each.name[0].upper()}{each.name[1:]}: {each.says}" for each in self.inputs]),
                 ("What it does not read", self.unread), ("What weighs most", self.weighs),
                 ("What you can change", self.changes)]
        return [(title, lines) for title, lines in parts if lines]

    def __str__(self) -> str:
        return "\n\n".join("\n".join([title, *(f"- {line}" for line in lines)]) for title, lines in self.sections())


def about(model: Any, data: Interactions) -> dict[str, Any]:
    """What a fitted model keeps of its class and its data, for `statement`: as JSON can hold it.

    Parameters
    ----------
    model : Recommender
        That is learning.
    data : Interactions
        What it learns from.
    """
    held: dict[str, Any] = {"item_features": data.item_features, "user_features": data.user_features,
                            "friends": data.social}
    reads = {side: _names(held[side]) for side in model.reads if held[side] is not None}
    return {"summary": (type(model).__doc__ or "").strip().partition("\n")[0], "reads": reads,
            "values": bool(model.looks_at_values and data.value is not None)}


def _names(held: Any) -> list[str]:
    if not isinstance(held, Features):
        return []
    return [*(name for name in FIELDS if getattr(held, name) is not None), *held.attributes]


def statement(model: Any) -> Statement:
    """The main parameters of a fitted model, in plain words.

    Parameters
    ----------
    model : Recommender or Fitted

    Returns
    -------
    Statement
        Its text is `str(statement(model))`.

    Raises
    ------
    NotFittedError

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> from recsys.models import EASE
    >>> model = EASE().fit(Interactions.from_arrays([1, 1, 2, 2, 3], list("abacb")))
    >>> print(statement(model).inputs[0].name)
    what you had
    """
    fitted = model if isinstance(model, Fitted) else getattr(model, "require", lambda verb: None)("statement")
    if not isinstance(fitted, Fitted):
        raise ParameterError(f"statement: pass a fitted model, not {model!r}.")
    known = fitted.about or ({} if model is fitted else {
        "reads": {side: [] for side in model.reads}, "values": model.looks_at_values})
    lists = _Lists.of(fitted)
    inputs = _inputs(fitted, known, lists)
    inputs.sort(key=lambda each: 1.0 if each.weight is None else -each.weight)
    head = _head(fitted.facts.item_counts)
    popular = None if lists is None else float(head[lists.usual].mean())
    share = float(fitted.facts.item_counts[head].sum() / max(int(fitted.facts.item_counts.sum()), 1))
    works = fitted.scorer.plainly or "The model does not say how it works in plain words."
    return Statement(fitted.name, works, inputs, _unread(fitted, known), popular, share, _changes(fitted, known),
                     known.get("summary", ""))


def _inputs(fitted: Fitted, known: Mapping[str, Any], lists: _Lists | None) -> list[Input]:
    facts, scorer, reads = fitted.facts, fitted.scorer, known.get("reads", {})
    events = int(facts.item_counts.sum())
    found = []
    if scorer.personalised:
        found.append(Input("what you had", "the items that you looked at, bought or rated before: people who had the "
                           "same things often want the same things next.",
                           None if lists is None else lists.exchanged()))
    found.append(Input("what others had", f"{events:,} events of {len(facts.users):,} people with "
                       f"{len(facts.items):,} items, from which the model was made: what many took together, or took "
                       f"at all, stands higher."))
    if scorer.order_matters:
        found.append(Input("the order of what you had", "what you did last tells most of what you want next.",
                           None if lists is None else lists.backwards()))
    if known.get("values"):
        found.append(Input("how much you liked it", "ratings, counts or amounts that come with your events: more of it "
                           "speaks more strongly."))
    for side in (each for each in _SIDES if each in reads):
        which = f" ({', '.join(reads[side])})" if reads[side] else ""
        found.append(Input(_SIDES[side], {
            "item_features": f"descriptions of the items{which}, so that items that few people had can be shown too.",
            "user_features": f"details about people{which}, as people with the same details often want the same.",
            "friends": "links between people, as friends often like the same things."}[side]))
    return found


def _unread(fitted: Fitted, known: Mapping[str, Any]) -> list[str]:
    scorer, reads = fitted.scorer, known.get("reads", {})
    told = [("Anything about you: everybody gets the same order.", scorer.personalised),
            ("The order or the time of what you did.", scorer.order_matters),
            ("How much you liked something: an event is an event.", bool(known.get("values"))),
            ("Details about you, such as age or gender.", "user_features" in reads),
            ("Whom you know.", "friends" in reads),
            ("What the items are: titles, texts, pictures, genres.", "item_features" in reads)]
    return [text for text, is_read in told if not is_read]


def _changes(fitted: Fitted, known: Mapping[str, Any]) -> list[str]:
    scorer = fitted.scorer
    if not scorer.personalised:
        return ["Nothing has to be changed: the list is the same for everybody."]
    found = ["Switch profiling off: you get what is popular with everybody, and nothing about you is read "
             "(`profiling: off` of POST /v1/recommend)."]
    if fitted.can.fold_in:
        found.append("Ask with a history of your choice: the list follows from it at once, and nothing of it is kept.")
    if fitted.can.explain:
        found.append("Ask why: for each item it can be said what in your history speaks for it (POST /v1/explain).")
    found.append("See what is kept of you (GET /v1/users/ID), and have it erased (DELETE /v1/users/ID); what the model "
                 "learned from many people, you among them, stays until it is trained again.")
    if "user_features" in known.get("reads", {}):
        found.append("Details about you are read when the model is trained: have them taken out of the data.")
    return found


def _head(counts: np.ndarray) -> np.ndarray:
    """The most popular tenth of the items that have events, one at least: bool (n_items,)."""
    found = np.zeros(len(counts), bool)
    found[np.argsort(-counts, kind="stable")[:max(round(_HEAD * np.count_nonzero(counts)), 1)]] = True
    return found


def _of_ten(share: float | None) -> str:
    places = 10 * (share or 0)
    return "no" if places < 0.05 else f"{places:.1f}".removesuffix(".0")


@dataclass(frozen=True, eq=False)
class _Lists:
    """The lists of a few people, and what becomes of them.

    Attributes
    ----------
    fitted : Fitted
    users : ndarray of int, shape (n,)
        Of the training, spread over all who have events.
    usual : ndarray of int, shape (n, k)
        Their lists, with what they had.
    """

    fitted: Fitted
    users: np.ndarray
    usual: np.ndarray

    @classmethod
    def of(cls, fitted: Fitted) -> _Lists | None:
        """Of people of the training; None in a model that does not know them."""
        seen = fitted.facts.seen
        if seen is None or not fitted.scorer.knows_users or len(fitted.items) < 2:
            return None
        able = np.flatnonzero(seen.counts > 0)
        if len(able) < 2:
            return None
        users = np.unique(able[np.linspace(0, len(able) - 1, _PEOPLE).astype(np.int64)]).astype(np.int32)
        return cls(fitted, users, _best(fitted, fitted.score_block(users)))

    def exchanged(self) -> float:
        """The share of places that are others in the list of somebody else."""
        return _changed(self.usual, np.roll(self.usual, 1, axis=0))

    def backwards(self) -> float | None:
        """The share of places that change when histories are read from the end; None where they cannot be."""
        stored = self.fitted.scorer.stored(self.users)
        if stored is None or not self.fitted.can.fold_in or self.fitted.scorer.needs_values:
            return None
        rows = CSR(stored.indptr, stored.indices, None, stored.shape)
        ends = np.repeat(rows.indptr[1:], rows.counts) - 1
        turned = ends - (np.arange(rows.nnz) - rows.indptr[rows.row_of_entry])
        back = CSR(rows.indptr, rows.indices[turned], None, rows.shape)
        lists = [_best(self.fitted, self.fitted.score_block(self.users, each)) for each in (rows, back)]
        return _changed(*lists)


def _best(fitted: Fitted, scores: np.ndarray) -> np.ndarray:
    """The best items with events: (n, k)."""
    able = np.flatnonzero(fitted.known_items())
    k = min(_LIST, max(len(able) // 2, 1))
    return np.asarray(able[np.argsort(-scores[:, able], axis=1, kind="stable")[:, :k]])


def _changed(lists: np.ndarray, others: np.ndarray) -> float:
    """The mean share of a list's items that are not in the other list of its row."""
    kept = [len(np.intersect1d(one, other)) for one, other in zip(lists, others, strict=True)]
    return 1 - float(np.mean(kept)) / int(lists.shape[1])

"""What an explanation is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Counterfactual", "Explanation", "Part"]


@dataclass(frozen=True)
class Part:
    """One part of a score.

    Attributes
    ----------
    kind : str
        "history" (an item of the history), "content" (what is said of the item), "friends", "person" (what training
        learned of the user beside the history), "item" (the item itself, for everybody), "base" (what the model answers
        to nobody in particular), "arranged" (a list's order was changed for variety).
    label : str
        What it is called: a title or id, or for content "genres=Comedy".
    value : float
        What it adds to the score, in the unit that the explanation names.
    share : float
        `|value|` divided by the sum of the absolute values of all parts: 0 ... 1.
    item : int, str or None
        External id of an item of the history.
    """

    kind: str
    label: str
    value: float
    share: float = 0.0
    item: Any = None


@dataclass(frozen=True)
class Counterfactual:
    """Items of a history without which an item leaves the list.

    Attributes
    ----------
    items : sequence of ids
        The history's items that were taken out, at last.
    labels : sequence of str
    found : bool
        Whether the model, asked again without them, ranks the item below the list.
    before, after : int
        Its place with the whole history, and without these items.
    k : int
        Length of the list.
    tried : int
        At most so many items were taken out.
    calls : int
        Histories that the model was asked about.
    """

    items: Sequence[Any]
    labels: Sequence[str]
    found: bool
    before: int
    after: int
    k: int
    tried: int
    calls: int


@dataclass(frozen=True)
class Explanation:
    """Why an item has its score, for one person.

    Attributes
    ----------
    model : str
    item : int or str
    title : str
        The item's title, or its id as text.
    score : float
    place : int or None
        In the list of what the person has not seen, from 1; None where the item is not listed.
    source : {"model", "content", "popular"}
        As in `Recs.source`: where it is "popular", the model has no evidence, and there is nothing to split.
    method : str
        "exact", "integrated gradients", "leave-one-out", or "none".
    parts : sequence of Part
        The largest first. With the residual they sum to the score, unless the method is "leave-one-out": then each is
        what the score loses without that item, and they need not sum to anything.
    residual : float
        The score less the sum of the parts; for leave-one-out NaN.
    empty : float or None
        What the model answers to an empty history; None where it cannot be asked.
    content : sequence of Part
        The same score, or what of it is known of the item's features, by features: only of models that read them.
    counterfactual : Counterfactual or None
    unit : str
        What the numbers mean.
    threshold : float
        Parts with a smaller share have no sentence.
    steps : int
        Of integrated gradients: points of the path; else 0.
    calls : int
        Histories that the model was asked about.
    seconds : float
    sentences : sequence of str
    notes : sequence of str
        What the explanation cannot say, and what was assumed.
    """

    model: str
    item: Any
    title: str
    score: float
    place: int | None
    source: str
    method: str
    parts: Sequence[Part]
    residual: float
    empty: float | None
    unit: str
    threshold: float
    content: Sequence[Part] = ()
    counterfactual: Counterfactual | None = None
    steps: int = 0
    calls: int = 0
    seconds: float = 0.0
    sentences: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def history(self) -> list[Part]:
        """The parts that are items of the history."""
        return [part for part in self.parts if part.kind == "history"]

    @property
    def base(self) -> float:
        """The sum of the parts that no item of the history is the cause of."""
        return sum(part.value for part in self.parts if part.kind != "history")

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        made = {name: value for name, value in vars(self).items() if name not in ("parts", "content", "counterfactual")}
        return made | {"base": self.base, "sentences": list(self.sentences), "notes": list(self.notes),
                       "parts": [vars(part) for part in self.parts], "content": [vars(part) for part in self.content],
                       "counterfactual": None if self.counterfactual is None else vars(self.counterfactual)}

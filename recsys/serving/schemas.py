"""What the service takes and answers; requests are checked, and the OpenAPI document is made, from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

__all__ = ["Answer", "Ask", "AttributesAnswer", "EventIn", "EventsAnswer", "EventsIn", "ExplainAnswer", "ExplainAsk",
           "Id", "ItemIn", "ItemOut", "ItemsAnswer", "ModelAnswer", "ModelName", "Person", "PersonEvent", "ReasonOut",
           "Receipt", "ReloadAnswer", "ReloadIn", "RecommendAsk", "Recommended", "ScoredItem", "SectionOut",
           "SimilarAsk", "Source", "StateAnswer", "StatementAnswer", "StatementOut", "VariantOut"]

Integer = Annotated[int, msgspec.Meta(ge=-2**63, le=2**63 - 1)]
Id = Integer | Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Ids = Annotated[list[Id], msgspec.Meta(max_length=10_000)]
Whole = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Value = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]  # far from where the sums of float32 end
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Words = Annotated[list[Annotated[str, msgspec.Meta(max_length=256)]], msgspec.Meta(max_length=256)]
Attributes = Annotated[dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], Words],
                       msgspec.Meta(max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=512)]
LongText = Annotated[str, msgspec.Meta(max_length=20_000)]
Source = Literal["model", "history", "content", "popular"]


class Ask(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whom an answer is for: a user, or a history of item ids in time order, with their values if there are any."""

    user: Id | None = None
    history: Ids | None = None
    values: Annotated[list[Value], msgspec.Meta(max_length=10_000)] | None = None


class RecommendAsk(Ask, kw_only=True):
    """A question for the best items; without user and history it is answered with the unpersonalised list.

    `items`: only these; `exclude`: none of these; `where`: items with one of the given values of every named attribute;
    `explain`: with reasons; `diversity`: from 0, the best, to 1, the most varied; `profiling`: "off" for the
    unpersonalised list.
    """

    k: Whole = 10
    filter_seen: bool = True
    items: Ids | None = None
    exclude: Ids | None = None
    where: Attributes | None = None
    explain: bool = False
    diversity: Share = 0.0
    profiling: Literal["on", "off"] = "on"


class SimilarAsk(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A question for the items most like one."""

    item: Id
    k: Whole = 10


class ExplainAsk(Ask, kw_only=True):
    """A question for why an item has its score.

    `removed`: at most so many items are taken out of the history, to see whether the item would leave a list of ten.
    """

    item: Id
    k: Whole = 5
    removed: Annotated[int, msgspec.Meta(ge=0, le=5)] = 0


class ReasonOut(msgspec.Struct):
    """What an item of a history adds to a score; `item` is null for what no item of the history explains."""

    item: Id | None
    title: str | None
    contribution: float


class Recommended(msgspec.Struct, omit_defaults=True):
    """An item of an answer.

    `source`: model (what training learned of the user), history (folded in just now), content (a new item, by its texts
    and attributes), popular.
    """

    id: Id
    title: str | None
    score: float
    source: Source
    reasons: list[ReasonOut] | None = None


class ModelName(msgspec.Struct):
    """Which model answered; the version is the first 12 digits of the SHA-256 of its manifest."""

    name: str
    version: str


class Answer(msgspec.Struct, omit_defaults=True):
    """A list of items; `notes` say what was left out or replaced."""

    items: list[Recommended]
    model: ModelName
    variant: str
    request_id: str
    notes: list[str] = []


class ScoredItem(msgspec.Struct):
    """An item with its score."""

    id: Id
    title: str | None
    score: float
    source: Source


class ExplainAnswer(msgspec.Struct, omit_defaults=True):
    """Why an item has its score: if `exact`, all reasons and `rest` together sum to the score.

    The score of a new item, whose source is content, is the mean of those of the items that it is like, by likeness:
    its reasons are these items, not what somebody did. `method` says how the score was split, `unit` what the numbers
    mean, and `sentences` the parts of at least a twentieth of the score in words.
    """

    item: ScoredItem
    exact: bool
    reasons: list[ReasonOut]
    rest: float
    model: ModelName
    variant: str
    request_id: str
    notes: list[str] = []
    method: str = ""
    unit: str = ""
    sentences: list[str] = []


class EventIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Something that somebody did.

    An id makes it idempotent; without, one is given. `time` is seconds since 1970, now by default.
    """

    user: Id
    item: Id
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    value: Value | None = None
    time: Annotated[float, msgspec.Meta(ge=0, le=1e11)] | None = None
    request_id: Annotated[str, msgspec.Meta(max_length=128)] | None = None


class EventsIn(msgspec.Struct, forbid_unknown_fields=True):
    """Events, oldest first."""

    events: Annotated[list[EventIn], msgspec.Meta(max_length=1000)]


class EventsAnswer(msgspec.Struct):
    """Durable when this is answered: how many events are new, how many ids were known, the log's last number."""

    accepted: int
    duplicates: int
    last_seq: int


class ItemIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is known of an item; it replaces what was known. `image` is an address that pages show."""

    title: Text | None = None
    text: LongText | None = None
    attributes: Attributes = {}
    image: Annotated[str, msgspec.Meta(max_length=2048)] | None = None
    available: bool = True


class ItemOut(msgspec.Struct):
    """An item as it is known; `in_model`: whether training has seen it."""

    id: Id
    title: str | None
    text: str | None
    attributes: dict[str, list[str]]
    image: str | None
    available: bool
    in_model: bool


class ItemsAnswer(msgspec.Struct):
    """Items found by their titles, and how many there are in all."""

    items: list[ItemOut]
    total: int


AttributesAnswer = dict[str, dict[str, int]]


class PersonEvent(msgspec.Struct):
    """An event that is kept of a person."""

    id: str
    item: Id
    title: str | None
    type: str
    value: float | None
    time: float
    request_id: str | None


class Named(msgspec.Struct):
    """An item by id and title."""

    id: Id
    title: str | None


class Person(msgspec.Struct):
    """All that is kept of a person: in the log, in the lists shown, in the model."""

    user: Id
    known_to_model: bool
    events: list[PersonEvent]
    seen_in_training: list[Named]
    shown: list[dict[str, Any]]
    vectors: bool


class Erased(msgspec.Struct):
    """The model of a variant before and after an erasure."""

    variant: str
    before: str
    after: str


class ErasedParts(msgspec.Struct):
    """What was erased of a person."""

    events: int
    shown: int
    models: list[Erased]


class Receipt(msgspec.Struct):
    """What a person gets who asked to be forgotten, without their id.

    `receipt` is a number of its own, which the cards of the models' files list; `level` says how far it went, as in
    `recsys.forgetting`; `digest` is one of the other fields.
    """

    receipt: str
    level: str
    says: str
    erased: ErasedParts
    time: float
    digest: str


class ReloadIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which variant to load again, all by default; whether to compare all arrays with their checksums."""

    variant: str | None = None
    verify: bool = True


class VariantOut(msgspec.Struct):
    """A variant: its share of people, and the card of its model."""

    variant: str
    share: float
    name: str
    version: str
    loaded: float
    learned_to: int
    parameters: dict[str, Any]
    data: dict[str, Any]
    can: dict[str, bool]


class SectionOut(msgspec.Struct):
    """A part of a statement: a title, and sentences."""

    title: str
    sentences: list[str]


class StatementOut(msgspec.Struct):
    """The main parameters of a variant's model in plain words: what it reads, what weighs most, what can be changed."""

    variant: str
    share: float
    name: str
    version: str
    sections: list[SectionOut]


class StatementAnswer(msgspec.Struct):
    """What determines the recommendations of every variant."""

    variants: list[StatementOut]


class ModelAnswer(msgspec.Struct):
    """The models that answer, and what kinds of ids they know."""

    variants: list[VariantOut]
    users: int
    items: int
    user_ids: Literal["integers", "strings"]
    item_ids: Literal["integers", "strings"]
    event_types: list[str]


class ReloadAnswer(msgspec.Struct):
    """The models after a reload."""

    variants: list[ModelName]
    seconds: float


class StateAnswer(msgspec.Struct, omit_defaults=True):
    """Whether the service is well, and if not, why not."""

    status: Literal["ok", "not ready"]
    checks: dict[str, str] = {}

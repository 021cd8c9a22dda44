"""What an experiment says so far: the rates of each variant, with intervals that hold however often one looks."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from recsys.checks import Check, between, optional
from recsys.errors import DataError, ParameterError
from recsys.experiments.sequences import (
    BURN_IN,
    LEVEL,
    Interval,
    Moments,
    confidence_sequence,
    difference_sequence,
)

__all__ = ["Arm", "Readout", "ShownList", "dealt", "rates"]

_NAMES = Check(lambda value: isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
               and len(set(value)) == len(value) > 0, "one or more different names")
_NAN = float("nan")
_CENTERED = 100.0  # people that the mixture around the shares is worth
_MISDEALT = 0.001


class ShownList(Protocol):
    """A list that was shown, as the log keeps it."""

    @property
    def request_id(self) -> Hashable:
        """Its own."""

    @property
    def user(self) -> Hashable:
        """Who saw it; None of nobody known."""

    @property
    def variant(self) -> str:
        """Which variant made it."""

    @property
    def items(self) -> Sequence[Hashable]:
        """In order."""


@dataclass(frozen=True)
class Arm:
    """One variant's people and rates.

    Attributes
    ----------
    variant : str
    people, lists, positive : int
        Who saw it; lists shown to them; those of the lists with a positive event.
    list_rate : float
        `positive / lists`; NaN without lists.
    person_rate, low, high : float
        The mean over people of each one's share of lists with a positive event, and its interval: the unit is the
        person, because people were assigned and one person's lists are alike.
    difference, difference_low, difference_high : float
        Of the person rates, this variant's minus the first one's; NaN for the first.
    verdict : str
        "better", "worse" or "not decided", as the interval of the difference says; "" for the first.
    """

    variant: str
    people: int
    lists: int
    positive: int
    list_rate: float
    person_rate: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    verdict: str


@dataclass(frozen=True)
class Readout:
    """The variants, and what was left out.

    Attributes
    ----------
    arms : list of Arm
    alpha : float
        Probability, at most, that any of the verdicts is ever wrong although nothing differs.
    crossed : int
        Lists of people who had been shown another variant before: they count for no variant.
    unmatched : int
        Positive events for lists that are not among those shown, or for items that were not on them.
    dealt : float or None
        The p-value that people were dealt by the shares, where those were given; see `dealt`.
    """

    arms: list[Arm]
    alpha: float
    crossed: int
    unmatched: int
    dealt: float | None

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return ["variant", "people", "lists", "positive", "a list", "a person", "to the first", "verdict"]

    @property
    def rows(self) -> list[list[str]]:
        """The cells as text, a list a variant."""
        return [[arm.variant, f"{arm.people:,}", f"{arm.lists:,}", f"{arm.positive:,}", f"{arm.list_rate:.4f}",
                 f"{arm.person_rate:.4f} [{arm.low:.4f}, {arm.high:.4f}]", arm.verdict and
                 f"{arm.difference:+.4f} [{arm.difference_low:+.4f}, {arm.difference_high:+.4f}]", arm.verdict]
                for arm in self.arms]

    @property
    def caption(self) -> str:
        """What the intervals are, and what was left out."""
        left = [f"{count:,} {what}" for count, what in (
            (self.crossed, "lists of people who had seen another variant"),
            (self.unmatched, "positive events without a list that shows their item")) if count]
        said = f"Intervals: {1 - self.alpha:.0%}, valid at all times at once, from {BURN_IN} people a variant on."
        if left:
            said += f" Left out: {'; '.join(left)}."
        if self.dealt is not None and self.dealt < _MISDEALT:
            said += (f" People were not dealt by the shares (p = {self.dealt:.1g}): some are lost, so the rates are "
                     f"not to be trusted.")
        return said

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a variant; None where there is no number."""
        return [{name: None if value != value else value for name, value in vars(arm).items()} for arm in self.arms]


def rates(shown: Iterable[ShownList], positives: Iterable[tuple[Hashable, Hashable]], *,
          variants: Sequence[str] | None = None, shares: Mapping[str, float] | None = None,
          alpha: float = 0.05) -> Readout:
    """Read an experiment out: who saw what, what came of it, and whether a variant differs from the first.

    Parameters
    ----------
    shown : iterable of ShownList
        In the order in which they were shown, with `request_id`, `user`, `variant` and `items`. A list without a user,
        None, is a person of its own: it was assigned by itself.
    positives : iterable of (request id, item)
        Positive events that name the list they came from. Several of one list count once.
    variants : sequence of str, optional
        The variants to read out, first the one to compare with; by default those shown, in order of appearance.
        Lists of others are skipped.
    shares : mapping of variant to float, optional
        By which people were assigned; then it is tested whether they were, which is the first thing to break where
        lists are lost.
    alpha : float
        Of each interval. Differences of V variants take `alpha / (V - 1)` each (Bonferroni), so that all of them hold.

    Returns
    -------
    Readout

    Raises
    ------
    ParameterError
        alpha, variants or shares is not what it may be.
    DataError
        Two lists have one request id.

    Notes
    -----
    A person counts for the first variant seen; lists of another one, after shares have changed, are left out and
    counted. Shares must not change within what is compared: start a new salt, and read out from there.

    References
    ----------
    See `confidence_sequence` and `difference_sequence`.

    Examples
    --------
    >>> from collections import namedtuple
    >>> Shown = namedtuple("Shown", "request_id user variant items")
    >>> shown = [Shown(i, i % 600, "ab"[i % 2], [1, 2, 3]) for i in range(1200)]
    >>> read = rates(shown, [(i, 2) for i in range(1200) if i % 2 or i % 3 == 0])
    >>> for row in read.rows:
    ...     print(*row[:5], row[-1])
    a 300 600 200 0.3333
    b 300 600 600 1.0000 better
    """
    optional(_NAMES).require("rates", "variants", variants)
    LEVEL.require("rates", "alpha", alpha)
    tally = _Tally(dict.fromkeys(variants or ()), variants is None)
    for row in shown:
        tally.show(row)
    for request_id, item in positives:
        tally.respond(request_id, item)
    arms = _arms(list(tally.variants), tally.people.values(), alpha)
    return Readout(arms, alpha, tally.crossed, tally.unmatched,
                   None if shares is None else dealt({arm.variant: arm.people for arm in arms}, shares))


def dealt(people: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """The p-value, valid however often one looks, that people were dealt to variants by the shares.

    One over the Bayes factor of a Dirichlet mixture around the shares s, `a = 100 s`, against the shares themselves:
    `prod s_i^n_i  G(A + n) / G(A)  prod G(a_i) / G(a_i + n_i)`, G the gamma function, A the sum of a; at most 1.

    Parameters
    ----------
    people : mapping of variant to int
        How many have each.
    shares : mapping of variant to float
        Of at least these variants; they are compared by their proportions.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        A variant has no share, or a share is no number from 0 to 1.

    References
    ----------
    Lindon and Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022.

    Examples
    --------
    >>> print(f"{dealt({'a': 5050, 'b': 4950}, {'a': 0.5, 'b': 0.5}):.2g}")
    1
    >>> print(f"{dealt({'a': 5250, 'b': 4750}, {'a': 0.5, 'b': 0.5}):.2g}")
    4.2e-05
    """
    for name in people:
        if name not in shares:
            raise ParameterError(f"dealt: variant {name!r} has no share; there are {', '.join(map(repr, shares))}.")
        between(0, 1).require("dealt", f"the share of {name}", shares[name])
    if any(count and not shares[name] for name, count in people.items()):
        return 0.0
    whole = sum(shares[name] for name in people)
    evidence = 0.0
    for name, count in people.items():
        if count:
            share = shares[name] / whole
            own = _CENTERED * share
            evidence += math.lgamma(own + count) - math.lgamma(own) - count * math.log(share)
    evidence += math.lgamma(_CENTERED) - math.lgamma(_CENTERED + sum(people.values()))
    return math.exp(-max(evidence, 0))


@dataclass
class _Person:
    variant: str
    lists: int = 0
    positive: int = 0


@dataclass
class _List:
    person: _Person | None  # None: left out
    items: Sequence[Hashable]
    positive: bool = False


@dataclass
class _Tally:
    """Counts, row by row."""

    variants: dict[str, None]
    takes_all: bool
    people: dict[Hashable, _Person] = field(default_factory=dict)
    lists: dict[Hashable, _List] = field(default_factory=dict)
    crossed: int = 0
    unmatched: int = 0

    def show(self, row: ShownList) -> None:
        if row.request_id in self.lists:
            raise DataError(f"rates: two lists have the request id {row.request_id!r}; give each list once.")
        if self.takes_all:
            self.variants.setdefault(row.variant)
        person = None
        if row.variant in self.variants:
            key = ("list", row.request_id) if row.user is None else ("user", row.user)
            person = self.people.setdefault(key, _Person(row.variant))
            if person.variant != row.variant:
                person, self.crossed = None, self.crossed + 1
            else:
                person.lists += 1
        self.lists[row.request_id] = _List(person, row.items)

    def respond(self, request_id: Hashable, item: Hashable) -> None:
        source = self.lists.get(request_id)
        if source is None or item not in source.items:
            self.unmatched += 1
        elif source.person is not None and not source.positive:
            source.positive = True
            source.person.positive += 1


def _arms(names: Sequence[str], people: Iterable[_Person], alpha: float) -> list[Arm]:
    of: dict[str, list[_Person]] = {name: [] for name in names}
    for person in people:
        of[person.variant].append(person)
    moments = {name: Moments.of([each.positive / each.lists for each in group]) for name, group in of.items()}
    return [_arm(name, group, moments[name], None if name == names[0] else moments[names[0]], alpha, len(names))
            for name, group in of.items()]


def _arm(name: str, group: Sequence[_Person], own: Moments, first: Moments | None, alpha: float, variants: int) -> Arm:
    lists, positive = sum(each.lists for each in group), sum(each.positive for each in group)
    difference, apart, verdict = _NAN, Interval(_NAN, _NAN), ""
    if first is not None:
        difference, apart = own.mean - first.mean, difference_sequence(first, own, alpha / (variants - 1))
        verdict = "better" if apart.low > 0 else "worse" if apart.high < 0 else "not decided"
    low, high = confidence_sequence(*own, alpha)
    return Arm(name, len(group), lists, positive, positive / lists if lists else _NAN, float(own.mean), float(low),
               float(high), float(difference), float(apart.low), float(apart.high), verdict)

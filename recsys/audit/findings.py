"""What an audit found, in sentences: what stands out, and what cannot be said."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.audit.auditing import Audit
    from recsys.audit.quality import Difference

__all__ = ["found", "limits", "measured", "ratio", "told"]

_MOST = 2  # groups of a grouping that are told one by one


def told(audit: Audit) -> list[tuple[str, list[str]]]:
    """What stands out, by what it is about."""
    parts = [("Groups of people", _quality(audit)),
             ("Items", [*_exposure(audit), *_calibration(audit), *_drift(audit)]),
             ("The people of the training data", _membership(audit))]
    return [(title, lines) for title, lines in parts if lines]


def found(audit: Audit) -> list[str]:
    """The sentences of `told`."""
    return [line for _, lines in told(audit) for line in lines]


def measured(name: str, value: float) -> str:
    """A value of a measure as people read it: lifts and shares as per cent.

    >>> measured("popularity lift@10", 0.734), measured("ndcg@10", 0.1234), measured("long tail@10", 0.051)
    ('+73%', '0.123', '5.1%')
    """
    if math.isnan(value):
        return "-"
    if name.startswith("popularity lift"):
        return f"{value:+.0%}"
    if name.startswith(("long tail", "coverage")):
        return f"{value:.1%}"
    return f"{value:,.0f}" if name.startswith("mean popularity") else f"{value:.3f}"


def ratio(name: str, low: float, high: float) -> str:
    """An interval."""
    return "" if math.isnan(low) else f"[{measured(name, low)}, {measured(name, high)}]"


def _quality(audit: Audit) -> list[str]:
    """Grouping by grouping by the first measure, and the largest difference by each other one."""
    alpha = 1 - audit.level
    if not audit.differences:
        return ["No groups of people could be compared."]
    first = audit.differences[0].measure
    told: list[Difference] = []
    said = []
    for grouping in dict.fromkeys(each.grouping for each in audit.differences):
        rows = [each for each in audit.differences if each.grouping == grouping and each.measure == first]
        largest = sorted((each for each in rows if each.shown(alpha)), key=_size)[:_MOST]
        told += largest
        said += [_differs(each, alpha) for each in largest] or [_none_shown(rows)]
    for measure in dict.fromkeys(each.measure for each in audit.differences if each.measure != first):
        largest = sorted((each for each in audit.differences if each.measure == measure and each.shown(alpha)),
                         key=_size)[:1]
        told += largest
        said += [_differs(each, alpha) for each in largest]
    shown = sum(each.shown(alpha) for each in audit.differences)
    if shown > len(told):
        said.append(f"{shown - len(told)} more differences between groups are in the table.")
    rest = len(audit.differences) - shown
    if rest:
        said.append(f"For {rest} of {len(audit.differences)} comparisons of groups no difference is shown; that is not "
                    f"the same as none: the table says how large one could still be.")
    return said


def _size(each: Difference) -> float:
    return -abs(each.difference)


def _none_shown(rows: list[Difference]) -> str:
    """What the data does not exclude of a grouping in which no group stands out."""
    most = max((each.most for each in rows), default=math.nan)
    return (f"{rows[0].grouping}: no difference shown in {rows[0].measure} between {len(rows)} groups; one of up to "
            f"{measured(rows[0].measure, most).lstrip('+')} is not excluded.")


def _differs(each: Difference, alpha: float) -> str:
    size = measured(each.measure, abs(each.difference)).lstrip("+")
    text = (f"{each.grouping} \"{each.group}\" ({each.people:,} people): {each.measure} is "
            f"{measured(each.measure, each.value)}, {each.verdict(alpha)} by {size} "
            f"{ratio(each.measure, each.difference_low, each.difference_high)}")
    if math.isnan(each.alike):
        return text + "."
    return text + (f"; beside others of whom as much was held out the difference is "
                   f"{measured(each.measure, each.alike)} {ratio(each.measure, each.alike_low, each.alike_high)}.")


def _exposure(audit: Audit) -> list[str]:
    k = audit.card["k"]
    names = [f"{name}@{k}" for name in ("gini", "coverage", "long tail", "popularity lift")]
    ours, popular, random = ({name: audit.value(name, who) for name in names} for who in (
        "model", "popular", "random"))
    gini, coverage, tail, lift = names
    said = [f"{ours[coverage]:.0%} of the items are in anybody's list of {k} (the same popular items for all: "
            f"{popular[coverage]:.0%}; items by chance: {random[coverage]:.0%}); how unequally places are shared out, "
            f"from 0 to 1 (Gini): {ours[gini]:.2f} (popular {popular[gini]:.2f}, chance {random[gini]:.2f}).",
            f"The long tail, items behind those that make 80% of all events, has {ours[tail]:.1%} of the places "
            f"(popular {popular[tail]:.1%}, chance {random[tail]:.1%})."]
    if not math.isnan(ours[lift]):
        said.append(f"Lists are {_more(ours[lift])} popular than what the same people had before "
                    f"{_limits(audit, lift)} (popular items: {_more(popular[lift])}, "
                    f"by chance: {_more(random[lift])}).")
    return [*said, *_tail_found(audit)]


def _more(lift: float) -> str:
    return f"{abs(lift):.0%} {'more' if lift >= 0 else 'less'}"


def _tail_found(audit: Audit) -> list[str]:
    """What is found of the held-out items of the most and the least popular band."""
    bands = [each for each in audit.items if each.grouping == "popularity" and not math.isnan(each.found)]
    if len(bands) < 2:
        return []
    return [f"Of what was held out, {bands[0].found:.1%} is found where it is among the {bands[0].group}, and "
            f"{bands[-1].found:.1%} in the {bands[-1].group}."]


def _limits(audit: Audit, measure: str) -> str:
    row = next(row for row in audit.rows if row.who == "model" and row.measure == measure)
    return ratio(measure, row.low, row.high)


def _calibration(audit: Audit) -> list[str]:
    name = f"miscalibration@{audit.card['k']}"
    value = audit.value(name)
    if math.isnan(value):
        return []
    return [f"The mix of genres in a list is {value:.2f} bits {_limits(audit, name)} from that of the person's own "
            f"history (popular {audit.value(name, 'popular'):.2f}, chance {audit.value(name, 'random'):.2f}; 0 is the "
            f"same mix). `Reranked(by=\"calibration\")` puts lists in an order that follows it."]


def _drift(audit: Audit) -> list[str]:
    said = []
    for each in audit.drifts:
        if each.one == "lists" and each.other == "histories":
            chance = "more than" if each.value > each.by_chance else "within"
            said.append(f"By {each.groups} of the items, {each.value:.0%} [{each.low:.0%}, {each.high:.0%}] of the "
                        f"places in lists would have to go to other items to be as histories are, {chance} what chance "
                        f"gives ({each.by_chance:.1%}).")
    return said


def _membership(audit: Audit) -> list[str]:
    found = audit.membership
    if found is None:
        return []
    worst = found.worst
    told = "; chance is not excluded" if worst.low <= 0.5 else ""
    return [f"Who knows a person's history can tell by \"{worst.signal}\" whether the person was in the training data, "
            f"rightly in {worst.auc:.0%} [{worst.low:.0%}, {worst.high:.0%}] of pairs of one who was and one who was "
            f"not (a guess: 50%; by popularity alone: {worst.popular:.0%}; with shuffled labels: "
            f"{worst.shuffled:.0%}){told}."]


def limits(audit: Audit) -> list[str]:
    """What was not measured, and what no number here proves."""
    said = list(audit.notes)
    if "warning" in audit.card:
        said.insert(0, str(audit.card["warning"]))
    if not audit.card["held-out events"]:
        said.append("No events were held out, so nothing is said of how well anybody is served; give --test DATA or a "
                    "protocol.")
    said += [f"Of {audit.card['people asked']:,} people, what they did is known, not what they wanted: who was never "
             f"shown something cannot have taken it.",
             f"The same test finds {audit.by_chance} differences among people shuffled between the groups.",
             "No difference shown is not equal treatment, and groups that were not named were not looked at.",
             "Other attacks than these may tell more of who was in the training data."]
    return said

"""An audit as one page that a person can read: sentences first, then pictures and tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from recsys.audit.findings import measured, ratio, told
from recsys.report import figures
from recsys.report.parts import block, definitions, document, fine, listed, table

if TYPE_CHECKING:
    from recsys.audit.auditing import Audit
    from recsys.audit.quality import Difference

__all__ = ["page"]

_PICTURE = "scroll points bars"
_MEANS = {
    "popularity lift": "how much more popular a list is than what the person had before; 0% is as popular",
    "miscalibration": "how far the mix of genres in a list is from the person's own mix, in bits; 0 is the same mix",
    "long tail": "the share of lists that is of the items behind those that make 80% of all events",
    "coverage": "the share of the items that are in anybody's list",
    "gini": "how unequally places in lists are shared out among items: 0 equally, 1 all to one",
    "mean popularity": "the mean number of people who had the items of a list",
    "ndcg": "how far up the held-out items stand, from 0 to 1",
    "recall": "the share of the held-out items that is found",
    "hit": "the share of people of whose held-out items one is found"}


def page(audit: Audit) -> str:
    """The page as text; it refers to nothing outside of itself."""
    card = audit.card
    held = (f"Of each, some events were held out ({card['held-out events']:,} in all), and it was looked for them in a "
            f"list of {card['k']}." if card["held-out events"] else f"Each got a list of {card['k']}.")
    lead = (f"{audit.model}, on {card['data']}: {card['people asked']:,} people were asked for. {held} What the model "
            f"shows stands beside the same popular items for all and beside items by chance. Whether groups differ, "
            f"intervals and a test say.")
    parts = [f"<h1>Audit of {escape(audit.model)}</h1>", f"<p>{escape(lead)}</p>",
             "<h2>What stands out</h2>", *(f"<h3>{title}</h3>{listed(lines)}" for title, lines in told(audit)),
             "<h2>What this page cannot say</h2>", listed(audit.unsaid),
             "<h2>Over all people</h2>", *_overall(audit)]
    if audit.differences:
        parts += ["<h2>Groups of people</h2>", *_groups(audit)]
    parts += ["<h2>Groups of items</h2>", *_items(audit)]
    if audit.membership is not None:
        parts += ["<h2>Can it be told who was in the training data?</h2>", *_members(audit)]
    parts += ["<h2>The model in plain words</h2>", *_statement(audit), "<h2>How it was measured</h2>",
              definitions(card)]
    return document(f"Audit of {audit.model}", parts)


def _overall(audit: Audit) -> Iterator[str]:
    names = list(dict.fromkeys(row.measure for row in audit.rows))
    ours = {row.measure: row for row in audit.rows if row.who == "model"}
    yield table(["measure", "model", f"interval, {audit.level:.0%}", "popular", "random"],
                [[name, measured(name, ours[name].value), ratio(name, ours[name].low, ours[name].high),
                  *(measured(name, audit.value(name, who)) for who in ("popular", "random"))] for name in names])
    yield fine("; ".join(f"{name}: {means}" for name in names if (means := _MEANS.get(name.partition("@")[0]))) + ".")


def _groups(audit: Audit) -> Iterator[str]:
    alpha = 1 - audit.level
    for i, (measure, group) in enumerate(groupby(audit.differences, key=lambda each: each.measure)):
        rows = [each for each in group if not math.isnan(each.difference)]
        yield f"<h3>{escape(measure)}</h3>"
        if rows:
            yield block(_PICTURE, figures.intervals(
                f"groups{i}", [f"{each.grouping}: {each.group}" for each in rows], [each.difference for each in rows],
                [(each.difference_low, each.difference_high) for each in rows],
                f"{measure}: the group less all others, with its {audit.level:.0%} interval", 0.0,
                [each.shown(alpha) for each in rows]))
        yield table(["group", "people", "value", "beside the rest", "beside others alike", "p", "difference"],
                    [_line(each, alpha) for each in rows])
    yield fine(f"None shown, up to: no difference is shown, and one of that size is not excluded. Orange: one that "
               f"chance does not explain. Intervals: people drawn with replacement. p: how often people shuffled "
               f"between the groups differ as much, corrected for all {len(audit.differences)} comparisons (Holm). "
               f"Others alike: people of the other groups of whom as much was held out.")


def _line(each: Difference, alpha: float) -> list[str]:
    name = each.measure
    limited = ((each.value, each.low, each.high), (each.difference, each.difference_low, each.difference_high),
               (each.alike, each.alike_low, each.alike_high))
    return [f"{each.grouping}: {each.group}", f"{each.people:,}",
            *(f"{measured(name, value)} {ratio(name, low, high)}" for value, low, high in limited),
            f"{each.p_holm:.3f}", each.kind(alpha) or f"none shown, up to {measured(name, each.most).lstrip('+')}"]


def _items(audit: Audit) -> Iterator[str]:
    for i, (grouping, group) in enumerate(groupby(audit.items, key=lambda each: each.grouping)):
        rows = list(group)
        series = {"histories": [each.histories for each in rows], "held out": [each.recent for each in rows],
                  "lists": [each.lists for each in rows]}
        if not audit.card["held-out events"]:
            del series["held out"]
        yield f"<h3>By {escape(grouping)}</h3>"
        yield block(_PICTURE, figures.shares(f"items{i}", [each.group for each in rows], series, "per cent"))
        yield table([grouping, "of the items", "of histories", "of held-out events", "of lists",
                     f"interval, {audit.level:.0%}", "of popular lists", "of random lists", "held-out ones found"],
                    [[each.group, *map(_percent, (each.catalogue, each.histories, each.recent, each.lists)),
                      f"[{_percent(each.low)}, {_percent(each.high)}]",
                      *map(_percent, (each.popular, each.random, each.found))] for each in rows])
    yield fine("Shares: each person counts once, however many events there are.")
    yield "<h3>How far lists are from what people had</h3>"
    yield table(["of", "from", "to", "share that would have to move", "interval", "by chance", "p"],
                [[each.groups, each.one, each.other, _percent(each.value),
                  f"[{_percent(each.low)}, {_percent(each.high)}]", _percent(each.by_chance), f"{each.p:.3f}"]
                 for each in audit.drifts])
    yield fine("By chance: the 95th percentile when each person's two mixes are exchanged at random.")


def _members(audit: Audit) -> Iterator[str]:
    found = audit.membership
    if found is None:
        return
    yield (f"<p>{found.members:,} people of the training data and {found.strangers:,} who were not in it were answered "
           f"in the same way, from their histories. Each signal guesses who was a member; .5 is a guess, 1 is always "
           f"right.</p>")
    yield block(_PICTURE, figures.intervals(
        "membership", [each.signal for each in found.attacks], [each.auc for each in found.attacks],
        [(each.low, each.high) for each in found.attacks], f"AUC with its {audit.level:.0%} interval", 0.5,
        [each.low > found.chance[1] for each in found.attacks]))
    yield table(["signal", "AUC", "interval", "popular items alone", "labels shuffled"],
                [[each.signal, f"{each.auc:.3f}", f"[{each.low:.3f}, {each.high:.3f}]", f"{each.popular:.3f}",
                  f"{each.shuffled:.3f}"] for each in found.attacks])
    yield fine("Own items: how high the model scores what the person had. Hidden items: a fifth of the history is "
               "kept from the model, and looked for in its answer to the rest. Likeness: how like the history the "
               f"list is. With shuffled labels, 95% of AUCs lie from {found.chance[0]:.3f} to {found.chance[1]:.3f}.")


def _statement(audit: Audit) -> Iterator[str]:
    yield f"<p>{escape(audit.statement.works)}</p>"
    for title, lines in audit.statement.sections()[1:]:
        yield f"<h3>{escape(title)}</h3>{listed(lines)}"





def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}%"

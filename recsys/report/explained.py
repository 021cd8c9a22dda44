"""Explanations, and how far they can be trusted, as one page that a person can read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from html import escape

from recsys.explanation import Explanation, Faithfulness, Part
from recsys.explanation.sentences import percent
from recsys.files import replacing
from recsys.report import figures
from recsys.report.parts import block, document, fine, listed, table

__all__ = ["explained", "write_explained"]

_SHOWN = 12  # parts that are drawn
_FOR, _AGAINST = "#3b6ea8", "#d1783c"


def explained(who: str, found: Sequence[Explanation], curves: Faithfulness | None = None) -> str:
    """The page as text; it refers to nothing outside of itself.

    Parameters
    ----------
    who : str
        For whom, in words, such as "user 42".
    found : sequence of Explanation
    curves : Faithfulness, optional
        Of the same model.
    """
    model = found[0].model if found else "" if curves is None else curves.model
    title = f"Why {model} lists this" if found else f"How far the reasons of {model} can be trusted"
    parts = [f"<h1>{escape(title)}</h1>"]
    if found:
        parts.append(f"<p>For {escape(who)}.</p>")
    for i, each in enumerate(found):
        parts += _item(i, each)
    if curves is not None:
        parts += _curves(curves)
    return document(title, parts)


def write_explained(path: str | os.PathLike[str], who: str, found: Sequence[Explanation],
                    curves: Faithfulness | None = None) -> None:
    """Write the page, wholly or not at all."""
    text = explained(who, found, curves)
    with replacing(path) as file:
        file.write(text.encode())


def _item(i: int, each: Explanation) -> Iterator[str]:
    place = "" if each.place is None else f", place {each.place:,}"
    yield f"<h2>{escape(each.title)}{place}</h2>"
    yield listed(each.sentences)
    if each.parts and each.method != "none":
        yield _bars("part", each.parts)
        rest = each.parts[_SHOWN:]
        if rest:
            yield fine(f"{len(rest):,} smaller parts are not shown; they add {sum(part.value for part in rest):+.4g} "
                       f"together.")
    if each.content and each.content[0] not in each.parts:
        yield "<h3>By what is said of it</h3>"
        yield _bars("what", each.content)
    yield fine(" ".join([_how(each), *each.notes]))


def _bars(what: str, parts: Sequence[Part]) -> str:
    """The largest parts as a table with bars: to the right what speaks for the item, to the left what speaks against.
    """
    shown = parts[:_SHOWN]
    low, high = (max((sign * part.value for part in shown), default=0.0) for sign in (-1, 1))
    low, high = max(low, 0.0), max(high, 0.0)
    scale = 100 / ((low + high) or 1.0)
    lines = []
    for part in shown:
        left, width = scale * (low + min(part.value, 0.0)), scale * abs(part.value)
        colour = _FOR if part.value >= 0 else _AGAINST
        lines.append(f'<tr><td style="white-space: normal">{escape(part.label)}<br>'
                     f'<svg viewBox="0 0 100 12" height="12" preserveAspectRatio="none" role="img" '
                     f'aria-label="{part.value:+.4g}" style="height: .9rem; max-width: 34rem">'
                     f'<rect x="{left:.2f}" y="1" width="{max(width, 0.4):.2f}" height="10" fill="{colour}"/>'
                     f'<line x1="{scale * low:.2f}" x2="{scale * low:.2f}" y1="0" y2="12" stroke="currentColor" '
                     f'vector-effect="non-scaling-stroke"/></svg></td>'
                     f"<td>{part.value:+.3g}</td><td>{percent(part.share).replace('less than ', '&lt;')}</td></tr>")
    head = f"<tr><th>{what}</th><th>adds</th><th>share</th></tr>"
    return block("scroll", f"<table>{head}{''.join(lines)}</table>")


def _how(each: Explanation) -> str:
    """The method and its honesty, in words."""
    text = f"Score {each.score:.4g}; unit: {each.unit}. Method: {each.method}"
    if each.method in ("exact", "integrated gradients"):
        text += f"; the parts miss the score by {abs(each.residual):.2g}"
    if each.steps:
        text += f", with {each.steps} points of the path"
    if each.empty is not None:
        text += f". To an empty history the model answers {each.empty:.4g}"
    return f"{text}. Parts with a share below {percent(each.threshold)} have no sentence."


def _curves(found: Faithfulness) -> Iterator[str]:
    yield "<h2>Are the reasons causes?</h2>"
    yield (f"<p>{found.people:,} people, each with the first item of the list. Items were taken out of their "
           f"histories, those first that are said to speak most for the item (left: the lower the curve, the better), "
           f"or put into an empty one (right: the higher, the better), and the model was asked again.</p>")
    along = "standard deviations above the mean item"
    names = {"reasons": f"by reasons ({found.method})", "random": "at random", "popular": "most popular first"}
    yield block("panels", *(figures.lines(
        kind, found.shares.tolist(),
        {names[order]: getattr(each, kind).tolist() for order, each in found.curves.items()},
        f"per cent of the history {words}", along) for kind, words in (("deletion", "taken out"),
                                                                       ("insertion", "put in"))))
    yield table(["curve", "beside", "better by", "interval, 95%"],
                [[kind, names[control], f"{lead:+.3f}", f"[{low:+.3f}, {high:+.3f}]"]
                 for (kind, control), (lead, low, high) in found.leads.items()])
    gap = "" if math.isnan(found.gap) else f" The parts of no explanation miss what the history changes by more than " \
                                           f"{100 * found.gap:.2g}% of it."
    yield fine(f"Better by: difference of the areas under the curves. An explanation took {found.seconds:.3g} seconds "
               f"and {found.calls:,.0f} questions to the model.{gap}")

"""`Report`: what a run found, and the self-contained page that shows it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from recsys.console import cell, measured
from recsys.files import replacing
from recsys.report import figures

__all__ = ["Line", "Report", "Row", "Showcase"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #e3e3e3; white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid #888; } th:first-child, td:first-child { text-align: left; }
tr.floor td { background: #f3f3f3; } td.best { font-weight: 700; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1.2rem; }
.cards ol, .cards ul { padding-left: 1.6rem; margin: .4rem 0; } .fine { color: #555; font-size: .86rem; }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; } dl { display: grid; font-size: .92rem;
grid-template-columns: repeat(2, max-content auto); gap: .15rem 1rem; } dt { color: #555; } dd { margin: 0; }
"""


@dataclass(frozen=True)
class Row:
    """One model's line: its metrics with standard errors, the seconds of fitting, and its learning curve."""

    name: str
    metrics: Mapping[str, float]
    errors: Mapping[str, float]
    seconds: float
    quantity: str = ""  # what the curve shows
    curve: Sequence[float] = ()


@dataclass(frozen=True)
class Line:
    """An item of a list: its id, what it is called, a word about it, and whether it was among the held-out ones."""

    item: Any
    title: str
    note: str = ""
    hit: bool = False


@dataclass(frozen=True)
class Showcase:
    """What one model recommends, from the best on."""

    model: str
    items: Sequence[Line]


@dataclass(frozen=True)
class Report:
    """Everything on the page.

    Attributes
    ----------
    title : str
    card : mapping
        The protocol: data, filter, split, seed, candidates, tie rule.
    rows : sequence of Row
    metric : str
        The metric that the bars show.
    floor : str
        Name of the row that any model has to beat.
    legend : str
        What the columns of the table mean.
    user : str
        Whom the showcases are for.
    history : sequence of Line
        What that user liked.
    showcases : sequence of Showcase
    notes : sequence of str
        Terms of use of the data, and other fine print.
    """

    title: str
    card: Mapping[str, Any]
    rows: Sequence[Row]
    metric: str
    floor: str
    legend: str = ""
    user: str = ""
    history: Sequence[Line] = ()
    showcases: Sequence[Showcase] = ()
    notes: Sequence[str] = ()

    def html(self) -> str:
        """The page as text; it refers to nothing outside of itself."""
        parts = [f"<h1>{escape(self.title)}</h1>", self._protocol(), "<h2>Results</h2>", self._table(),
                 f'<p class="fine">{escape(self.legend)}</p>',
                 f"<h2>Accuracy: {escape(self.metric)}</h2>", _scrolling(self._bars())]
        if any(name.startswith("popularity") for name in self._names()):
            parts += ["<h2>Popularity against accuracy</h2>", _scrolling(self._popularity())]
        curves = {row.name: (row.quantity, row.curve) for row in self.rows if len(row.curve)}
        if curves:
            parts += ["<h2>Learning curves</h2>", _scrolling(figures.learning_curves(curves))]
        if self.showcases:
            parts += [f"<h2>For {escape(self.user)}</h2>", self._showcases()]
        parts += [f'<p class="fine">{escape(note)}</p>' for note in self.notes]
        return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
                f'content="width=device-width"><title>{escape(self.title)}</title><style>{_STYLE}</style></head>\n'
                f'<body>\n{chr(10).join(parts)}\n</body></html>\n')

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page, wholly or not at all."""
        text = self.html()
        with replacing(path) as file:
            file.write(text.encode())

    def _protocol(self) -> str:
        items = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(cell(v))}</dd>" for k, v in self.card.items())
        return f"<dl>{items}</dl>"

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.metrics))

    def _table(self) -> str:
        names = self._names()
        best = {n: (min if n in ("rmse", "mae") else max)(r.metrics[n] for r in self.rows if n in r.metrics)
                for n in names if not n.startswith("popularity")}
        lines = []
        for row in self.rows:
            cells = [f"<td>{escape(row.name)}</td>"]
            for n in names:
                mark = ' class="best"' if n in row.metrics and row.metrics[n] == best.get(n) else ""
                cells.append(f"<td{mark}>{measured(n, row.metrics.get(n), row.errors.get(n))}</td>")
            kind = ' class="floor"' if row.name == self.floor else ""
            lines.append(f"<tr{kind}>{''.join(cells)}<td>{row.seconds:.2f}</td></tr>")
        head = "".join(f"<th>{escape(n)}</th>" for n in ["model", *names, "seconds"])
        return _scrolling(f"<table><tr>{head}</tr>{''.join(lines)}</table>")

    def _bars(self) -> str:
        rows = sorted((r for r in self.rows if self.metric in r.metrics), key=lambda r: -r.metrics[self.metric])
        return figures.metric_bars([r.name for r in rows], [r.metrics[self.metric] for r in rows],
                                   [r.errors.get(self.metric, 0.0) for r in rows], self.metric, self.floor)

    def _popularity(self) -> str:
        name = next(n for n in self._names() if n.startswith("popularity"))
        rows = [r for r in self.rows if name in r.metrics and self.metric in r.metrics]
        return figures.accuracy_against_popularity([r.name for r in rows], [r.metrics[name] for r in rows],
                                                   [r.metrics[self.metric] for r in rows], self.metric)

    def _showcases(self) -> str:
        cards = [f"<div><strong>Liked before</strong><ul>{_items(self.history)}</ul></div>"]
        cards += [f"<div><strong>{escape(show.model)}</strong><ol>{_items(show.items)}</ol></div>"
                  for show in self.showcases]
        return f'<div class="cards">{"".join(cards)}</div>'


def _items(lines: Sequence[Line]) -> str:
    return "".join(f'<li>{escape(line.title)}{" <b>(held out, and rated afterwards)</b>" if line.hit else ""}'
                   f'<div class="fine">{escape(line.note)}</div></li>' for line in lines)


def _scrolling(content: str) -> str:
    return f'<div class="scroll">{content}</div>'

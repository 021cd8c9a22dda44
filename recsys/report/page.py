"""`Report`: what a run found, and the self-contained page that shows it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from recsys.console import measured
from recsys.files import replacing
from recsys.report import figures
from recsys.report.parts import block, definitions, document, fine

__all__ = ["Aside", "Line", "Report", "Row", "Showcase"]

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
class Aside:
    """A table of its own: models under another protocol, and what it shows."""

    title: str
    rows: Sequence[Row]
    note: str


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
    asides : sequence of Aside
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
    asides: Sequence[Aside] = ()

    def html(self) -> str:
        """The page as text; it refers to nothing outside of itself."""
        parts = [f"<h1>{escape(self.title)}</h1>", definitions(self.card), "<h2>Results</h2>", self._table(self.rows),
                 fine(self.legend),
                 f"<h2>Accuracy: {escape(self.metric)}</h2>", *self._figure("bars", self._bars, self.metric)]
        popularity = next((name for name in _names(self.rows) if name.startswith("popularity")), None)
        if popularity is not None:
            parts += ["<h2>Popularity against accuracy</h2>",
                      *self._figure("scroll points", self._popularity, self.metric, popularity)]
        curves = {row.name: (row.quantity, row.curve) for row in self.rows if np.isfinite(row.curve).any()}
        if curves:
            parts += ["<h2>Learning curves</h2>", block("panels", *figures.learning_curves(curves))]
        for aside in self.asides:
            parts += [f"<h2>{escape(aside.title)}</h2>", self._table(aside.rows),
                      fine(aside.note)]
        if self.showcases:
            parts += [f"<h2>For {escape(self.user)}</h2>", self._showcases()]
        parts += [fine(note) for note in self.notes]
        return document(self.title, parts)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page, wholly or not at all."""
        text = self.html()
        with replacing(path) as file:
            file.write(text.encode())

    def _table(self, rows: Sequence[Row]) -> str:
        names = _names(rows)
        best = {n: (min if n in ("rmse", "mae") else max)(r.metrics[n] for r in drawn)
                for n in names if not n.startswith("popularity") and (drawn := _drawn(rows, n))}
        lines = []
        for row in rows:
            cells = [f"<td>{escape(row.name)}</td>"]
            for n in names:
                mark = ' class="best"' if n in row.metrics and row.metrics[n] == best.get(n) else ""
                cells.append(f"<td{mark}>{measured(n, row.metrics.get(n), row.errors.get(n))}</td>")
            kind = ' class="floor"' if row.name == self.floor else ""
            lines.append(f"<tr{kind}>{''.join(cells)}<td>{row.seconds:.2f}</td></tr>")
        head = "".join(f"<th>{escape(n)}</th>" for n in ["model", *names, "seconds"])
        return block("scroll", f"<table><tr>{head}</tr>{''.join(lines)}</table>")

    def _figure(self, kind: str, draw: Callable[[list[Row]], str], *metrics: str) -> list[str]:
        """A figure of the rows that can be drawn, and a word about the others."""
        rows = _drawn(self.rows, *metrics)
        drawn = {row.name for row in rows}
        others = [row.name for row in self.rows if row.name not in drawn and all(n in row.metrics for n in metrics)]
        parts = [block(kind, draw(rows))] if rows else []
        if others:
            note = f"Not drawn, as {' or '.join(metrics)} is no finite number: {', '.join(others)}."
            parts.append(fine(note))
        return parts

    def _bars(self, rows: list[Row]) -> str:
        rows = sorted(rows, key=lambda r: -r.metrics[self.metric])
        return figures.metric_bars([r.name for r in rows], [r.metrics[self.metric] for r in rows],
                                   [r.errors.get(self.metric, 0.0) for r in rows], self.metric, self.floor)

    def _popularity(self, rows: list[Row]) -> str:
        name = next(n for n in _names(self.rows) if n.startswith("popularity"))
        return figures.accuracy_against_popularity([r.name for r in rows], [r.metrics[name] for r in rows],
                                                   [r.metrics[self.metric] for r in rows], self.metric)

    def _showcases(self) -> str:
        cards = [f"<div><strong>Liked before</strong><ul>{_items(self.history)}</ul></div>"]
        cards += [f"<div><strong>{escape(show.model)}</strong><ol>{_items(show.items)}</ol></div>"
                  for show in self.showcases]
        return block("cards", *cards)


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.metrics))


def _drawn(rows: Sequence[Row], *metrics: str) -> list[Row]:
    """The rows that have all the metrics, as finite numbers."""
    return [row for row in rows if all(math.isfinite(row.metrics.get(name, math.nan)) for name in metrics)]


def _items(lines: Sequence[Line]) -> str:
    return "".join(f'<li>{escape(line.title)}{" <b>(held out, and rated afterwards)</b>" if line.hit else ""}'
                   f'<div class="fine">{escape(line.note)}</div></li>' for line in lines)

"""What the command line prints: tables and notes for people, JSON for machines."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, TextIO

import numpy as np

__all__ = ["WIDTH", "Console", "cell", "measured", "plain"]

WIDTH = 100
"""Columns of a table that goes to a file or a pipe; a terminal has its own width."""

_GAP = 3  # between two columns
_WIDE = 70  # from where there is room for long bars
_NARROW = 15  # what a column of text needs at least, its gap included


def cell(value: Any) -> str:
    """A value as it stands in a table: four decimals, thousands separated, a dash for nothing.

    Examples
    --------
    >>> cell(12345), cell(0.12345), cell(None), cell({"min": 1, "mean": 2.5})
    ('12,345', '0.1235', '-', 'min 1, mean 2.5000')
    """
    if value is None or (isinstance(value, (float, np.floating)) and np.isnan(value)):
        return "-"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{value:.4f}" if abs(float(value)) < 1000 else f"{value:,.0f}"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {cell(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(v) for v in value)
    return str(value)


def measured(name: str, value: float | None, error: float | None = None) -> str:
    """A metric with its standard error: three decimals, but whole numbers of ratings for popularity.

    Examples
    --------
    >>> measured("ndcg@10", 0.06789, 0.0041), measured("popularity@10", 1243.9, 1.1), measured("rmse", None)
    ('0.068 ± 0.004', '1,244', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    if name.startswith("popularity"):
        return f"{value:,.0f}"
    return f"{value:.3f}" + ("" if error is None or math.isnan(error) else f" ± {error:.3f}")


def plain(value: Any) -> Any:
    """What JSON can hold; a number that is not finite becomes None, and what is unknown becomes its text."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


class Console:
    """Prints tables with rich where it is installed, else in plain columns; with `as_json`, the result alone.

    Parameters
    ----------
    as_json : bool
        Print only what is passed to `result`, as one JSON document.
    stream : text stream, optional
        By default standard output.
    """

    def __init__(self, as_json: bool = False, stream: TextIO | None = None) -> None:
        self.as_json = as_json
        self.stream = stream if stream is not None else sys.stdout

    @property
    def width(self) -> int:
        """Columns that a line has."""
        return _width(self.stream)

    def bar(self, share: float, against: bool = False, most: float = 1.0) -> str:
        """A share as a bar, dotted if it speaks against; `most` is the longest one's share.

        Examples
        --------
        >>> Console().bar(0.5), Console().bar(0.25, against=True)
        ('██████████', '▒▒▒▒▒')
        """
        filled, dotted = "█▒" if (getattr(self.stream, "encoding", None) or "utf-8").lower().startswith("utf") else "#-"
        room = 20 if self.width >= _WIDE else 8
        return max(round(room * share / (most or 1.0)), 1) * (dotted if against else filled)

    def note(self, text: str = "") -> None:
        """Lines for people, wrapped."""
        if not self.as_json:
            for line in text.split("\n"):
                print(_filled(line, self.stream), file=self.stream)

    def warn(self, text: str) -> None:
        """A line on standard error, which does not disturb a document."""
        print(f"recsys: note: {text}", file=sys.stderr)

    def tell(self, text: str) -> None:
        """How far the work is: a line on standard error, beside the progress; nothing beside a document."""
        if not self.as_json:
            print(text, file=sys.stderr, flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *,
              text: int = 1, caption: str = "") -> None:
        """A table for people; the first `text` columns are aligned left, the others right.

        Text is wrapped, numbers never: where they do not fit side by side, the table goes on below with the same
        first columns.
        """
        if self.as_json:
            return
        cells = [[cell(value) for value in row] for row in rows]
        draw = _plain_table if importlib.util.find_spec("rich") is None else _rich_table
        parts = _side_by_side([columns, *cells], text, _width(self.stream))
        for i, part in enumerate(parts):
            draw(self.stream, "" if i else title, [columns[c] for c in part], [[row[c] for c in part] for row in cells],
                 text, caption if i == len(parts) - 1 else "")

    def ranking(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, text: int = 1) -> None:
        """A table whose rows are numbered, best first; the first `text` columns after the number align left."""
        lines = [[f"{rank:>3}", *row] for rank, row in enumerate(rows, 1)]
        self.table(title, ["", *columns], lines, text=1 + text)

    def pairs(self, title: str, values: Mapping[str, Any]) -> None:
        """A table of names and values."""
        self.table(title, ["", ""], list(values.items()), text=2)

    def result(self, payload: Any) -> None:
        """The document for machines; ASCII, so that any terminal or pipe can carry it."""
        if self.as_json:
            print(json.dumps(plain(payload), indent=1, allow_nan=False), file=self.stream)


def _filled(text: str, stream: TextIO) -> str:
    return textwrap.fill(text, _width(stream), break_on_hyphens=False)  # which names of files have


def _width(stream: TextIO) -> int:
    return shutil.get_terminal_size((WIDTH, 24)).columns if stream.isatty() else WIDTH


def _side_by_side(lines: Sequence[Sequence[str]], text: int, limit: int) -> list[list[int]]:
    """Which columns stand in one table, so that no number has to be broken; the first `text` stand in all."""
    widths = [max(map(len, column)) + _GAP for column in zip(*lines, strict=True)]
    first = sum(min(width, _NARROW) for width in widths[:text])
    parts: list[list[int]] = []
    used = limit
    for i in range(text, len(widths)):
        if used + widths[i] > limit:
            parts.append([*range(text)])
            used = first
        parts[-1].append(i)
        used += widths[i]
    return parts or [[*range(len(widths))]]


def _rich_table(stream: TextIO, title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], text: int,
                caption: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, show_header=any(columns), pad_edge=False)
    for i, name in enumerate(columns):
        made.add_column(Text(name), justify="left" if i < text else "right", overflow="fold", no_wrap=i >= text)
    for row in cells:
        made.add_row(*map(Text, row))
    page = RichConsole(file=stream, width=_width(stream), highlight=False)
    if title:
        page.print(Text(title, "bold"))
    page.print(made)
    if caption:
        page.print(Text(caption))


def _plain_table(stream: TextIO, title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], text: int,
                 caption: str) -> None:
    lines = [list(columns), *cells] if any(columns) else list(cells)
    widths = [max(len(row[i]) for row in lines) for i in range(len(columns))] if lines else []
    widths = _fit(widths, text, _width(stream))
    if title:
        print(title, file=stream)
    for row in lines:
        wrapped = [textwrap.wrap(field, max(width, 1)) if i < text else [field]
                   for i, (field, width) in enumerate(zip(row, widths, strict=True))]
        for parts in zip_longest(*wrapped, fillvalue=""):
            shown = [f"{part:{'<' if i < text else '>'}{widths[i] or 1}}" for i, part in enumerate(parts)]
            print(("  " + "  ".join(shown)).rstrip(), file=stream)
    print(f"\n{_filled(caption, stream)}" if caption else "", file=stream)


def _fit(widths: list[int], text: int, limit: int) -> list[int]:
    """Columns of text become narrower, the widest first, until the line fits or all of them are narrow."""
    fitted = list(widths)
    while sum(fitted) + 2 * len(fitted) > limit and max(fitted[:text], default=0) > _NARROW - _GAP:
        fitted[fitted.index(max(fitted[:text]))] -= 1
    return fitted

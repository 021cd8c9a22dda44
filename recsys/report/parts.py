"""What pages are made of: HTML below each other, in a style that reads in light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from recsys.console import cell

__all__ = ["block", "definitions", "document", "fine", "listed", "table"]

_STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #555; --paper: #fff; --line: #e3e3e3; --band: #f3f3f3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e4; --soft: #a9adb3; --paper: #15171a; --line: #343940; --band: #22262b; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
       margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid var(--soft); }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
tr.floor td { background: var(--band); } td.best { font-weight: 700; }
.cards, .panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: 1.2rem; }
.panels { grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }
.cards ol, .cards ul { padding-left: 1.6rem; margin: .4rem 0; } .fine { color: var(--soft); font-size: .86rem; }
.scroll { overflow-x: auto; } svg { width: 100%; height: auto; } svg text { fill: var(--ink); }
.bars svg { max-width: 44rem; } .points svg { min-width: 34rem; }
dl { display: grid; font-size: .92rem; grid-template-columns: repeat(2, max-content 1fr); gap: .15rem 1rem; }
dt { color: var(--soft); } dd { margin: 0; }
@media (max-width: 44rem) { body { margin: 1rem auto; } dl { grid-template-columns: max-content 1fr; } }
"""


def document(title: str, parts: Sequence[str]) -> str:
    """A page of its own, which refers to nothing outside of itself."""
    head = (f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{escape(title)}</title><style>{_STYLE}</style>')
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def block(kind: str, *contents: str) -> str:
    """Parts side by side or in a frame, as the style has it for this kind; they are HTML already."""
    return f'<div class="{kind}">{"".join(contents)}</div>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in rows and columns; a wide table is scrolled, not the page.

    Examples
    --------
    >>> table(["a"], [["1 < 2"]])
    '<div class="scroll"><table><tr><th>a</th></tr><tr><td>1 &lt; 2</td></tr></table></div>'
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return block("scroll", f"<table><tr>{head}</tr>{body}</table>")


def definitions(values: Mapping[str, Any]) -> str:
    """Names and what they stand for."""
    pairs = (f"<dt>{escape(str(name))}</dt><dd>{escape(cell(value))}</dd>" for name, value in values.items())
    return f"<dl>{''.join(pairs)}</dl>"


def listed(lines: Sequence[str]) -> str:
    """Lines of text, each with a dot."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def fine(text: str) -> str:
    """What stands below in small print."""
    return f'<p class="fine">{escape(text)}</p>'

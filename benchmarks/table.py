"""Tables that stand in a page between two marks, and their extracts in the README."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
DOCS = README.parent / "docs"


def put(name: str, table: str, page: Path) -> None:
    """Replace what stands between `<!-- name: ... -->` and `<!-- /name -->`."""
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(f"<!-- {name}: ")
    label, arrow, body = rest.partition("-->\n")
    _, end, tail = body.partition(f"<!-- /{name} -->")
    if not (begin and arrow and end):
        raise ValueError(f"{page.name} has no place for the table {name!r}: put <!-- {name}: ... --> and "
                         f"<!-- /{name} --> where it should stand")
    page.write_text(head + begin + label + arrow + table + end + tail, encoding="utf-8")


def extract(table: str, columns: Sequence[int]) -> str:
    """Some columns of a table, without the lines below it."""
    rows = [line.strip("|").split("|") if line.startswith("|---") else line[2:-2].split(" | ")
            for line in table.splitlines() if line.startswith("|")]
    return "".join(f"| {' | '.join(row[column] for column in columns)} |\n" for row in rows)


def span(values: Sequence[float], text: Callable[[float], str]) -> str:
    """One value, or the range over machines."""
    low, high = text(min(values)), text(max(values))
    return low if low == high else f"{low} to {high}"

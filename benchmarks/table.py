"""Tables that stand in the README, or another page, between two marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def put(name: str, table: str, page: Path = README) -> None:
    """Replace what stands between `<!-- name: ... -->` and `<!-- /name -->`."""
    text = page.read_text()
    head, begin, rest = text.partition(f"<!-- {name}: ")
    label, arrow, body = rest.partition("-->\n")
    _, end, tail = body.partition(f"<!-- /{name} -->")
    if not (begin and arrow and end):
        raise ValueError(f"{page.name} has no place for the table {name!r}: put <!-- {name}: ... --> and "
                         f"<!-- /{name} --> where it should stand")
    page.write_text(head + begin + label + arrow + table + end + tail)


def span(values: Sequence[float], text: Callable[[float], str]) -> str:
    """One value, or the range over machines."""
    low, high = text(min(values)), text(max(values))
    return low if low == high else f"{low} to {high}"

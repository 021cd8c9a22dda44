"""Tables that stand in the README, or another page, between two marks."""

from __future__ import annotations

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

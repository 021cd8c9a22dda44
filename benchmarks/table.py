"""Tables that stand in the README between two marks."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def put(name: str, table: str) -> None:
    """Replace what stands between `<!-- name: ... -->` and `<!-- /name -->`."""
    text = README.read_text()
    head, begin, rest = text.partition(f"<!-- {name}: ")
    label, arrow, body = rest.partition("-->\n")
    _, end, tail = body.partition(f"<!-- /{name} -->")
    if not (begin and arrow and end):
        raise ValueError(f"README.md has no place for the table {name!r}: put <!-- {name}: ... --> and "
                         f"<!-- /{name} --> where it should stand")
    README.write_text(head + begin + label + arrow + table + end + tail)

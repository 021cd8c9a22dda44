"""Where measured rows are kept: one a name and a machine, each with its data, machine and date."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.provenance import label

Stored = Mapping[str, Any]


class WrongData(ValueError):
    """A row ran on other data than its name says, or does not say on which."""


def read(path: Path) -> list[Stored]:
    """All rows of a file; none when there is no file."""
    return list(json.loads(path.read_text())["rows"]) if path.exists() else []


def add(path: Path, rows: Iterable[Stored], names: Sequence[str]) -> list[Stored]:
    """Keep rows, and return all that are stored, in the order of `names`, which are all there are.

    A row replaces the one of the same name and machine, and stands beside those of other machines. Rows of before
    machines were recorded stay as well.

    Raises
    ------
    WrongData
        A row is not of the data that it is `on`, or says nothing of its data, machine or date. Nothing is written.
    """
    kept = {(row["name"], label(row)): row for row in read(path)}
    for row in rows:
        _check(row)
        kept[row["name"], label(row)] = row
    place = {name: i for i, name in enumerate(names)}
    ordered = sorted((row for row in kept.values() if row["name"] in place), key=lambda row: place[row["name"]])
    path.write_text(json.dumps({"rows": ordered}, indent=1) + "\n")
    return ordered


def by_name(rows: Iterable[Stored]) -> dict[str, list[Stored]]:
    """The rows of each name, one a machine."""
    groups: dict[str, list[Stored]] = {}
    for row in rows:
        groups.setdefault(row["name"], []).append(row)
    return groups


def _check(row: Stored) -> None:
    missing = [key for key in ("on", "data", "machine", "date") if not row.get(key)]
    if missing:
        raise WrongData(f"{row['name']}: the row does not say its {', '.join(missing)}, so it is not stored")
    if row["data"]["name"] != row["on"]:
        raise WrongData(f"{row['name']}: is about {row['on']} and was measured on {row['data']['name']}, "
                        "so it is not stored")

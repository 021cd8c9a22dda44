"""Lists and settings as people read them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recsys.console import Console

__all__ = ["listed", "show"]


def show(title: str, score: str, lines: Sequence[Mapping[str, Any]], options: argparse.Namespace,
          console: Console) -> None:
    """A ranked list for people, with the columns that say something; shorter lists than asked for say so."""
    columns: dict[str, Callable[[Mapping[str, Any]], Any]] = {"item": lambda line: str(line["item"])}
    if any(line["title"] for line in lines):
        columns["title"] = lambda line: line["title"]
    if any(line.get("why") for line in lines):
        columns["because of"] = lambda line: ", ".join(str(r["title"] or r["item"]) for r in line["why"])
    text = len(columns)
    columns[score] = lambda line: line["score"]
    if len(lines) < options.k:
        console.warn(f"{title[0].lower()}{title[1:]}: {len(lines)} instead of {options.k}, as there are no more "
                     f"candidates.")
    console.ranking(title, list(columns), [[value(line) for value in columns.values()] for line in lines], text=text)


def listed(values: Mapping[str, Any]) -> str:
    """Names and values in one line."""
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "none"

"""Which model for which data, told from the rows of `python -m benchmarks field`; nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import store
from benchmarks.field_rows import SECTIONS, Section

_ENOUGH = 0.95  # of the best figure; an error may be so much larger


def table(results: Sequence[store.Stored]) -> str:
    """A line a section in which two models or more have been measured."""
    lines = ["| data | events, users, items | best | not told from it by its interval | quickest that has 95 % of it |",
             "|---|---|---|---|---|"]
    for section in SECTIONS.values():
        rows = measured(section, results)
        if len(rows) > 1:
            lines.append(f"| {' | '.join(_cells(section, rows))} |")
    return "\n".join([*lines, ""])


def measured(section: Section, results: Sequence[store.Stored]) -> dict[str, store.Stored]:
    """The rows of a section by the names of their models, best first; of several machines the first one's."""
    lower = section.metrics[0] == "rmse"
    rows = {row["name"].partition("/")[2]: row for row in reversed(results) if row["section"] == section.name}
    return dict(sorted(rows.items(), key=lambda each: _first(each[1]) * (1 if lower else -1)))


def _first(row: store.Stored) -> float:
    return float(next(iter(row["metrics"].values())))


def _cells(section: Section, rows: Mapping[str, store.Stored]) -> list[str]:
    """The data, its sizes, the best model, those that reach it, and the quickest of those that are nearly as good."""
    metric, (best, *_) = section.metrics[0], rows
    top, card = rows[best], rows[best]["card"]
    low, high = top["interval"][metric]
    level = [name for name, row in rows.items() if name != best and low <= _first(row) <= high]
    near = [name for name, row in rows.items() if _near(_first(row), _first(top), metric)]
    quick = min(near, key=lambda name: rows[name]["fit_seconds"])
    return [section.title, f"{card['interactions']:,}, {card['users']:,}, {card['items']:,}",
            f"{best}, {metric} {_first(top):.3f}", ", ".join(level) or "none",
            f"{quick}, {_first(rows[quick]):.3f} in {rows[quick]['fit_seconds']:.1f} s"]


def _near(value: float, best: float, metric: str) -> bool:
    return value <= best / _ENOUGH if metric == "rmse" else value >= best * _ENOUGH

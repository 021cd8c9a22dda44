"""All tables once more, from the rows that are stored: `python -m benchmarks tables`. Nothing is measured."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks import (
    accuracy,
    audit,
    cold,
    compared,
    defaults,
    explanation,
    field,
    forgetting,
    privacy,
    rechoose,
    serving,
    speed,
    store,
    tuning,
    walk,
)


def main(arguments: Sequence[str]) -> int:
    """Write the tables; returns the exit code."""
    argparse.ArgumentParser(prog="python -m benchmarks tables", description=__doc__).parse_args(arguments)
    for kind in (accuracy, audit, cold, compared, defaults, explanation, field, forgetting, privacy, rechoose, serving,
                 speed, tuning, walk):
        kind.write(store.read(kind.RESULTS))
    return 0

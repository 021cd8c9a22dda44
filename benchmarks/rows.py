"""The command line of benchmarks whose rows are measured and kept one by one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import store
from benchmarks.datasets import Absent

Row = TypeVar("Row")


def measure_each(command: str, about: str | None, arguments: Sequence[str], rows: Mapping[str, Row],
                 measure: Callable[[Row], dict[str, Any]], told: Callable[[Mapping[str, Any]], str], results: Path,
                 write: Callable[[Sequence[store.Stored]], None]) -> int:
    """Measure the rows named, or all, and keep each at once, as the next may take hours.

    Parameters
    ----------
    command, about : str
        What the program is called, and its description.
    arguments : sequence of str
        Names of rows, or of groups of rows: the part of the name before a slash.
    rows : mapping of str to Row
    measure : callable
    told : callable
        What is printed of a measured row.
    results : Path
        Where rows are kept.
    write : callable
        Puts all that is kept into its page.

    Returns
    -------
    int
        0; 2 for an unknown name; 3 where a data set is absent.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {command}", description=about)
    parser.add_argument("names", nargs="*", metavar="ROW", help=f"such as {next(iter(rows))}, or the part before a "
                        f"slash for several; all when none is given")
    options = parser.parse_args(arguments)
    groups = {name.partition("/")[0] for name in rows}
    unknown = sorted(set(options.names) - set(rows) - groups)
    if unknown:
        print(f"no row is named {', '.join(unknown)}; there are {'; '.join(rows)}", file=sys.stderr)
        return 2
    code = 0
    for name, row in rows.items():
        if options.names and not {name, name.partition("/")[0]} & set(options.names):
            continue
        try:
            found = measure(row)
        except Absent as error:
            print(f"{name}: {error}; skipped, and nothing is written", file=sys.stderr)
            code = 3
            continue
        print(f"{name}: {told(found)}, {os.getloadavg()[0]:.1f} load", file=sys.stderr)
        write(store.add(results, [found], list(rows)))
    return code

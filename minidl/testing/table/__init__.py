"""The op table: one row an op, one file a family; every generic proof follows from a row.

A family file `table/<family>.py` has a list `OPS` of `minidl.testing.spec.Op`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from minidl import ops
from minidl.testing.spec import Op

__all__ = ["NOT_DIFFERENTIABLE", "missing", "table"]

NOT_DIFFERENTIABLE = frozenset({"dispatch_function", "dispatch_ufunc"})
"""Public names of `minidl.ops` that have no derivative, so no row."""


@functools.cache
def table() -> dict[str, Op]:
    """All rows by name, in the order of the files.

    Raises
    ------
    ValueError
        When two rows have one name.
    MissingExtraError
        When Hypothesis is not installed.
    """
    importlib.import_module("minidl.testing.strategies")  # says what to install when Hypothesis is missing
    rows: dict[str, Op] = {}
    for family in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        for op in importlib.import_module(f"{__name__}.{family}").OPS:
            if op.name in rows:
                raise ValueError(f"op table: {op.name!r} has two rows; give variants a suffix, such as 'sum[axis]'")
            rows[op.name] = op
    return rows


def missing() -> list[str]:
    """Public differentiable functions of `minidl.ops` without a row; an alias counts as its function."""
    names = {name.partition("[")[0] for name in table()}
    proved = [getattr(ops, name) for name in names if hasattr(ops, name)]
    return sorted(name for name in ops.__all__
                  if name not in NOT_DIFFERENTIABLE and getattr(ops, name) not in proved)

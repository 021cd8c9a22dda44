"""Prove gradients: `gradcheck` for any function, and the generic proofs of every op of the engine.

`gradcheck` and the oracles need NumPy only. The strategies, the op table and the ledger need Hypothesis
(`pip install 'minidl[test]'`) and are loaded when first used:

- `strategies`: arrays, shapes, axes, indices and graphs that are nasty on purpose; `cases` builds calls of ops;
- `table.table()`: one `Op` row for every op; `proofs.prove(op, case)`: all that must hold of it;
- `mutants.mutation_test(op, cases)`: changes of the op's rule, and which proof noticed each;
- `python -m minidl.testing`: the ledger of all this.
"""

from __future__ import annotations

import importlib
from typing import Any

from minidl.testing.checking import GradcheckError, Report, gradcheck, hygiene
from minidl.testing.spec import Case, Convention, Op

__all__ = ["Case", "Convention", "GradcheckError", "Op", "Report", "gradcheck", "hygiene"]

_LAZY = frozenset({"cases", "graphs", "ledger", "mutants", "oracles", "proofs", "strategies", "table"})


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"minidl.testing.{name}")
    raise AttributeError(f"module 'minidl.testing' has no attribute {name!r}")

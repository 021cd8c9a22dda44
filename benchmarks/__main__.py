"""`python -m benchmarks [COMMAND] [NAME ...] [--json]`: measure claims, keep the rows, write their tables."""

from __future__ import annotations

import importlib
import os
import sys

# Files with a `main`; without one of them it is `speed`.
COMMANDS = ("accuracy", "audit", "cold", "compared", "defaults", "explanation", "field", "forgetting", "privacy",
            "rechoose", "serving", "tables", "tuning", "walk")


def main(arguments: list[str]) -> int:
    if os.environ.pop("OPENBLAS_CORETYPE", None) is not None:
        # It holds back NumPy, not a baseline with products of its own, and counts when NumPy is loaded: begin again.
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *arguments])
    named = arguments[:1] and arguments[0] in COMMANDS
    command = importlib.import_module(f"benchmarks.{arguments[0] if named else 'speed'}")
    return int(command.main(arguments[1:] if named else arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

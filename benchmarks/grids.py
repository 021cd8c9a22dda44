"""Settings to try."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any


def grid(**values: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations of values of parameters."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]

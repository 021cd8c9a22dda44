"""Interactions, ids, features; reading, cleaning and splitting them.

Names resolve on first use: what answers needs a few of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.lazy import resolving

if TYPE_CHECKING:
    from recsys.data import splits as splits
    from recsys.data.csr import CSR as CSR
    from recsys.data.features import Features as Features
    from recsys.data.ids import IdMap as IdMap
    from recsys.data.interactions import Interactions as Interactions
    from recsys.data.parts import Split as Split

_HOMES: dict[str, str | None] = {
    "CSR": "recsys.data.csr", "Features": "recsys.data.features", "IdMap": "recsys.data.ids",
    "Interactions": "recsys.data.interactions", "Split": "recsys.data.parts", "splits": None}

__all__ = [*_HOMES]
__getattr__, __dir__ = resolving(__name__, _HOMES)

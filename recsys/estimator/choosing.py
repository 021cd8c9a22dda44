"""Which items may be listed: for everybody, or for each user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.data import asked
from recsys.data.csr import CSR
from recsys.data.ids import IdMap, as_ids
from recsys.errors import DataError

__all__ = ["Choice", "choose"]


@dataclass(frozen=True, eq=False)
class Choice:
    """What some lists may hold, a row each.

    Attributes
    ----------
    allowed : ndarray of bool, shape (n_items,), or None
        Items that any list may hold; None for all.
    only, never : CSR, shape (B, n_items), or None
        Each row's own candidates, and what it must not hold.
    restricted : ndarray of bool, shape (B,)
        Rows that have candidates of their own.
    """

    allowed: np.ndarray | None = None
    only: CSR | None = None
    never: CSR | None = None
    restricted: np.ndarray | None = None

    def hidden(self, seen: CSR | None, rows: np.ndarray) -> CSR | None:
        """What to leave out of some rows, besides what is not allowed at all: (B, n_items)."""
        parts = [each.rows(rows) for each in (seen, self.never) if each is not None]
        if self.only is not None and self.restricted is not None:
            own = self.only.rows(rows)
            others = np.repeat(self.restricted[rows, None], own.shape[1], axis=1)
            others[own.row_of_entry, own.indices] = False
            where, items = np.nonzero(others)
            parts.append(CSR.from_pairs(where.astype(np.int32), items.astype(np.int32), None, own.shape))
        if not parts:
            return None
        where, items = (np.concatenate([getattr(part, name) for part in parts]) for name in ("row_of_entry", "indices"))
        return parts[0] if len(parts) == 1 else CSR.from_pairs(where, items, None, parts[0].shape)


def choose(ids: IdMap, labels: np.ndarray, items: Any, exclude: Any, skip: bool) -> Choice:
    """The choice that `items` and `exclude` of `recommend` describe.

    Parameters
    ----------
    ids : IdMap
        Of the items.
    labels : ndarray, shape (B,)
        Whom the lists are for, as keys of mappings.
    items, exclude : ids, mapping of label to ids, or None
    skip : bool
        Leave out items that are not known, instead of raising.
    """
    unknown = "skip" if skip else "raise"
    allowed, own = None, {}
    for what, given in (("items", items), ("exclude", exclude)):
        if isinstance(given, Mapping):
            own[what] = _each(ids, labels, given, what, unknown)
        elif given is not None:
            allowed = np.full(len(ids), what == "exclude") if allowed is None else allowed
            indices = ids.encode(asked.ids("recommend", what, given)[0], unknown)
            allowed[indices[indices >= 0]] = what == "items"
    only, restricted = own.get("items", (None, None))
    return Choice(allowed, only, own.get("exclude", (None, None))[0], restricted)


def _each(ids: IdMap, labels: np.ndarray, given: Mapping[Any, Any], what: str, unknown: str) -> tuple[CSR, np.ndarray]:
    """Each row's items, and which rows have an entry."""
    keys = as_ids(list(given), lambda i: f"recommend: {what}, key {i}")
    if len(keys) and len(labels) and keys.dtype.kind != labels.dtype.kind:
        raise DataError(f"recommend: the keys of {what}, such as {keys[0].item()!r}, are of another kind than the "
                        f"users, such as {labels[0].item()!r}; convert them.")
    rows, found = [], []
    restricted = np.zeros(len(labels), np.bool_)
    for row, label in enumerate(labels.tolist()):
        if label in given:
            restricted[row] = True
            indices = ids.encode(asked.ids("recommend", f"{what}[{label!r}]", given[label])[0], unknown)
            found.append(indices[indices >= 0])
            rows.append(np.full(len(found[-1]), row))
    empty = np.zeros(0, np.int32)
    return CSR.from_pairs(np.concatenate([empty, *rows]), np.concatenate([empty, *found]), None,
                          (len(labels), len(ids))), restricted

"""What the loaders of public data sets share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.readers import read_table
from recsys.data.table import Table
from recsys.errors import DataError

__all__ = ["Described", "assemble", "find", "need", "read", "read_optional"]


def find(folder: Path, *names: str) -> Path | None:
    """The first of the files that is there, plain or with `.gz`."""
    return next((path for name in names for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read(folder: Path, *names: str, **options: Any) -> Table:
    """The first of the files, as a table."""
    return read_table(need(folder, *names), **options)


def read_optional(folder: Path, *names: str, **options: Any) -> Table | None:
    """The first of the files as a table, or None where there is none."""
    path = find(folder, *names)
    return None if path is None else read_table(path, **options)


def need(folder: Path, *names: str) -> Path:
    """The first of the files that is there.

    Raises
    ------
    DataError
        Naming what the folder holds instead.
    """
    path = find(folder, *names)
    if path is None:
        have = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise DataError(f"{folder}: there is no {' or '.join(names)} (plain or .gz); the folder holds {have}.")
    return path


@dataclass(frozen=True)
class Described:
    """Features together with the ids they describe, in the order of their file."""

    ids: np.ndarray
    features: Features | None = None


def assemble(
    name: str,
    users: np.ndarray,
    items: np.ndarray,
    values: np.ndarray | None = None,
    times: np.ndarray | None = None,
    *,
    about_users: Described | None = None,
    about_items: Described | None = None,
    links: tuple[np.ndarray, np.ndarray] | None = None,
    compact: bool = True,
) -> Interactions:
    """Interactions with features and social links joined by id.

    Ids in use come first, ascending; unless `compact`, the others that features and links name follow.
    """
    base = Interactions.from_arrays(users, items, values, times, name=name)
    user_map, item_map = base.users, base.items
    if not compact:
        user_map = _extend(user_map, [about_users.ids] if about_users else [], links or ())
        item_map = _extend(item_map, [about_items.ids] if about_items else [], ())
    return Interactions(
        user_map, item_map, base.user, base.item, base.value, base.time,
        item_features=_aligned(about_items, item_map), user_features=_aligned(about_users, user_map),
        name=name, social=None if links is None else _graph(links, user_map),
    )


def _extend(ids: IdMap, described: Sequence[np.ndarray], links: Sequence[np.ndarray]) -> IdMap:
    for more in (*described, *links):
        ids = ids.add(np.unique(more))
    return ids


def _aligned(about: Described | None, ids: IdMap) -> Features | None:
    if about is None or about.features is None:
        return None
    return about.features.take(IdMap(about.ids).encode(ids.ids, unknown="skip"))


def _graph(links: tuple[np.ndarray, np.ndarray], users: IdMap) -> CSR:
    rows, cols = (users.encode(side, unknown="skip") for side in links)
    known = (rows >= 0) & (cols >= 0)
    return CSR.from_pairs(rows[known], cols[known], None, (len(users), len(users)))

"""The data of the claims: real sets by path, or simulated ones of the same size where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

SHARED = Path(os.environ.get("RECSYS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def ratings(name: str) -> dict[str, np.ndarray]:
    """`user`, `item`, `value` of "ml-1m" or "ml-100k", as internal indices in file order."""
    from recsys import datasets

    folder = SHARED / name
    sizes = {"ml-1m": (6040, 3706, 1_000_209), "ml-100k": (943, 1682, 100_000)}
    if folder.is_dir():
        data = datasets.load(folder)
    else:
        users, items, events = sizes[name]
        data = datasets.simulate(n_users=users, n_items=items, n_events=events, seed=0)[0]
    value = data.value if data.value is not None else np.ones(len(data), np.float32)
    return {"user": data.user, "item": data.item, "value": value,
            "shape": np.array([data.n_users, data.n_items])}

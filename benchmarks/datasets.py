"""The data of the claims: real sets by path, or simulated ones of the same size where they are absent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

SHARED = Path(os.environ.get("RECSYS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
_SIZES = {"ml-1m": (6040, 3706, 1_000_209), "ml-100k": (943, 1682, 100_000), "online-retail": (4334, 3659, 396_337)}


def _load(name: str, **simulated: Any) -> Any:
    """The real set, or one of its numbers of users, items and events."""
    from recsys import datasets

    if (SHARED / name).is_dir():
        return datasets.load(SHARED / name)
    users, items, events = _SIZES[name]
    return datasets.simulate(n_users=users, n_items=items, n_events=events, seed=0, **simulated)[0]


def ratings(name: str) -> dict[str, np.ndarray]:
    """`user`, `item`, `value` of a set, as internal indices in file order."""
    data = _load(name)
    value = data.value if data.value is not None else np.ones(len(data), np.float32)
    return {"user": data.user, "item": data.item, "value": value,
            "shape": np.array([data.n_users, data.n_items])}


def sequences(name: str) -> dict[str, np.ndarray]:
    """`user`, `item` of a set, as internal indices by user, each user's in time order."""
    rows = _load(name, sequence=0.3, repeats=True).csr
    return {"user": rows.row_of_entry, "item": rows.indices, "shape": np.array(rows.shape)}


def posters() -> dict[str, np.ndarray]:
    """The ratings of "ml-1m" with `poster`, uint8 (n_items, 48, 32, 3), black where an item has none."""
    from recsys import datasets

    arrays, file = ratings("ml-1m"), SHARED / "ml-1m-posters" / "posters_48x32.npz"
    features = datasets.load(SHARED / "ml-1m", posters=file).item_features if file.exists() else None
    if features is not None:
        return arrays | {"poster": features.attributes["poster"]}
    shape = (arrays["shape"][1], 48, 32, 3)
    return arrays | {"poster": np.random.default_rng(0).integers(1, 256, shape, dtype=np.uint8)}

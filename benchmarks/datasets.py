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


def sequences(name: str) -> dict[str, np.ndarray]:
    """`user`, `item` of "ml-100k" or "online-retail", as internal indices by user, each user's in time order."""
    from recsys import datasets

    folder = SHARED / name
    sizes = {"ml-100k": (943, 1682, 100_000), "online-retail": (4334, 3659, 396_337)}
    if folder.is_dir():
        data = datasets.load(folder)
    else:
        users, items, events = sizes[name]
        data = datasets.simulate(n_users=users, n_items=items, n_events=events, seed=0, sequence=0.3, repeats=True)[0]
    rows = data.csr
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

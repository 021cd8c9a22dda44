"""The data of the claims: real sets by path, and sets of the same size that are made, for those who ask for them.

Arrays of a real set carry where they come from under the key `SOURCE`; a claim whose set is absent does not run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

SHARED = Path(os.environ.get("RECSYS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SEED = 0  # of all data that is made
SOURCE = "source"  # key of an array of one text: JSON of what `described` gives
MADE = "made"  # the name of data that belongs to no set
_SIZES = {"ml-1m": (6040, 3706, 1_000_209), "ml-100k": (943, 1682, 100_000), "online-retail": (4334, 3659, 396_337)}
_simulating: ContextVar[bool] = ContextVar("_simulating", default=False)


class Absent(LookupError):
    """A real set is not on this machine."""


@contextmanager
def simulating() -> Iterator[None]:
    """Within, data of a real set's size is made instead of it, and says so."""
    before = _simulating.set(True)
    try:
        yield
    finally:
        _simulating.reset(before)


def described(name: str, data: Any = None) -> dict[str, Any]:
    """What a row says of a real set: its name and fingerprint; `data` is the set where it is loaded already."""
    return {"name": name, "fingerprint": (_real(name) if data is None else data).fingerprint()}


def source(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What a row says of the data that a claim ran on: of a set, or the seed and sizes of what was made."""
    if SOURCE in arrays:
        return dict(json.loads(str(arrays[SOURCE])))
    return {"name": MADE, "seed": SEED, "sizes": {name: list(array.shape) for name, array in arrays.items()}}


def _real(name: str, **options: Any) -> Any:
    from minidl import MissingExtraError
    from recsys import datasets

    if name == "movielens-small":
        try:
            return datasets.load(name)
        except MissingExtraError as error:
            raise Absent(str(error)) from error
    if not (SHARED / name).is_dir():
        raise Absent(f"{name} is not in {SHARED}; RECSYS_DATA names the folder that holds it")
    return datasets.load(SHARED / name, **options)


def _load(name: str, **simulated: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """A set and its source: the real one, or while `simulating` one of its numbers of users, items and events."""
    from recsys import datasets

    if _simulating.get():
        users, items, events = _SIZES[name]
        data = datasets.simulate(n_users=users, n_items=items, n_events=events, seed=SEED, **simulated)[0]
        about = {"name": f"simulated, of the size of {name}", "seed": SEED,
                 "sizes": {"users": users, "items": items, "events": events}}
    else:
        data = _real(name)
        about = described(name, data)
    return data, {SOURCE: np.array(json.dumps(about))}


def ratings(name: str) -> dict[str, np.ndarray]:
    """`user`, `item`, `value` of a set, as internal indices in file order."""
    data, about = _load(name)
    value = data.value if data.value is not None else np.ones(len(data), np.float32)
    return about | {"user": data.user, "item": data.item, "value": value,
                    "shape": np.array([data.n_users, data.n_items])}


def sequences(name: str) -> dict[str, np.ndarray]:
    """`user`, `item` of a set, as internal indices by user, each user's in time order."""
    data, about = _load(name, sequence=0.3, repeats=True)
    rows = data.csr
    return about | {"user": rows.row_of_entry, "item": rows.indices, "shape": np.array(rows.shape)}


def posters() -> dict[str, np.ndarray]:
    """The ratings of "ml-1m" with `poster`, uint8 (n_items, 48, 32, 3), black where an item has none."""
    arrays = ratings("ml-1m")
    if _simulating.get():
        shape = (arrays["shape"][1], 48, 32, 3)
        return arrays | {"poster": np.random.default_rng(SEED).integers(1, 256, shape, dtype=np.uint8)}
    file = SHARED / "ml-1m-posters" / "posters_48x32.npz"
    if not file.exists():
        raise Absent(f"there are no posters of ml-1m at {file}")
    return arrays | {"poster": _real("ml-1m", posters=file).item_features.attributes["poster"]}

"""The data of the claims: real sets by path, and sets of the same size that are made, for those who ask for them.

Arrays of a real set carry where they come from under the key `SOURCE`; a claim whose set is absent does not run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

SHARED = Path(os.environ.get("RECSYS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SEED = 0  # of all data that is made
SOURCE = "source"  # key of an array of one text: JSON of what `described` gives
MADE, NONE = "made", "none"  # the names of data that belongs to no set, and of none
_SIZES = {"ml-1m": (6040, 3706, 1_000_209), "ml-100k": (943, 1682, 100_000), "online-retail": (4334, 3659, 396_337),
          "amazon-beauty": (40_226, 54_542, 353_962)}
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
    loaded = real(name) if data is None else data
    return {"name": loaded.name.partition(" ")[0], "fingerprint": loaded.fingerprint()}


def source(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What a row says of the data that a claim ran on: of a set, or the seed and sizes of what was made."""
    if SOURCE in arrays:
        return dict(json.loads(str(arrays[SOURCE])))
    if not arrays:
        return {"name": NONE}
    return {"name": MADE, "seed": SEED, "sizes": {name: list(array.shape) for name, array in arrays.items()}}


def title(rows: Sequence[Mapping[str, Any]]) -> str:
    """How a table names the data of a claim's rows: with its fingerprint, or the seed of what was made."""
    known = [row["data"] for row in rows if row["data"]]
    name = known[0]["name"] if known else rows[0]["on"]
    return " ".join([name, ", ".join(dict.fromkeys(mark for mark in map(_mark, known) if mark))]).rstrip()


def _mark(data: Mapping[str, Any]) -> str:
    if "fingerprint" in data:
        return f"`{data['fingerprint'][:8]}`"
    return f"(seed {data['seed']})" if "seed" in data else ""


def made(**sizes: int) -> dict[str, np.ndarray]:
    """Says of arrays, which it is to be joined with, that they were made with `SEED` in these sizes."""
    return says({"name": MADE, "seed": SEED, "sizes": sizes})


def says(about: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {SOURCE: np.array(json.dumps(about))}


def file(path: str) -> Path:
    """A file that belongs to a set, or `Absent`."""
    if not (SHARED / path).exists():
        raise Absent(f"{path} is not in {SHARED}; RECSYS_DATA names the folder that holds it")
    return SHARED / path


def checksum(path: Path) -> str:
    """16 hex digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def real(name: str, **options: Any) -> Any:
    """A real set, or `Absent`; `options` are those of its reader."""
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
        data = real(name)
        about = described(name, data)
    return data, says(about)


def ratings(name: str) -> dict[str, np.ndarray]:
    """`user`, `item`, `value` of a set, as internal indices in file order."""
    data, about = _load(name)
    value = data.value if data.value is not None else np.ones(len(data), np.float32)
    return about | {"user": data.user, "item": data.item, "value": value,
                    "shape": np.array([data.n_users, data.n_items])}


def distinct(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The first event of each pair of user and item, in order; the source says so where there were others."""
    pair = arrays["user"].astype(np.int64) * int(arrays["shape"][1]) + arrays["item"]
    rows = np.sort(np.unique(pair, return_index=True)[1])
    if len(rows) == len(pair):
        return dict(arrays)
    return {**arrays, **says(source(arrays) | {"distinct_pairs": len(rows)}),
            **{name: arrays[name][rows] for name in ("user", "item", "value")}}


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
    path = file("ml-1m-posters/posters_48x32.npz")
    return arrays | says(source(arrays) | {"posters": checksum(path)}) | {
        "poster": real("ml-1m", posters=path).item_features.attributes["poster"]}

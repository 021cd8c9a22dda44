"""One file for a trained model: a manifest and plain arrays, never pickle.

The file is a zip of uncompressed members. Every array is a `.npy` member whose data starts at a multiple
of 64 bytes, so that it can be mapped into memory where it lies; `manifest.json`, the last member, says
what they are. Nothing in it depends on the clock: the same model gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import mmap as memory
import os
import platform
import struct
import zipfile
import zlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any

import numpy as np

from recsys.data.features import Features
from recsys.data.ids import IdMap
from recsys.errors import ArtifactError, RecsysError, UnsupportedError
from recsys.files import replacing
from recsys.models import REGISTRY, Recommender, model_class
from recsys.models.sparse import expect, pack, unpack_if

__all__ = ["FORMAT", "load", "manifest", "save"]

FORMAT = 1
_KIND = "recsys model"
_MANIFEST = "manifest.json"
_ALIGNMENT = 64
_PRIVATE = ("seen.", "state.seen.")  # what `seen=False` leaves out
_ZIP64_FROM = 1 << 30


def save(model: Recommender, path: str | os.PathLike[str], *, seen: bool = True) -> None:
    """Write a fitted model to one file, all or nothing.

    Parameters
    ----------
    model : Recommender
    path : str or path
        Replaced in one step if it exists.
    seen : bool
        Whether the file holds what each user has seen. Without, it answers histories, and users only with
        `filter_seen=False` and only from models that have vectors for them.

    Raises
    ------
    NotFittedError
    UnsupportedError
        `seen=False` for a model that is nothing without its users' histories.
    ArtifactError
        A hyper-parameter that JSON cannot hold.
    """
    name, model = type(model).__name__, model.require_fitted("save")
    if not seen and model.needs_histories:
        raise UnsupportedError(f"{name} answers from its users' histories and cannot be saved with seen=False; "
                               f"use seen=True, or another model.")
    arrays = {key: np.asarray(value, order="C") for key, value in _arrays(model).items()
              if seen or not key.startswith(_PRIVATE)}
    card = {"kind": _KIND, "format": FORMAT, "class": name, "parameters": model.get_params(),
            "data": {"fingerprint": model.fingerprint, "users": len(model.users), "items": len(model.items),
                     "mean_value": model.mean_value, "rating_range": model.rating_range},
            "versions": _versions()}
    try:
        json.dumps(card, default=_plain)
    except TypeError as error:
        raise ArtifactError(f"{path}: a hyper-parameter of {name} cannot be stored ({error}); "
                            f"use numbers, strings and tuples of them.") from error
    with replacing(path) as file:
        _write(file, card, arrays)


def load(path: str | os.PathLike[str], *, mmap: bool = False, verify: bool = True,
         classes: Mapping[str, type[Recommender]] | None = None) -> Recommender:
    """Read a model that `save` has written; it answers with the same bits.

    Parameters
    ----------
    path : str or path
    mmap : bool
        Map the arrays into memory instead of reading them: processes then share them, and what is not used is
        never read (with `verify=False`).
    verify : bool
        Compare every array with its checksum.
    classes : mapping of names to classes, optional
        Models of your own that the file may name, beside those of `recsys.models`.

    Raises
    ------
    ArtifactError
        The file is none of ours, is damaged or truncated, of a newer format, or names a class that is not
        known.
    """
    path = os.fspath(path)
    card = manifest(path)
    model_type = _class(path, card["class"], classes or {})
    with open(path, "rb") as file:
        buffer: Any = memory.mmap(file.fileno(), 0, access=memory.ACCESS_COPY) if mmap else bytearray(file.read())
    arrays = _read(path, buffer, card["members"], verify)
    try:
        learned = model_type(**{name: _tuples(value) for name, value in card["parameters"].items()})
        learned.check_parameters()
        _restore(learned, card["data"], arrays)
    except (KeyError, TypeError, ValueError, IndexError, RecsysError) as error:
        raise ArtifactError(f"{path}: the contents do not make a {card['class']} ({error}); fit and save the model "
                            f"again.") from error
    return learned.clone()._adopt(learned)


def manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a model file says of itself: class, parameters, data, versions, members; arrays are not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            card = json.loads(archive.read(_MANIFEST))
    except _DAMAGED as error:
        raise _damaged(path, type(error).__name__) from error
    if not isinstance(card, dict) or card.get("kind") != _KIND or not isinstance(card.get("format"), int):
        raise _damaged(path, f"{_MANIFEST} describes something else")
    if card["format"] > FORMAT:
        raise ArtifactError(f"{path}: written in format {card['format']}, and this version reads up to {FORMAT}; "
                            f"upgrade minidl.")
    parts = {"class": str, "parameters": dict, "data": dict, "members": dict}
    wrong = [part for part, kind in parts.items() if not isinstance(card.get(part), kind)]
    if wrong:
        raise _damaged(path, f"{_MANIFEST} lacks {', '.join(wrong)}")
    return card


# what zipfile raises for files that are cut, altered or foreign
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, KeyError, ValueError, EOFError, NotImplementedError,
            RuntimeError, OverflowError)


def _damaged(path: str | os.PathLike[str], why: str) -> ArtifactError:
    return ArtifactError(f"{path}: not a model file, or a damaged one ({why}); save the model or copy the file again.")


def _class(path: str | os.PathLike[str], name: str, classes: Mapping[str, type[Recommender]]) -> type[Recommender]:
    if name in classes:
        return classes[name]
    if name not in REGISTRY:
        raise ArtifactError(f"{path}: holds a {name!r}, which is not a model of recsys; if it is yours, load it with "
                            f"classes={{{name!r}: ...}}.")
    return model_class(name)


# ----------------------------------------------------------------------------------- model <-> arrays
def _arrays(model: Recommender) -> dict[str, np.ndarray]:
    titles = None if model.item_features is None else model.item_features.titles
    named = {"users": model.users.ids, "items": model.items.ids, "item_counts": model.item_counts}
    named |= {} if titles is None else {"titles": titles}
    named |= pack("seen", model.seen) | pack("seen.events", model.events)
    return named | {f"state.{name}": array for name, array in model._state().items()}


def _restore(model: Recommender, data: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    model.users, model.items = IdMap(arrays["users"]), IdMap(arrays["items"])
    model.seen = unpack_if("seen", arrays, (len(model.users), len(model.items)))
    model.events = unpack_if("seen.events", arrays, (len(model.users), len(model.items)))
    model.item_counts = expect(arrays, "item_counts", (len(model.items),))
    model.item_features = Features(titles=arrays["titles"]) if "titles" in arrays else None
    model.fingerprint, model.mean_value = str(data["fingerprint"]), float(data["mean_value"])
    limits = data["rating_range"]
    model.rating_range = None if limits is None else (float(limits[0]), float(limits[1]))
    model._restore({name.removeprefix("state."): array for name, array in arrays.items() if name.startswith("state.")})


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def _versions() -> dict[str, str]:
    try:
        own = version("minidl")
    except PackageNotFoundError:
        own = "unknown"
    return {"minidl": own, "numpy": np.__version__, "python": platform.python_version()}


# ------------------------------------------------------------------------------------ arrays <-> file
def _write(file: IO[bytes], card: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    members: dict[str, dict[str, str]] = {}
    first: dict[int, str] = {}
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            same = first.setdefault(id(array), name)  # an array that occurs twice is written once
            members[name] = members[same] if same != name else _write_array(archive, file, f"{name}.npy", array)
        text = json.dumps(card | {"members": members}, indent=1, sort_keys=True, default=_plain)
        archive.writestr(_info(_MANIFEST), text)


def _write_array(archive: zipfile.ZipFile, file: IO[bytes], name: str, array: np.ndarray) -> dict[str, str]:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    parts = header.getvalue(), array.reshape(-1).view(np.uint8).data
    large = array.nbytes >= _ZIP64_FROM
    info = _info(name)
    start = file.tell() + _LOCAL_HEADER.size + len(name) + (20 if large else 0)
    padding = -start % _ALIGNMENT
    if padding:
        padding += _ALIGNMENT if padding < 4 else 0  # an extra field has a head of 4 bytes
        info.extra = struct.pack("<HH", 0x4C4D, padding - 4) + bytes(padding - 4)
    digest = hashlib.sha256()
    with archive.open(info, "w", force_zip64=large) as member:
        for part in parts:
            digest.update(part)
            member.write(part)
    return {"file": name, "sha256": digest.hexdigest()}


_LOCAL_HEADER = struct.Struct("<4s22x2H")  # signature, lengths of name and extra field


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)  # dated 1980-01-01: the bytes do not depend on the clock
    info.create_system = 3
    return info


def _read(path: str | os.PathLike[str], buffer: Any, members: dict[str, Any], verify: bool) -> dict[str, np.ndarray]:
    """The arrays, as views into the buffer."""
    arrays, read = {}, {}
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}
        for name, member in members.items():
            key = member["file"]
            if key not in read:
                read[key] = _read_array(buffer, infos[key], member["sha256"] if verify else None)
            arrays[name] = read[key]
    except (*_DAMAGED, TypeError) as error:
        raise _damaged(path, f"member {name}: {error}") from error
    return arrays


def _read_array(buffer: Any, info: zipfile.ZipInfo, sha256: str | None) -> np.ndarray:
    signature, name_length, extra_length = _LOCAL_HEADER.unpack_from(buffer, info.header_offset)
    start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    view = memoryview(buffer)[start:start + info.file_size]
    if signature != b"PK\3\4" or info.compress_type != zipfile.ZIP_STORED or len(view) != info.file_size:
        raise ValueError("not stored as an array")
    if sha256 is not None and hashlib.sha256(view).hexdigest() != sha256:
        raise ValueError("its checksum differs")
    header = io.BytesIO(bytes(view[:1 << 12]))
    np.lib.format.read_magic(header)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(header)
    if fortran or dtype.hasobject:
        raise ValueError(f"of dtype {dtype}")
    return np.frombuffer(buffer, dtype, math.prod(shape), start + header.tell()).reshape(shape)

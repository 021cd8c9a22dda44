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
from typing import IO, Any

import numpy as np

from recsys.errors import ArtifactError
from recsys.files import replacing

__all__ = ["FORMAT", "manifest", "plain", "read", "tuples", "version_of", "versions", "write"]

FORMAT = 2
_KIND = "recsys model"
_MANIFEST = "manifest.json"
_ALIGNMENT = 64
_ZIP64_FROM = 1 << 30


def write(path: str | os.PathLike[str], card: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays, and a card of JSON values that describes them, to one file, all or nothing."""
    with replacing(path) as file:
        _write(file, {"kind": _KIND, "format": FORMAT, "versions": versions(), **card}, dict(sorted(arrays.items())))


def read(path: str | os.PathLike[str], *, mmap: bool = False, verify: bool = True
         ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The card and the arrays of a file, mapped into memory or read, and compared with their checksums or not.

    Raises
    ------
    ArtifactError
        The file is none of ours, is damaged or truncated, or of a newer format.
    """
    path = os.fspath(path)
    card = manifest(path)
    with open(path, "rb") as file:
        buffer: Any = memory.mmap(file.fileno(), 0, access=memory.ACCESS_COPY) if mmap else bytearray(file.read())
    return card, _read(path, buffer, card["members"], verify)


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


def version_of(path: str | os.PathLike[str]) -> str:
    """What answers call a model file: 12 hex digits of the SHA-256 of its manifest, which holds those of all arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return hashlib.sha256(archive.read(_MANIFEST)).hexdigest()[:12]
    except _DAMAGED as error:
        raise _damaged(path, type(error).__name__) from error


# what zipfile raises for files that are cut, altered or foreign
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, KeyError, ValueError, EOFError, NotImplementedError,
            RuntimeError, OverflowError)


def _damaged(path: str | os.PathLike[str], why: str) -> ArtifactError:
    return ArtifactError(f"{path}: not a model file, or a damaged one ({why}); save the model or copy the file again.")


def plain(value: Any) -> Any:
    """NumPy's numbers as Python's, for JSON; TypeError for anything else."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(tuples(part) for part in value) if isinstance(value, list) else value


def versions() -> dict[str, str]:
    """Of this package, NumPy and Python."""
    from importlib import metadata  # which takes long to import

    try:
        own = metadata.version("minidl")
    except metadata.PackageNotFoundError:
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
        text = json.dumps(card | {"members": members}, indent=1, sort_keys=True, default=plain)
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

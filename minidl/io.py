"""Save and load named arrays, as `.npz` or `.safetensors`; both formats hold plain numbers and run no code.

    minidl.io.save("model.safetensors", module.state_dict())
    module.load_state_dict(minidl.io.load("model.safetensors"))

PyTorch reads and writes `.safetensors` with the package of that name.
"""

from __future__ import annotations

import json
import math
import mmap as mmap_
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from minidl.files import replacing
from minidl.tensors import as_array, raw

__all__ = ["load", "load_metadata", "save"]

_METADATA = "__metadata__"  # the name that the safetensors format reserves
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
           "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1", "C64": "<c8"}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}
_HEADER_LIMIT = 100_000_000  # bytes, as in the reference implementation


def save(path: str | os.PathLike[str], state: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write named arrays to a file; it is complete or not there at all.

    Parameters
    ----------
    path : path
        Ends in `.npz` or `.safetensors`.
    state : mapping of str to array_like or Tensor
        Numbers and booleans; `.npz` takes strings too.
    metadata : mapping of str to str, optional
        Anything else, for example JSON.

    Raises
    ------
    ValueError
        For an unknown suffix.
    TypeError
        For a dtype that the format does not have, and for names or metadata that are no strings.

    Examples
    --------
    >>> import tempfile, numpy as np, minidl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     minidl.io.save(f"{folder}/w.safetensors", {"w": np.arange(3.0)}, {"made": "today"})
    ...     minidl.io.load(f"{folder}/w.safetensors"), minidl.io.load_metadata(f"{folder}/w.safetensors")
    ({'w': array([0., 1., 2.])}, {'made': 'today'})
    """
    path = Path(path)
    write = {".npz": _write_npz, ".safetensors": _write_safetensors}[_suffix(path)]
    arrays = {name: np.asarray(raw(a, f"save: {path}: {name!r}"), order="C") for name, a in state.items()}
    texts = [*arrays, *(text for item in (metadata or {}).items() for text in item)]
    if odd := [text for text in texts if not isinstance(text, str)]:
        raise TypeError(f"save: {path}: {odd[0]!r} is no string; names of arrays and all metadata have to be, such as "
                        "json.dumps(...)")
    if _METADATA in arrays:
        raise ValueError(f"save: {path}: the name {_METADATA!r} is reserved; pass metadata= instead")
    for name, array in arrays.items():
        if array.dtype.kind not in "biufcUS":
            raise TypeError(f"save: {path}: {name!r} has dtype {array.dtype}, which is not plain numbers")
    with replacing(path) as file:
        write(file, path, arrays, dict(metadata or {}))


def load(path: str | os.PathLike[str], mmap: bool = False) -> dict[str, np.ndarray]:
    """Read what `save` wrote, or any `.npz` or `.safetensors` file of plain arrays.

    Parameters
    ----------
    path : path
    mmap : bool
        Map the file into memory instead of reading it: arrays are read-only, are loaded when they are looked at, and
        processes share them. The file must not be changed while they are in use.

    Returns
    -------
    dict
        Name to array. NumPy has no bfloat16: it becomes float32, which holds every one of its values, in memory of its
        own. Other dtypes stay as they are.

    Raises
    ------
    ValueError
        When the file is damaged, holds Python objects or 8-bit floats, or (with `mmap`) is compressed; it names the
        file and the array.

    Examples
    --------
    >>> import tempfile, numpy as np, minidl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     minidl.io.save(f"{folder}/w.npz", {"w": np.arange(3)})
    ...     w = minidl.io.load(f"{folder}/w.npz", mmap=True)["w"]
    >>> w, w.flags.writeable
    (array([0, 1, 2]), False)
    """
    path = Path(path)
    read = {".npz": _read_npz, ".safetensors": _read_safetensors}[_suffix(path)]
    with path.open("rb") as file:
        return read(file, path, _mapped(file, path) if mmap else None)


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata given to `save`, or that of any `.safetensors` file; the arrays are not read."""
    path = Path(path)
    suffix = _suffix(path)
    with path.open("rb") as file:
        if suffix == ".safetensors":
            return _header(file, path)[1]
        with _opened(file, path) as archive:
            name = f"{_METADATA}.npy"
            return _metadata(str(_member(archive, name, path)), path) if name in archive.namelist() else {}


def _metadata(text: str, path: Path) -> dict[str, str]:
    """The metadata of an `.npz` file, from JSON."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"load: {path}: {_METADATA!r} is not JSON, or damaged: {error}") from error
    return _checked(found, path)


def _checked(metadata: Any, path: Path) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(f"load: {path}: {_METADATA!r} has to map strings to strings")
    return metadata


def _mapped(file: IO[bytes], path: Path) -> mmap_.mmap:
    try:
        return mmap_.mmap(file.fileno(), 0, access=mmap_.ACCESS_READ)
    except ValueError as error:  # an empty file
        raise ValueError(f"load: {path} is cut off: it is empty") from error


def _suffix(path: Path) -> str:
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(f"{path}: the format {path.suffix!r} is unknown; use .npz or .safetensors")
    return path.suffix


# --------------------------------------------------------------------------------------------- .npz

def _write_npz(file: IO[bytes], path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    with zipfile.ZipFile(file, "w") as archive:  # np.savez would not take an array named "file"
        for name, array in [*arrays.items(), *([(_METADATA, np.array(json.dumps(metadata)))] if metadata else [])]:
            with archive.open(_aligned(f"{name}.npy", file.tell()), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _aligned(name: str, offset: int) -> zipfile.ZipInfo:
    """A member, written at `offset`, whose data start at a multiple of 64, so that they can be used where they lie.

    The local header has 30 bytes, the name, 20 bytes of extra field for lengths beyond 4 GiB, and ours: a header of 4
    and zeros.
    """
    info = zipfile.ZipInfo(name)
    zeros = -(offset + 30 + len(name.encode()) + 20 + 4) % 64
    info.extra = (0xD935).to_bytes(2, "little") + zeros.to_bytes(2, "little") + bytes(zeros)
    return info


def _read_npz(file: IO[bytes], path: Path, mapped: mmap_.mmap | None) -> dict[str, np.ndarray]:
    with _opened(file, path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if len(set(names)) < len(names):
            raise ValueError(f"load: {path} has {next(n for n in names if names.count(n) > 1)!r} twice")
        arrays = {}
        for name, member in zip(names, archive.namelist(), strict=True):
            if name != _METADATA:
                arrays[name] = (_member(archive, member, path) if mapped is None
                                else _mapped_member(archive, member, path, mapped))
    return arrays


def _opened(file: IO[bytes], path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _DAMAGED as error:
        raise ValueError(f"load: {path} is not an .npz file of plain arrays, or cut off: {error}") from error


_DAMAGED = (ValueError, EOFError, OSError, OverflowError, MemoryError, zipfile.BadZipFile, zlib.error,
            NotImplementedError, RuntimeError)


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    try:
        with archive.open(name) as member:
            return as_array(np.lib.format.read_array(member, allow_pickle=False))
    except _DAMAGED as error:
        raise ValueError(f"load: {path}: {name!r} is not one of plain arrays, or damaged: {error}") from error


def _mapped_member(archive: zipfile.ZipFile, name: str, path: Path, mapped: mmap_.mmap) -> np.ndarray:
    """An array where it lies in the file: after the zip's local header and its own."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"load: {path}: {name!r} is compressed, so it cannot be mapped into memory; use mmap=False")
    try:
        with archive.open(name) as member:  # reads no more than the header
            version = np.lib.format.read_magic(member)
            reader = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
            shape, fortran, dtype = reader(member)
            inside = member.tell()
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        local = mapped[info.header_offset:info.header_offset + 30]
        start = info.header_offset + 30 + sum(int.from_bytes(local[i:i + 2], "little") for i in (26, 28))
        array = np.frombuffer(mapped, dtype, math.prod(shape), start + inside)
    except (*_DAMAGED, KeyError) as error:
        raise ValueError(f"load: {path}: {name!r} is not one of plain arrays, or damaged: {error}") from error
    return as_array(array.reshape(shape, order="F" if fortran else "C"))


# -------------------------------------------------------------------------------------- .safetensors

def _write_safetensors(file: IO[bytes], path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """8 bytes: length of the header; the header, JSON padded to 8; the numbers, little-endian."""
    header: dict[str, Any] = {_METADATA: metadata} if metadata else {}
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))  # so all are aligned
    end = 0
    for name, array in ordered:
        code = _NAMES.get(array.dtype.newbyteorder("<"))
        if code is None:
            raise TypeError(f"save: {path}: {name!r} has dtype {array.dtype}, which only .npz takes")
        start, end = end, end + array.nbytes
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for _, array in ordered:
        file.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


class _Entry(NamedTuple):
    """Where an array lies in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def _read_safetensors(file: IO[bytes], path: Path, mapped: mmap_.mmap | None) -> dict[str, np.ndarray]:
    return {entry.name: _array(file, path, mapped, entry) for entry in _header(file, path)[0]}


def _header(file: IO[bytes], path: Path) -> tuple[list[_Entry], dict[str, str]]:
    """The arrays and the metadata, checked against each other and the length of the file."""
    length = os.fstat(file.fileno()).st_size
    size = int.from_bytes(file.read(8), "little")
    if length < 8 or (size <= _HEADER_LIMIT and 8 + size > length):
        raise ValueError(f"load: {path} is cut off: it has {length} bytes, and its header alone should have "
                         f"{size if length >= 8 else 8}")
    if size > _HEADER_LIMIT:
        raise ValueError(f"load: {path} is not a .safetensors file: its header would have {size} bytes, more than the "
                         f"{_HEADER_LIMIT} that are allowed")
    try:
        header = json.loads(file.read(size).decode(), object_pairs_hook=_unique)
        if not isinstance(header, dict):
            raise ValueError("the header is not a JSON object")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"load: {path} is not a .safetensors file, or damaged: {error}") from error
    metadata = _checked(header.pop(_METADATA, {}), path)
    entries = [_entry(path, name, said, 8 + size) for name, said in header.items()]
    end = 8 + size
    for entry in sorted(entries, key=lambda e: (e.start, e.stop)):
        if entry.stop > length:
            raise ValueError(f"load: {path} is cut off: {entry.name!r} ends at byte {entry.stop} of {length}")
        if entry.start != end:
            how = "overlaps another" if entry.start < end else f"leaves {entry.start - end} bytes before it unused"
            raise ValueError(f"load: {path} is damaged: {entry.name!r}, at bytes {entry.start} to {entry.stop}, {how}")
        end = entry.stop
    if end != length:
        raise ValueError(f"load: {path} is damaged: {length - end} bytes follow the last array")
    return entries, metadata


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return found


def _entry(path: Path, name: str, said: Any, base: int) -> _Entry:
    """What the header says of one array, with offsets from the start of the file."""
    try:
        dtype, shape, (start, stop) = said["dtype"], said["shape"], said["data_offsets"]
        if not (isinstance(shape, list) and all(type(n) is int and n >= 0 for n in (*shape, start, stop))):
            raise ValueError("lengths and offsets have to be integers of at least 0")
        if dtype not in _DTYPES and dtype != "BF16":
            raise ValueError(f"dtype {dtype!r} is unknown to NumPy; convert it to F32 or F16 where the file was made")
        if stop - start != math.prod(shape) * _stored(dtype).itemsize:
            raise ValueError(f"shape {tuple(shape)} and dtype {dtype} do not fit bytes {start} to {stop}")
        np.broadcast_to(np.empty(()), shape)  # refuses what no array can have: very many axes, or very long ones
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"load: {path}: {name!r} is of a kind that cannot be read, or damaged: {error}") from error
    return _Entry(name, dtype, tuple(shape), base + start, base + stop)


def _stored(dtype: str) -> np.dtype[Any]:
    return np.dtype("<u2" if dtype == "BF16" else _DTYPES[dtype])  # bfloat16 is the upper half of a float32


def _array(file: IO[bytes], path: Path, mapped: mmap_.mmap | None, entry: _Entry) -> np.ndarray:
    dtype = _stored(entry.dtype)
    if mapped is None:
        array = np.empty(entry.shape, dtype)
        file.seek(entry.start)
        file.readinto(array.reshape(-1).view(np.uint8))  # type: ignore[attr-defined]
    else:
        array = np.frombuffer(mapped, dtype, math.prod(entry.shape), entry.start).reshape(entry.shape)
    if entry.dtype == "BOOL" and array.size and array.view(np.uint8).max() > 1:
        raise ValueError(f"load: {path} is damaged: {entry.name!r} has booleans that are neither 0 nor 1")
    if entry.dtype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return as_array(array)

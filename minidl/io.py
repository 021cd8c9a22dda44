"""Save and load named arrays, as `.npz` or `.safetensors`; both formats hold plain numbers and run no code.

    minidl.io.save("model.safetensors", module.state_dict())
    module.load_state_dict(minidl.io.load("model.safetensors"))

PyTorch reads and writes `.safetensors` with the package of that name.
"""

from __future__ import annotations

import json
import math
import os
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from minidl.tensor import Tensor, as_array

__all__ = ["load", "load_metadata", "save"]

_METADATA = "__metadata__"  # the name that the safetensors format reserves
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
           "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1"}
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
        For a dtype that the format does not have.

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
    arrays = {name: np.asarray(a.data if isinstance(a, Tensor) else a, order="C") for name, a in state.items()}
    if _METADATA in arrays:
        raise ValueError(f"save: {path}: the name {_METADATA!r} is reserved; pass metadata= instead")
    for name, array in arrays.items():
        if array.dtype.kind not in "biufcUS":
            raise TypeError(f"save: {path}: {name!r} has dtype {array.dtype}, which is not plain numbers")
    with _atomic(path) as file:
        write(file, path, arrays, dict(metadata or {}))


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read what `save` wrote, or any `.npz` or `.safetensors` file of plain arrays.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict
        Name to array. bfloat16 becomes float32.

    Raises
    ------
    ValueError
        When the file is damaged, or holds Python objects.
    """
    return _read(Path(path))[0]


def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata given to `save`, or that of any `.safetensors` file."""
    return _read(Path(path))[1]


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    return {".npz": _read_npz, ".safetensors": _read_safetensors}[_suffix(path)](path)


def _suffix(path: Path) -> str:
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(f"{path}: the format {path.suffix!r} is unknown; use .npz or .safetensors")
    return path.suffix


@contextmanager
def _atomic(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that takes its place when everything is written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


# --------------------------------------------------------------------------------------------- .npz

def _write_npz(file: IO[bytes], path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    with zipfile.ZipFile(file, "w") as archive:  # np.savez would not take an array named "file"
        for name, array in [*arrays.items(), *([(_METADATA, np.array(json.dumps(metadata)))] if metadata else [])]:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    arrays[name.removesuffix(".npy")] = as_array(np.lib.format.read_array(member, allow_pickle=False))
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"load: {path} is not an .npz file of plain arrays: {error}") from error
    metadata = arrays.pop(_METADATA, None)
    return arrays, json.loads(str(metadata)) if metadata is not None else {}


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


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        text = file.read(size) if size <= _HEADER_LIMIT else b""
        body = file.read()
    try:
        header: dict[str, Any] = json.loads(text)
        metadata = header.pop(_METADATA, {})
        return {name: _tensor(body, entry) for name, entry in header.items()}, metadata
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"load: {path} is not a .safetensors file, or damaged: {error}") from error


def _tensor(body: bytes, entry: Mapping[str, Any]) -> np.ndarray:
    shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
    half = entry["dtype"] == "BF16"  # the upper half of a float32
    dtype = np.dtype("<u2" if half else _DTYPES[entry["dtype"]])
    if not 0 <= start <= end <= len(body) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"numbers of shape {shape} at bytes {start} to {end} of {len(body)}")
    array = np.frombuffer(body[start:end], dtype).reshape(shape)
    if half:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(dtype.newbyteorder("="))

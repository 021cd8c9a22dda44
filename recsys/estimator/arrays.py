"""Between what was learned and the named arrays of a model's file; what a file holds is checked before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.errors import ArtifactError

__all__ = ["Arrays", "blocks", "expect", "pack", "prefixed", "unpack", "unpack_if", "within"]

Arrays = Mapping[str, np.ndarray]

_BLOCK_BYTES = 1 << 26


def blocks(n_rows: int, row_length: int) -> Iterator[slice]:
    """Slices of rows such that a float32 block of scores stays within 64 MiB."""
    step = max(1, min(1024, _BLOCK_BYTES // (4 * max(row_length, 1))))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def pack(name: str, csr: CSR | None) -> dict[str, np.ndarray]:
    """A matrix as named arrays; nothing for None."""
    if csr is None:
        return {}
    arrays = {f"{name}.indptr": csr.indptr, f"{name}.indices": csr.indices}
    return arrays if csr.data is None else arrays | {f"{name}.data": csr.data}


def unpack(name: str, arrays: Arrays, shape: tuple[int, int]) -> CSR:
    """The matrix that `pack` named, checked: kernels trust it."""
    indptr = expect(arrays, f"{name}.indptr", (shape[0] + 1,), np.int64)
    indices = expect(arrays, f"{name}.indices", (None,), np.int32)
    data = expect(arrays, f"{name}.data", indices.shape, np.float32) if f"{name}.data" in arrays else None
    bounded = not len(indices) or (indices.min() >= 0 and indices.max() < shape[1])
    if indptr[0] != 0 or indptr[-1] != len(indices) or np.any(indptr[1:] < indptr[:-1]) or not bounded:
        raise ArtifactError(f"array {name!r} is not a sparse matrix of shape {shape}")
    return CSR(indptr, indices, data, shape)


def unpack_if(name: str, arrays: Arrays, shape: tuple[int, int]) -> CSR | None:
    """The matrix that `pack` named, or None if it packed none."""
    return unpack(name, arrays, shape) if f"{name}.indptr" in arrays else None


def expect(arrays: Arrays, name: str, shape: tuple[int | None, ...], dtype: Any = None) -> np.ndarray:
    """An array of a model file, or ArtifactError if it is missing or of another shape (None: any) or dtype."""
    if name not in arrays:
        raise ArtifactError(f"array {name!r} is missing")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits or (dtype is not None and array.dtype != dtype):
        wanted = "shape " if dtype is None else np.dtype(dtype)
        raise ArtifactError(f"array {name!r} is {array.dtype}{array.shape}, expected {wanted}{shape}")
    return array


def prefixed(prefix: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays of a part, under names that begin with the part's."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def within(prefix: str, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays of a part, under its own names: the inverse of `prefixed`."""
    return {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}

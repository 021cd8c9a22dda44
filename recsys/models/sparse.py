"""Small helpers that several models share: blocks of rows, distinct pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.errors import ArtifactError

__all__ = ["blocks", "distinct", "expect", "noise", "numbers", "pack", "pair_keys",
           "restore_numbers", "unpack", "unpack_if"]

_BLOCK_BYTES = 1 << 26


def blocks(n_rows: int, row_length: int) -> Iterator[slice]:
    """Slices of rows such that a float32 block of scores stays within 64 MiB."""
    step = max(1, min(1024, _BLOCK_BYTES // (4 * max(row_length, 1))))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def pair_keys(csr: CSR) -> np.ndarray:
    """Each entry's row and column as one number, which ascends with the row and then the column: int64 (nnz,).

    Examples
    --------
    >>> pair_keys(CSR.from_pairs([0, 1, 1], [2, 0, 2], shape=(2, 3)))
    array([2, 3, 5])
    """
    return np.asarray(csr.row_of_entry * np.int64(csr.shape[1]) + csr.indices)


def distinct(csr: CSR) -> CSR:
    """Each pair once, sorted by column within a row; of repeated pairs the last value is kept."""
    n_rows, n_columns = csr.shape
    key = pair_keys(csr)
    if np.all(key[1:] > key[:-1]):
        return csr
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    last = np.append(ordered[1:] != ordered[:-1], True)
    rows, columns = np.divmod(ordered[last], max(n_columns, 1))
    indptr = np.zeros(n_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=indptr[1:])
    data = None if csr.data is None else csr.data[order[last]]
    return CSR(indptr, columns.astype(np.int32), data, csr.shape)


def pack(name: str, csr: CSR | None) -> dict[str, np.ndarray]:
    """A matrix as named arrays; nothing for None."""
    if csr is None:
        return {}
    arrays = {f"{name}.indptr": csr.indptr, f"{name}.indices": csr.indices}
    return arrays if csr.data is None else arrays | {f"{name}.data": csr.data}


def unpack(name: str, state: dict[str, np.ndarray], shape: tuple[int, int]) -> CSR:
    """The matrix that `pack` named, checked: kernels trust it."""
    indptr = expect(state, f"{name}.indptr", (shape[0] + 1,), np.int64)
    indices = expect(state, f"{name}.indices", (None,), np.int32)
    data = expect(state, f"{name}.data", indices.shape, np.float32) if f"{name}.data" in state else None
    bounded = not len(indices) or (indices.min() >= 0 and indices.max() < shape[1])
    if indptr[0] != 0 or indptr[-1] != len(indices) or np.any(indptr[1:] < indptr[:-1]) or not bounded:
        raise ArtifactError(f"array {name!r} is not a sparse matrix of shape {shape}")
    return CSR(indptr, indices, data, shape)


def unpack_if(name: str, state: dict[str, np.ndarray], shape: tuple[int, int]) -> CSR | None:
    """The matrix that `pack` named, or None if it packed none."""
    return unpack(name, state, shape) if f"{name}.indptr" in state else None


def expect(state: dict[str, np.ndarray], name: str, shape: tuple[int | None, ...], dtype: Any = None) -> np.ndarray:
    """An array of a model file, or ArtifactError if it is missing or of another shape (None: any) or dtype."""
    if name not in state:
        raise ArtifactError(f"array {name!r} is missing")
    array = state[name]
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits or (dtype is not None and array.dtype != dtype):
        raise ArtifactError(f"array {name!r} is {array.dtype}{array.shape}, expected {np.dtype(dtype)}{shape}")
    return array


def noise(rows: CSR) -> float:
    """The largest singular value that chance alone gives a matrix with independent entries as large as these.

    With S the sum of their squares, `sqrt(S / n) + sqrt(S / m)`, over the n rows and m columns that have any.
    """
    squares = float(np.sum(rows.weights.astype(np.float64) ** 2))
    return float(sum(np.sqrt(squares / max(int((side.counts > 0).sum()), 1)) for side in (rows, rows.T)))


def numbers(model: Any, *names: str) -> dict[str, np.ndarray]:
    """What a model took from the data for parameters that were None, for its file; nothing for None."""
    return {f"taken.{name}": np.array(getattr(model, name), np.float64) for name in names
            if getattr(model, name) is not None}


def restore_numbers(model: Any, state: dict[str, np.ndarray], **before: float | None) -> None:
    """Take back what `numbers` gave; what it did not give, as in files from before, is what `before` says."""
    for name, value in before.items():
        held = f"taken.{name}" in state
        setattr(model, name, float(expect(state, f"taken.{name}", (), np.float64)) if held else value)

"""Compressed sparse rows: three arrays and a shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minidl.kernels import rows as row_kernels
from recsys.errors import DataError
from recsys.kernels import sparse

__all__ = ["CSR", "appended", "beside", "distinct", "numbered", "ranges", "stacked"]

_FEW = 4  # times as many columns as entries, and sorting the entries is cheaper


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`start, start + 1, ...`, as many as counted, for each start: int64, shape (counts.sum(),).

    >>> ranges(np.array([5, 0]), np.array([3, 2]))
    array([5, 6, 7, 0, 1])
    """
    before = np.cumsum(counts) - counts
    numbers: np.ndarray = np.arange(counts.sum()) + np.repeat(starts - before, counts)
    return numbers


def numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values, ascending, and the place of each value among them: (d,), int64 (n,).

    As `numpy.unique` gives them, whose first call imports `numpy.ma`: 50 ms, for which a first answer would wait.

    >>> numbered(np.array([7, 3, 7]))
    (array([3, 7]), array([1, 0, 1]))
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.ones(len(values), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    place = np.empty(len(values), np.int64)
    place[order] = np.cumsum(first) - 1
    return ordered[first], place


@dataclass(frozen=True, eq=False, repr=False)
class CSR:
    """A sparse matrix by rows, which may hold a pair more than once and keeps the order within a row.

    Parameters
    ----------
    indptr : int64 array, shape (n_rows + 1,)
        Row `r` is `indices[indptr[r]:indptr[r + 1]]`.
    indices : int32 array, shape (nnz,)
        The columns.
    data : float32 array, shape (nnz,), or None
        The values; None means that every entry is 1.
    shape : (int, int)
        Rows and columns.

    Examples
    --------
    >>> CSR.from_pairs([1, 0, 1], [2, 0, 1], [5.0, 3.0, 4.0], (2, 3)).toarray()
    array([[3., 0., 0.], [0., 4., 5.]], dtype=float32)
    """

    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray | None
    shape: tuple[int, int]

    @classmethod
    def from_pairs(
        cls, rows: np.ndarray, cols: np.ndarray, data: np.ndarray | None = None, shape: tuple[int, int] | None = None
    ) -> CSR:
        """Group entries by row, keeping their order within a row.

        Parameters
        ----------
        rows, cols : int arrays, shape (n,)
            Row and column of each entry.
        data : float array, shape (n,), optional
            Value of each entry.
        shape : (int, int), optional
            Rows and columns; by default just large enough.

        Raises
        ------
        DataError
            When lengths differ or an index lies outside of `shape`.
        """
        rows, cols = np.asarray(rows), np.asarray(cols)
        if len(rows) != len(cols) or (data is not None and len(data) != len(rows)):
            lengths = f"{len(rows)} rows, {len(cols)} columns, {'no' if data is None else len(data)} values"
            raise DataError(f"CSR.from_pairs: the arrays must be of one length; got {lengths}.")
        if shape is None:
            shape = (int(rows.max(initial=-1)) + 1, int(cols.max(initial=-1)) + 1)
        for name, index, size in (("rows", rows, shape[0]), ("cols", cols, shape[1])):
            if len(index) and not 0 <= index.min() <= index.max() < size:
                raise DataError(f"CSR.from_pairs: {name} must lie in 0..{size - 1}, got {index.min()}..{index.max()}.")
        indptr, order = sparse.group(np.ascontiguousarray(rows, np.int32), shape[0])
        values = None if data is None else np.asarray(data, np.float32)[order]
        return cls(indptr, cols.astype(np.int32)[order], values, shape)

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> CSR:
        """A matrix without entries."""
        return cls(np.zeros(shape[0] + 1, np.int64), np.zeros(0, np.int32), None, shape)

    def __repr__(self) -> str:
        return f"CSR(shape={self.shape}, nnz={self.nnz}{'' if self.data is None else ', with values'})"

    @property
    def nnz(self) -> int:
        """Number of entries, repeated ones counted each time."""
        return len(self.indices)

    @cached_property
    def counts(self) -> np.ndarray:
        """Entries of each row, int64, shape (n_rows,)."""
        return np.diff(self.indptr)

    @property
    def row_of_entry(self) -> np.ndarray:
        """The row of each entry, int32, shape (nnz,)."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), self.counts)

    @property
    def keys(self) -> np.ndarray:
        """One number for the row and column of each entry: int64, shape (nnz,)."""
        keys: np.ndarray = self.row_of_entry * np.int64(self.shape[1]) + self.indices
        return keys

    @property
    def weights(self) -> np.ndarray:
        """The values, or ones: float32, shape (nnz,)."""
        return np.ones(self.nnz, np.float32) if self.data is None else self.data

    def times(self, matrix: np.ndarray) -> np.ndarray:
        """The product with a dense matrix, (n_columns, d) -> (n_rows, d); a row's bits do not depend on the others."""
        return np.asarray(row_kernels.bag(matrix, self.indices, self.indptr, self.weights))

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Columns and values of one row, as views."""
        part = slice(self.indptr[i], self.indptr[i + 1])
        return self.indices[part], None if self.data is None else self.data[part]

    def rows(self, which: np.ndarray) -> CSR:
        """The given rows, in the given order, as a new matrix.

        Parameters
        ----------
        which : int array, shape (m,)
            Row numbers; one may occur more than once.

        Returns
        -------
        CSR
            Shape (m, n_columns).
        """
        which = np.asarray(which, np.int64)
        counts = self.indptr[which + 1] - self.indptr[which]  # without counts of all the rows, which may be many
        indptr = np.zeros(len(which) + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        return self._select(ranges(self.indptr[which], counts), indptr, len(which))

    def tail(self, n: int) -> CSR:
        """The last `n` entries of every row (all of a shorter one)."""
        counts = np.minimum(self.counts, n)
        indptr = np.zeros(self.shape[0] + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        return self._select(ranges(self.indptr[1:] - counts, counts), indptr, self.shape[0])

    def where(self, mask: np.ndarray) -> CSR:
        """The entries that a mask, bool (nnz,), marks."""
        counts = np.bincount(self.row_of_entry[mask], minlength=self.shape[0])
        return self._select(np.flatnonzero(mask), np.concatenate([[0], np.cumsum(counts)]), self.shape[0])

    def unique(self) -> CSR:
        """The pattern alone: columns ascending within a row, each once, no values; computed once."""
        return self._pattern

    @cached_property
    def _pattern(self) -> CSR:
        if _FEW * self.nnz < self.shape[1]:  # a counting sort would count all columns, which may be a million
            rows, cols = np.divmod(numbered(self.keys)[0], self.shape[1])
            indptr = np.searchsorted(rows, np.arange(self.shape[0] + 1))
            return CSR(indptr, cols.astype(np.int32), None, self.shape)
        by_column = sparse.group(self.indices, self.shape[1])[1]
        rows = self.row_of_entry[by_column]
        order = sparse.group(rows, self.shape[0])[1]
        rows, cols = rows[order], self.indices[by_column[order]]
        first = np.ones(self.nnz, np.bool_)
        first[1:] = (rows[1:] != rows[:-1]) | (cols[1:] != cols[:-1])
        return CSR.from_pairs(rows[first], cols[first], None, self.shape)

    def submatrix(self, which: np.ndarray) -> CSR:
        """Of a square matrix, rows and columns `which` in this order; -1 gives an empty row and column.

        Parameters
        ----------
        which : int array, shape (m,)
            Distinct row numbers, or -1.
        """
        which = np.asarray(which, np.int64)
        new = np.full(self.shape[0], -1, np.int64)
        new[which[which >= 0]] = np.flatnonzero(which >= 0)
        rows, cols = new[self.row_of_entry], new[self.indices]
        kept = (rows >= 0) & (cols >= 0)
        values = None if self.data is None else self.data[kept]
        return CSR.from_pairs(rows[kept], cols[kept], values, (len(which), len(which)))

    @cached_property
    def T(self) -> CSR:  # noqa: N802 (NumPy's name)
        """The transpose; within a row of it, this matrix's rows ascend."""
        indptr, order = sparse.group(self.indices, self.shape[1])
        values = None if self.data is None else self.data[order]
        return CSR(indptr, self.row_of_entry[order], values, (self.shape[1], self.shape[0]))

    def toarray(self) -> np.ndarray:
        """The dense matrix, float32, shape (n_rows, n_columns); repeated entries are added up."""
        dense = np.zeros(self.shape, np.float32)
        np.add.at(dense, (self.row_of_entry, self.indices), np.float32(1) if self.data is None else self.data)
        return dense

    def _select(self, entries: np.ndarray, indptr: np.ndarray, n_rows: int) -> CSR:
        values = None if self.data is None else self.data[entries]
        return CSR(indptr, self.indices[entries], values, (n_rows, self.shape[1]))


def appended(old: CSR, new: CSR) -> CSR:
    """The entries of `new`, row by row after those of `old`, which may have fewer rows and columns.

    Examples
    --------
    >>> old, new = CSR.from_pairs([0], [1], shape=(1, 2)), CSR.from_pairs([0, 1], [0, 2], shape=(2, 3))
    >>> appended(old, new).indices.tolist()
    [1, 0, 2]
    """
    values = None if old.data is None and new.data is None else np.concatenate([old.weights, new.weights])
    return CSR.from_pairs(np.concatenate([old.row_of_entry, new.row_of_entry]),
                          np.concatenate([old.indices, new.indices]), values, new.shape)


def stacked(parts: Sequence[CSR], n_columns: int) -> CSR:
    """Matrices of so many columns with values, one below the other.

    >>> one = CSR.from_pairs([0], [1], [2.0], (1, 2))
    >>> stacked([one, one], 2).toarray().tolist()
    [[0.0, 2.0], [0.0, 2.0]]
    """
    counts = np.concatenate([np.zeros(1, np.int64), *(part.counts for part in parts)])
    return CSR(np.cumsum(counts), np.concatenate([np.zeros(0, np.int32), *(part.indices for part in parts)]),
               np.concatenate([np.zeros(0, np.float32), *(part.weights for part in parts)]),
               (len(counts) - 1, n_columns))


def beside(parts: Sequence[CSR]) -> CSR:
    """Matrices of the same rows with values, one to the right of the other.

    >>> one = CSR.from_pairs([0], [1], [2.0], (1, 2))
    >>> beside([one, one]).toarray().tolist()
    [[0.0, 2.0, 0.0, 2.0]]
    """
    *starts, width = np.cumsum([0, *(part.shape[1] for part in parts)]).tolist()
    return CSR.from_pairs(np.concatenate([part.row_of_entry for part in parts]),
                          np.concatenate([part.indices + start for part, start in zip(parts, starts, strict=True)]),
                          np.concatenate([part.weights for part in parts]), (parts[0].shape[0], width))


def distinct(csr: CSR) -> CSR:
    """Each pair once, sorted by column within a row; of repeated pairs the last value is kept."""
    n_rows, n_columns = csr.shape
    key = csr.row_of_entry * np.int64(n_columns) + csr.indices
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

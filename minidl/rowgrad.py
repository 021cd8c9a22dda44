"""The gradient of a table of which only some rows were used."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels

__all__ = ["RowGrad"]


class RowGrad:
    """Gradient of a table that is zero but for some rows, as an embedding makes it.

    Parameters
    ----------
    indices : int array, shape (n,)
        Rows, in any order, duplicates allowed (their gradients add up).
    rows : float array, shape (n, *shape[1:])
        Their gradients.
    shape : tuple of int
        Shape of the table.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import RowGrad
    >>> g = RowGrad(np.array([2, 0, 2]), np.ones((3, 2)), (4, 2))
    >>> g.coalesce().indices
    array([0, 2])
    >>> g.to_dense()[2]
    array([2., 2.])
    """

    __slots__ = ("indices", "rows", "shape", "_coalesced")

    def __init__(self, indices: np.ndarray, rows: np.ndarray, shape: tuple[int, ...], *,
                 coalesced: bool = False) -> None:
        self.indices = indices
        self.rows = rows
        self.shape = shape
        self._coalesced = coalesced

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the rows."""
        return self.rows.dtype

    def __repr__(self) -> str:
        return f"RowGrad({len(self.indices)} rows of {self.shape}, {self.dtype})"

    def append(self, other: RowGrad) -> RowGrad:
        """The sum of two gradients of one table, as the rows of both."""
        return RowGrad(np.concatenate([self.indices, other.indices]), np.concatenate([self.rows, other.rows]),
                       self.shape)

    def coalesce(self) -> RowGrad:
        """The same gradient with each row once, sorted; duplicates are added in order of appearance."""
        if self._coalesced:
            return self
        indices, rows = kernels.rows.coalesce(self.indices, self.rows)
        return RowGrad(indices, rows, self.shape, coalesced=True)

    def to_dense(self) -> np.ndarray:
        """The whole table's gradient, zeros included."""
        dense = np.zeros(self.shape, self.dtype)
        kernels.rows.scatter_add(dense, self.indices, self.rows)
        return dense

    def add_to(self, dense: Any) -> Any:
        """`dense` plus this gradient, in new memory."""
        return dense + self.to_dense()

    def astype(self, dtype: Any) -> RowGrad:
        """The same gradient in another dtype."""
        return RowGrad(self.indices, self.rows.astype(dtype), self.shape, coalesced=self._coalesced)

"""`Parameter`: a Tensor that a module learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.errors import refuse_masked
from minidl.tensor import Tensor, as_array

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A Tensor that belongs to the module it is an attribute of, and requires a gradient.

    Parameters
    ----------
    data : array_like or Tensor
        Copied. An array keeps its dtype; Python numbers become float32.
    requires_grad : bool
        False freezes it: the module still owns and saves it, an optimizer passes it over.

    Examples
    --------
    >>> from minidl import nn
    >>> nn.Parameter([1.0, 2.0]).dtype
    dtype('float32')
    """

    __slots__ = ("before_read", "name")

    before_read: Callable[[Tensor, np.ndarray | None], None] | None
    name: str  # such as "Linear.weight", of the attribute it was assigned to; for messages

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        array = data.data if isinstance(data, Tensor) else data
        refuse_masked("Parameter: data", array)
        typed = isinstance(array, (np.ndarray, np.generic))
        super().__init__(as_array(np.array(array, None if typed else np.float32, order="C")))
        self.before_read, self.name = None, ""
        self.requires_grad = requires_grad

    def __getstate__(self) -> Any:
        """What a copy or pickle holds: all rows up to date, and nobody to ask before they are read."""
        self.catch_up()
        return None, {"_array": self._array, "node": self.node, "before_read": None, "name": self.name}

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def catch_up(self, indices: np.ndarray | None = None) -> None:
        """Bring rows that an optimizer with `exact=True` has left behind up to date, before they are read.

        Parameters
        ----------
        indices : int array, optional
            Rows, in range and not negative; by default all.
        """
        if self.before_read is not None:
            self.before_read(self, indices)

"""`Parameter`: a Tensor that a module learns."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.tensors import Tensor, as_array, raw

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

    __slots__ = ("name",)

    name: str  # such as "Linear.weight", of the attribute it was assigned to; for messages

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        array = raw(data, "Parameter: data")
        typed = isinstance(array, (np.ndarray, np.generic))
        super().__init__(as_array(np.array(array, None if typed else np.float32, order="C")))
        self.name = ""
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

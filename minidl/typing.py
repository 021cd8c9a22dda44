"""Types for signatures of ops.

Ops answer in kind, with an array for arrays and a Tensor where one is given, so what they return is typed `Any`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from minidl.tensors import Tensor

__all__ = ["Array", "Operand"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Operand: TypeAlias = Array | Tensor
"""What an op differentiates; some take a number, too, which they say: `Operand | float`."""

"""The operators and methods of `Tensor` that are ops: put on the class here, since ops are written with Tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.ops import elementwise, functions, index, linalg, norms, reduce, shape
from minidl.ops.dispatch import dispatch_function, dispatch_ufunc
from minidl.tensors import Tensor

__all__: list[str] = []

_BINARY = {"add": elementwise.add, "sub": elementwise.subtract, "mul": elementwise.multiply,
           "truediv": elementwise.divide, "pow": elementwise.power, "matmul": linalg.matmul}
_NAMED = (elementwise.astype, elementwise.clip, functions.exp, functions.log, index.argmax, norms.norm, reduce.cumsum,
          reduce.max, reduce.mean, reduce.min, reduce.prod, reduce.std, reduce.sum, reduce.var, shape.flatten,
          shape.ravel, shape.squeeze, shape.swapaxes)


def _reflected(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The operator of the right operand: `2 - t` is `t.__rsub__(2)`."""
    return lambda self, other: op(other, self)


def _reshape(self: Tensor, *lengths: Any) -> Any:
    """See `minidl.ops.reshape`; `t.reshape(2, 3)` and `t.reshape((2, 3))` both work."""
    return shape.reshape(self, lengths[0] if len(lengths) == 1 else lengths)


def _transpose(self: Tensor, *axes: Any) -> Any:
    """See `minidl.ops.transpose`; `t.transpose(1, 0)` and `t.transpose((1, 0))` both work."""
    return shape.transpose(self, axes[0] if len(axes) == 1 else axes or None)


def _array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    return dispatch_ufunc(ufunc, method, inputs, kwargs)


def _array_function(self: Tensor, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
    return dispatch_function(function, args, kwargs)


_METHODS: dict[str, Any] = {
    "__neg__": elementwise.negative, "__abs__": elementwise.abs, "__getitem__": index.getitem,
    "__array_ufunc__": _array_ufunc, "__array_function__": _array_function,
    "T": property(lambda self: shape.transpose(self), doc="The axes reversed."),
    "unsqueeze": shape.expand_dims, "reshape": _reshape, "transpose": _transpose, **{op.__name__: op for op in _NAMED}}
for _name, _op in _BINARY.items():
    _METHODS |= {f"__{_name}__": _op, f"__r{_name}__": _reflected(_op)}
for _name, _op in _METHODS.items():
    setattr(Tensor, _name, _op)

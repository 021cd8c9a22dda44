"""A small deep-learning engine on NumPy and Numba: derivatives of any order, each one proved."""

import importlib
from typing import TYPE_CHECKING, Any

from minidl import runtime  # isort: skip  (before all others: it sets what has to be there when NumPy loads)
from minidl import ops
from minidl.derivatives import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from minidl.engine import fused, is_grad_enabled, keeps, no_grad, primitive, record
from minidl.errors import AnomalyError, GradientError, MissingExtraError, ShapeError
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor, tensor

if TYPE_CHECKING:
    __version__: str
    from minidl import data, debug, io, nn, onnx, optim, privacy, testing, typing
    from minidl.debug import graph, profile
    from minidl.ops.per_example import per_example_grads, per_example_norms
    from minidl.recompute import checkpoint

__all__ = [
    "AnomalyError", "GradientError", "MissingExtraError", "RowGrad", "ShapeError", "Tensor", "checkpoint", "data",
    "debug", "fused", "grad", "graph", "hessian", "hvp", "io", "is_grad_enabled", "jacobian", "jvp", "keeps", "nn",
    "no_grad", "onnx", "ops", "optim", "per_example_grads", "per_example_norms", "primitive", "privacy", "profile",
    "record", "runtime", "tensor", "testing", "typing", "value_and_grad", "vjp",
]


_ELSEWHERE = {"graph": "debug", "profile": "debug", "checkpoint": "recompute", "per_example_grads": "ops.per_example",
              "per_example_norms": "ops.per_example"}


def __getattr__(name: str) -> Any:
    """Import the parts that a script may do without when they are asked for: every import costs start-up time."""
    if name == "__version__":
        return _version()
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f"minidl.{_ELSEWHERE[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"minidl.{name}")
    raise AttributeError(f"module 'minidl' has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # which takes as long to import as all of minidl

    try:
        return version("minidl")
    except PackageNotFoundError:
        raise AttributeError("minidl has no __version__, since it is not installed; run: pip install minidl") from None


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""Differentiable functions: array ops with NumPy's names, neural ones with those of `torch.nn.functional`.

An op is listed once, in `__all__` of its family's file; what the families list is what `minidl.ops` has.
"""

import importlib
from typing import TYPE_CHECKING, Any

import minidl.ops.methods as _  # (puts ops on Tensor)
from minidl.ops.activation import *
from minidl.ops.class_loss import *
from minidl.ops.dispatch import *
from minidl.ops.elementwise import *
from minidl.ops.embeddings import *
from minidl.ops.functions import *
from minidl.ops.index import *
from minidl.ops.linalg import *
from minidl.ops.loss import *
from minidl.ops.norms import *
from minidl.ops.reduce import *
from minidl.ops.shape import *
from minidl.ops.softmax_loss import *

if TYPE_CHECKING:
    from minidl.ops.activation_more import *
    from minidl.ops.attention import *
    from minidl.ops.conv import *
    from minidl.ops.distance_loss import *
    from minidl.ops.functions_more import *
    from minidl.ops.likelihood_loss import *
    from minidl.ops.margin_loss import *
    from minidl.ops.normalization import *
    from minidl.ops.patches import *
    from minidl.ops.pool import *
    from minidl.ops.recurrent import *
    from minidl.ops.scan import *
    from minidl.ops.sparse import *

_AT_ONCE = ("activation", "class_loss", "dispatch", "elementwise", "embeddings", "functions", "index", "linalg", "loss",
            "norms", "reduce", "shape", "softmax_loss")
_LATER = ("activation_more", "functions_more", "normalization", "attention", "recurrent", "scan", "conv", "patches",
          "pool", "distance_loss", "margin_loss", "likelihood_loss", "sparse")
"""Families that a script may do without: imported one by one until one has the name that is asked for."""


def _names(family: str) -> list[str]:
    listed: list[str] = importlib.import_module(f"minidl.ops.{family}").__all__
    return listed


def __getattr__(name: str) -> Any:
    if name == "__all__":
        found = globals()[name] = sorted(op for family in (*_AT_ONCE, *_LATER) for op in _names(family))
        return found
    family = None if name.startswith("_") else next((f for f in _LATER if name in _names(f)), None)
    if family is None:
        raise AttributeError(f"module 'minidl.ops' has no attribute {name!r}")
    op = globals()[name] = getattr(importlib.import_module(f"minidl.ops.{family}"), name)
    return op


def __dir__() -> list[str]:
    return list(__getattr__("__all__"))

"""What all losses need: equal shapes, constants, weights, reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.engine import keeps, record
from minidl.errors import GradientError, ShapeError
from minidl.ops.elementwise import astype
from minidl.ops.precision import widened
from minidl.tensors import Tensor, as_array

__all__ = ["averaged", "checked", "constant", "fitting", "floating", "inverse", "pair", "plain", "real", "reduce",
           "signs", "total", "turned", "weighted"]


def pair(name: str, a: Any, b: Any, called: tuple[str, str] = ("input", "target")) -> tuple[Any, Any]:
    """Both in floating point, of one shape, and of one dtype unless both are differentiated."""
    a, b = floating(a), real(b)
    if a.shape != b.shape:
        fits = f"{called[1]}.reshape{a.shape}" if a.size == b.size else "np.broadcast_to, if that is what you mean"
        raise ShapeError(f"{name}: {called[0]} has shape {a.shape} but {called[1]} has shape {b.shape}; "
                         f"losses do not broadcast, use {fits}")
    if b.dtype != a.dtype and not (isinstance(b, Tensor) and b.requires_grad):
        b = astype(b, a.dtype)
    return a, b


def floating(x: Any) -> Any:
    """`x` as a Tensor or array of floating point numbers."""
    x = real(x)
    return x if x.dtype.kind == "f" else astype(x, np.float64)


def real(x: Any) -> Any:
    """`x` as a Tensor or array of real numbers: texts and objects have no arithmetic, and no part gets lost."""
    x = x if isinstance(x, Tensor) else as_array(x)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{x.dtype}{x.shape} does not hold real numbers; pass such as np.asarray(x, float)")
    return x


def checked(name: str, reduction: str) -> str:
    """The reduction, if it is one."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name}: reduction={reduction!r} is unknown; use 'mean', 'sum' or 'none'")
    return reduction


def reduce(losses: Any, reduction: str) -> Any:
    """Mean or sum of the losses, or the losses."""
    return losses if reduction == "none" else total(losses, reduction, inverse(losses.size))


def total(losses: Any, reduction: str, scale: float) -> Any:
    """Sum of the losses, times the scale for a mean."""
    if losses.dtype.char == "e":  # the sum may be more than float16 holds
        return astype(total(widened(losses), reduction, scale), losses.dtype)
    return losses.sum() if reduction == "sum" else losses.sum() * scale


def inverse(count: float) -> float:
    """1 / count, NaN for the mean of nothing."""
    return 1 / count if count else math.nan


def constant(name: str, argument: str, value: Any, dtype: Any) -> np.ndarray:
    """An argument without a gradient, as an array."""
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise GradientError(f"{name}: {argument} is a constant but this Tensor requires a gradient; "
                                "pass .detach(), or multiply the losses of reduction='none' by it")
        value = value.data
    return np.asarray(real(value)).astype(dtype, copy=False)


def signs(name: str, target: Any, x: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A constant target of 1 and -1, in the dtype of `x`."""
    value = constant(name, "target", target, x.dtype)
    if value.shape != shape:
        raise ShapeError(f"{name}: target has shape {value.shape}, for inputs of shape {x.shape} it is {shape}")
    if (np.abs(value) != 1).any():
        raise ValueError(f"{name}: target holds {value[np.abs(value) != 1][0]}, it has to be 1 or -1; "
                         "2 * target - 1 makes them of 1 and 0")
    return value


def turned(x: Any, y: np.ndarray) -> Any:
    """y x for a constant y of `signs`. Derivative: g y."""
    return record(_turned, _turned_rule, x, y=y)


def _turned(x: Any, y: np.ndarray) -> Any:
    return x * y


@keeps()
def _turned_rule(g: Any, out: Any, inputs: Any, needs: Any, y: np.ndarray) -> Any:
    return (turned(g, y),)


def fitting(name: str, argument: str, value: Any, x: Any, dtype: Any = None) -> np.ndarray:
    """A constant that broadcasts to the shape of `x` without widening it, by default in the dtype of `x`."""
    value = constant(name, argument, value, x.dtype if dtype is None else dtype)
    tail = x.shape[x.ndim - value.ndim:] if value.ndim <= x.ndim else None
    if tail is None or any(n not in (1, m) for n, m in zip(value.shape, tail, strict=True)):
        raise ShapeError(f"{name}: {argument} has shape {value.shape}, which does not broadcast to the input's "
                         f"shape {x.shape}")
    return value


def weighted(name: str, losses: Any, weight: Any) -> Any:
    """Losses times a weight that broadcasts to their shape."""
    return losses if weight is None else losses * fitting(name, "weight", weight, losses)


def averaged(name: str, losses: Any, weight: Any, reduction: str) -> Any:
    """Losses times a weight that broadcasts to their shape, reduced; the mean divides by the weights."""
    if weight is None:
        return reduce(losses, reduction)
    value, dtype = fitting(name, "weight", weight, losses), losses.dtype
    losses = widened(losses) * value
    if reduction != "none":
        losses = total(losses, reduction, inverse(float(np.broadcast_to(value, losses.shape).sum(dtype=np.float64))))
    return losses if losses.dtype == dtype else astype(losses, dtype)


def plain(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """`a` as kernels are compiled for: C order, aligned, writeable, float32 or float64 (the wider of both)."""
    dtype = a.dtype if b is None else np.result_type(a, b)
    a = np.asarray(a, np.float32 if dtype.itemsize <= 4 else np.float64)
    return a if a.flags.carray else a.copy(order="C")

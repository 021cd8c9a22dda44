"""What a row of the op table says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["Case", "Convention", "Op"]


@dataclass(frozen=True)
class Case:
    """One call of an op: `function(*args, **kwargs)`, differentiated with respect to `args[i], i in wrt`.

    Arguments that are differentiated are float64 arrays (any layout, 0-d and zero-size included).
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    wrt: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Convention:
    """What the gradient is at a kink or a tie: `gradient` of `sum(op)` with respect to `args[0]`."""

    says: str
    args: tuple[Any, ...]
    gradient: Any
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Op:
    """One row of the op table; every generic proof follows from it.

    Attributes
    ----------
    name : str
        Name in `minidl.ops`; a variant carries a suffix, such as `"sum[axis]"`.
    function : callable
        The op itself.
    reference : callable
        The same function in plain NumPy, independent of minidl. When `complex_step` it is analytic in
        the arguments `wrt`: branches look at `x.real` only, no abs, conj, maximum of complex values.
    cases : SearchStrategy[Case]
        Calls inside the smooth domain, away from kinks and ties, nasty shapes and layouts included.
    order : int
        Highest order of derivative that is proved: 2, and 3 where the op is smooth.
    complex_step : bool
        Whether `reference` takes complex arguments; otherwise five-point differences are the oracle.
    linear : tuple of int
        Arguments in which the op is linear (or affine), the others fixed: adjoint identity.
    conventions : tuple of Convention
        The choices at kinks and ties, asserted.
    float32 : bool
        Whether float32 in gives float32 out and float32 gradients (always, but for casts).
    onnx : str or None
        What `minidl.onnx.export` refuses: "" for nothing, a sentence for some of the cases, None for all of them, where
        ONNX has no such op.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., np.ndarray]
    cases: SearchStrategy[Case]
    order: int = 2
    complex_step: bool = True
    linear: tuple[int, ...] = ()
    conventions: tuple[Convention, ...] = ()
    float32: bool = True
    onnx: str | None = ""

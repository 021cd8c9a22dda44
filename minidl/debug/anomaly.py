"""`detect_anomaly`: which operation made the first NaN, and at which line of the user's program."""

from __future__ import annotations

import functools
import linecache
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl import engine
from minidl.debug.watching import Forward, Watcher, watchers
from minidl.engine import INPUTS, OUTPUT, Node, Rule
from minidl.errors import AnomalyError, name_of
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor

__all__ = ["detect_anomaly"]

_PACKAGE = str(Path(engine.__file__).parent) + os.sep


def detect_anomaly() -> AbstractContextManager[Any]:
    """Stop at the first value that is not finite, and say which operation made it, and where.

    Inside the block, for the calling thread:

    - *Forward.* An operation whose result has a NaN that none of its arguments has, or an infinity while all
      arguments are finite, raises. So a mask of `-inf` may pass through, and what was bad on arrival is not
      blamed on the operation that it passes; but `inf - inf` is.
    - *Backward.* The first gradient that is not finite raises, with the line where its operation was computed.
    - *Changed arrays.* What an operation saved for its derivative is compared by checksum with what it was; an
      array that was changed since raises instead of giving a wrong gradient.
    - Any other error in a backward pass ends with the line where its operation was computed.

    The line is the innermost one outside of minidl, so inside a `Sequential` it is the call of the model.
    NumPy's warnings about invalid values, overflow and division by zero are off in operations: the block says more.
    Every operation is slower by several passes over its arrays. Outside of the block nothing is.

    Raises
    ------
    AnomalyError
        Inside the block, on the first anomaly.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> x = minidl.tensor([1.0, -1.0], requires_grad=True)
    >>> with minidl.debug.detect_anomaly():
    ...     y = np.sqrt(x)
    Traceback (most recent call last):
    minidl.errors.AnomalyError: sqrt(float64(2,) from -1 to 1) gave 1 NaN among 2 values, first at [1]; at ...
    """
    nested = any(isinstance(w, _Anomaly) for w in watchers())
    return nullcontext() if nested else _Anomaly()


@dataclass(frozen=True)
class Origin:
    """Where an operation was computed."""

    op: str
    file: str | None = None
    line: int = 0

    @property
    def place(self) -> str:
        """File, line and text of the line."""
        if self.file is None:
            return "a line outside of detect_anomaly(); compute the forward pass inside it too"
        text = linecache.getline(self.file, self.line).strip()
        return f"{self.file}:{self.line}" + (f": {text}" if text else "")

    def __str__(self) -> str:
        return f"{self.op}, computed at {self.place}"


def _user_line(op: str) -> Origin:
    """The innermost line that runs now outside of minidl."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return Origin(op, frame.f_code.co_filename, frame.f_lineno)


class _Anomaly(Watcher):
    """The rules that it hands to the engine know their `origin`, and the `marks` of what they saved."""

    def __init__(self) -> None:
        self.rule_of: Origin | None = None  # of the derivative that is being computed, if one is

    def recording(self, forward: Forward, rule: Rule) -> tuple[Forward, Rule]:
        origin = self.rule_of or _user_line(name_of(rule))
        marks: list[tuple[str, np.ndarray, int]] = []

        @functools.wraps(forward)
        def looked_at(*arrays: Any, **params: Any) -> Any:
            with _quiet():
                out = forward(*arrays, **params)
            value, saved = out if type(out) is tuple else (out, None)
            if self.rule_of is None:  # inside of a derivative only its result counts
                _look_forward(origin, arrays, params, np.asarray(value))
            if engine.is_grad_enabled():
                marks.extend(_marks(rule, arrays, value, {**params, "saved": saved}))
            return out

        @functools.wraps(rule)
        def traced(*args: Any, **params: Any) -> Sequence[Any]:
            return rule(*args, **params)

        traced.origin, traced.marks = origin, marks  # type: ignore[attr-defined]
        return looked_at, traced

    def returning(self, rule: Rule, node: Node) -> Rule:
        origin = getattr(rule, "origin", None) or Origin(name_of(rule))
        marks = getattr(rule, "marks", ())

        @functools.wraps(rule)
        def looked_at(g: Any, out: Any, inputs: Any, needs: Any, **params: Any) -> Sequence[Any]:
            for label, array, before in marks:
                if _checksum(array) != before:
                    raise AnomalyError(
                        f"{origin.op}: its {label}, {array.dtype}{array.shape}, was changed after the forward pass, so "
                        f"the gradient would be wrong; change a copy, or compute the forward pass again after an "
                        f"optimizer step; computed at {origin.place}")
            if said := _not_finite(_bare(g)):
                raise AnomalyError(f"{origin.op}: the gradient that arrives at it has {said}; it is the one given to "
                                   f"backward, or finite ones whose sum overflows; computed at {origin.place}")
            outer, self.rule_of = self.rule_of, origin
            try:
                with _quiet():
                    gradients = rule(g, out, inputs, needs, **params)
            finally:
                self.rule_of = outer
            _look_backward(origin, gradients, needs, inputs)
            return gradients

        return looked_at


def _quiet() -> np.errstate:
    return np.errstate(divide="ignore", over="ignore", invalid="ignore")


# ------------------------------------------------------------------------------------------- values

def _look_forward(origin: Origin, arrays: Sequence[Any], params: Mapping[str, Any], value: np.ndarray) -> None:
    if value.dtype.kind not in "fc" or np.isfinite(value).all():
        return
    given = [np.asarray(a) for a in _arrays_in([arrays, params], numbers=True)]
    given = [a for a in given if a.dtype.kind in "fc"]
    nan_before = any(np.isnan(a).any() for a in given)
    finite_before = all(np.isfinite(a).all() for a in given)
    if finite_before or (np.isnan(value).any() and not nan_before):
        operands = ", ".join(_described(a) for a in arrays)
        raise AnomalyError(f"{origin.op}({operands}) gave {_not_finite(value)}; at {origin.place}")


def _look_backward(origin: Origin, gradients: Sequence[Any], needs: Sequence[bool], inputs: Sequence[Any]) -> None:
    for i, (g, need) in enumerate(zip(gradients, needs, strict=False)):
        if need and g is not None and (said := _not_finite(_bare(g))):
            operands = ", ".join(_described(_bare(x)) for x in inputs)
            raise AnomalyError(f"{origin.op}({operands}): the gradient of argument {i} has {said}, although what "
                               f"arrives is finite; computed at {origin.place}")


def _bare(g: Any) -> Any:
    return g.rows if isinstance(g, RowGrad) else g.data if isinstance(g, Tensor) else g


def _not_finite(value: Any) -> str:
    """How many values are not finite and where the first one is; nothing if all are."""
    value = np.asarray(value)
    if value.dtype.kind not in "fc":
        return ""
    bad = ~np.isfinite(value)
    if not bad.any():
        return ""
    nan = int(np.isnan(value).sum())
    infinite = int(bad.sum()) - nan
    kinds = " and ".join(f"{n} {kind}" for n, kind in ((nan, "NaN"), (infinite, "infinite")) if n)
    first = [int(i) for i in np.argwhere(bad)[0]]
    return f"{kinds} among {value.size} values" + (f", first at {first}" if first else "")


def _described(a: Any) -> str:
    """Dtype, shape and range of an argument; a node stands for an array that was not kept."""
    if not hasattr(a, "shape"):
        return repr(a)
    text = f"{a.dtype}{a.shape}"
    if isinstance(a, np.ndarray) and a.size and a.dtype.kind == "f":
        text += f" from {a.min():.4g} to {a.max():.4g}"
    return text


# ------------------------------------------------------------------------------------ saved arrays

def _marks(rule: Rule, arrays: Sequence[Any], out: Any, params: Mapping[str, Any]) -> Iterator[tuple[str, Any, int]]:
    """What the rule will read, and checksums of it."""
    flags: int = rule.keeps  # type: ignore[attr-defined]
    named = [(f"argument {i}", a) for i, a in enumerate(arrays) if flags & INPUTS]
    named += [("result", out)] if flags & OUTPUT else []
    for label, value in [*named, *((f"saved {k!r}", v) for k, v in params.items())]:
        for array in _arrays_in(value):
            yield label, array, _checksum(array)


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(array.tobytes())


def _arrays_in(value: Any, numbers: bool = False) -> Iterator[Any]:
    """The arrays in nested tuples, lists and mappings; and, if wanted, the numbers."""
    if isinstance(value, np.ndarray) or (numbers and isinstance(value, (float, np.floating))):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _arrays_in(part, numbers)

"""Exceptions, and the words for a failed operation."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from minidl.names import in_own_names

__all__ = ["AnomalyError", "GradientError", "MissingExtraError", "ShapeError", "explain", "explained", "locate",
           "masked_in", "name_of", "no_array", "refuse_masked"]

_F = TypeVar("_F", bound=Callable[..., Any])


class GradientError(RuntimeError):
    """A derivative was asked for that does not exist, or a graph was used in a way that breaks it."""


class ShapeError(ValueError):
    """Shapes that do not fit together."""


class AnomalyError(GradientError):
    """`minidl.debug.detect_anomaly` found a value that is not finite, or an array that changed behind the graph."""


class MissingExtraError(ImportError):
    """An optional package is needed; the message names the command that installs it."""

    def __init__(self, package: str, extra: str | None, purpose: str) -> None:
        wanted = package if extra is None else f"'minidl[{extra}]'"
        super().__init__(f"{purpose} needs {package}; run: pip install {wanted}")


def explain(error: Exception, forward: Any, rule: Any, arrays: Sequence[Any], params: Mapping[str, Any]) -> Exception:
    """The same kind of error, with the operation, shapes, dtypes and arguments in one sentence, and what to do."""
    if isinstance(error, (ShapeError, GradientError)):  # explained by the operation itself
        return error
    if isinstance(error, AttributeError):
        strange = no_array(error, {f"argument {i}": a for i, a in enumerate(arrays)})
        if strange is None:
            return error
        error = strange
    plain = inspect.unwrap(forward)  # some of NumPy's functions share the rule of another op
    theirs = str(getattr(plain, "__module__", "")).startswith("numpy") and not isinstance(plain, np.ufunc)
    name = str(plain.__name__) if theirs else name_of(rule)
    said = str(error).removeprefix(f"{name}: ").strip()
    message = f"{_call(name, arrays, params)}: {_in_plain_words(said, arrays, params)}"
    for known in (IndexError, TypeError, np.linalg.LinAlgError):
        if isinstance(error, known):
            return known(message)
    return ShapeError(message)


def explained(op: _F) -> _F:
    """Let every error from inside of a public function begin with its name and arguments, as those of `record` do."""
    name = op.__name__

    @functools.wraps(op)
    def call(*args: Any, **params: Any) -> Any:
        try:
            return op(*args, **params)
        except (*_KINDS, ValueError) as error:
            if (renamed := in_own_names(op, args, params)) is not None:  # then it has not begun
                return call(*args, **renamed)
            if str(error).startswith(name) or isinstance(error, AnomalyError):  # which says all, and is caught by kind
                raise
            raise _named(error, op, args, params) from error

    return call  # type: ignore[return-value]


_KINDS = (ShapeError, GradientError, IndexError, TypeError, OverflowError, MemoryError, np.linalg.LinAlgError,
          AttributeError)


def _named(error: Exception, op: Callable[..., Any], args: Sequence[Any], params: Mapping[str, Any]) -> Exception:
    """The same kind of error, in the words of a user who called `op`."""
    if isinstance(error, AttributeError):
        error = no_array(error, inspect.signature(op).bind(*args, **params).arguments) or error
    kind = next((k for k in _KINDS if isinstance(error, k)), ValueError)
    return kind(f"{_call(op.__name__, args, params)}: {error}")


def no_array(error: AttributeError, arguments: Mapping[str, Any]) -> Exception | None:
    """What to say when an argument was asked for what only arrays have; None when it was no argument."""
    for name, value in arguments.items():
        if value is error.obj and hasattr(np.ndarray, error.name or ""):
            return TypeError(f"{name} is {_kind(value)}; pass an array or a Tensor, such as np.array(...)")
    return None


def masked_in(value: Any) -> Any:
    """A `numpy.ma.MaskedArray`, if a value is one or a sequence that holds one; else None."""
    if type(value) in (list, tuple):
        for part in value:
            if type(part) not in (float, int, np.ndarray) and (found := masked_in(part)) is not None:
                return found
    is_one = type(value) is not np.ndarray and isinstance(value, np.ndarray) and hasattr(value, "compressed")
    return value if is_one else None


def refuse_masked(name: str, value: Any) -> None:
    """Raise for masked arrays, also in sequences: without masks, which nothing here knows, all values count."""
    if (found := masked_in(value)) is not None:
        raise TypeError(f"{name} is a masked array, {found.dtype}{found.shape}, and its mask would get lost; pass "
                        ".filled(value), with what masked elements stand for, or .compressed(), without them")


def _kind(value: Any) -> str:
    name = type(value).__name__
    return "None" if value is None else f"an {name}" if name[0] in "aeiou" else f"a {name}"


def locate(error: Exception, rule: Any) -> None:
    """Let an error in a backward pass say where the operation was computed; `minidl.debug.detect_anomaly` knows."""
    origin = getattr(rule, "origin", None)
    if origin is None or origin.place in str(error):
        return
    where = f"in the derivative of {origin}"
    if len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (f"{error.args[0]}; {where}",)
    else:
        error.add_note(where)


def name_of(rule: Any) -> str:
    """The operation that a rule belongs to."""
    return str(getattr(rule, "__name__", "operation")).strip("_").removesuffix("_rule")


def _call(name: str, args: Sequence[Any], params: Mapping[str, Any]) -> str:
    parts = [*map(_short, args), *(f"{k}={_short(v)}" for k, v in params.items() if k != "saved")]
    return f"{name}({', '.join(parts)})"


def _short(value: Any) -> str:
    """Dtype and shape of an array or Tensor, anything else as one line."""
    if hasattr(value, "dtype") and hasattr(value, "ndim") and not isinstance(value, np.generic):
        return f"{value.dtype}{value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


# ------------------------------------------------------------------------------- NumPy's words in ours

Told = Callable[[re.Match[str], Sequence[Any], Mapping[str, Any]], str]


def _in_plain_words(said: str, arrays: Sequence[Any], params: Mapping[str, Any]) -> str:
    """What NumPy said, with the numbers that matter and a hint, where we know what it means."""
    for pattern, told in _TRANSLATIONS:
        if found := re.search(pattern, said, re.DOTALL):
            return told(found, arrays, params) or said
    return said


def _broadcast(found: re.Match[str], arrays: Sequence[Any], params: Mapping[str, Any]) -> str:
    """The first axis from the end whose lengths are neither equal nor 1."""
    shapes = [np.shape(a) for a in [*arrays, *params.values()] if isinstance(a, np.ndarray)]
    target = params.get("shape")
    if isinstance(target, tuple):
        return f"shape {shapes[0]} does not broadcast to {target}; each length has to be that of the target, or 1"
    if "remapped" in found.string:  # a product of stacks of matrices
        shapes = [shape[:-2] for shape in shapes]
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        lengths = list(dict.fromkeys(shape[-axis] for shape in shapes if len(shape) >= axis and shape[-axis] != 1))
        if len(lengths) > 1:
            return (f"shapes {_listed(shapes)} do not broadcast, since axis {-axis} has lengths {_listed(lengths)}, "
                    "which have to be equal or 1; reshape, transpose or cut one of them")
    return ""


def _listed(values: Sequence[Any]) -> str:
    return " and ".join(map(str, values))


def _reshaped(found: re.Match[str], arrays: Sequence[Any], params: Mapping[str, Any]) -> str:
    target: Any = params.get("shape")
    lengths = list(target) if isinstance(target, (tuple, list)) else [target]
    size, filled = np.size(arrays[0]), math.prod(n for n in lengths if n != -1)
    if lengths.count(-1) > 1:
        return f"only one length of shape {target} may be -1, since the others tell it"
    if -1 in lengths:
        return f"{size} elements do not fill shape {target}, where -1 stands for {size} / {filled}"
    return f"{size} elements do not fill shape {target}, which has {filled}; one length may be -1, to be found"


def _bounds(found: re.Match[str], arrays: Sequence[Any], params: Mapping[str, Any]) -> str:
    n = int(found[1])
    return f"{found.string}; " + (f"they go from {-n} to {n - 1}" if n else "it has none")


def _no_numbers(found: re.Match[str], arrays: Sequence[Any], params: Mapping[str, Any]) -> str:
    for i, a in enumerate(arrays):
        if not isinstance(a, (int, float, np.generic)) and getattr(a, "dtype", np.dtype(object)).kind not in "biufc":
            what = f"an array of {a.dtype}" if isinstance(a, np.ndarray) else f"{a!r:.40}"
            return f"argument {i} is {what}, which has no arithmetic; pass numbers, such as np.asarray(x, float)"
    return ""


_TRANSLATIONS: list[tuple[str, Told]] = [
    (r"could not be broadcast together", _broadcast),
    (r"mismatch in its core dimension .*\(size (\d+) is different from (\d+)\)", lambda found, arrays, params: (
        f"the axes over which products are summed have lengths {found[2]} and {found[1]}, which have to be equal; "
        "transpose one of the arrays with .swapaxes(-1, -2), or reshape it")),
    (r"does not have enough dimensions", lambda found, arrays, params: (
        "a number has no axis over which products are summed; multiply it with *")),
    (r"did not contain a loop|unsupported operand|has no callable|dtypes are not compatible", _no_numbers),
    (r"zero-size array to reduction operation (\w+)", lambda found, arrays, params: (
        f"a zero-size array has no {found[1]}; leave it out, or add an element to compare with")),
    (r"cannot reshape array of size (\d+)|can only specify one unknown", _reshaped),
    (r"(?:index|axis) -?\d+ is out of bounds for (?:axis \d+ with size|array of dimension) (\d+)$", _bounds),
    (r"except for the concatenation axis.*dimension (\d+),.*index (\d+) has size (\d+).*index (\d+) has size (\d+)",
     lambda found, arrays, params: (
         f"arrays may differ along axis={params.get('axis')} only, but along axis {found[1]} array {found[2]} has "
         f"{found[3]} elements and array {found[4]} has {found[5]}; cut or pad one of them")),
    (r"need at least one array", lambda found, arrays, params: "there is no array to join; pass at least one"),
]

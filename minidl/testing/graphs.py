"""Random computations as data, and the numbers to try them with; needs NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Graph", "STEPS", "count", "layout_of", "unique_values"]

Shape = tuple[int, ...]

STEPS: dict[str, tuple[int, Callable[..., Any]]] = {
    "add": (2, lambda a, b: a + b),
    "subtract": (2, lambda a, b: a - b),
    "multiply": (2, lambda a, b: a * np.tanh(b)),
    "divide": (2, lambda a, b: a / (b * b + 2.0)),
    "sin": (1, np.sin),
    "tanh": (1, np.tanh),
    "square": (1, lambda a: np.sin(a) ** 2),
    "negative": (1, lambda a: -a),
    "total": (1, lambda a: np.sin(a.sum(axis=0, keepdims=True)) if a.ndim else a * 2.0),
    "reverse": (1, lambda a: a[::-1] if a.ndim else a),
    "detour": (1, lambda a: (a.T * 3.0).T),
}
"""Number of operands and meaning of each step; all are analytic and keep values small and shapes broadcastable."""


def count(shape: Shape) -> int:
    """Number of elements of an array of this shape."""
    return int(np.prod(shape))


def unique_values(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Different values with magnitudes from 0.5 to 2 and random signs."""
    size = count(shape)
    levels = (rng.permutation(size) + rng.uniform(0.25, 0.75, size)) / max(size, 1)
    return ((0.5 + 1.5 * levels) * rng.choice([-1.0, 1.0], size)).reshape(shape)


def layout_of(array: np.ndarray) -> str:
    """The name of an array's memory layout, for reports."""
    if array.ndim == 0:
        return "0-d"
    if array.size == 0:
        return "empty"
    if any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape, strict=True)):
        return "broadcast"
    if any(step < 0 for step in array.strides):
        return "reversed"
    if array.flags.c_contiguous:
        return "C"
    return "Fortran" if array.flags.f_contiguous else "strided"


@dataclass(frozen=True)
class Graph:
    """A computation of one number from several arrays, with operands shared between steps.

    Attributes
    ----------
    shapes : tuple of shapes
        Of the inputs; they broadcast against each other.
    steps : tuple of (name, operands)
        `STEPS[name]` applied to earlier values; value `k` is input `k`, or the step `k - len(shapes)`.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.testing.graphs import Graph
    >>> Graph(((2,),), (("add", (0, 0)), ("negative", (1,))))(np.array([1.0, 2.0]))
    np.float64(-6.0)
    """

    shapes: tuple[tuple[int, ...], ...]
    steps: tuple[tuple[str, tuple[int, ...]], ...]

    def values(self, *inputs: Any) -> list[Any]:
        """The inputs and the results of all steps."""
        known = list(inputs)
        for name, operands in self.steps:
            known.append(STEPS[name][1](*(known[i] for i in operands)))
        return known

    def sinks(self) -> Sequence[int]:
        """The values that no step uses."""
        used = {i for _, operands in self.steps for i in operands}
        return [i for i in range(len(self.shapes) + len(self.steps)) if i not in used]

    def __call__(self, *inputs: Any) -> Any:
        """The sum of everything that no step uses."""
        known = self.values(*inputs)
        totals = [known[i].sum() for i in self.sinks()]
        return sum(totals[1:], totals[0])

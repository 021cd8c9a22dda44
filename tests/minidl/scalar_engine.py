"""A naive engine to compare with: one Python float at a time, derivatives by recursion forward from each leaf.

Arrays are NumPy arrays of `Scalar` objects, so broadcasting, sums and views come from NumPy, and `np.sin` calls
the method `sin` of each element.
"""

from __future__ import annotations

import math

import numpy as np


class Scalar:
    """A number, what it was made from, and how it changes with each of those (a function, asked for when needed)."""

    recording = True

    def __init__(self, value, parents=(), leaf=False):
        self.value = value
        self.parents = [(p, slope) for p, slope in parents if p.tracked] if Scalar.recording else []
        self.tracked = leaf or bool(self.parents)

    def __add__(a, b):
        return Scalar(a.value + b.value, [(a, lambda: ONE), (b, lambda: ONE)])

    def __mul__(a, b):
        return Scalar(a.value * b.value, [(a, lambda: b), (b, lambda: a)])

    def __neg__(a):
        return Scalar(-a.value, [(a, lambda: -ONE)])

    def __sub__(a, b):
        return a + -b

    def sin(a):
        return Scalar(math.sin(a.value), [(a, a.cos)])

    def cos(a):
        return Scalar(math.cos(a.value), [(a, lambda: -a.sin())])

    def tanh(a):
        return Scalar(math.tanh(a.value), [(a, lambda: ONE - a.tanh() * a.tanh())])

    def derivative(self, leaf, known):
        """With respect to one leaf; None if it does not depend on it."""
        if self is leaf:
            return ONE
        if self not in known:
            terms = [(p.derivative(leaf, known), slope) for p, slope in self.parents]
            terms = [d * slope() for d, slope in terms if d is not None]
            known[self] = sum(terms[1:], terms[0]) if terms else None
        return known[self]


ONE, ZERO = Scalar(1.0), Scalar(0.0)


def scalars(values, leaf=False):
    """An array of floats as an array of scalars."""
    return np.vectorize(lambda v: Scalar(float(v), leaf=leaf), otypes=[object])(np.asarray(values))


def floats(array):
    """The numbers in an array of scalars."""
    return np.vectorize(lambda s: s.value, otypes=[float])(array)


def gradient(out, upstream, leaf, create_graph):
    """Of `sum(upstream * out)` with respect to an array of leaves; None if it depends on none of them."""
    total = np.sum(np.asarray(out * scalars(upstream), dtype=object))
    Scalar.recording = create_graph
    found = [total.derivative(s, {}) for s in leaf.flat]
    Scalar.recording = True
    if all(d is None for d in found):
        return None
    return np.array([ZERO if d is None else d for d in found], dtype=object).reshape(leaf.shape)

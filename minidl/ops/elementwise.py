"""Arithmetic and elementwise functions, with NumPy's names and broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.engine import keeps, record

__all__ = ["add", "divide", "multiply", "negative", "power", "subtract"]


def add(x: Any, y: Any) -> Any:
    """Sum, with broadcasting. Derivative: g, g."""
    return record(np.add, _add_rule, x, y)


@keeps()
def _add_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return g, g


def subtract(x: Any, y: Any) -> Any:
    """Difference, with broadcasting. Derivative: g, -g."""
    return record(np.subtract, _subtract_rule, x, y)


@keeps()
def _subtract_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return g, -g if needs[1] else None


def multiply(x: Any, y: Any) -> Any:
    """Elementwise product, with broadcasting. Derivative: g y, g x."""
    return record(np.multiply, _multiply_rule, x, y)


@keeps("inputs")
def _multiply_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, y = inputs
    return g * y if needs[0] else None, g * x if needs[1] else None


def divide(x: Any, y: Any) -> Any:
    """Quotient, with broadcasting. Derivative: g / y, -g x / y^2."""
    return record(np.true_divide, _divide_rule, x, y)


@keeps("inputs", "output")
def _divide_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    y = inputs[1]
    gx = g / y
    return gx if needs[0] else None, -gx * out if needs[1] else None


def negative(x: Any) -> Any:
    """Negation. Derivative: -g."""
    return record(np.negative, _negative_rule, x)


@keeps()
def _negative_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (-g,)


def power(x: Any, y: Any) -> Any:
    """x to the power y. Derivative: g y x^(y-1), g x^y log x (0 where x is 0)."""
    return record(np.power, _power_rule, x, y)


@keeps("inputs", "output")
def _power_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, y = inputs
    return g * y * x ** (y - 1) if needs[0] else None, None

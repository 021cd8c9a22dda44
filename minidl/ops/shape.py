"""Shape ops (sample)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.engine import keeps, record
from minidl.tensor import Tensor

__all__ = ["broadcast_to", "reshape", "stack", "sum", "sum_to", "getitem"]


def sum(x, axis=None, keepdims=False):
    return record(np.sum, _sum_rule, x, axis=axis, keepdims=keepdims)


@keeps()
def _sum_rule(g, out, inputs, needs, axis, keepdims):
    shape = inputs[0].shape
    if not keepdims and axis is not None:
        axes = {a % len(shape) for a in (axis if isinstance(axis, tuple) else (axis,))}
        g = g.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))
    return (broadcast_to(g, shape),)


def broadcast_to(x, shape):
    return record(np.broadcast_to, _bc_rule, x, shape=shape)


@keeps()
def _bc_rule(g, out, inputs, needs, shape):
    return (g,)  # the engine sums it down


def sum_to(x, shape):
    return record(_sum_to, _sum_to_rule, x, shape=shape)


def _sum_to(x, shape):
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1)
    return x.sum(axis=axes, keepdims=True).reshape(shape)


@keeps()
def _sum_to_rule(g, out, inputs, needs, shape):
    return (broadcast_to(g, inputs[0].shape),)


def reshape(x, shape):
    return record(np.reshape, _reshape_rule, x, shape=shape)


@keeps()
def _reshape_rule(g, out, inputs, needs, shape):
    return (g.reshape(inputs[0].shape),)


def stack(xs, axis=0):
    return record(lambda *a, axis: np.stack(a, axis), _stack_rule, *xs, axis=axis)


@keeps()
def _stack_rule(g, out, inputs, needs, axis):
    return [g[(slice(None),) * axis + (i,)] if n else None for i, n in enumerate(needs)]


def getitem(x, index):
    return record(lambda x, index: x[index], _getitem_rule, x, index=index)


@keeps()
def _getitem_rule(g, out, inputs, needs, index):
    return (scatter(g, index, inputs[0].shape),)


def scatter(g, index, shape):
    def f(g, index, shape):
        z = np.zeros(shape, g.dtype)
        np.add.at(z, index, g)
        return z
    return record(f, _sc_rule, g, index=index, shape=shape)


@keeps()
def _sc_rule(g, out, inputs, needs, index, shape):
    return (getitem(g, index) if isinstance(g, Tensor) else g[index],)

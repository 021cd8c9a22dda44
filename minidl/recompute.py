"""Memory for time: a part of a network that remembers its inputs only, and is computed again to go back through it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.engine import Node, is_grad_enabled, keeps, pull_back, recording
from minidl.errors import GradientError
from minidl.ops.elementwise import astype
from minidl.ops.shape import concatenate, ravel
from minidl.replay import Keys, running
from minidl.tensors import Tensor, raw
from minidl.versions import tick

__all__ = ["checkpoint"]


def checkpoint(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`, of which nothing is kept but the arguments: backward computes it again.

    Parameters
    ----------
    function : callable
        Such as a Module. It takes the same steps whenever it is called with these arguments. Dropout draws the same
        masks again, and running statistics are updated once; other random numbers are to be drawn outside.
    *args, **kwargs
        Its arguments.

    Returns
    -------
    Tensor, or tuple or list with Tensors
        As the function returns it. Gradients go to arguments and to Tensors that the function refers to (parameters),
        and can be differentiated again.

    Raises
    ------
    GradientError
        In the backward pass, when the function gives something else than it did, because a parameter has been changed
        or it draws random numbers of its own.

    Notes
    -----
    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".

    Examples
    --------
    >>> import numpy as np, minidl
    >>> from minidl import nn
    >>> block = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Dropout(0.5))
    >>> x = minidl.tensor(np.ones((2, 4), np.float32), requires_grad=True)
    >>> minidl.checkpoint(block, x).sum().backward()
    >>> x.grad.shape, block[0].weight.grad.shape
    ((2, 4), (4, 4))
    """
    if not is_grad_enabled():
        return function(*args, **kwargs)
    keys: Keys = []
    start = tick()
    with running(keys):
        out = function(*args, **kwargs)
    if isinstance(out, Tensor):
        return _forgotten(out, start, keys, lambda: function(*args, **kwargs))
    if not isinstance(out, (tuple, list)):
        return out
    places = [i for i, part in enumerate(out) if isinstance(part, Tensor) and part.node is not None]
    if not places:
        return out
    whole = _forgotten(_joined(out, places), start, keys, lambda: _joined(function(*args, **kwargs), places))
    parts, end = list(out), 0
    for i in places:
        begin, end = end, end + out[i].size
        parts[i] = astype(whole[begin:end].reshape(out[i].shape), out[i].dtype)
    return type(out)(parts) if type(out) in (tuple, list) else type(out)(*parts)


def _joined(parts: Any, places: list[int]) -> Tensor:
    """The Tensors at some places as one vector: a node has one output."""
    joined: Tensor = concatenate([ravel(parts[i]) for i in places])
    return joined


def _forgotten(out: Tensor, start: int, keys: Keys, compute: Callable[[], Tensor]) -> Tensor:
    """The same value under one node, whose parents are what was there before `start`."""
    outside = _older(out.node, start)
    if not outside:
        return out
    return Tensor(out.data, Node(_checkpoint_rule, outside, outside, out.data, {
        "compute": compute, "keys": keys, "outside": outside}, out.shape, out.dtype))


def _older(node: Node | None, start: int) -> list[Node]:
    """The nodes from before `start` that lead to `node` without another such node between."""
    found, stack = [], [] if node is None else [node]
    seen = set(stack)
    while stack:
        one = stack.pop()
        if one.seq < start:
            found.append(one)
            continue
        for parent in one.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(found, key=lambda one: one.seq)


@keeps("output")
def _checkpoint_rule(g: Any, out: Any, inputs: Any, needs: Any, compute: Callable[[], Tensor], keys: Keys,
                     outside: list[Node]) -> Any:
    replay, start = iter(keys), tick()
    with recording(True), running(replay):
        made = compute()
    if next(replay, None) is not None or not _same(made, raw(out)) or _older(made.node, start) != outside:
        raise GradientError("checkpoint: the function does something else than in the forward pass, so the gradient "
                            "would be wrong; call backward() before parameters are changed or frozen, or the module is "
                            "set to another mode, and draw random numbers outside")
    wanted = [node for node, need in zip(outside, needs, strict=True) if need]
    found = pull_back([(made, g)], wanted, create_graph=isinstance(g, Tensor))
    return [found.get(node) if need else None for node, need in zip(outside, needs, strict=True)]


def _same(made: Any, before: np.ndarray) -> bool:
    """Equal, but for rounding: another number of threads may sum in another order."""
    if not isinstance(made, Tensor) or made.shape != before.shape or made.dtype != before.dtype:
        return False
    tolerance = 1000 * float(np.finfo(before.dtype).eps)
    scale = float(np.max(np.abs(before), initial=0, where=np.isfinite(before)))
    return bool(np.allclose(made.data, before, rtol=tolerance, atol=tolerance * scale, equal_nan=True))

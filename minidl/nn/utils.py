"""Clipping of gradients, dense ones and rows; parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minidl import ops
from minidl.ops.precision import widened
from minidl.rowgrad import RowGrad, flat_norm
from minidl.tensors import Tensor, raw
from minidl.versions import wrote

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


def _values(parameters: Tensor | Iterable[Tensor]) -> Iterator[np.ndarray]:
    """The arrays of the gradients, to be changed in place; rows are coalesced first, so that each counts once."""
    for p in [parameters] if isinstance(parameters, Tensor) else parameters:
        g = p.grad
        if isinstance(g, RowGrad):
            p.grad = g = g.coalesce()
            yield g.rows
        elif g is not None:
            yield g.data if isinstance(g, Tensor) else g


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False) -> float:
    """Scale all gradients together so that their norm is at most `max_norm`, as `torch.nn.utils.clip_grad_norm_`.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without a gradient are passed over.
    max_norm : float
    norm_type : float
        The p of the norm; `math.inf` for the greatest magnitude.
    error_if_nonfinite : bool
        Raise when the norm is NaN or infinite, instead of scaling by it.

    Returns
    -------
    float
        The norm before.

    Raises
    ------
    ValueError
        When the norm is not finite and `error_if_nonfinite`.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> w = minidl.tensor(np.zeros(2), requires_grad=True)
    >>> w.grad = np.array([3.0, 4.0])
    >>> minidl.nn.utils.clip_grad_norm_([w], 1.0), w.grad.round(3)
    (5.0, array([0.6, 0.8]))
    """
    values = list(_values(parameters))
    each = [flat_norm(widened(v), norm_type) for v in values if v.size]
    total = flat_norm(np.array(each), norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise ValueError(f"clip_grad_norm_: the norm of the gradients is {total}; look for the step that made it so "
                         "(a learning rate too high, a logarithm of 0), or pass error_if_nonfinite=False")
    factor = max_norm / (total + 1e-6)
    if not factor >= 1:  # NaN too
        for v in values:
            if factor > _FINE[v.dtype.itemsize]:
                v *= factor
            else:  # in its own dtype the factor would be rounded to 0 or a few digits
                np.multiply(v, np.float64(factor), out=v, casting="same_kind")
            wrote(v)
    return total


_FINE = {2: 1e-2, 4: 1e-30, 8: 0.0, 16: 0.0}  # factors that arrays with elements of so many bytes are multiplied by


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to +-`clip_value`, as `torch.nn.utils.clip_grad_value_`.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without a gradient are passed over.
    clip_value : float

    Examples
    --------
    >>> import numpy as np, minidl
    >>> w = minidl.tensor(np.zeros(2), requires_grad=True)
    >>> w.grad = np.array([3.0, -0.5])
    >>> minidl.nn.utils.clip_grad_value_([w], 1.0)
    >>> w.grad
    array([ 1. , -0.5])
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value={clip_value} must not be negative")
    for v in _values(parameters):
        np.clip(v, -clip_value, clip_value, out=v)
        wrote(v)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters as one vector, one after another, as `torch.nn.utils.parameters_to_vector`.

    Parameters
    ----------
    parameters : iterable of Tensor

    Returns
    -------
    Tensor, shape (sum of sizes,)
        A gradient goes back through it.

    Examples
    --------
    >>> from minidl import nn
    >>> net = nn.Linear(2, 1)
    >>> vector = nn.utils.parameters_to_vector(net.parameters())
    >>> vector.shape
    (3,)
    >>> nn.utils.vector_to_parameters([1.0, 2.0, 3.0], net.parameters())
    >>> net.bias.data
    array([3.], dtype=float32)
    """
    parts = list(parameters)
    if not parts:
        raise ValueError("parameters_to_vector: parameters is empty; a generator can be used only once")
    return ops.concatenate([p.reshape(-1) for p in parts])


def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """Copy slices of a vector into parameters, as `torch.nn.utils.vector_to_parameters`.

    Parameters
    ----------
    vec : Tensor or array_like, shape (sum of sizes,)
        No gradient goes back to it.
    parameters : iterable of Tensor
        Their arrays are changed in place, and keep their dtype.

    Raises
    ------
    ValueError
        When the vector has not as many elements as the parameters; then nothing is copied.
    """
    values, parts = np.asarray(raw(vec, "vector_to_parameters: vec")), list(parameters)
    total = sum(p.size for p in parts)
    if values.shape != (total,):
        raise ValueError(f"vector_to_parameters: vec has shape {values.shape}, but the parameters have {total} "
                         "elements; pass a vector of that many")
    at = 0
    for p in parts:
        p.data[...] = values[at:at + p.size].reshape(p.shape)
        wrote(p)
        at += p.size

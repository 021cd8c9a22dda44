"""Normalisation as modules, with the parameters and buffers of `torch.nn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import ops
from minidl.errors import ShapeError
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.replay import again

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm", "RMSNorm"]


class _RowNorm(Module):
    """What normalisations over the last axes share."""

    def __init__(self, normalized_shape: int | Sequence[int], eps: Any, elementwise_affine: bool,
                 dtype: Any) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        for name, p in self.named_parameters():
            init.constant_(p, 1.0 if name == "weight" else 0.0)

    def extra_repr(self) -> str:
        """Shape and options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LayerNorm(_RowNorm):
    """`minidl.ops.layer_norm` over the last axes, with a weight and a bias.

    Parameters
    ----------
    normalized_shape : int or sequence of int
        Lengths of the axes that are normalised together.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether there are a weight and a bias.
    bias : bool
        Whether there is a bias beside the weight.
    dtype : dtype

    Attributes
    ----------
    weight : Parameter, shape normalized_shape, or None
    bias : Parameter, shape normalized_shape, or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.LayerNorm(2, eps=0.0)(np.array([[1.0, 3.0]], np.float32)).data
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True, dtype: Any = np.float32) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, dtype)
        self.bias = Parameter(np.zeros(self.normalized_shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Any) -> Any:
        """(..., *normalized_shape) -> the same shape."""
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(_RowNorm):
    """`minidl.ops.rms_norm` over the last axes, with a weight.

    Parameters
    ----------
    normalized_shape : int or sequence of int
    eps : float, optional
        By default the machine epsilon of the input.
    elementwise_affine : bool
        Whether there is a weight.
    dtype : dtype

    Attributes
    ----------
    weight : Parameter, shape normalized_shape, or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.RMSNorm(2)(np.array([[3.0, -3.0]], np.float32)).data
    array([[ 1., -1.]], dtype=float32)
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float | None = None,
                 elementwise_affine: bool = True, dtype: Any = np.float32) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, dtype)

    def forward(self, x: Any) -> Any:
        """(..., *normalized_shape) -> the same shape."""
        return ops.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """`minidl.ops.group_norm`, with a weight and a bias for each channel.

    Parameters
    ----------
    num_groups, num_channels : int
        The first divides the second.
    eps : float
        Added to the variance.
    affine : bool
        Whether there are a weight and a bias.
    dtype : dtype

    Attributes
    ----------
    weight, bias : Parameter, shape (num_channels,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.GroupNorm(2, 4, eps=0.0)(np.array([[1.0, 3.0, 5.0, 9.0]], np.float32)).data
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True,
                 dtype: Any = np.float32) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels={num_channels} has to be a multiple of num_groups={num_groups}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        for name, p in self.named_parameters():
            init.constant_(p, 1.0 if name == "weight" else 0.0)

    def forward(self, x: Any) -> Any:
        """(N, num_channels, ...) -> the same shape."""
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm: x has shape {x.shape}; it has to be (N, {self.num_channels}, ...)")
        return ops.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class _BatchNorm(Module):
    """`minidl.ops.batch_norm` with running statistics; a subclass says how many axes its input has."""

    _axes: tuple[int, ...]

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, dtype: Any = np.float32) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        tracked = track_running_stats
        self.running_mean: np.ndarray | None
        self.running_var: np.ndarray | None
        self.num_batches_tracked: np.ndarray | None
        self.register_buffer("running_mean", np.zeros(num_features, dtype) if tracked else None)
        self.register_buffer("running_var", np.ones(num_features, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if tracked else None)

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches."""
        for name, array in self.named_buffers():
            array[...] = 1 if name == "running_var" else 0

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and no running statistics."""
        self.reset_running_stats()
        for name, p in self.named_parameters():
            init.constant_(p, 1.0 if name == "weight" else 0.0)

    def forward(self, x: Any) -> Any:
        """(N, num_features, ...) -> the same shape."""
        if x.ndim not in self._axes or x.shape[1] != self.num_features:
            shapes = " or ".join(f"(N, {self.num_features}{', ...' * (n > 2)})" for n in self._axes)
            raise ShapeError(f"{type(self).__name__}: the input has shape {x.shape}; it has to be {shapes}")
        momentum = self.momentum
        if self.training and self.num_batches_tracked is not None and not again():
            self.num_batches_tracked += 1
            momentum = 1 / float(self.num_batches_tracked) if momentum is None else momentum
        return ops.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                              self.training or self.running_mean is None, momentum or 0.0, self.eps)

    def extra_repr(self) -> str:
        """Number of channels and options."""
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"track_running_stats={self.track_running_stats}")


class BatchNorm1d(_BatchNorm):
    """Normalise each channel of (N, C) or (N, C, L): by the batch in training, by running statistics after.

    Parameters
    ----------
    num_features : int
        C.
    eps : float
        Added to the variance.
    momentum : float or None
        Share of each batch in the running statistics; None for the mean of all batches.
    affine : bool
        Whether there are a weight and a bias.
    track_running_stats : bool
        Otherwise the batch's own statistics are used always.
    dtype : dtype

    Attributes
    ----------
    weight, bias : Parameter, shape (C,), or None
    running_mean, running_var : array, shape (C,), or None
        Buffers; the variance is the unbiased one.
    num_batches_tracked : int64 array, shape (), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> norm = nn.BatchNorm1d(1, eps=0.0)
    >>> norm(np.array([[1.0], [3.0]], np.float32)).data.ravel()
    array([-1.,  1.], dtype=float32)
    >>> norm.running_mean
    array([0.2], dtype=float32)
    """

    _axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of (N, C, H, W); parameters and attributes as in `BatchNorm1d`.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.BatchNorm2d(3)(np.ones((2, 3, 4, 4), np.float32)).shape
    (2, 3, 4, 4)
    """

    _axes = (4,)

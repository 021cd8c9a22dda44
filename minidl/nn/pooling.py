"""Pooling and flattening as modules; the formulas stand at the functions of `minidl.ops`."""

from __future__ import annotations

from typing import Any

from minidl.nn.module import Module
from minidl.ops import pool
from minidl.ops.shape import flatten

__all__ = ["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AvgPool1d", "AvgPool2d",
           "Flatten", "MaxPool1d", "MaxPool2d"]


# --------------------------------------------------------------------------------------------- maximum

class _MaxPool(Module):
    """What max pooling of one and two dimensions share."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def _options(self) -> dict[str, Any]:
        return {"kernel_size": self.kernel_size, "stride": self.stride, "padding": self.padding,
                "dilation": self.dilation, "ceil_mode": self.ceil_mode}

    def extra_repr(self) -> str:
        """The windows."""
        return _listed(self._options())


class MaxPool1d(_MaxPool):
    """Largest element of every window along the last axis: `minidl.ops.max_pool1d`; parameters as of `MaxPool2d`."""

    def forward(self, x: Any) -> Any:
        """(N, C, L) -> (N, C, OL), or without N."""
        return pool.max_pool1d(x, **self._options(), return_indices=self.return_indices)


class MaxPool2d(_MaxPool):
    """Largest element of every window: `minidl.ops.max_pool2d`.

    Parameters
    ----------
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        By default that of `kernel_size`.
    padding, dilation : int or (int, int)
    return_indices : bool
        Return the places of the elements too.
    ceil_mode : bool
        Round the number of windows up.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.nn.pooling import MaxPool2d
    >>> MaxPool2d(2)(np.ones((1, 3, 9, 8))).shape
    (1, 3, 4, 4)
    """

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, C, OH, OW), or without N."""
        return pool.max_pool2d(x, **self._options(), return_indices=self.return_indices)


# --------------------------------------------------------------------------------------------- average

class AvgPool1d(Module):
    """Mean of every window along the last axis: `minidl.ops.avg_pool1d`; parameters as of `AvgPool2d`."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad

    def forward(self, x: Any) -> Any:
        """(N, C, L) -> (N, C, OL), or without N."""
        return pool.avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        """The windows."""
        return _listed({"kernel_size": self.kernel_size, "stride": self.stride, "padding": self.padding})


class AvgPool2d(AvgPool1d):
    """Mean of every window: `minidl.ops.avg_pool2d`.

    Parameters
    ----------
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        By default that of `kernel_size`.
    padding : int or (int, int)
    ceil_mode : bool
        Round the number of windows up.
    count_include_pad : bool
        Padding counts as elements.
    divisor_override : int, optional
        Divide by this instead of the number of elements.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.nn.pooling import AvgPool2d
    >>> AvgPool2d(3, stride=2, padding=1)(np.ones((1, 3, 9, 8))).shape
    (1, 3, 5, 4)
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, C, OH, OW), or without N."""
        return pool.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                               self.divisor_override)


# -------------------------------------------------------------------------------------------- adaptive

class AdaptiveAvgPool1d(Module):
    """Means of as many windows as are asked for, along the last axis: `minidl.ops.adaptive_avg_pool1d`."""

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        """(N, C, L) -> (N, C, output_size), or without N."""
        return pool.adaptive_avg_pool1d(x, self.output_size)

    def extra_repr(self) -> str:
        """The size."""
        return _listed({"output_size": self.output_size})


class AdaptiveAvgPool2d(AdaptiveAvgPool1d):
    """Means of as many windows as are asked for: `minidl.ops.adaptive_avg_pool2d`.

    Parameters
    ----------
    output_size : int or (int, int)
        None for an axis that stays; 1 is global pooling.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.nn.pooling import AdaptiveAvgPool2d
    >>> AdaptiveAvgPool2d((1, None))(np.ones((1, 3, 9, 8))).shape
    (1, 3, 1, 8)
    """

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, C, *output_size), or without N."""
        return pool.adaptive_avg_pool2d(x, self.output_size)


class AdaptiveMaxPool1d(Module):
    """Largest elements of as many windows as are asked for, along the last axis: `minidl.ops.adaptive_max_pool1d`."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, x: Any) -> Any:
        """(N, C, L) -> (N, C, output_size), or without N."""
        return pool.adaptive_max_pool1d(x, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """The size."""
        return _listed({"output_size": self.output_size})


class AdaptiveMaxPool2d(AdaptiveMaxPool1d):
    """Largest elements of as many windows as are asked for: `minidl.ops.adaptive_max_pool2d`.

    Parameters
    ----------
    output_size : int or (int, int)
        None for an axis that stays; 1 is global pooling.
    return_indices : bool
        Return the places of the elements too.
    """

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, C, *output_size), or without N."""
        return pool.adaptive_max_pool2d(x, self.output_size, self.return_indices)


# ------------------------------------------------------------------------------------------ flattening

class Flatten(Module):
    """Consecutive axes as one.

    Parameters
    ----------
    start_dim, end_dim : int
        The first and the last of them; negative ones count from the end.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl.nn.pooling import Flatten
    >>> Flatten()(np.ones((2, 3, 4, 5))).shape
    (2, 60)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Any:
        """(..., a, ..., b, ...) -> (..., a * ... * b, ...)."""
        return flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The axes."""
        return _listed({"start_dim": self.start_dim, "end_dim": self.end_dim})


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())

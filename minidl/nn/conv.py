"""Convolution layers, with the parameters, options and initialisation of `torch.nn`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.errors import ShapeError
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.conv import conv1d, conv2d, conv_transpose2d
from minidl.ops.patches import fold, numbers, unfold

__all__ = ["Conv1d", "Conv2d", "ConvTranspose2d", "Fold", "Unfold"]


class _Convolution(Module):
    """What convolutions share: options as tuples, parameters and their initial values."""

    axes = 2
    transposed = False

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
                 dtype: Any = np.float32, generator: np.random.Generator | None = None) -> None:
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f"{name}: padding_mode={padding_mode!r} is not offered, only 'zeros'; pad the input with "
                             "minidl.ops.pad and use padding=0")
        (groups,) = numbers(name, "groups", groups, 1, 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{name}: in_channels={in_channels} and out_channels={out_channels} must both divide by "
                             f"groups={groups}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = numbers(name, "kernel_size", kernel_size, self.axes, 1)
        self.stride = numbers(name, "stride", stride, self.axes, 1)
        if isinstance(padding, str) and padding not in (("same", "valid") if max(self.stride) == 1 else ("valid",)):
            raise ValueError(f"{name}: padding={padding!r} with stride={self.stride}; give an integer, one for each "
                             "axis, 'valid', or with a stride of 1 'same'")
        self.padding: Any = padding if isinstance(padding, str) else numbers(name, "padding", padding, self.axes)
        self.output_padding = (0,) * self.axes
        self.dilation = numbers(name, "dilation", dilation, self.axes, 1)
        self.padding_mode = padding_mode
        made, taken = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(np.empty((made, taken // groups, *self.kernel_size), dtype))
        self.bias = Parameter(np.empty(out_channels, dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw the parameters anew."""
        fan_in = math.prod(self.weight.shape[1:])
        if self.weight.size:
            init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound, generator)

    def extra_repr(self) -> str:
        """Sizes, and the options that are not the default."""
        zeros, ones = (0,) * self.axes, (1,) * self.axes
        usual = {"padding": zeros, "output_padding": zeros, "dilation": ones, "groups": 1}
        shown = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        shown += [f"{name}={getattr(self, name)!r}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join(shown + ["bias=False"] * (self.bias is None))


class Conv2d(_Convolution):
    """Cross-correlation of images with kernels that are learned; see `minidl.ops.conv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair of int
        Of rows and columns.
    padding : int, pair of int, "same" or "valid"
        Zeros on both sides.
    groups : int
        Each group of channels is convolved by itself.
    bias : bool
    padding_mode : "zeros"
        Others are refused.
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values: uniform in +-1/sqrt(in_channels / groups * kh * kw).

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels / groups, kh, kw)
    bias : Parameter, shape (out_channels,), or None

    Notes
    -----
    3x3 kernels between 16 or more channels of float32 go by Winograd's algorithm, which takes half the time and rounds
    two to three times as much as the definition; `minidl.runtime.exact_convolutions` goes without. What it may round,
    and where it is not used in any case, is told in `minidl.ops.conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.Conv2d(3, 8, 3, padding="same")(np.ones((2, 3, 10, 12), np.float32)).shape
    (2, 8, 10, 12)
    """

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, O, OH, OW), or both without N."""
        return conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Convolution):
    """Cross-correlation of sequences with kernels that are learned; see `minidl.ops.conv1d`.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype, generator
        As of `Conv2d`, for one axis.

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels / groups, k)
    bias : Parameter, shape (out_channels,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.Conv1d(4, 8, 3)(np.ones((2, 4, 10), np.float32)).shape
    (2, 8, 8)
    """

    axes = 1

    def forward(self, x: Any) -> Any:
        """(N, C, L) -> (N, O, OL), or both without N."""
        return conv1d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ConvTranspose2d(_Convolution):
    """The adjoint of a convolution, with a kernel that is learned; see `minidl.ops.conv_transpose2d`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair of int
        Of rows and columns.
    padding : int or pair of int
        Rows and columns that are left out on both sides.
    output_padding : int or pair of int
        Rows and columns that are added at the end.
    groups, bias, padding_mode, dtype, generator
        As of `Conv2d`; the bound of the initial values is 1/sqrt(out_channels / groups * kh * kw).

    Attributes
    ----------
    weight : Parameter, shape (in_channels, out_channels / groups, kh, kw)
    bias : Parameter, shape (out_channels,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> up = nn.ConvTranspose2d(3, 8, 3, stride=2, padding=1)
    >>> x = np.ones((2, 3, 5, 5), np.float32)
    >>> up(x).shape, up(x, output_size=(10, 9)).shape
    ((2, 8, 9, 9), (2, 8, 10, 9))
    """

    transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1,
                 padding_mode: str = "zeros", dtype: Any = np.float32,
                 generator: np.random.Generator | None = None) -> None:
        if isinstance(padding, str):
            raise ValueError(f"ConvTranspose2d: padding={padding!r}; give an integer, or one for each axis")
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
                         dtype, generator)
        self.output_padding = numbers("ConvTranspose2d", "output_padding", output_padding, self.axes)

    def forward(self, x: Any, output_size: Sequence[int] | None = None) -> Any:
        """(N, C, H, W) -> (N, O, OH, OW), or both without N; `output_size` is (OH, OW), of those that are possible."""
        more = self.output_padding if output_size is None else self._missing(x.shape[-2:], output_size)
        return conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation)

    def _missing(self, size: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
        """The output padding that gives the size that is wanted."""
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in
                 zip(size, self.stride, self.padding, self.dilation, self.kernel_size, strict=True)]
        more = tuple(w - n for w, n in zip(tuple(wanted)[-2:], least, strict=True))
        if any(not 0 <= m < max(s, d) for m, s, d in zip(more, self.stride, self.dilation, strict=True)):
            raise ShapeError(f"ConvTranspose2d: output_size={tuple(wanted)} is not possible; with these strides the "
                             f"smallest is {tuple(least)}, and less than stride or dilation may be added")
        return more


class Unfold(Module):
    """Patches of images as columns; see `minidl.ops.unfold`.

    Parameters
    ----------
    kernel_size, dilation, padding, stride : int or pair of int

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.Unfold(3)(np.ones((2, 3, 5, 6))).shape
    (2, 27, 12)
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, C * kh * kw, L), or both without N."""
        return unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The window."""
        return (f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
                f"stride={self.stride}")


class Fold(Unfold):
    """Images that are the sums of their patches; see `minidl.ops.fold`.

    Parameters
    ----------
    output_size : int or pair of int
    kernel_size, dilation, padding, stride : int or pair of int

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.Fold((5, 6), 3)(np.ones((2, 27, 12))).shape
    (2, 3, 5, 6)
    """

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
                 stride: Any = 1) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        """(N, C * kh * kw, L) -> (N, C, H, W), or both without N."""
        return fold(x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """Size and window."""
        return f"output_size={self.output_size}, {super().extra_repr()}"

"""Dropout of whole channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.errors import ShapeError
from minidl.nn import functional
from minidl.nn.layers import Dropout

__all__ = ["Dropout1d", "Dropout2d"]


class _ChannelDropout(Dropout):
    """One draw for each channel of (N, C, ...), or of one sample (C, ...)."""

    _spatial: int  # axes of a channel

    def forward(self, x: Any) -> Any:
        """(N, C, ...) or (C, ...) -> the same shape."""
        lead = x.ndim - self._spatial
        if lead not in (1, 2):
            raise ShapeError(f"{type(self).__name__}: the input has shape {x.shape}; it needs {self._spatial} axes "
                             "after (N, C), or after (C,) for one sample")
        if not self.training or self.p == 0:
            return x
        ones = np.ones(x.shape[:lead] + (1,) * self._spatial, x.dtype)
        return x * functional.dropout(ones, self.p, True, self.generator)


class Dropout1d(_ChannelDropout):
    """In training, zero each channel of (N, C, L) or (C, L) with probability p and scale the others by 1 / (1 - p).

    Source: Tompson et al. 2015, "Efficient object localization using convolutional networks", section 3.2.

    Parameters
    ----------
    p : float
        From 0 to 1.
    generator : numpy.random.Generator, optional
        Of the masks; by default that of `manual_seed`.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> out = nn.Dropout1d(0.5)(np.ones((8, 4, 3)))
    >>> bool((out == out[:, :, :1]).all())
    True
    """

    _spatial = 1


class Dropout2d(_ChannelDropout):
    """The same for channels of (N, C, H, W) or (C, H, W); see `Dropout1d`."""

    _spatial = 2

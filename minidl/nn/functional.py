"""The functions of `torch.nn.functional`, which live in `minidl.ops`; and dropout, which needs a generator."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.nn.init import default_generator
from minidl.ops import (
    activation,
    activation_more,
    attention,
    class_loss,
    conv,
    distance_loss,
    embeddings,
    likelihood_loss,
    loss,
    margin_loss,
    normalization,
    patches,
    pool,
    softmax_loss,
)
from minidl.ops.activation import *
from minidl.ops.activation_more import *
from minidl.ops.attention import *
from minidl.ops.class_loss import *
from minidl.ops.conv import *
from minidl.ops.distance_loss import *
from minidl.ops.embeddings import *
from minidl.ops.functions import tanh
from minidl.ops.index import one_hot
from minidl.ops.likelihood_loss import *
from minidl.ops.linalg import linear
from minidl.ops.loss import *
from minidl.ops.margin_loss import *
from minidl.ops.masks import dropout_factors
from minidl.ops.normalization import *
from minidl.ops.norms import normalize
from minidl.ops.patches import *
from minidl.ops.pool import *
from minidl.ops.softmax_loss import *

_FAMILIES = (activation, activation_more, attention, class_loss, conv, distance_loss, embeddings, likelihood_loss, loss,
             margin_loss, normalization, patches, pool, softmax_loss)

__all__ = ["dropout", "linear", "normalize", "one_hot", "tanh",
           *(op for family in _FAMILIES for op in family.__all__)]


def dropout(x: Any, p: float = 0.5, training: bool = True, generator: np.random.Generator | None = None) -> Any:
    """x times a mask that is 0 with probability p, else 1 / (1 - p). Derivative: g times the mask.

    Parameters
    ----------
    x : Tensor or array
    p : float
        From 0 to 1.
    training : bool
        If not, x is returned as it is.
    generator : numpy.random.Generator, optional
        By default that of `minidl.nn.manual_seed`.

    Returns
    -------
    Tensor or array
        As x.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p={p} is not a probability")
    if not training or p == 0:
        return x
    return x * dropout_factors(p, x.shape, x.dtype, generator or default_generator())

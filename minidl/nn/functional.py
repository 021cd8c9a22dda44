"""The functions of `torch.nn.functional`, which live in `minidl.ops`; and dropout, which needs a generator."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.nn.init import default_generator
from minidl.ops import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    batch_norm,
    bilinear,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    bpr_loss,
    celu,
    conv1d,
    conv2d,
    conv_transpose2d,
    cosine_embedding_loss,
    cosine_similarity,
    cross_entropy,
    elu,
    embedding,
    embedding_bag,
    fold,
    gaussian_nll_loss,
    gelu,
    glu,
    group_norm,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hinge_embedding_loss,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    layer_norm,
    leaky_relu,
    linear,
    log_softmax,
    logsigmoid,
    margin_ranking_loss,
    max_pool1d,
    max_pool2d,
    mish,
    mse_loss,
    multi_margin_loss,
    multilabel_soft_margin_loss,
    multinomial_loss,
    nll_loss,
    normalize,
    one_hot,
    pairwise_distance,
    poisson_nll_loss,
    prelu,
    relu,
    relu6,
    rms_norm,
    sampled_softmax_loss,
    scaled_dot_product_attention,
    selu,
    sigmoid,
    silu,
    smooth_l1_loss,
    soft_margin_loss,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
    triplet_margin_loss,
    unfold,
)
from minidl.ops.masks import dropout_factors

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "avg_pool1d",
    "avg_pool2d", "batch_norm", "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits", "bpr_loss",
    "celu", "conv1d", "conv2d", "conv_transpose2d", "cosine_embedding_loss", "cosine_similarity", "cross_entropy",
    "dropout", "elu", "embedding", "embedding_bag", "fold", "gaussian_nll_loss", "gelu", "glu", "group_norm",
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hinge_embedding_loss", "hinge_loss", "huber_loss", "kl_div",
    "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid", "margin_ranking_loss", "max_pool1d",
    "max_pool2d", "mish", "mse_loss", "multi_margin_loss", "multilabel_soft_margin_loss", "multinomial_loss",
    "nll_loss", "normalize", "one_hot", "pairwise_distance", "poisson_nll_loss", "prelu", "relu", "relu6", "rms_norm",
    "sampled_softmax_loss", "scaled_dot_product_attention", "selu", "sigmoid", "silu", "smooth_l1_loss",
    "soft_margin_loss", "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
    "triplet_margin_loss", "unfold",
]


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

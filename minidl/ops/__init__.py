"""Differentiable functions: array ops with NumPy's names, neural ones with those of `torch.nn.functional`."""

import importlib
from typing import TYPE_CHECKING, Any

from minidl.ops.activation import elu, gelu, leaky_relu, log_softmax, relu, selu, sigmoid, silu, softmax, softplus
from minidl.ops.class_loss import cross_entropy, kl_div, nll_loss
from minidl.ops.dispatch import dispatch_function, dispatch_ufunc
from minidl.ops.elementwise import (
    abs,
    add,
    astype,
    clip,
    div,
    divide,
    maximum,
    minimum,
    mul,
    multiply,
    neg,
    negative,
    pow,
    power,
    sign,
    sub,
    subtract,
    where,
)
from minidl.ops.embedding import embedding, embedding_bag, sampled_matmul
from minidl.ops.functions import (
    arccos,
    arcsin,
    arctan,
    cos,
    cosh,
    erf,
    exp,
    expm1,
    log,
    log1p,
    rsqrt,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
)
from minidl.ops.index import argmax, argmin, gather, getitem, one_hot, scatter_add, sort, take, take_along_axis, topk
from minidl.ops.linalg import cholesky, det, dot, einsum, inv, linear, matmul, outer, row_dot, solve, tensordot
from minidl.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    bpr_loss,
    hinge_loss,
    huber_loss,
    l1_loss,
    mse_loss,
    multilabel_soft_margin_loss,
    smooth_l1_loss,
)
from minidl.ops.norms import norm, normalize
from minidl.ops.reduce import cumprod, cumsum, logsumexp, max, mean, min, prod, std, sum, sum_to, var
from minidl.ops.shape import (
    array_split,
    broadcast_to,
    concatenate,
    diagonal,
    expand_dims,
    flatten,
    flip,
    moveaxis,
    pad,
    ravel,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    transpose,
    tril,
    triu,
)
from minidl.ops.softmax_loss import multinomial_loss, sampled_softmax_loss
from minidl.tensor import Tensor

if TYPE_CHECKING:
    from minidl.ops.activation_more import (
        celu,
        glu,
        hardshrink,
        hardsigmoid,
        hardswish,
        hardtanh,
        logsigmoid,
        mish,
        prelu,
        relu6,
        softmin,
        softshrink,
        softsign,
        tanhshrink,
        threshold,
    )
    from minidl.ops.attention import bilinear, scaled_dot_product_attention
    from minidl.ops.conv import conv1d, conv2d, conv_transpose2d
    from minidl.ops.distance_loss import (
        cosine_embedding_loss,
        cosine_similarity,
        pairwise_distance,
        triplet_margin_loss,
    )
    from minidl.ops.functions_more import (
        arccosh,
        arcsinh,
        arctan2,
        arctanh,
        ceil,
        exp2,
        floor,
        hypot,
        log2,
        log10,
        logaddexp,
        reciprocal,
        round,
    )
    from minidl.ops.likelihood_loss import gaussian_nll_loss, poisson_nll_loss
    from minidl.ops.margin_loss import hinge_embedding_loss, margin_ranking_loss, multi_margin_loss, soft_margin_loss
    from minidl.ops.normalization import batch_norm, group_norm, layer_norm, rms_norm
    from minidl.ops.patches import fold, unfold
    from minidl.ops.pool import (
        adaptive_avg_pool1d,
        adaptive_avg_pool2d,
        adaptive_max_pool1d,
        adaptive_max_pool2d,
        avg_pool1d,
        avg_pool2d,
        max_pool1d,
        max_pool2d,
    )
    from minidl.ops.recurrent import gru, lstm, rnn


__all__ = [
    "abs", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "add", "arccos",
    "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "array_split", "astype",
    "avg_pool1d", "avg_pool2d", "batch_norm", "bilinear", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "bpr_loss", "broadcast_to", "ceil", "celu", "cholesky", "clip", "concatenate", "conv1d", "conv2d",
    "conv_transpose2d", "cos", "cosh", "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "cumprod",
    "cumsum", "det", "diagonal", "dispatch_function", "dispatch_ufunc", "div", "divide", "dot", "einsum", "elu",
    "embedding", "embedding_bag", "erf", "exp", "exp2", "expand_dims", "expm1", "flip", "floor", "fold", "gather",
    "gaussian_nll_loss", "gelu", "getitem", "glu", "group_norm", "gru", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "hinge_embedding_loss", "hinge_loss", "huber_loss", "hypot", "inv", "kl_div", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "log", "log10", "log1p", "log2", "log_softmax", "logaddexp", "logsigmoid", "logsumexp",
    "lstm", "margin_ranking_loss", "matmul", "max", "max_pool1d", "max_pool2d", "maximum", "mean", "min", "minimum",
    "mish", "moveaxis", "mse_loss", "mul", "multi_margin_loss", "multilabel_soft_margin_loss", "multinomial_loss",
    "multiply", "neg", "negative", "nll_loss", "norm", "normalize", "one_hot", "outer", "pad", "pairwise_distance",
    "poisson_nll_loss", "pow", "power", "prelu", "prod", "ravel", "reciprocal", "relu", "relu6", "repeat", "reshape",
    "rms_norm", "rnn", "roll", "round", "row_dot", "rsqrt", "sampled_matmul", "sampled_softmax_loss",
    "scaled_dot_product_attention", "scatter_add", "selu", "sigmoid", "sign", "silu", "sin", "sinh", "smooth_l1_loss",
    "soft_margin_loss", "softmax", "softmin", "softplus", "softshrink", "softsign", "solve", "sort", "split", "sqrt",
    "square", "squeeze", "stack", "std", "sub", "subtract", "sum", "sum_to", "swapaxes", "take", "take_along_axis",
    "tan", "tanh", "tanhshrink", "tensordot", "threshold", "tile", "topk", "transpose", "tril", "triplet_margin_loss",
    "triu", "unfold", "var", "where",
]

# What a script may do without is imported when it is asked for: module -> its functions.
_LATER = {
    "activation_more": "celu glu hardshrink hardsigmoid hardswish hardtanh logsigmoid mish prelu relu6 softmin "
                       "softshrink softsign tanhshrink threshold",
    "attention": "bilinear scaled_dot_product_attention",
    "conv": "conv1d conv2d conv_transpose2d",
    "distance_loss": "cosine_embedding_loss cosine_similarity pairwise_distance triplet_margin_loss",
    "functions_more": "arccosh arcsinh arctan2 arctanh ceil exp2 floor hypot log10 log2 logaddexp reciprocal round",
    "likelihood_loss": "gaussian_nll_loss poisson_nll_loss",
    "margin_loss": "hinge_embedding_loss margin_ranking_loss multi_margin_loss soft_margin_loss",
    "normalization": "batch_norm group_norm layer_norm rms_norm",
    "patches": "fold unfold",
    "pool": "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d avg_pool1d "
            "avg_pool2d max_pool1d max_pool2d",
    "recurrent": "gru lstm rnn",
}
_MODULE_OF = {name: module for module, names in _LATER.items() for name in names.split()}


for _name in ("sum", "mean", "max", "min", "var", "std", "squeeze", "swapaxes", "astype", "exp", "log", "clip",
              "argmax", "cumsum", "ravel", "prod", "norm"):
    setattr(Tensor, _name, globals()[_name])
Tensor.flatten, Tensor.unsqueeze = flatten, expand_dims


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'minidl.ops' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"minidl.ops.{_MODULE_OF[name]}"), name)
    return found

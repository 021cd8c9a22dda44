"""Differentiable functions: array ops with NumPy's names, neural ones with those of `torch.nn.functional`."""

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
from minidl.ops.embedding import embedding, embedding_bag
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
from minidl.ops.index import gather, getitem, scatter_add, sort, take, take_along_axis, topk
from minidl.ops.linalg import cholesky, einsum, inv, linear, matmul, outer, row_dot, solve
from minidl.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    bpr_loss,
    hinge_loss,
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from minidl.ops.reduce import cumsum, logsumexp, max, mean, min, norm, prod, std, sum, sum_to, var
from minidl.ops.shape import (
    array_split,
    broadcast_to,
    concatenate,
    expand_dims,
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
)

__all__ = [
    "abs", "add", "arccos", "arcsin", "arctan", "array_split", "astype", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "bpr_loss", "broadcast_to", "cholesky", "clip", "concatenate", "cos",
    "cosh", "cross_entropy", "cumsum", "dispatch_function", "dispatch_ufunc", "div", "divide", "einsum", "elu",
    "embedding", "embedding_bag", "erf", "exp", "expand_dims", "expm1", "flip", "gather", "gelu", "getitem",
    "hinge_loss", "huber_loss", "inv", "kl_div", "l1_loss", "leaky_relu", "linear", "log", "log1p", "log_softmax",
    "logsumexp", "matmul", "max", "maximum", "mean", "min", "minimum", "moveaxis", "mse_loss", "mul", "multiply",
    "neg", "negative", "nll_loss", "norm", "outer", "pad", "pow", "power", "prod", "ravel", "relu", "repeat",
    "reshape", "roll", "row_dot", "rsqrt", "scatter_add", "selu", "sigmoid", "sign", "silu", "sin", "sinh",
    "smooth_l1_loss", "softmax", "softplus", "solve", "sort", "split", "sqrt", "square", "squeeze", "stack", "std",
    "sub", "subtract", "sum", "sum_to", "swapaxes", "take", "take_along_axis", "tan", "tanh", "tile", "topk",
    "transpose", "var", "where",
]

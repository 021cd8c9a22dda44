"""Layers, with the parameters, options and initialisation of `torch.nn`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import ops
from minidl.nn import functional, init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.versions import wrote

__all__ = ["Bilinear", "Dropout", "Embedding", "EmbeddingBag", "Identity", "Linear"]


class Linear(Module):
    """x W' + b.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values: uniform in +-1/sqrt(in_features).

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
    bias : Parameter, shape (out_features,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.Linear(3, 2)(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: Any = np.float32,
                 generator: np.random.Generator | None = None) -> None:
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(np.empty((out_features, in_features), dtype))
        self.bias = Parameter(np.empty(out_features, dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw the parameters anew."""
        if self.weight.size:
            init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound, generator)

    def forward(self, x: Any) -> Any:
        """(..., in_features) -> (..., out_features)."""
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """x' W_o y + b_o for every output o.

    Parameters
    ----------
    in1_features, in2_features, out_features : int
    bias : bool
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values: uniform in +-1/sqrt(in1_features).

    Attributes
    ----------
    weight : Parameter, shape (out_features, in1_features, in2_features)
    bias : Parameter, shape (out_features,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.Bilinear(3, 4, 2)(np.ones((5, 3), np.float32), np.ones((5, 4), np.float32)).shape
    (5, 2)
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True,
                 dtype: Any = np.float32, generator: np.random.Generator | None = None) -> None:
        if in1_features < 1:
            raise ValueError(f"Bilinear: in1_features={in1_features} has to be positive")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(np.empty((out_features, in1_features, in2_features), dtype))
        self.bias = Parameter(np.empty(out_features, dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for p in self.parameters():
            init.uniform_(p, -bound, bound, generator)

    def forward(self, input1: Any, input2: Any) -> Any:
        """(..., in1_features), (..., in2_features) -> (..., out_features)."""
        return ops.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes."""
        return (f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
                f"out_features={self.out_features}, bias={self.bias is not None}")


class _Table(Module):
    """What embeddings share: a table, with a padding row that is zero and stays so."""

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, dtype: Any = np.float32,
                 generator: np.random.Generator | None = None) -> None:
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise IndexError(f"{type(self).__name__}: padding_idx={padding_idx} is out of range for "
                             f"num_embeddings={num_embeddings}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw the table anew."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0
            wrote(self.weight)

    def extra_repr(self) -> str:
        """Sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Embedding(_Table):
    """A table of vectors, looked up by index; its gradient is a `RowGrad`.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
    padding_idx : int, optional
        A row that starts at zero and gets no gradient.
    max_norm : float, optional
        Rows that are longer are shrunk to this norm, in place, whenever they are looked up.
    norm_type : float
        The p of that norm.
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values: normal with mean 0 and variance 1.

    Attributes
    ----------
    weight : Parameter, shape (num_embeddings, embedding_dim)

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.Embedding(10, 4)(np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0, dtype: Any = np.float32,
                 generator: np.random.Generator | None = None) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, dtype, generator)
        self.max_norm, self.norm_type = max_norm, norm_type

    def forward(self, indices: Any) -> Any:
        """Integers of any shape (...) -> (..., embedding_dim)."""
        return functional.embedding(indices, self.weight, padding_idx=self.padding_idx,
                                    max_norm=self.max_norm, norm_type=self.norm_type)

    def extra_repr(self) -> str:
        """Sizes."""
        longest = "" if self.max_norm is None else f", max_norm={self.max_norm}"
        kind = "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        return super().extra_repr() + longest + kind


class EmbeddingBag(_Table):
    """Sums, means or maxima of rows of a table, without ever making the rows: a dense layer for sparse inputs.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
    mode : {"mean", "sum", "max"}
    include_last_offset : bool
        Offsets end with the number of indices, like the `indptr` of a CSR matrix.
    padding_idx : int, optional
        An index that is left out of its bags; its row starts at zero and gets no gradient.
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values: normal with mean 0 and variance 1.

    Attributes
    ----------
    weight : Parameter, shape (num_embeddings, embedding_dim)

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.EmbeddingBag(10, 4)(np.array([1, 2, 3]), offsets=np.array([0, 2])).shape
    (2, 4)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, mode: str = "mean", include_last_offset: bool = False,
                 padding_idx: int | None = None, dtype: Any = np.float32,
                 generator: np.random.Generator | None = None) -> None:
        super().__init__(num_embeddings, embedding_dim, padding_idx, dtype, generator)
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(self, indices: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        """Integers (B, L), or (n,) with offsets (B,) -> (B, embedding_dim)."""
        return functional.embedding_bag(indices, self.weight, offsets, mode=self.mode,
                                        per_sample_weights=per_sample_weights,
                                        include_last_offset=self.include_last_offset, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        """Sizes and mode."""
        return f"{super().extra_repr()}, mode={self.mode!r}"


class Dropout(Module):
    """In training, zero each element with probability p and scale the others by 1 / (1 - p); else nothing.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".

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
    >>> nn.Dropout(0.5).eval()(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, generator: np.random.Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p={p} is not a probability")
        self.p, self.generator = p, generator

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.dropout(x, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


class Identity(Module):
    """Returns what it is given; arguments of the constructor are ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """Any -> the same."""
        return x

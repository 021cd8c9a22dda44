"""A layer of a transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.nn import functional
from minidl.nn.attention import MultiheadAttention
from minidl.nn.layers import Dropout, Linear
from minidl.nn.module import Module
from minidl.nn.normalization import LayerNorm

__all__ = ["TransformerEncoderLayer"]


class TransformerEncoderLayer(Module):
    """Self-attention and a network of two layers, each beside a way around it and with a norm.

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.1; norms first: Xiong et al. 2020.

    Parameters
    ----------
    d_model, nhead : int
        Length of the embeddings, a multiple of the number of heads.
    dim_feedforward : int
        Hidden units of the network.
    dropout : float
        Of the weights of the attention, of the hidden units, and of what both parts give.
    activation : {"relu", "gelu"} or callable
        Of the hidden units.
    layer_norm_eps : float
    batch_first : bool
        Arrays are (N, L, E) instead of (L, N, E).
    norm_first : bool
        Norms before attention and network, instead of after the sums.
    bias : bool
        Whether projections, network and norms have one.
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values and of the dropout.

    Attributes
    ----------
    self_attn : MultiheadAttention
    linear1, linear2 : Linear
    norm1, norm2 : LayerNorm
    dropout, dropout1, dropout2 : Dropout
        Of the hidden units, the attention and the network.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> layer = nn.TransformerEncoderLayer(8, 2, 32, batch_first=True)
    >>> layer(np.ones((3, 5, 8), np.float32), is_causal=True).shape
    (3, 5, 8)
    """

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation: str | Callable[[Any], Any] = "relu", layer_norm_eps: float = 1e-5,
                 batch_first: bool = False, norm_first: bool = False, bias: bool = True, dtype: Any = np.float32,
                 generator: np.random.Generator | None = None) -> None:
        if isinstance(activation, str):
            if activation not in ("relu", "gelu"):
                raise ValueError(f"TransformerEncoderLayer: activation={activation!r}; use 'relu', 'gelu' or a "
                                 "function")
            activation = functional.relu if activation == "relu" else functional.gelu
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype,
                                            generator=generator)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype, generator)
        self.dropout = Dropout(dropout, generator)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype, generator)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1, self.dropout2 = Dropout(dropout, generator), Dropout(dropout, generator)
        self.activation, self.norm_first = activation, norm_first

    def forward(self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None,
                is_causal: bool = False) -> Any:
        """(L, N, E), with `batch_first` (N, L, E), or (L, E) -> the same shape.

        Parameters
        ----------
        src : Tensor or array
        src_mask : array, shape (L, L) or (N nhead, L, L), optional
            True keeps out, numbers are added to the scores; as `attn_mask` of `MultiheadAttention`.
        src_key_padding_mask : array, shape (N, L) or (L,), optional
            The same for the elements of each sequence.
        is_causal : bool
            Element t sees the elements 0 to t only; no mask has to be given for it.
        """
        masks = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask, "is_causal": is_causal}
        if self.norm_first:
            x = src + self._attended(self.norm1(src), masks)
            return x + self._fed(self.norm2(x))
        x = self.norm1(src + self._attended(src, masks))
        return self.norm2(x + self._fed(x))

    def _attended(self, x: Any, masks: dict[str, Any]) -> Any:
        return self.dropout1(self.self_attn(x, x, x, need_weights=False, **masks)[0])

    def _fed(self, x: Any) -> Any:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

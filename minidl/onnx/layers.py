"""Lowering of convolutions, pooling and recurrent layers to the nodes that ONNX has for them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.kernels.numpy_recurrent import RELU
from minidl.onnx.graph import Call, Graph

__all__ = ["avg_pool", "conv", "conv_transpose", "fold", "max_pool", "recurrent", "unfold"]


# ------------------------------------------------------------------------------------------- convolution

def conv(g: Graph, c: Call) -> str:
    """(N, C, H, W) -> (N, O, OH, OW)."""
    window, size, positions, groups = c["geometry"]
    return g.node("Conv", *(g.value(a, c.dtype) for a in c.args if a[0] is not None), group=groups,
                  **_forth(window, size, positions))


def conv_transpose(g: Graph, c: Call) -> str:
    """(N, O, OH, OW) -> (N, C, H, W)."""
    window, size, positions, groups = c["geometry"]
    return g.node("ConvTranspose", *(g.value(a, c.dtype) for a in c.args if a[0] is not None), group=groups,
                  **_back(window, size, positions))


def _forth(window: Any, size: Any, positions: Any) -> dict[str, Any]:
    """Attributes of a Conv of images of `size`; the padding at the end follows from the number of positions."""
    after = [max(0, (n - 1) * s + e - m - p) for n, s, e, m, p in
             zip(positions, window.stride, window.extent(), size, window.origin, strict=True)]
    return {"strides": window.stride, "dilations": window.dilation, "pads": [*window.origin, *after]}


def _back(window: Any, size: Any, positions: Any) -> dict[str, Any]:
    """Attributes of a ConvTranspose to images of `size`: padding as before, and what is missing at the end."""
    more = [m - ((n - 1) * s - 2 * p + e) for m, n, s, p, e in
            zip(size, positions, window.stride, window.origin, window.extent(), strict=True)]
    return {"strides": window.stride, "dilations": window.dilation, "pads": [*window.origin] * 2,
            "output_padding": more}


def unfold(g: Graph, c: Call) -> str:
    """Patches are a convolution of each channel with kernels that are 1 at one place."""
    window, (shape, _) = c["window"], c.shapes(c.args[0])
    made = g.node("Conv", g.value(c.args[0]), g.constant(_places(window, shape[1]), c.dtype), group=shape[1],
                  **_forth(window, shape[2:], c["positions"]))
    return g.reshape(made, c.shapes(c.out))


def fold(g: Graph, c: Call) -> str:
    """The adjoint of `unfold`."""
    window, positions, (shape, _) = c["window"], c["positions"], c.shapes(c.out)
    cols = g.reshape(g.value(c.args[0]), tuple((*s[:2], *positions) for s in c.shapes(c.args[0])))
    return g.node("ConvTranspose", cols, g.constant(_places(window, shape[1]), c.dtype), group=shape[1],
                  **_back(window, c["size"], positions))


def _places(window: Any, channels: int) -> np.ndarray:
    """Kernels (C kh kw, 1, kh, kw) that read one element each."""
    taps = int(np.prod(window.kernel))
    return np.tile(np.eye(taps), (channels, 1)).reshape(channels * taps, 1, *window.kernel)


# ----------------------------------------------------------------------------------------------- pooling

class _Slide(NamedTuple):
    """Windows of one size at equal distances along one axis."""

    extent: int
    stride: int
    before: int
    after: int


def _slide(line: np.ndarray, size: int, dilation: int) -> _Slide | None:
    """The sliding window that begins and ends where the rows (begin, end, count) of `line` say, if there is one."""
    begins, ends = line[:, 0], line[:, 1]
    n = len(line)
    for stride in range(1, size + 1):
        starts = begins[-1] - stride * np.arange(n)[::-1]
        for extent in sorted({int(e) for e in ends - starts}, reverse=True):
            found = _Slide(extent, stride, -int(starts[0]), max(0, int(starts[-1]) + extent - size))
            if (np.array_equal(np.where(starts < 0, starts % dilation, starts), begins)
                    and np.array_equal(np.minimum(starts + extent, size), ends)
                    and (extent - 1) % dilation == 0 and found.before >= 0
                    and max(found.before, found.after) <= (extent - 1) // dilation  # less than the kernel
                    and (size + found.before + found.after - extent) // stride + 1 == n):
                return found
    return None


def _slides(c: Call) -> list[_Slide] | None:
    """The sliding windows of each axis, unless one axis has others."""
    windows = c["windows"]
    sizes = c.shapes(c.args[0])[0][-windows.dims:]
    found = [_slide(line, n, d) for line, n, d in zip(_lines(c), sizes, windows.dilation[-windows.dims:], strict=True)]
    return None if None in found else found  # type: ignore[return-value]


def _lines(c: Call) -> list[np.ndarray]:
    return [c["windows"].rows, c["windows"].cols][-c["windows"].dims:]


def _pooled(g: Graph, c: Call, kind: str, slides: list[_Slide], **attributes: Any) -> str:
    """One node; ONNX wants an axis for samples."""
    dims, dilation = c["windows"].dims, c["windows"].dilation[-c["windows"].dims:]
    name, single = g.value(c.args[0]), c.ndim(0) == dims + 1
    if single:
        name = g.node("Unsqueeze", name, g.constant([0]))
    name = g.node(kind, name, kernel_shape=[(s.extent - 1) // d + 1 for s, d in zip(slides, dilation, strict=True)],
                  strides=[s.stride for s in slides], pads=[*(s.before for s in slides), *(s.after for s in slides)],
                  **attributes)
    return g.node("Squeeze", name, g.constant([0])) if single else name


def max_pool(g: Graph, c: Call) -> str:
    """MaxPool; windows of several sizes, as of adaptive pooling, axis by axis: read, and take the maximum."""
    windows = c["windows"]
    if (slides := _slides(c)) is not None:
        return _pooled(g, c, "MaxPool", slides, dilations=windows.dilation[-windows.dims:])
    name = g.value(c.args[0])
    dilation = windows.dilation[-windows.dims:]
    for axis, line, step in zip(range(c.ndim(0) - windows.dims, c.ndim(0)), _lines(c), dilation, strict=True):
        begins, ends = line[:, :1], line[:, 1:2]
        if (begins >= ends).any():
            raise g.refusal("has windows without elements")
        places = begins + np.arange(0, (ends - begins).max(initial=1), step)
        places = np.where(places < ends, places, begins)  # the first element again, where a window is shorter
        name = g.node("Gather", name, g.constant(places), axis=axis)
        name = g.node("ReduceMax", name, g.constant([axis + 1]), keepdims=0)
    return name


def avg_pool(g: Graph, c: Call) -> str:
    """AveragePool; for windows of several sizes, a product with a matrix of weights along each axis."""
    slides, lines = _slides(c), _lines(c)
    if slides is not None:
        if all(np.array_equal(line[:, 2], line[:, 1] - line[:, 0]) for line in lines):
            return _pooled(g, c, "AveragePool", slides, count_include_pad=0)
        if all((line[:, 2] == s.extent).all() for line, s in zip(lines, slides, strict=True)):
            return _pooled(g, c, "AveragePool", slides, count_include_pad=1)
    shape, name = c.shapes(c.args[0])[0], g.value(c.args[0])
    for line, size, along in zip(lines[::-1], shape[::-1], (-1, -2), strict=False):
        places = np.arange(size)
        weights = ((places >= line[:, :1]) & (places < line[:, 1:2])) / line[:, 2:]  # (windows, size)
        if along == -1:
            name = g.node("MatMul", name, g.constant(weights.T, c.dtype))
        else:
            name = g.node("MatMul", g.constant(weights, c.dtype), name)
    return name


# --------------------------------------------------------------------------------------------- recurrent

_KINDS = {"rnn": ("RNN", (0,)), "gru": ("GRU", (1, 0, 2)), "lstm": ("LSTM", (0, 3, 1, 2))}
"""ONNX's name, and its gates (GRU: z, r, n; LSTM: i, o, f, g) in ours (r, z, n; i, f, g, o)."""


def recurrent(g: Graph, c: Call) -> str:
    """One direction of one layer: (T, B, I) -> the hidden states (T, B, H), followed by an LSTM's last cell."""
    kind, order = _KINDS[c.op]
    x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0 = c.args
    size = c.shapes(weight_hh)[0][1]
    rows = np.concatenate([np.arange(i * size, (i + 1) * size) for i in order])

    def one_direction(operand: Any) -> str:
        name = g.value(operand, c.dtype)
        if len(order) > 1:
            name = g.node("Gather", name, g.constant(rows), axis=0)
        return g.node("Unsqueeze", name, g.constant([0]))

    def state(operand: Any) -> str:
        return "" if operand[0] is None else g.node("Unsqueeze", g.value(operand, c.dtype), g.constant([0]))

    bias = "" if bias_ih[0] is None else g.node("Concat", one_direction(bias_ih), one_direction(bias_hh), axis=1)
    lengths = "" if c.params["lengths"][0] is None else g.value(c.params["lengths"], np.int32)
    inputs = [g.value(x, c.dtype), one_direction(weight_ih), one_direction(weight_hh), bias, lengths, state(h0)]
    options: dict[str, Any] = {"direction": "reverse" if c["reverse"] else "forward", "hidden_size": size}
    if kind == "LSTM":
        states, _, cell = g.outputs_of(kind, [*inputs, state(c0)], 3, **options)  # (T, 1, B, H), ..., (1, B, H)
        return g.node("Concat", g.node("Squeeze", states, g.constant([1])), cell, axis=0)
    if kind == "GRU":
        options["linear_before_reset"] = 1
    elif c["kind"] == RELU:
        options["activations"] = ["Relu"]
    return g.node("Squeeze", g.outputs_of(kind, inputs, 1, **options)[0], g.constant([1]))

"""Rows of the op table: convolutions, unfold and fold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl.ops.conv import conv1d, conv2d, conv_transpose2d
from minidl.ops.patches import fold, unfold
from minidl.testing.spec import Case, Op
from minidl.testing.strategies import arrays, conv_geometry

__all__ = ["OPS"]

# ------------------------------------------------------------------------------------------ references


def _meetings(size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, out: Any) -> Iterator[Any]:
    """Outputs, kernel elements and image elements that meet, as indices: from the definition, one by one."""
    for at in itertools.product(*map(range, out)):
        for tap in itertools.product(*map(range, kernel)):
            where = tuple(a * s - p + t * d for a, s, p, t, d in
                          zip(at, stride, padding, tap, dilation, strict=True))
            if all(0 <= i < n for i, n in zip(where, size, strict=True)):
                yield at, tap, where


def _each(value: Any, axes: int) -> Any:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


def _length(size: Any, kernel: Any, stride: Any, dilation: Any, zeros: Any) -> Any:
    return tuple((n + z - d * (k - 1) - 1) // s + 1
                 for n, k, s, d, z in zip(size, kernel, stride, dilation, zeros, strict=True))


def _conv(x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
          groups: int = 1) -> Any:
    axes = weight.ndim - 2
    if x.ndim == axes + 1:
        return _conv(x[None], weight, bias, stride, padding, dilation, groups)[0]
    size, kernel, stride, dilation = x.shape[2:], weight.shape[2:], _each(stride, axes), _each(dilation, axes)
    if isinstance(padding, str):
        zeros = tuple(d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True))
        padding = tuple(z // 2 for z in zeros)
    else:
        padding = _each(padding, axes)
        zeros = tuple(2 * p for p in padding)
    out = _length(size, kernel, stride, dilation, zeros)
    made, taken = weight.shape[0] // groups, weight.shape[1]
    y = np.zeros((len(x), weight.shape[0], *out), np.result_type(x, weight, 0.0 if bias is None else bias))
    for at, tap, where in _meetings(size, kernel, stride, padding, dilation, out):
        for o in range(weight.shape[0]):
            for c in range(taken):
                y[(slice(None), o, *at)] += weight[(o, c, *tap)] * x[(slice(None), o // made * taken + c, *where)]
    return y if bias is None else y + bias.reshape(-1, *(1,) * axes)


def _conv_transpose(x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
                    groups: int = 1, dilation: Any = 1) -> Any:
    if x.ndim == 3:
        return _conv_transpose(x[None], weight, bias, stride, padding, output_padding, groups, dilation)[0]
    stride, padding, dilation, more = (_each(v, 2) for v in (stride, padding, dilation, output_padding))
    size = tuple((n - 1) * s - 2 * p + d * (k - 1) + m + 1 for n, k, s, p, d, m in
                 zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, more, strict=True))
    made, taken = weight.shape[1], x.shape[1] // groups
    y = np.zeros((len(x), made * groups, *size), np.result_type(x, weight, 0.0 if bias is None else bias))
    for at, tap, where in _meetings(size, weight.shape[2:], stride, padding, dilation, x.shape[2:]):
        for c in range(x.shape[1]):
            for o in range(made):
                y[(slice(None), c // taken * made + o, *where)] += weight[(c, o, *tap)] * x[(slice(None), c, *at)]
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def _unfold(x: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    if x.ndim == 3:
        return _unfold(x[None], kernel, dilation, padding, stride)[0]
    out = _length(x.shape[2:], kernel, stride, dilation, [2 * p for p in padding])
    y = np.zeros((*x.shape[:2], *kernel, *out), x.dtype)
    for at, tap, where in _meetings(x.shape[2:], kernel, stride, padding, dilation, out):
        y[(..., *tap, *at)] = x[(..., *where)]
    return y.reshape(len(x), x.shape[1] * kernel[0] * kernel[1], out[0] * out[1])


def _fold(x: Any, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    if x.ndim == 2:
        return _fold(x[None], size, kernel, dilation, padding, stride)[0]
    out = _length(size, kernel, stride, dilation, [2 * p for p in padding])
    patches = x.reshape(len(x), x.shape[1] // (kernel[0] * kernel[1]), *kernel, *out)
    y = np.zeros((*patches.shape[:2], *size), x.dtype)
    for at, tap, where in _meetings(size, kernel, stride, padding, dilation, out):
        y[(..., *where)] += patches[(..., *tap, *at)]
    return y


# ------------------------------------------------------------------------------------------------ cases

def _short(draw: Any, values: tuple[int, ...]) -> Any:
    """An integer where one says the same as a tuple, sometimes."""
    return values[0] if len(set(values)) == 1 and draw(st.booleans()) else values


def _channels(draw: Any) -> tuple[int, int, int]:
    """Groups, channels in and out of a group; few, so that a case stays small."""
    return draw(st.sampled_from([(1, 1, 1), (1, 2, 1), (1, 1, 2), (1, 2, 2), (2, 1, 1), (2, 1, 2), (2, 2, 1)]))


def _batch(draw: Any) -> tuple[int, ...]:
    """Axes before the channels."""
    return draw(st.sampled_from([(1,), (2,), (0,), ()]))


@st.composite
def _convolutions(draw: Any, axes: int, bias: bool) -> Case:
    fit = draw(conv_geometry(axes, max_out=2, max_kernel=2 + (axes == 1)))
    groups, taken, made = _channels(draw)
    x = draw(arrays((*_batch(draw), groups * taken, *fit.size)))
    weight = draw(arrays((groups * made, taken, *fit.kernel)))
    kwargs: dict[str, Any] = {"dilation": _short(draw, fit.dilation), "groups": groups}
    named = draw(st.sampled_from(["", "", "same", "valid"]))
    kwargs["padding"] = named or _short(draw, fit.padding)
    if named == "valid":  # then what the padding would have added is part of the image
        x = draw(arrays((*x.shape[:-axes], *(n + 2 * p for n, p in zip(fit.size, fit.padding, strict=True)))))
    if named != "same":
        kwargs["stride"] = _short(draw, fit.stride)
    operands = (x, weight, draw(arrays((groups * made,)))) if bias else (x, weight)
    return Case(operands, kwargs, tuple(range(len(operands))))


@st.composite
def _transposed(draw: Any, bias: bool) -> Case:
    fit = draw(conv_geometry(2, max_out=2, max_kernel=2))
    groups, made, taken = _channels(draw)
    x = draw(arrays((*_batch(draw), groups * taken, *fit.out)))
    weight = draw(arrays((groups * taken, made, *fit.kernel)))
    exact = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in
                  zip(fit.out, fit.kernel, fit.stride, fit.padding, fit.dilation, strict=True))
    more = tuple(n - e for n, e in zip(fit.size, exact, strict=True))
    kwargs = {"stride": _short(draw, fit.stride), "padding": _short(draw, fit.padding), "output_padding": more,
              "groups": groups, "dilation": _short(draw, fit.dilation)}
    operands = (x, weight, draw(arrays((groups * made,)))) if bias else (x, weight)
    return Case(operands, kwargs, tuple(range(len(operands))))


@st.composite
def _images(draw: Any) -> Case:
    fit = draw(conv_geometry(2, max_kernel=2))
    x = draw(arrays((*_batch(draw), draw(st.integers(1, 2)), *fit.size)))
    return Case((x, fit.kernel, fit.dilation, fit.padding, fit.stride))


@st.composite
def _patches(draw: Any) -> Case:
    fit = draw(conv_geometry(2, max_kernel=2))
    rows = draw(st.integers(1, 2)) * fit.kernel[0] * fit.kernel[1]
    x = draw(arrays((*_batch(draw), rows, fit.out[0] * fit.out[1])))
    return Case((x, fit.size, fit.kernel, fit.dilation, fit.padding, fit.stride))


OPS = [
    Op("conv2d", conv2d, _conv, _convolutions(2, bias=False), order=3, linear=(0, 1)),
    Op("conv2d[bias]", conv2d, _conv, _convolutions(2, bias=True), order=3),
    Op("conv1d", conv1d, _conv, _convolutions(1, bias=False), order=3, linear=(0, 1)),
    Op("conv1d[bias]", conv1d, _conv, _convolutions(1, bias=True), order=3),
    Op("conv_transpose2d", conv_transpose2d, _conv_transpose, _transposed(bias=False), order=3, linear=(0, 1)),
    Op("conv_transpose2d[bias]", conv_transpose2d, _conv_transpose, _transposed(bias=True), order=3),
    Op("unfold", unfold, _unfold, _images(), linear=(0,)),
    Op("fold", fold, _fold, _patches(), linear=(0,)),
]

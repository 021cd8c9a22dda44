"""A dot product whose order of summation is written down, and is fast in that order, for kernels in Numba.

Numba leaves a sum of floating-point numbers in the order of the loop, one number at a time, or with `fastmath` to the
compiler, which takes another one on another processor. This one has the order of `recsys.kernels.numpy_retrieval`,
written as operations on vectors of 8 numbers, which every processor has or LLVM makes of shorter ones.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from recsys.kernels.numpy_retrieval import LANES

__all__ = ["dot"]

_DOUBLE, _FLOAT, _LANE = ir.DoubleType(), ir.FloatType(), ir.IntType(32)


@intrinsic
def _dot(typingctx, left, right):
    return types.float64(left, right), _generate


dot: Any = _dot
"""`left . right` of arrays of one length, of float64 and of float32, in C order: float64. Called from kernels alone."""


def _generate(context, builder, signature, args):
    left, right = (context.make_array(kind)(context, builder, value)
                   for kind, value in zip(signature.args, args, strict=True))
    length = cgutils.unpack_tuple(builder, left.shape, 1)[0]
    zero, lanes, one = (ir.Constant(length.type, value) for value in (0, LANES, 1))
    wide = ir.VectorType(_DOUBLE, LANES)
    sums = cgutils.alloca_once_value(builder, ir.Constant(wide, None))
    whole = builder.and_(length, ir.Constant(length.type, -LANES))
    with cgutils.for_range_slice(builder, zero, whole, lanes) as (at, _):
        a = _load(builder, left, _DOUBLE, at, LANES)
        b = builder.fpext(_load(builder, right, _FLOAT, at, LANES), wide)
        builder.store(builder.fadd(builder.load(sums), builder.fmul(a, b)), sums)
    with cgutils.for_range_slice(builder, whole, length, one) as (at, _):
        a = builder.load(builder.gep(left.data, [at]))
        b = builder.fpext(builder.load(builder.gep(right.data, [at])), _DOUBLE)
        lane, before = builder.trunc(builder.sub(at, whole), _LANE), builder.load(sums)
        part = builder.fadd(builder.extract_element(before, lane), builder.fmul(a, b))
        builder.store(builder.insert_element(before, part, lane), sums)
    after = builder.load(sums)
    parts = [builder.extract_element(after, ir.Constant(_LANE, lane)) for lane in range(LANES)]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [builder.fadd(a, b) for a, b in zip(parts[:half], parts[half:], strict=True)]
    return parts[0]


def _load(builder, array, kind, at, count):
    """`count` numbers from the array's place `at` on, which are aligned as one is."""
    pointer = builder.bitcast(builder.gep(array.data, [at]), ir.VectorType(kind, count).as_pointer())
    return builder.load(pointer, align=8 if kind is _DOUBLE else 4)

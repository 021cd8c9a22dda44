"""Ask for memory before it is needed, for Numba kernels that visit rows of a large table in random order.

A row that is in no cache costs about 100 ns, for which the processor finds nothing else to do; hints a few rows ahead
make an update of 1,024 rows of 64 numbers in a table of 138,493 rows two to three times as fast. A hint has no effect
on results.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["AHEAD", "prefetch_row"]

AHEAD = 4  # rows between the hint and the use
_LINE = 64  # bytes that come at once
_FOR_WRITING, _KEEP, _DATA = 1, 3, 1  # operands of LLVM's `prefetch`


@intrinsic
def _prefetch(typingctx: Any, array: Any, i: Any) -> Any:
    """Hint that `array[i]` of a one-dimensional array will be used."""
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, args[0])
        stride = cgutils.unpack_tuple(builder, view.strides)[0]
        start = builder.bitcast(view.data, ir.IntType(8).as_pointer())
        address = builder.gep(start, [builder.mul(args[1], stride)])
        operand = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, operand, operand, operand])
        hint = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(hint, [address, operand(_FOR_WRITING), operand(_KEEP), operand(_DATA)])
        return context.get_dummy_value()

    return types.void(array, i), generate


@njit(cache=True, nogil=True)
def prefetch_row(table, i):
    """Hint that row `i` of a matrix with contiguous rows will be read or written."""
    row = table[i]
    for j in range(0, row.size, _LINE // row.itemsize):
        _prefetch(row, j)  # type: ignore[call-arg]

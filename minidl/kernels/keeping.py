"""Keeps the machine code of the kernels that a process has compiled, for processes that do without Numba.

What Numba has left in its own cache is taken, as LLVM's intermediate code after all of its passes, so that the machine
code is that which Numba runs. A function is added that takes a table (`minidl.kernels.machine`), and what only Python
needs is left out. Kernels that allocate memory or run on Numba's threads still refer to functions of Numba's then, and
stay with it, as do those that give something back. All of this uses private interfaces of Numba's: what is not as
expected leaves things as they are.
"""

from __future__ import annotations

import ctypes
import io
import itertools
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np.numpy_support import as_dtype

from minidl.files import replacing
from minidl.kernels.ahead import DISPATCHERS
from minidl.kernels.machine import DATA, SHAPE, STRIDES, UNEXPECTED, path_of, read, symbol, write

__all__ = ["keep"]

_LOG = logging.getLogger("minidl.kernels")
_NEVER_CALLED = "NRT_MemInfo_call_dtor"  # frees the memory of Numba's own arrays; those of tables are Python's
_SECONDS = 60  # to look at a file
_WORD, _BYTE = ir.IntType(64), ir.IntType(8)


def keep(packages: Sequence[str]) -> int:
    """Add the kernels that this process has called to the machine's file.

    Parameters
    ----------
    packages : sequence of str
        As of `minidl.kernels.ahead.use`.

    Returns
    -------
    int
        How many functions were added. 0, too, where none can be, or where another process that tried them failed.
    """
    try:
        path = path_of(packages)
        if path is None:
            return 0
        try:
            code = read(path)
        except UNEXPECTED:
            code = {}
        new = dict(_compiled(set(code)))
        if new:
            _put(code | new, path)
        return len(new)
    except (*UNEXPECTED, subprocess.SubprocessError) as error:
        _LOG.warning("kernels cannot be kept for the next start: %s", error)
        return 0


def _put(code: dict[str, bytes], path: Path) -> None:
    """Write the file, once another process has loaded all of it: code that cannot be loaded ends the process."""
    packed = io.BytesIO()
    write(code, packed)
    subprocess.run([sys.executable, "-P", "-c", _TRIAL, *sys.path], input=packed.getvalue(), check=True,
                   timeout=_SECONDS, capture_output=True)
    with replacing(path) as file:
        file.write(packed.getvalue())


_TRIAL = "import sys; sys.path[:] = sys.argv[1:]; from minidl.kernels.machine import trial; trial()"


def _compiled(known: set[str]) -> Iterator[tuple[str, bytes]]:
    """Names and object files of what was compiled in this process, and is not known."""
    for kernel, dispatcher in DISPATCHERS:
        for signature, result in [*dispatcher.overloads.items()]:
            words = [_word(kind) for kind in signature]
            name = f"{kernel}({','.join(map(str, words))})"
            if None in words or name in known or result.signature.return_type is not types.none:
                continue
            cache = dispatcher._cache
            kept = cache._cache_file.load(cache._index_key(signature, result.target_context.codegen()))
            if kept is None:  # the cache could not be written
                continue
            (_, _, (_, code)), described = kept[:2]
            made = _object(symbol(name), code, described, result)
            if made is not None:
                known.add(name)
                yield name, made


def _word(kind: Any) -> str | None:
    """A type as `minidl.kernels.ahead` names it; None for one that no code is made for."""
    if isinstance(kind, types.Array):
        return f"{as_dtype(kind.dtype).name}/{kind.ndim}/{kind.layout}" if kind.aligned else None
    if isinstance(kind, types.UniTuple | types.Tuple | types.NamedTuple | types.NamedUniTuple):
        words = [_word(each) for each in kind.types]
        named = getattr(kind, "instance_class", tuple).__name__
        return None if None in words else ",".join([f"{named}(", *map(str, words), ")"])
    if isinstance(kind, types.Boolean | types.Integer | types.Float):
        return as_dtype(kind).name
    return None


# ----------------------------------------------------------------------------------------------- the functions

def _object(name: str, code: bytes, described: Any, result: Any) -> bytes | None:
    """An object file of a function of a table that calls a kernel; None if it needs what only Numba has."""
    context = result.target_context
    module = llvm.parse_bitcode(code)
    module.link_in(llvm.parse_assembly(str(_function(name, described, result.signature.args, context))))
    for each in [*module.functions, *module.global_variables]:
        if not each.is_declaration and each.name != name:
            each.linkage = "internal"  # so that what only Python called goes, and names may repeat in other files
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    machine = context.codegen()._tm
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    needed = [each.name for each in [*module.functions, *module.global_variables] if each.is_declaration]
    system = ctypes.CDLL(None)
    missing = [one for one in needed if not one.startswith("llvm.") and not hasattr(system, one)]
    if missing:
        _LOG.debug("%s needs %s", described.qualname, ", ".join(missing))
        return None
    return bytes(machine.emit_object(module))


def _function(name: str, described: Any, kinds: Sequence[Any], context: Any) -> ir.Module:
    """The function of a table, in LLVM's language."""
    module = ir.Module(name)
    made = ir.Function(module, ir.FunctionType(ir.IntType(32), [_WORD.as_pointer()]), name)
    builder = ir.IRBuilder(made.append_basic_block())
    entries = (builder.load(builder.gep(made.args[0], [_WORD(at)])) for at in itertools.count())
    values = [_value(kind, entries, context, builder) for kind in kinds]
    kernel = context.declare_function(module, described)
    status, _ = context.call_conv.call_function(builder, kernel, types.none, kinds, values)
    builder.ret(status.code)
    unused = ir.Function(module, ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer()]), _NEVER_CALLED)
    ir.IRBuilder(unused.append_basic_block()).ret_void()
    return module


def _value(kind: Any, entries: Iterator[Any], context: Any, builder: Any) -> Any:
    """An argument, made of the next entries of the table."""
    if isinstance(kind, types.Array):
        return _array(kind, next(entries), context, builder)
    if isinstance(kind, types.UniTuple | types.Tuple | types.NamedTuple | types.NamedUniTuple):
        return context.make_tuple(builder, kind, [_value(each, entries, context, builder) for each in kind.types])
    place = cgutils.alloca_once_value(builder, next(entries))
    stored = context.get_data_type(kind)
    return context.data_model_manager[kind].from_data(
        builder, builder.load(builder.bitcast(place, stored.as_pointer())))


def _array(kind: Any, address: Any, context: Any, builder: Any) -> Any:
    def pointer(offset: int, of: ir.Type) -> Any:
        place = builder.inttoptr(builder.add(address, _WORD(offset)), of.as_pointer().as_pointer())
        return builder.load(place)

    def numbers(offset: int) -> list[Any]:
        first = pointer(offset, _WORD)
        return [builder.load(builder.gep(first, [_WORD(axis)])) for axis in range(kind.ndim)]

    made = context.make_array(kind)(context, builder)
    shape, nothing = numbers(SHAPE), ir.Constant(_BYTE.as_pointer(), None)
    size = _WORD(1)
    for length in shape:
        size = builder.mul(size, length)
    made.meminfo = made.parent = nothing
    made.nitems, made.itemsize = size, _WORD(as_dtype(kind.dtype).itemsize)
    made.data = pointer(DATA, context.get_data_type(kind.dtype))
    made.shape = cgutils.pack_array(builder, shape)
    made.strides = cgutils.pack_array(builder, numbers(STRIDES))
    return made._getvalue()

"""Machine code of kernels in one file, and how a process that does without Numba runs it.

The file holds, for every kernel and the types of its arguments, an object file with one function. It takes a table of
8 bytes an argument: a number, or the address of an array's object, whose data, shape and strides it reads where NumPy's
C interface says they are (`PyArrayObject_fields`). `minidl.kernels.keeping` makes such files.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import io
import json
import os
import platform
import sys
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np

__all__ = ["DATA", "SHAPE", "STRIDES", "UNEXPECTED", "Machine", "Run", "folder", "path_of", "read", "symbol", "trial",
           "write"]

DATA, SHAPE, STRIDES = 16, 32, 40  # bytes into an array's object: pointers to its numbers, its shape, its strides
UNEXPECTED = (ImportError, OSError, RuntimeError, AttributeError, TypeError, ValueError, LookupError, SyntaxError,
              NotImplementedError, zipfile.BadZipFile)  # what private interfaces raise that are not as expected
_CODE = "code.json"
_FORMATS = {"bool": "?7x", "float32": "f4x", "float64": "d", "uint64": "Q"}  # of one entry of the table; else "q"
_WITHOUT_EFFECT = ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "NUMBA_THREADING_LAYER")  # on the code

Run = Callable[[Sequence[Any]], int]  # the numbers of a table -> 0, or another number if the kernel raised an error


class Machine:
    """Loads object files, and finds functions in them.

    Parameters
    ----------
    code : mapping of str to bytes
        Object files by what `symbol` is made of, as `read` gives them.
    """

    def __init__(self, code: Mapping[str, bytes]) -> None:
        import llvmlite.binding as llvm

        self._code, self._llvm, self._lock = code, llvm, threading.Lock()
        self._addresses: dict[str, int] = {}
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)

    def find(self, name: str) -> Run | None:
        """What runs a kernel for arguments of the types that a name says, such as `relu(float32/2/C)`, if any does."""
        if name not in self._code:
            return None
        with self._lock:  # and never twice: an engine does not take a name again
            if name not in self._addresses:
                self._engine.add_object_file(self._llvm.ObjectFileRef.from_data(self._code[name]))
                self._engine.finalize_object()
                self._addresses[name] = self._engine.get_function_address(symbol(name))
            address = self._addresses[name]
        if not address:
            return None
        call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p)(address)  # which releases the GIL
        pack = Struct("".join(_FORMATS.get(kind, "Q" if "/" in kind else "q") for kind in _numbers(name))).pack
        return lambda values: call(pack(*values))


def symbol(name: str) -> str:
    """The name of the function in an object file."""
    return f"ahead_{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def _numbers(name: str) -> list[str]:
    """The types of a table's entries: those of the arguments, tuples flat.

    Examples
    --------
    >>> _numbers("search(int64,Index(,float32/2/C,float64,),bool)")
    ['int64', 'float32/2/C', 'float64', 'bool']
    """
    types = name.partition("(")[2].removesuffix(")").split(",")
    return [kind for kind in types if kind and kind[-1] not in "()"]


# -------------------------------------------------------------------------------------------------- the file

def read(path: Path | io.BytesIO) -> dict[str, bytes]:
    """The object files of a file; OSError, ValueError or BadZipFile if there is none or it is damaged."""
    with zipfile.ZipFile(path) as archive:  # which compares checksums
        return {name: archive.read(member) for name, member in json.loads(archive.read(_CODE)).items()}


def write(code: Mapping[str, bytes], file: Any) -> None:
    """Write object files to an open file."""
    members = {name: f"{symbol(name)}.o" for name in sorted(code)}
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_CODE, json.dumps(members))
        for name, member in members.items():
            archive.writestr(member, code[name])


def trial() -> None:
    """Load all of a file that standard input brings."""
    code = read(io.BytesIO(sys.stdin.buffer.read()))
    machine = Machine(code)
    for name in code:
        if machine.find(name) is None:
            raise RuntimeError(f"{name} is not in its code")


def path_of(packages: Sequence[str]) -> Path | None:
    """Where the code of packages of kernels is kept on this machine; None where nothing can be kept or run.

    The name changes with the processor, with the versions of Python and of the libraries, and with the sources of the
    kernels.
    """
    kept, numba = folder(), importlib.util.find_spec("numba")
    if kept is None or numba is None or not numba.origin or not _arrays_are_as_expected():
        return None
    import llvmlite.binding as llvm

    state = hashlib.sha256(repr([
        sys.version, platform.machine(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(),
        importlib.import_module("llvmlite").__version__, np.__version__,
        sorted((name, value) for name, value in os.environ.items()
               if name.startswith("NUMBA_") and name not in _WITHOUT_EFFECT)]).encode())
    state.update(Path(numba.origin).with_name("_version.py").read_bytes())
    for package in packages:
        spec = importlib.util.find_spec(package)
        for place in spec.submodule_search_locations or () if spec is not None else ():
            for source in sorted(Path(place).glob("*.py")):
                state.update(source.name.encode() + source.read_bytes())
    return kept / f"kernels-{state.hexdigest()[:16]}.zip"


def folder() -> Path | None:
    """Where Numba keeps what it compiles; None where nothing can be kept."""
    given, own = os.environ.get("NUMBA_CACHE_DIR"), Path(__file__).parent
    if given:
        found = Path(given)
    elif os.access(own, os.W_OK):
        found = own / "__pycache__"
    else:
        found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    try:
        found.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return found if os.access(found, os.W_OK) else None


def _arrays_are_as_expected() -> bool:
    """Whether the object of an array has its data, shape and strides where the code looks for them."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    array = np.zeros((3, 5), np.float32)[:, 1:]

    def pointer(offset: int) -> int:
        return ctypes.c_int64.from_address(id(array) + offset).value

    if pointer(DATA) != array.ctypes.data:
        return False
    both = [[ctypes.c_int64.from_address(pointer(offset) + 8 * axis).value for axis in range(2)]
            for offset in (SHAPE, STRIDES)]
    return both == [[*array.shape], [*array.strides]]

"""NumPy's and PyTorch's names of the same argument: `axis` and `dim`, `keepdims` and `keepdim`.

An op has one of them in its signature and takes the other. Those that are `explained` look when a call has failed, at
no cost; the others, small functions under most graphs, are marked with `either_name`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["OTHER", "either_name", "in_own_names"]

_F = TypeVar("_F", bound=Callable[..., Any])
OTHER = {"axis": "dim", "dim": "axis", "keepdims": "keepdim", "keepdim": "keepdims"}
_ABSENT = object()
_FILE = f"{__file__} (either_name)"  # in the package, so that who looks for the user's line passes it over
_compiled = functools.cache(lambda source: compile(source, _FILE, "exec"))  # many ops have the same signature


def in_own_names(op: Callable[..., Any], args: tuple[Any, ...], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The keywords of a call under the names that the op has for them; None when they are so already.

    Raises
    ------
    TypeError
        When an argument is given under both names.
    """
    own = list(inspect.signature(op).parameters)
    foreign = [k for k in given if k not in own and OTHER.get(k) in own]
    for k in foreign:
        if OTHER[k] in given or OTHER[k] in own[:len(args)]:
            name = op.__qualname__.removesuffix(".__init__")
            raise TypeError(f"{name}: {OTHER[k]} and {k} are two names of one argument; give it once")
    return {OTHER[k] if k in foreign else k: v for k, v in given.items()} if foreign else None


def either_name(op: _F) -> _F:
    """Let a function take `dim` for `axis`, `keepdim` for `keepdims`, and the reverse.

    The function made is written for the signature, since one with `*args, **kwargs` takes three times as long.
    """
    code, defaults = op.__code__, op.__defaults__ or ()
    own = code.co_varnames[:code.co_argcount]
    usual = dict(zip(own[len(own) - len(defaults):], defaults, strict=True))
    axes = [n for n in own if n in OTHER]
    others = [OTHER[n] for n in axes]
    absent = " is ".join([*others, "absent"])
    required = "".join(f" and {n} is not absent" for n in axes if n not in usual)
    passed = ", ".join(f"usual_{n} if {n} is absent else {n}" if n in axes and n in usual else n for n in own)
    source = (f"def call({', '.join(own)}, *, {', '.join(others)}):\n"
              f"    if {absent}{required}:\n"
              f"        return op({passed})\n"
              f"    given = {{{', '.join(f'{n!r}: {n}' for n in [*own, *others])}}}\n"
              "    given = {name: value for name, value in given.items() if value is not absent}\n"
              "    return op(**(in_own_names(op, (), given) or given))\n")
    space = {"op": op, "absent": _ABSENT, "in_own_names": in_own_names, **{f"usual_{n}": v for n, v in usual.items()}}
    exec(_compiled(source), space)  # made of names in a signature, as dataclasses and namedtuples are
    call: Any = space["call"]
    first = next(i for i, n in enumerate(own) if n in OTHER or n in usual)
    call.__defaults__ = tuple(_ABSENT if n in axes else usual[n] for n in own[first:])
    call.__kwdefaults__ = dict.fromkeys(others, _ABSENT)
    return functools.wraps(op)(call)  # type: ignore[return-value]

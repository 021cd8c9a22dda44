"""`Module`: parameters, buffers and modules, found in its attributes."""

from __future__ import annotations

import difflib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minidl.errors import no_array, refuse_masked
from minidl.nn.hooks import Hookable
from minidl.nn.parameter import Parameter
from minidl.tensors import raw
from minidl.versions import wrote

__all__ = ["Keys", "Module"]

_M = TypeVar("_M", bound="Module")
_CONTAINERS = (list, tuple, dict, set, frozenset)
_MOST_VALUES, _AT_ONCE = 1000, 10  # that are looked at in an attribute, and of one container before others have a turn


class Keys(NamedTuple):
    """What `load_state_dict(strict=False)` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Hookable):
    """Something with parameters; a subclass writes `forward`.

    A `Parameter` or a `Module` that is an attribute belongs to this module, under the attribute's name and in the order
    of assignment. Arrays that are saved but not learned are buffers, see `register_buffer`. There is no other
    bookkeeping, so `super().__init__()` may be left out.

    An attribute that is a list, tuple, set or dict with Modules or Parameters in it is a TypeError, when it is assigned
    or, if it was filled later, when the module is first asked for its parameters or state. PyTorch passes over such
    parts: they compute, but are not trained, cast or saved, and nothing tells. There is no name that is exempt, since
    private lists of layers are the usual form of this mistake; what shall stay outside (a teacher) is kept behind a
    function, `self.teacher = lambda: teacher`.

    Examples
    --------
    >>> from minidl import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         self.factor = nn.Parameter([2.0])
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training: bool = True
    _buffers: tuple[str, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward(*args, **kwargs)`, between the hooks that are registered."""
        try:
            if self._hooks is not None:
                return self._hooks.call(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except AttributeError as error:
            if said := no_array(error, {f"{type(self).__name__}: argument {i}": x for i, x in enumerate(args)}):
                raise said from error
            raise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; called by `module(...)`."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); write it in the subclass")

    # ---------------------------------------------------------------------------------- what is in it

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            value.name = value.name or f"{type(self).__name__}.{name}"
        elif isinstance(value, Module):
            if any(part is self for part in value.modules()):
                raise ValueError(f"{type(self).__name__}: attribute {name!r} is a {type(value).__name__} that this "
                                 f"module is part of, so they would have no end; keep it behind a function: "
                                 f"self.{name} = lambda: ...")
        elif isinstance(value, _CONTAINERS):
            self._refuse_hidden(name, value)
        object.__setattr__(self, name, value)

    def _refuse_hidden(self, name: str, container: Any) -> None:
        """Raise when a plain container holds parts of the module, which nothing would find there."""
        part = _part_in(container)
        if part is None:
            return
        instead = ("make each Parameter an attribute of its own" if isinstance(part, Parameter) else
                   f"use nn.{'ModuleDict' if isinstance(container, Mapping) else 'ModuleList'}")
        raise TypeError(f"{type(self).__name__}: attribute {name!r} is a {type(container).__name__} that holds a "
                        f"{type(part).__name__}, which would be neither found, trained nor saved; {instead}, or, if it "
                        f"shall not be part of this module, keep it behind a function: self.{name} = lambda: ...")

    def register_buffer(self, name: str, array: Any) -> None:
        """Make an array (or None) an attribute that is saved, and cast by `to`, but not learned."""
        refuse_masked(f"register_buffer: {name}", array)
        setattr(self, name, None if array is None else np.asarray(array))
        if name not in self._buffers:
            self._buffers = (*self._buffers, name)

    def add_module(self, name: str, module: Module) -> None:
        """Make a module part of this one, as assigning it to an attribute does, but refuse what is none.

        Raises
        ------
        TypeError
            When it is no Module, such as a function, whose work would silently be left out.
        KeyError
            When the name is empty, has a dot or is that of another attribute.
        """
        kind = type(self).__name__
        if not isinstance(module, Module):
            raise TypeError(f"{kind}: {name!r} is a {type(module).__name__}, not a Module; write a Module whose "
                            "forward calls it")
        if not name or "." in name or (hasattr(self, name) and name not in dict(self.named_children())):
            raise KeyError(f"{kind}: {name!r} cannot be a name: it is empty, has a dot or is an attribute")
        setattr(self, name, module)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Modules that are attributes."""
        return ((name, value) for name, value in list(vars(self).items()) if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """Modules that are attributes, without their names."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted names."""
        seen: set[int] = set()
        for name, module in self._walk(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Parameters of this module and all below it, each once, with dotted names."""
        seen: set[int] = set()
        for prefix, module in self._walk():
            for name, value in list(vars(module).items()):
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(prefix, name), value

    def parameters(self) -> Iterator[Parameter]:
        """Parameters of this module and all below it, each once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """Buffers of this module and all below it, with dotted names."""
        for prefix, module in self._walk():
            for name in module._buffers:
                if (array := getattr(module, name)) is not None:
                    yield _join(prefix, name), array

    def buffers(self) -> Iterator[np.ndarray]:
        """Buffers of this module and all below it."""
        return (array for _, array in self.named_buffers())

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, a shared one under each of its names."""
        yield prefix, self
        for name, value in list(vars(self).items()):
            if isinstance(value, _CONTAINERS):  # perhaps filled since it was assigned
                self._refuse_hidden(name, value)
        for name, child in self.named_children():
            yield from child._walk(_join(prefix, name))

    def named_arrays(self) -> Iterator[tuple[str, Parameter | np.ndarray]]:
        """Everything that is saved; shared parameters under each of their names."""
        for prefix, module in self._walk():
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield _join(prefix, name), value
            for name in module._buffers:
                if (array := getattr(module, name)) is not None:
                    yield _join(prefix, name), array

    # -------------------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers, under the names that PyTorch would give them.

        Returns
        -------
        dict
            Dotted name to array; `minidl.io.save` writes it.
        """
        state = {}
        for name, value in self.named_arrays():
            if isinstance(value, Parameter):
                value = value.data
            state[name] = np.array(value)
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Keys:
        """Copy arrays into parameters and buffers; nothing is copied if something does not fit.

        Parameters
        ----------
        state : mapping of str to array_like
            Of `state_dict()`, or of a PyTorch module's, whose `num_batches_tracked` are passed over.
        strict : bool
            Whether keys that are missing or unexpected are errors. Wrong shapes always are.

        Returns
        -------
        Keys
            `missing_keys` and `unexpected_keys`.

        Raises
        ------
        ValueError
            Names every key that is missing, unexpected, of the wrong shape or of a dtype that cannot be cast, and what
            it may have been meant to be.
        TypeError
            When the state is no mapping of str.

        Examples
        --------
        >>> import numpy as np
        >>> from minidl import nn
        >>> nn.Linear(2, 1).load_state_dict({"weigth": np.zeros((1, 2)), "bias": np.zeros(2)})
        Traceback (most recent call last):
        ValueError: load_state_dict: the state does not fit Linear; bias has shape (2,), the module's (1,);
        missing: weight; unexpected: weigth (is it weight?)
        """
        if not isinstance(state, Mapping) or not all(isinstance(k, str) for k in state):
            raise TypeError(f"load_state_dict: the state is a {type(state).__name__}; pass a mapping of names to "
                            "arrays, such as minidl.io.load(path)")
        own = dict(self.named_arrays())
        given = {k: np.asarray(raw(v, f"load_state_dict: {k}")) for k, v in state.items()
                 if k in own or not k.endswith("num_batches_tracked")}
        keys = Keys([k for k in own if k not in given and not k.endswith("num_batches_tracked")],
                    [k for k in given if k not in own])
        problems = [p for k in own if k in given for p in _misfits(k, given[k], own[k])]
        if strict and keys.missing_keys:
            problems.append(f"missing: {', '.join(keys.missing_keys)}")
        if strict and keys.unexpected_keys:
            problems.append(f"unexpected: {', '.join(k + _meant(k, keys.missing_keys) for k in keys.unexpected_keys)}")
        if problems:
            raise ValueError(f"load_state_dict: the state does not fit {type(self).__name__}; {'; '.join(problems)}")
        for name, value in own.items():
            if name in given:
                array: Any = value.data if isinstance(value, Parameter) else value
                array[...] = given[name]
                wrote(value)
        return keys

    # ------------------------------------------------------------------------------------------- modes

    def train(self: _M, mode: bool = True) -> _M:
        """Set `training` here and in all modules below: dropout drops, normalisation uses the batch."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: _M) -> _M:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self: _M, requires_grad: bool = True) -> _M:
        """Learn all parameters, or freeze them."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the gradients: `.grad` of every parameter becomes None."""
        for p in self.parameters():
            p.grad = None

    def apply(self: _M, function: Callable[[Module], Any]) -> _M:
        """Call `function` with every module, children first, for example to initialise them."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self: _M, dtype: Any) -> _M:
        """Cast parameters and floating point buffers, in place; gradients are forgotten."""
        for p in self.parameters():
            learned, p.grad = p.requires_grad, None
            p.requires_grad = False
            p.data = p.data.astype(dtype)
            p.requires_grad = learned
        for module in self.modules():
            for name in module._buffers:
                array = getattr(module, name)
                if array is not None and array.dtype.kind == "f":
                    setattr(module, name, array.astype(dtype))
        return self

    def float(self: _M) -> _M:
        """`to(float32)`."""
        return self.to(np.float32)

    def double(self: _M) -> _M:
        """`to(float64)`."""
        return self.to(np.float64)

    # -------------------------------------------------------------------------------------------- repr

    def extra_repr(self) -> str:
        """Options, for `repr`."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        body = "\n  ".join([extra, *lines] if extra else lines)
        return f"{type(self).__name__}(\n  {body}\n)"


def _part_in(container: Any) -> Any:
    """A Module or Parameter in nested containers, of which the beginnings are seen first, and so many values in all.

    A long one, such as a table of ids, hides what is in it, not what is beside it.
    """
    seen, waiting, left = {id(container)}, deque([_values(container)]), _MOST_VALUES
    while waiting and left > 0:
        values = waiting.popleft()
        some = list(itertools.islice(values, _AT_ONCE))
        left -= len(some)
        for value in some:
            if isinstance(value, (Module, Parameter)):
                return value
            if isinstance(value, _CONTAINERS) and id(value) not in seen:
                seen.add(id(value))
                waiting.append(_values(value))
        if len(some) == _AT_ONCE:
            waiting.append(values)
    return None


def _values(container: Any) -> Iterator[Any]:
    return iter(container.values() if isinstance(container, Mapping) else container)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _misfits(name: str, given: np.ndarray, own: Any) -> Iterator[str]:
    """What keeps an array from being copied into a parameter or buffer."""
    if given.shape != tuple(own.shape):
        hint = " (transpose it?)" if given.shape == tuple(own.shape)[::-1] else ""
        yield f"{name} has shape {given.shape}, the module's {tuple(own.shape)}{hint}"
    if not np.can_cast(given.dtype, own.dtype, "same_kind"):
        yield f"{name} has dtype {given.dtype}, which does not become {own.dtype}"


def _meant(name: str, missing: list[str]) -> str:
    """A missing key that an unexpected one may stand for: nearly the same, or the same below another prefix."""
    below = [k for k in missing if k.endswith(f".{name}") or name.endswith(f".{k}")]
    near = (sorted(below, key=len) or difflib.get_close_matches(name, missing, 1, 0.8))[:1]
    return f" (is it {near[0]}?)" if near else ""

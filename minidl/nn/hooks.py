"""Functions that are called before and after the forward pass of a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Hookable", "Hooks", "RemovableHandle"]

Hook = Callable[..., Any]


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook off again, and so does the end of a `with` block."""

    def __init__(self, hooks: list[tuple[Hook, bool]], entry: tuple[Hook, bool]) -> None:
        self._hooks, self._entry = hooks, entry

    def remove(self) -> None:
        """Take the hook off; a second time there is nothing to do."""
        self._hooks[:] = [entry for entry in self._hooks if entry is not self._entry]

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module, in the order in which they are called; each with whether it takes keywords."""

    def __init__(self) -> None:
        self.before: list[tuple[Hook, bool]] = []
        self.after: list[tuple[Hook, bool]] = []

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The forward pass of the module, between its hooks."""
        for hook, with_kwargs in list(self.before):
            found = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if found is None:
                continue
            if not with_kwargs:
                args = found if isinstance(found, tuple) else (found,)
            elif isinstance(found, tuple) and len(found) == 2:
                args, kwargs = found
            else:
                raise TypeError(f"{type(module).__name__}: a forward pre-hook with_kwargs=True returned a "
                                f"{type(found).__name__}; it has to return None or (args, kwargs)")
        out = module.forward(*args, **kwargs)
        for hook, with_kwargs in list(self.after):
            found = hook(module, args, kwargs, out) if with_kwargs else hook(module, args, out)
            out = out if found is None else found
        return out


class Hookable:
    """What has a forward pass that hooks can be registered for."""

    _hooks: Hooks | None = None

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False,
                                  with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args)` before every forward pass; what it returns, unless None, replaces the arguments.

        Parameters
        ----------
        hook : callable
            Returns None, the arguments as a tuple, or a single one.
        prepend : bool
            Call it before the hooks that are there already, not after them.
        with_kwargs : bool
            Call `hook(module, args, kwargs)`, which returns None or (args, kwargs).

        Returns
        -------
        RemovableHandle
            Its `remove()` takes the hook off.
        """
        self._hooks = self._hooks or Hooks()
        return _added(self._hooks.before, hook, prepend, with_kwargs)

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False,
                              with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args, output)` after every forward pass; what it returns, unless None, is the output.

        Parameters
        ----------
        hook : callable
        prepend : bool
            Call it before the hooks that are there already, not after them.
        with_kwargs : bool
            Call `hook(module, args, kwargs, output)`.

        Returns
        -------
        RemovableHandle
            Its `remove()` takes the hook off.

        Examples
        --------
        >>> import numpy as np
        >>> from minidl import nn
        >>> layer, shapes = nn.Linear(3, 2), []
        >>> with layer.register_forward_hook(lambda module, args, output: shapes.append(output.shape)):
        ...     _ = layer(np.ones((4, 3), np.float32))
        >>> shapes
        [(4, 2)]
        """
        self._hooks = self._hooks or Hooks()
        return _added(self._hooks.after, hook, prepend, with_kwargs)


def _added(hooks: list[tuple[Hook, bool]], hook: Hook, prepend: bool, with_kwargs: bool) -> RemovableHandle:
    """Put a hook at the end of a list, or at its beginning."""
    entry = (hook, with_kwargs)
    hooks.insert(0 if prepend else len(hooks), entry)
    return RemovableHandle(hooks, entry)

"""`Tensor`: an array that remembers how it was made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from opcode import opmap
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minidl.errors import GradientError, refuse_masked
from minidl.versions import wrote

if TYPE_CHECKING:
    from minidl.engine import Leaf, Node

__all__ = ["Tensor", "as_array", "raw", "tensor"]

_STORE = opmap["STORE_SUBSCR"]  # a[i] = t


def as_array(value: Any) -> np.ndarray:
    """`value` as an ndarray in native byte order; numbers and sequences too."""
    array = np.asarray(value)
    if array is not value:
        refuse_masked("an argument", value)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def raw(value: Any, name: str = "an operand") -> Any:
    """The array of a Tensor; anything else as it is, but masked arrays, whose masks would get lost."""
    if isinstance(value, Tensor):
        return value.data
    refuse_masked(name, value)
    return value


def tensor(a: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """Make a Tensor from an array, a number or nested sequences.

    Parameters
    ----------
    a : array_like or Tensor
        Copied, so that the caller's array and the Tensor do not change each other.
    requires_grad : bool
        Collect a gradient in `.grad`. Floating point only.
    dtype : dtype, optional
        By default the array's own.

    Raises
    ------
    TypeError
        For what has no arithmetic (texts, objects, dates, records), and for masked arrays.

    Examples
    --------
    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """
    refuse_masked("tensor: a", a)
    array = np.array(a._array if isinstance(a, Tensor) else a, dtype=dtype)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"tensor: a has dtype {array.dtype}, which is no kind of number; encode it first (texts by "
                        "their index in np.unique, dates by .astype(int)), or say dtype=float if these are numbers")
    made = Tensor(as_array(array))
    if requires_grad:
        made.requires_grad = True
    return made


class Tensor:
    """A NumPy array with a memory of how it was computed.

    Made with `minidl.tensor`. Arithmetic, indexing and NumPy functions give Tensors; `.data` is the
    array. Comparisons give plain boolean arrays.
    """

    __slots__ = ("_array", "node", "_frozen", "__weakref__")

    _array: np.ndarray
    node: Node | None
    _frozen: Leaf  # the node of a leaf that required a gradient, and does not at the moment; mostly not there

    def __init__(self, data: np.ndarray, node: Node | None = None) -> None:
        self._array = data
        self.node = node

    @property
    def data(self) -> np.ndarray:
        """The array. What is assigned (`t.data = a`, `t.data -= a`) counts as a change of the Tensor.

        A backward pass that would need the numbers from before raises. It does not see what NumPy writes into the
        array itself, such as `t.data[0] = 1` or `t.data.fill(0)`: then compute the forward pass again, or write `t[0] =
        1` under `no_grad()`; `minidl.debug.detect_anomaly()` compares the numbers.
        """
        return self._array

    @data.setter
    def data(self, array: np.ndarray) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"data: a {type(array).__name__} is no array; pass np.asarray(...), or .data of a Tensor")
        refuse_masked("data", array)
        wrote(self)
        self._array = array

    # ------------------------------------------------------------------------------------ array-like

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._array.size

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self.data)))

    def __repr__(self) -> str:
        tail = ", requires_grad=True)" if self.requires_grad else ")"
        return np.array2string(self.data, separator=", ", prefix="tensor(").join(("tensor(", tail))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        self._not_assigned()
        return float(self._array)

    def __int__(self) -> int:
        self._not_assigned()
        return int(self._array)

    def _not_assigned(self) -> None:
        """Refuse `a[i] = t`, where an array asks for a number: `float(t)` says what it does, an assignment does not."""
        if self.node is not None:
            caller = sys._getframe(2)
            if caller.f_code.co_code[caller.f_lasti] == _STORE:
                raise GradientError("an element of an array would be assigned a Tensor that takes part in "
                                    "differentiation, and its history be lost; use .item() or .data to say so, or "
                                    "join Tensors with minidl.ops.stack or concatenate")

    def item(self) -> Any:
        """The one element as a Python number."""
        return self._array.item()

    def numpy(self) -> np.ndarray:
        """The array; refuses where a gradient would be lost without a word."""
        if self.node is not None:
            raise GradientError("numpy(): this Tensor takes part in differentiation; "
                                "use .detach().numpy() or .data for its bare array")
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.node is not None:
            raise GradientError("this Tensor takes part in differentiation and would lose its history as an array; "
                                "use .data or .detach() to say so")
        return np.array(self.data, dtype=dtype, copy=copy)

    # --------------------------------------------------------------------------------- differentiation

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this Tensor are recorded.

        A leaf that is frozen (False) and learns again (True) has the gradient and the hooks that it had, and graphs
        from before lead to it. In between `.grad` is None, so that optimizers pass it over.
        """
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.node is None:
            if self.data.dtype.kind != "f":
                raise GradientError(f"requires_grad: dtype {self.dtype} has no gradient; use floating point numbers")
            before = getattr(self, "_frozen", None)
            if before is not None and (before.shape, before.dtype) == (self.shape, self.dtype):
                self.node = before
            else:
                self.node = engine.Leaf(self.shape, self.dtype)
                self.node.hooks = None if before is None else before.hooks
        elif not value and self.node is not None:
            if not self.is_leaf:
                raise GradientError("requires_grad: only a leaf can stop requiring a gradient; use .detach()")
            self._frozen, self.node = cast("Leaf", self.node), None

    @property
    def is_leaf(self) -> bool:
        """Whether the user made it, rather than an operation."""
        return self.node is None or self.node.rule is None

    @property
    def grad(self) -> Any:
        """The gradient collected so far: an array, a `RowGrad`, a Tensor after `create_graph=True`, or None."""
        return self.node.grad if isinstance(self.node, engine.Leaf) else None

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is None and self.node is None:
            if (frozen := getattr(self, "_frozen", None)) is not None:
                frozen.grad = None
            return
        if not isinstance(self.node, engine.Leaf):
            raise GradientError("grad: only a leaf with requires_grad=True has a gradient")
        if value is not None and tuple(value.shape) != self.shape:
            raise GradientError(f"grad: shape {tuple(value.shape)} does not fit a Tensor of shape {self.shape}")
        refuse_masked("grad", value)
        self.node.grad = value

    def backward(self, gradient: Any = None, create_graph: bool = False) -> None:
        """Add the gradient of this Tensor to `.grad` of every leaf it depends on.

        Parameters
        ----------
        gradient : array, shape of self, optional
            Upstream gradient; not needed when there is one element.
        create_graph : bool
            Record the gradient itself: `.grad` is then a Tensor that can be differentiated. It refers
            to the leaf it hangs on; set `.grad = None` afterwards, or use `minidl.grad`, which does
            not hang it anywhere.

        Raises
        ------
        GradientError
            When nothing requires a gradient, or the output has several elements and no `gradient`.
        """
        engine.backward(self, gradient, create_graph)

    def detach(self) -> Tensor:
        """The same array without a history; memory is shared."""
        return Tensor(self.data)

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Call `hook(gradient)` when this Tensor's gradient is known; what it returns replaces it.

        Returns
        -------
        callable
            Removes the hook.
        """
        if self.node is None:
            raise GradientError("register_hook: this Tensor has requires_grad=False, so no gradient will pass it")
        if self.node.hooks is None:
            self.node.hooks = []
        hooks = self.node.hooks
        hooks.append(hook)
        return lambda: hooks.remove(hook) if hook in hooks else None

    # ------------------------------------------------------------------------------------- in place

    def _in_place(self, verb: str, instead: str, *values: Any) -> None:
        if (self.node is not None and (not self.is_leaf or engine.is_grad_enabled())) or any(
                isinstance(v, Tensor) and v.node is not None and engine.is_grad_enabled() for v in values):
            raise GradientError(f"{verb} would change a Tensor that is part of a graph; write {instead} instead, "
                                "or update a leaf inside `with minidl.no_grad():`")

    def __setitem__(self, index: Any, value: Any) -> None:
        self._in_place("x[i] = v", "minidl.ops.where(mask, v, x) or minidl.ops.scatter_add(...)", value)
        self._array[_raw_index(index)] = raw(value, "x[i] = v: v")
        wrote(self)

    def __iadd__(self, other: Any) -> Tensor:
        self._in_place("x += y", "x = x + y", other)
        self.data += raw(other)
        return self

    def __isub__(self, other: Any) -> Tensor:
        self._in_place("x -= y", "x = x - y", other)
        self.data -= raw(other)
        return self

    def __imul__(self, other: Any) -> Tensor:
        self._in_place("x *= y", "x = x * y", other)
        self.data *= raw(other)
        return self

    def __itruediv__(self, other: Any) -> Tensor:
        self._in_place("x /= y", "x = x / y", other)
        self.data /= raw(other)
        return self

    # ------------------------------------------------------------------- operators and methods that are ops

    # Ops are written with Tensors, so they come later: `minidl.ops.methods` puts them here.
    if TYPE_CHECKING:
        T: Tensor

        def __add__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...

        __sub__ = __mul__ = __truediv__ = __pow__ = __matmul__ = __getitem__ = __add__
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = __rmatmul__ = __add__
        __abs__ = __neg__
        astype = cast(Callable[..., "Tensor"], None)
        argmax = clip = cumsum = exp = flatten = log = max = mean = min = norm = prod = ravel = reshape = astype
        squeeze = std = sum = swapaxes = transpose = unsqueeze = var = astype

    # --------------------------------------------------------------------------------------- comparisons

    def __eq__(self, other: object) -> Any:
        return self.data == raw(other)

    def __ne__(self, other: object) -> Any:
        return self.data != raw(other)

    def __lt__(self, other: Any) -> Any:
        return self.data < raw(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= raw(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > raw(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= raw(other)

    __hash__ = object.__hash__  # by identity, since == is elementwise


def _raw_index(index: Any) -> Any:
    return tuple(raw(i, "the index") for i in index) if isinstance(index, tuple) else raw(index, "the index")


from minidl import engine  # noqa: E402  (it is written with Tensor, so it comes after it)

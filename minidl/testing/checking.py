"""`gradcheck`: is the derivative of this function right, at every order asked for?

    >>> import numpy as np, minidl
    >>> from minidl.testing import gradcheck
    >>> print(gradcheck(lambda x, y: np.sin(x) * y, [np.array([0.3, 1.1]), np.array(2.0)], order=2).summary())
    gradcheck: order 2 holds; 3 inputs
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl import ops
from minidl.derivatives import vjp
from minidl.tensors import Tensor, tensor
from minidl.testing.graphs import layout_of, unique_values
from minidl.testing.oracles import Flat, basis, complex_step, differences, pulled, raw, relative, wobble

__all__ = ["Check", "GradcheckError", "Report", "derivative", "gradcheck", "hygiene"]

LADDER = (1.0, 0.1, 10.0, 0.01)  # further steps are tried before a difference counts as an error


class GradcheckError(AssertionError):
    """A derivative is wrong; the message says which, where, and what it should be."""


@dataclass
class Report:
    """What was checked and how well it agreed.

    Attributes
    ----------
    order : int
        Highest order that was proved.
    inputs : int
        Number of input elements.
    worst : dict of str to float
        Largest error relative to the largest derivative, by oracle (`"complex step"`, `"differences, order 2"`).
    kinks : list of str
        Where one-sided derivatives disagree and the answer lies between them.
    """

    order: int = 0
    inputs: int = 0
    worst: dict[str, float] = field(default_factory=dict)
    kinks: list[str] = field(default_factory=list)

    def note(self, oracle: str, error: float) -> None:
        """Keep the worst error of an oracle."""
        self.worst[oracle] = max(self.worst.get(oracle, 0.0), error)

    def summary(self) -> str:
        """One line."""
        tail = f"; {len(self.kinks)} derivative(s) at a kink, between the one-sided ones" if self.kinks else ""
        return f"gradcheck: order {self.order} holds; {self.inputs} inputs{tail}"


def gradcheck(f: Callable[..., Any], inputs: Sequence[Any], order: int = 1, *,
              reference: Callable[..., Any] | None = None, kinks: str = "between", rtol: float = 1e-7,
              atol: float | None = None, step: float = 1e-3, limit: int = 64, seed: int = 0,
              name: str | None = None) -> Report:
    """Check the derivatives of `f` up to `order`; raise with a readable message if one is wrong.

    Order 1 compares the Jacobian by pullbacks with five-point differences of `f`, and with a complex
    step through `reference` when there is one. Order n + 1 does the same for the function
    `(x, u) -> vjp(f, x)(u)` that order n has checked. Up to `limit` inputs the whole Jacobian is
    compared, beyond it several signed projections. On the way: nothing is mutated, running a pullback
    twice gives identical bits, gradients have the inputs' shapes and dtypes and share no memory.

    Parameters
    ----------
    f : callable
        Takes Tensors or arrays, returns one Tensor.
    inputs : sequence of float64 arrays
        Where to check; anything else is passed on as a constant.
    order : int
        1 for the gradient, 2 for the second derivatives, ...
    reference : callable, optional
        The same function in plain NumPy, for complex arguments. Its values are compared too.
    kinks : {"between", "refuse"}
        Where one-sided derivatives disagree, accept what lies between them and say so in the report, or raise.
    rtol, atol : float
        Accept `|a - n| <= atol + rtol * max(|a|, |n|)`. `atol` is by default what rounding allows.
    step : float
        Of the differences, relative to the size of the inputs. Where it fails others are tried.
    limit : int
        Largest number of inputs (and outputs) for the whole Jacobian.
    seed : int
        Of the upstream gradients and projections.
    name : str, optional
        Name of `f` in messages.

    Returns
    -------
    Report

    Raises
    ------
    GradcheckError
        When a derivative is wrong, or there is nothing to differentiate.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> from minidl.testing import gradcheck
    >>> wrong = minidl.primitive(np.sin, lambda g, out, inputs, needs: (1.01 * g * np.cos(inputs[0]),), name="wrong")
    >>> gradcheck(wrong, [np.array([0.0, 0.5])])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    minidl.testing.checking.GradcheckError: wrong, order 1: d out[0] / d argument 0 [0] is 1.01 by pullback ...
    """
    slots = [i for i, a in enumerate(inputs) if getattr(a, "dtype", np.dtype(int)).kind == "f"]
    if not slots:
        raise GradcheckError("gradcheck: there is nothing to differentiate; pass float64 arrays, such as np.array(2.0)")
    for i in slots:
        if inputs[i].dtype != np.float64:
            raise GradcheckError(f"gradcheck: argument {i} is {inputs[i].dtype}, in which differences are noise; "
                                 "pass float64")
    arrays = [raw(inputs[i]) for i in slots]
    names = _argument_names(f, slots)
    bound = _bind(f, inputs, slots)
    title = name or str(getattr(f, "__name__", "function"))
    check = Check(title, names, arrays, rng=np.random.default_rng(seed), kinks=kinks, rtol=rtol, atol=atol, step=step,
                  limit=limit)
    if reference is not None:
        check.complex_step(bound, _bind(reference, inputs, slots))
    for _ in range(order):
        bound = check.next_order(bound)
    return check.report


def _bind(f: Callable[..., Any], inputs: Sequence[Any], slots: Sequence[int]) -> Callable[..., Any]:
    """`f` as a function of the arguments that are differentiated."""
    def bound(*chosen: Any) -> Any:
        given = dict(zip(slots, chosen, strict=True))
        return f(*(given.get(i, a) for i, a in enumerate(inputs)))

    return bound


def _argument_names(f: Callable[..., Any], slots: Sequence[int]) -> list[str]:
    try:
        names = [p.name for p in inspect.signature(f).parameters.values()
                 if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        names = []
    return [f"argument {i} ({names[i]})" if i < len(names) and len(names[i]) > 0 else f"argument {i}" for i in slots]


def derivative(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function `(*x, u) -> vjp(f, *x)(u)`, all gradients in one vector: what the next order differentiates."""
    def pull(*args: Any) -> Any:
        *xs, u = args
        gradients = vjp(f, *xs)[1](u)
        return ops.concatenate([g.reshape(-1) for g in gradients])

    return pull


class Check:
    """One `gradcheck` on its way through the orders."""

    def __init__(self, name: str, names: list[str], arrays: list[np.ndarray], *, rng: np.random.Generator,
                 kinks: str = "between", rtol: float = 1e-7, atol: float | None = None, step: float = 1e-3,
                 limit: int = 64, directions: int = 4) -> None:
        self.name, self.names, self.arrays = name, names, arrays
        self.kinks, self.rtol, self.atol, self.step, self.rng = kinks, rtol, atol, step, rng
        self.limit, self.directions = limit, directions
        self.report = Report(inputs=sum(a.size for a in arrays))

    def complex_step(self, f: Callable[..., Any], reference: Callable[..., Any]) -> None:
        """Order 1 by complex step through the reference, and the values."""
        self.value(f, reference)
        left, right, flat = self._sides(f)
        plain = Flat(reference, self.arrays)

        def exact(x: np.ndarray) -> np.ndarray:
            return left @ complex_step(plain, x, right)

        analytic, expected = pulled(f, self.arrays, left) @ right.T, exact(flat.x)
        gap = np.abs(analytic - expected)
        accept = 1e-12 * _largest(expected) + 1e-11 * np.maximum(np.abs(analytic), np.abs(expected))
        bad = ~(gap <= accept)
        if bad.any():  # it may be rounding alone, as where the true derivative is zero
            bad = ~(gap <= accept + wobble(exact, flat.x, self.rng))
        else:
            self.report.note("complex step", relative(analytic, expected))
        if bad.any():
            raise GradcheckError(self._message(flat, left, analytic, expected, bad, "complex step", 1e-30))

    def value(self, f: Callable[..., Any], reference: Callable[..., Any]) -> None:
        """The value of `f` equals the reference's, to rounding."""
        out, expected = raw(f(*self.arrays)), raw(reference(*self.arrays))
        if out.shape != expected.shape:
            raise GradcheckError(f"{self.name}: the value has shape {out.shape}, the reference's {expected.shape}")
        gap = np.abs(out - expected)
        accept = 1e-12 * (_largest(expected) + np.abs(expected))
        if not (gap <= accept).all():
            flat = Flat(reference, self.arrays)
            if not (gap <= accept + wobble(flat, flat.x, self.rng)).all():
                raise GradcheckError(f"{self.name}: the value differs from the reference's by {_largest(gap):.3g}; "
                                     f"the largest is {_largest(expected):.3g}")
        else:
            self.report.note("value", relative(out, expected))

    def next_order(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Check the first derivative of `f` by differences; give the function for the order above."""
        self.report.order += 1
        out = raw(f(*self.arrays))
        u = unique_values(out.shape, self.rng)
        if self.report.order == 1:
            hygiene(f, self.arrays, u, self.name)
        left, right, flat = self._sides(f)
        analytic = pulled(f, self.arrays, left) @ right.T
        self._compare(lambda x: left @ flat(x), flat, left, right, analytic)
        self.arrays = [*self.arrays, u]
        self.names = [*self.names, f"upstream of order {self.report.order}"]
        return derivative(f)

    def _sides(self, f: Callable[..., Any]) -> tuple[np.ndarray, np.ndarray, Flat]:
        flat = Flat(f, self.arrays)
        left, right = (basis(n, self.limit, self.rng, self.directions)
                       for n in (raw(f(*self.arrays)).size, flat.x.size))
        return left, right, flat

    def _compare(self, f: Callable[[np.ndarray], np.ndarray], flat: Flat, left: np.ndarray, right: np.ndarray,
                 analytic: np.ndarray) -> None:
        oracle = "differences" if self.report.order == 1 else f"differences, order {self.report.order}"
        bad = np.ones(analytic.shape, bool)
        first = differences(f, flat.x, right, self.step)
        for factor in LADDER:
            found = first if factor == 1 else differences(f, flat.x, right, self.step * factor)
            scale = _largest(found.value)
            atol = self.atol if self.atol is not None else found.noise + 1e-9 * scale
            gap = np.abs(analytic - found.value)
            agree = gap <= atol + self.rtol * np.maximum(np.abs(analytic), np.abs(found.value))
            self.report.note(oracle, float(np.max((gap / (scale or 1.0))[bad & agree], initial=0.0)))
            bad &= ~agree
            if not bad.any():
                break
        kink = first.kink & bad
        between = kink & (first.low <= analytic) & (analytic <= first.high)
        if self.kinks == "between":
            bad &= ~between
            for row, column in np.argwhere(between):
                self.report.kinks.append(f"order {self.report.order}, {self._place(flat, left, row, column)}")
        if bad.any():
            hint = ("; the one-sided derivatives disagree here: this is a kink, and the answer lies "
                    f"{'between' if between[bad].all() else 'outside'} them" if kink[bad].any() else "")
            raise GradcheckError(self._message(flat, left, analytic, first.value, bad, "five-point differences",
                                               self.step) + hint)

    def _place(self, flat: Flat, left: np.ndarray, row: int, column: int) -> str:
        whole = left.shape[0] == left.shape[1]
        out = f"d out[{row}]" if whole else f"d <out, direction {row}>"
        if flat.x.size > self.limit:
            return f"{out} along direction {column}"
        slot, index = flat.where(column)
        return f"{out} / d {self.names[slot]} {list(index)}"

    def _message(self, flat: Flat, left: np.ndarray, analytic: np.ndarray, numeric: np.ndarray, bad: np.ndarray,
                 oracle: str, step: float) -> str:
        gap = np.where(bad, np.abs(analytic - numeric), -1.0)
        gap[np.isnan(gap)] = np.inf
        row, column = np.unravel_index(int(np.argmax(gap)), gap.shape)
        shapes = ", ".join(f"{n}: {a.shape} {layout_of(a)}" for n, a in zip(self.names, self.arrays, strict=True))
        return (f"{self.name}, order {max(self.report.order, 1)}: {self._place(flat, left, int(row), int(column))} is "
                f"{analytic[row, column]:.10g} by pullback but {numeric[row, column]:.10g} by {oracle} "
                f"(step {step:g}, difference {gap[row, column]:.3g}); {int(bad.sum())} of {bad.size} derivatives "
                f"disagree; inputs: {shapes}")


def _largest(a: np.ndarray) -> float:
    return float(np.max(np.abs(a), initial=0.0))


# ------------------------------------------------------------------------------------------ hygiene

def hygiene(f: Callable[..., Any], inputs: Sequence[np.ndarray], u: np.ndarray, name: str = "function") -> None:
    """What must hold of any pullback, whatever its formula.

    Nothing is mutated, the second run gives the bits of the first even after its gradients were
    overwritten, a zero upstream gives zeros, gradients have the inputs' shapes and dtypes, and `.grad`
    shares memory with nothing.

    Raises
    ------
    GradcheckError
        When one of them does not hold.
    """
    _no_mutation_same_bits(f, inputs, u, name)
    leaves = [tensor(a, requires_grad=True) for a in inputs]
    out = f(*leaves)
    if not isinstance(out, Tensor) or out.node is None:
        return
    out.backward(u)
    held = [("the upstream gradient", u), ("the output", out.data)]
    held += [(f"input {i}", leaf.data) for i, leaf in enumerate(leaves)]
    for i, leaf in enumerate(leaves):
        if leaf.grad is None:
            continue
        g = leaf.grad.rows if hasattr(leaf.grad, "rows") else leaf.grad
        for what, other in held:
            if np.shares_memory(g, other):
                raise GradcheckError(f"{name}: the gradient of argument {i} shares memory with {what}")
        held.append((f"the gradient of argument {i}", g))


def _no_mutation_same_bits(f: Callable[..., Any], inputs: Sequence[np.ndarray], u: np.ndarray, name: str) -> None:
    before = [a.copy() for a in inputs]
    out, pullback = vjp(f, *inputs)
    value = raw(out).copy()
    seed = u.copy()
    gradients = [raw(g) for g in pullback(seed)]
    first = [g.copy() for g in gradients]
    for i, (g, a) in enumerate(zip(gradients, inputs, strict=True)):
        if g.shape != a.shape or g.dtype != a.dtype:
            raise GradcheckError(f"{name}: the gradient of argument {i} is {g.dtype}{g.shape}, "
                                 f"the argument {a.dtype}{a.shape}")
        if g.flags.writeable:
            g[...] = np.nan  # shows in what shares this memory
    again = [raw(g) for g in pullback(u.copy())]
    watched = [("the upstream gradient", seed, u), ("the output", raw(out), value)]
    watched += [(f"argument {i}", a, b) for i, (a, b) in enumerate(zip(inputs, before, strict=True))]
    for what, now, then in watched:
        if not np.array_equal(now, then, equal_nan=True):
            raise GradcheckError(f"{name}: going backward changed {what}")
    for i, (g, h) in enumerate(zip(first, again, strict=True)):
        if not np.array_equal(g, h, equal_nan=True):
            raise GradcheckError(f"{name}: two runs of the pullback give different gradients of argument {i}")
    for i, g in enumerate(pullback(np.zeros_like(u))):
        if np.any(raw(g)):
            raise GradcheckError(f"{name}: a zero upstream gives a gradient of argument {i} that is not zero")

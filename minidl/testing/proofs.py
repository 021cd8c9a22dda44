"""What every op has to prove, on any of its cases.

`prove(op, case)` runs all proofs of `PROOFS` in order and raises `ProofError` (or `GradcheckError`) on
the first that fails. A proof is a function of a `Call` and the `Evidence` it adds to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.debug.watching import Watcher
from minidl.derivatives import grad
from minidl.engine import Leaf, Node, Rule, no_grad, pull_back
from minidl.tensors import Tensor, tensor
from minidl.testing.checking import Check, GradcheckError, Report
from minidl.testing.graphs import count, layout_of, unique_values
from minidl.testing.oracles import adjoint_gap, gradient_of, hessian_asymmetry, jvp_gap, raw, relative, weighted
from minidl.testing.spec import Case, Op

__all__ = ["PROOFS", "Call", "Evidence", "ProofError", "draw_cases", "prove", "prove_conventions"]

EPS32 = float(np.finfo(np.float32).eps)
TINY32 = float(np.finfo(np.float32).tiny)
_ROUNDING = 8 * float(np.finfo(float).eps)  # of products of two inputs, where a sum of them cancels


class ProofError(GradcheckError):
    """A property that every op must have does not hold."""


@dataclass
class Evidence(Report):
    """What the proofs of an op have seen."""

    layouts: set[str] = field(default_factory=set)
    dtypes: set[str] = field(default_factory=set)
    cases: int = 0

    def take(self, report: Report) -> None:
        """Add what a check has measured."""
        for oracle, error in report.worst.items():
            self.note(oracle, error)


class Call:
    """One case of an op, as functions of the arguments that are differentiated.

    Attributes
    ----------
    arrays : list of float64 arrays
        `case.args[i]` for `i` in `case.wrt`.
    u : float64 array
        Upstream gradient, all values different.
    """

    def __init__(self, op: Op, case: Case, seed: int = 0) -> None:
        self.op = op
        self.case = case
        self.rng = np.random.default_rng(seed)
        self.arrays = [np.asarray(case.args[i]) for i in case.wrt]
        self.value = raw(self.f(*self.arrays))
        self.u = unique_values(self.value.shape, self.rng)

    def f(self, *chosen: Any) -> Any:
        """The op, its other arguments fixed."""
        return self._call(self.op.function, chosen)

    def reference(self, *chosen: Any) -> Any:
        """The reference, its other arguments fixed."""
        return self._call(self.op.reference, chosen)

    def _call(self, function: Callable[..., Any], chosen: Sequence[Any]) -> Any:
        given = dict(zip(self.case.wrt, chosen, strict=True))
        return function(*(given.get(i, a) for i, a in enumerate(self.case.args)), **self.case.kwargs)

    def fail(self, what: str) -> ProofError:
        """The error, with the op and its arguments."""
        return ProofError(f"{self.op.name}{describe(self.case)}: {what}")

    def require_close(self, got: Any, wanted: Any, what: str, rtol: float = 1e-12) -> None:
        """Arrays of one shape that agree to `rtol` of the largest value, or to the rounding of what cancels in it."""
        got, wanted = raw(got), raw(wanted)
        scale = float(np.max(np.abs(wanted), initial=0.0))
        terms = max([1.0, *(float(np.max(np.abs(a[np.isfinite(a)]), initial=0.0)) for a in self.arrays)]) ** 2
        if got.shape != wanted.shape:
            raise self.fail(f"{what}: shape {got.shape} instead of {wanted.shape}")
        if not np.allclose(got, wanted, rtol=rtol, atol=rtol * scale + _ROUNDING * terms):
            raise self.fail(f"{what}: differs by {np.max(np.abs(got - wanted)):.3g}, the largest value is {scale:.3g}")


def describe(case: Case) -> str:
    """A call in a few words: dtypes, shapes and layouts."""
    parts = [f"{a.dtype}{a.shape} {layout_of(a)}" if isinstance(a, np.ndarray) else repr(a) for a in case.args]
    parts += [f"{k}={v.dtype}{v.shape}" if isinstance(v, np.ndarray) else f"{k}={v!r}" for k, v in case.kwargs.items()]
    return f"({', '.join(parts)})"


# ------------------------------------------------------------------------------------------- values

def prove_value(call: Call, evidence: Evidence) -> None:
    """The value equals the reference's; arrays give arrays, Tensors Tensors of the same bits, tracked or not."""
    plain = call.f(*call.arrays)
    if isinstance(plain, Tensor):
        raise call.fail("arrays in must give an array out, not a Tensor")
    check = Check(call.op.name + describe(call.case), [], call.arrays, rng=call.rng)
    check.value(call.f, call.reference)
    evidence.take(check.report)
    leaves = [tensor(a, requires_grad=True) for a in call.arrays]
    tracked = call.f(*leaves)
    with no_grad():
        untracked = call.f(*leaves)
    if leaves and not (isinstance(tracked, Tensor) and isinstance(untracked, Tensor)):
        raise call.fail("a Tensor in must give a Tensor out")
    if not np.array_equal(raw(tracked), raw(untracked), equal_nan=True):
        raise call.fail("the value under no_grad differs from the recorded one")
    if leaves and untracked.node is not None:
        raise call.fail("recorded under no_grad")
    call.require_close(tracked, plain, "value of Tensors against that of arrays")


# ------------------------------------------------------------------------------------ derivatives

def prove_derivatives(call: Call, evidence: Evidence) -> None:
    """Orders 1 to n, against complex step through the reference and five-point differences."""
    names = [f"argument {i}" for i in call.case.wrt]
    check = Check(call.op.name + describe(call.case), names, call.arrays, kinks="refuse", limit=24, rng=call.rng)
    if call.op.complex_step:
        check.complex_step(call.f, call.reference)
        check.limit = 4  # the whole Jacobian is known to be right; differences may look at projections
    f: Callable[..., Any] = call.f
    for _ in range(call.op.order):
        f = check.next_order(f)
        check.limit = check.directions = 2  # a few on each of many cases
    evidence.take(check.report)
    evidence.order = check.report.order


def prove_symmetry(call: Call, evidence: Evidence) -> None:
    """The Hessian is symmetric, and J v by two pullbacks is a directional derivative."""
    if call.op.order < 2 or not call.arrays:
        return
    error = hessian_asymmetry(weighted(call.f, call.u), call.arrays, call.rng)
    evidence.note("Hessian symmetry", error)
    if error > 1e-9:
        raise call.fail(f"<u, H v> and <v, H u> differ by {error:.3g} (relative)")
    error, kink = jvp_gap(call.f, call.arrays, call.rng)
    if error > 1e-6 and not kink:
        raise call.fail(f"the jvp differs from the directional difference by {error:.3g} (relative)")
    evidence.note("jvp", 0.0 if kink else error)


def prove_adjoint(call: Call, evidence: Evidence) -> None:
    """<A v, u> = <v, A'u> in the arguments in which the op is linear."""
    for slot, i in enumerate(call.case.wrt):
        if i not in call.op.linear:
            continue
        x = call.arrays[slot]
        error = adjoint_gap(_one_slot(call, slot), x, unique_values(x.shape, call.rng), call.u)
        evidence.note("adjoint", error)
        if error > 1e-12:
            raise call.fail(f"<A v, u> and <v, A'u> of argument {i} differ by {error:.3g} (relative)")


def _one_slot(call: Call, slot: int) -> Callable[..., Any]:
    return lambda x: call.f(*(x if k == slot else a for k, a in enumerate(call.arrays)))


def prove_modes(call: Call, evidence: Evidence) -> None:
    """The gradient is the same from arrays and under `create_graph`; for a fused op: kernel = reference."""
    if call.op.order < 2:
        return
    plain = gradient_of(call.f, call.arrays, call.u)
    tracked = gradient_of(call.f, call.arrays, Tensor(call.u, Leaf(call.u.shape, call.u.dtype)))
    for i, one, other in zip(call.case.wrt, plain, tracked, strict=True):
        evidence.note("both modes", relative(one, other))
        call.require_close(other, one, f"gradient of argument {i} under create_graph", 1e-11)


# ------------------------------------------------------------------------------ metamorphic properties

def prove_alone(call: Call, evidence: Evidence) -> None:
    """The gradient of one argument is the same when the others are constants."""
    if len(call.arrays) < 2:
        return
    together = gradient_of(call.f, call.arrays, call.u)
    for slot, x in enumerate(call.arrays):
        alone = gradient_of(_one_slot(call, slot), [x], call.u)[0]
        call.require_close(alone, together[slot], f"gradient of argument {call.case.wrt[slot]} alone")


def prove_shared(call: Call, evidence: Evidence) -> None:
    """One Tensor in two slots gets the sum of the slots' gradients."""
    for a, b in itertools.combinations(range(len(call.arrays)), 2):
        x = call.arrays[b]
        if call.arrays[a].shape != x.shape:
            continue
        others = list(call.arrays)
        others[a] = x
        with np.errstate(all="ignore"):
            try:
                apart = gradient_of(call.f, others, call.u)
            except ValueError:
                continue  # the same value in both slots is outside the domain (a singular matrix)
            shared = gradient_of(lambda t, a=a, b=b, others=others: call.f(
                *(t if k in (a, b) else o for k, o in enumerate(others))), [x], call.u)[0]
        if np.isfinite(apart[a] + apart[b]).all():
            call.require_close(shared, apart[a] + apart[b], "gradient of one Tensor in two slots", 1e-11)


def prove_layouts(call: Call, evidence: Evidence) -> None:
    """Memory layout does not matter, neither the inputs' nor the upstream's."""
    evidence.layouts |= {layout_of(a) for a in call.arrays}
    dense = [np.array(a, order="C") for a in call.arrays]
    wanted = gradient_of(call.f, dense, call.u)
    call.require_close(raw(call.f(*call.arrays)), raw(call.f(*dense)), "value in another layout")
    flipped = call.u[(slice(None, None, -1),) * call.u.ndim].copy()[(slice(None, None, -1),) * call.u.ndim]
    for got, expected in zip(gradient_of(call.f, call.arrays, np.asarray(flipped)), wanted, strict=True):
        call.require_close(got, expected, "gradient in another layout", 1e-11)
    constant = np.broadcast_to(1.0, call.value.shape)  # what a sum sends: read-only, stride 0
    solid = gradient_of(call.f, dense, np.ones(call.value.shape))
    for got, expected in zip(gradient_of(call.f, dense, constant), solid, strict=True):
        call.require_close(got, expected, "gradient of a stride-0 upstream", 1e-11)


def prove_broadcast(call: Call, evidence: Evidence) -> None:
    """Where an argument is broadcast, its gradient is that of the explicit copies, summed."""
    full = call.value.shape
    if len(call.arrays) < 2 or all(a.shape == full for a in call.arrays):
        return
    try:
        if np.broadcast_shapes(*(a.shape for a in call.arrays)) != full:
            return
        copies = [np.broadcast_to(a, full).copy() for a in call.arrays]
        tiled = raw(call.f(*copies))
    except (ValueError, IndexError):
        return  # not an op that broadcasts
    if tiled.shape != full or not np.allclose(tiled, call.value, rtol=1e-12, atol=0):
        return
    for got, wide in zip(gradient_of(call.f, call.arrays, call.u), gradient_of(call.f, copies, call.u), strict=True):
        lead = wide.ndim - got.ndim
        axes = tuple(i for i in range(wide.ndim) if i < lead or got.shape[i - lead] != wide.shape[i])
        summed = wide.sum(axis=axes).reshape(got.shape)
        call.require_close(got, summed, "gradient summed over the broadcast axes", 1e-11)


# -------------------------------------------------------------------------------------------- dtypes

def prove_dtypes(call: Call, evidence: Evidence) -> None:
    """Every contribution has its input's dtype; float32 stays float32 and is as exact as its condition allows."""
    evidence.dtypes.add("float64")
    _uniform_dtype(call, np.dtype(np.float64))
    if not call.op.float32 or not call.arrays:
        return
    low = Call(call.op, _cast(call.case, np.float32))
    high = Call(call.op, _cast(_cast(call.case, np.float32), np.float64))
    if low.value.dtype != np.float32:
        raise low.fail(f"float32 in gives {low.value.dtype} out")
    evidence.dtypes.add("float32")
    u = high.u.astype(np.float32)
    _uniform_dtype(low, np.dtype(np.float32))
    got = gradient_of(low.f, low.arrays, u)
    exact = gradient_of(high.f, high.arrays, u.astype(np.float64))

    def shaken(a: np.ndarray) -> np.ndarray:
        return a * (1 + EPS32 * call.rng.uniform(-1, 1, a.shape))

    moved = [gradient_of(high.f, [shaken(a) for a in high.arrays], shaken(u.astype(np.float64))) for _ in range(3)]
    for i, (g, e) in enumerate(zip(got, exact, strict=True)):
        unit = EPS32 * max(float(np.max(np.abs(e), initial=0.0)), TINY32 / EPS32)
        condition = max(float(np.max(np.abs(m[i] - e), initial=0.0)) for m in moved)
        error = float(np.max(np.abs(g - e), initial=0.0))
        evidence.note("float32 (ULP)", error / max(unit, condition))
        if g.dtype != np.float32 or not error <= 64 * unit + 16 * condition:
            raise low.fail(f"the float32 gradient of argument {call.case.wrt[i]} is {g.dtype} and off by {error:.3g}, "
                           f"{error / unit:.3g} units in the last place")


def _uniform_dtype(call: Call, dtype: np.dtype[Any]) -> None:
    """Cast every array to one dtype: then no contribution to any node may have another."""
    if any(a.dtype != dtype for a in call.arrays) or not call.op.float32:
        return
    with _Contributions() as contributions:
        gradient_of(call.f, call.arrays, call.u.astype(dtype))
    for node, g in contributions.seen:
        if node.dtype == dtype != g.dtype:
            raise call.fail(f"a rule gave a {g.dtype} gradient to a {node.dtype} input of shape {node.shape}")


class _Contributions(Watcher):
    """Collects what rules give to the inputs of their nodes."""

    def __init__(self) -> None:
        self.seen: list[tuple[Node, Any]] = []

    def returning(self, rule: Rule, node: Node) -> Rule:
        def noted(*args: Any, **params: Any) -> Sequence[Any]:
            gradients = rule(*args, **params)
            self.seen += [(parent, g) for parent, g in zip(node.parents, gradients, strict=False)
                          if parent is not None and g is not None]
            return gradients

        return noted


def _cast(case: Case, dtype: Any) -> Case:
    def cast(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value.astype(dtype)
        return type(value)(cast(v) for v in value) if type(value) in (list, tuple) else value

    return Case(tuple(cast(a) for a in case.args), {k: cast(v) for k, v in case.kwargs.items()}, case.wrt)


# -------------------------------------------------------------------------------------------- poison

def prove_keeps(call: Call, evidence: Evidence) -> None:
    """After the forward pass, what no rule declared as kept is filled with NaN; gradients do not change."""
    wanted = gradient_of(call.f, call.arrays, call.u)
    for create_graph in (False, True) if call.op.order > 1 else (False,):
        leaves = [tensor(a, requires_grad=True) for a in call.arrays]
        out = call.f(*leaves)
        if not isinstance(out, Tensor) or out.node is None:
            return
        kept = list(_kept([out.node]))
        for array in [leaf.data for leaf in leaves] + [out.data]:
            if array.flags.writeable and not any(np.shares_memory(array, k) for k in kept):
                array.fill(np.nan)
        seed = Tensor(call.u.copy()) if create_graph else call.u.copy()
        found = pull_back([(out, seed)], create_graph=create_graph)
        for leaf, expected in zip(leaves, wanted, strict=True):
            g = found.get(leaf.node) if leaf.node is not None else None
            if g is not None:
                g = g.to_dense() if hasattr(g, "to_dense") else raw(g)
                call.require_close(g, expected, "gradient after all that is not declared as kept was poisoned", 1e-9)


def _kept(nodes: list[Node]) -> Iterator[np.ndarray]:
    """Arrays that the graph declares to need."""
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        yield from _arrays_in([node.inputs, node.out, node.params])
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                nodes.append(parent)


def _arrays_in(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Tensor):
        yield value.data
    elif isinstance(value, (Mapping, list, tuple)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _arrays_in(part)


# --------------------------------------------------------------------------------------- all of them

PROOFS: dict[str, Callable[[Call, Evidence], None]] = {
    "value": prove_value, "derivatives": prove_derivatives, "modes": prove_modes, "adjoint": prove_adjoint,
    "dtypes": prove_dtypes, "keeps": prove_keeps, "alone": prove_alone, "shared": prove_shared,
    "layouts": prove_layouts, "broadcast": prove_broadcast, "symmetry": prove_symmetry,
}


def prove(op: Op, case: Case, evidence: Evidence | None = None) -> Evidence:
    """All proofs of one op on one case.

    Raises
    ------
    GradcheckError
        On the first proof that fails.
    """
    evidence = evidence if evidence is not None else Evidence()
    call = Call(op, case)
    for proof in PROOFS.values() if case.wrt else [prove_value]:  # an answer in integers has no more to prove
        proof(call, evidence)
    evidence.cases += 1
    evidence.inputs += sum(count(a.shape) for a in call.arrays)
    return evidence


def prove_conventions(op: Op) -> list[str]:
    """The documented choices at kinks and ties hold; what they say."""
    for convention in op.conventions:
        args = [np.asarray(convention.args[0], float), *convention.args[1:]]
        got = grad(lambda *a, kwargs=convention.kwargs: op.function(*a, **kwargs).sum())(*args)
        if not np.array_equal(got, np.broadcast_to(convention.gradient, got.shape)):
            raise ProofError(f"{op.name}: {convention.says}: the gradient at {convention.args} is {got}, "
                             f"not {convention.gradient}")
    return [convention.says for convention in op.conventions]


def draw_cases(op: Op, n: int, seed: int = 0) -> list[Case]:
    """`n` cases of an op, the same for the same seed; the first is the simplest."""
    from minidl.testing.strategies import sample

    return sample(op.cases, n, seed)

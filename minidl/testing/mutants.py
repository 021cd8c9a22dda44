"""Mutation tests of derivative rules: changes as bugs make them, and which proof notices each.

A mutant changes what the rule of an op's last node answers (`mutated`), in the ordinary pass and under `create_graph`
alike. One that changed nothing in any of
the cases is not applicable, and its reason is reported.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.debug.watching import Forward, Watcher
from minidl.derivatives import vjp
from minidl.engine import INPUTS, OUTPUT, Leaf, Node, Rule
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor
from minidl.testing.oracles import raw
from minidl.testing.proofs import PROOFS, Call, Evidence
from minidl.testing.spec import Case, Op

__all__ = ["BREAKS", "MUTANTS", "Mutant", "Verdict", "mutated", "mutation_test"]


@dataclass
class Answer:
    """What a rule was asked and answered; `gradients` may be changed."""

    rule: Rule
    g: Any
    out: Any
    inputs: Sequence[Any]
    needs: Sequence[bool]
    params: dict[str, Any]
    gradients: list[Any]


@dataclass(frozen=True)
class Mutant:
    """A bug: how it changes an answer (true when it did), and why it may not apply."""

    change: Callable[[Answer], bool]
    otherwise: str


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: the proof that killed it, or None if it survived; `active` if it changed anything."""

    killed_by: str | None
    active: bool
    note: str = ""

    @property
    def ok(self) -> bool:
        """Killed, or not applicable."""
        return not self.active or self.killed_by is not None


# ------------------------------------------------------------------------------------------- mutants

def _each(change: Callable[[Any], Any]) -> Callable[[Answer], bool]:
    """A mutant that changes the values of every gradient by itself."""
    def change_each(answer: Answer) -> bool:
        changed = False
        for i, g in enumerate(answer.gradients):
            if g is None:
                continue
            answer.gradients[i] = (RowGrad(g.indices, change(g.rows), g.shape) if isinstance(g, RowGrad)
                                   else change(g))
            changed |= _differs(answer.gradients[i], g)
        return changed

    return change_each


def _differs(a: Any, b: Any) -> bool:
    a, b = (x.rows if isinstance(x, RowGrad) else raw(x) for x in (a, b))
    return a.shape != b.shape or not np.array_equal(a, b, equal_nan=True)


def _other_dtype(g: Any) -> Any:
    return g.astype(np.float32 if g.dtype == np.float64 else np.float64)


def _reorder(answer: Answer) -> bool:
    """Backwards along the last axis that has more than one element (and is not summed away)."""
    changed = False
    for i, g in enumerate(answer.gradients):
        if g is None or g.shape != answer.inputs[i].shape:
            continue
        if isinstance(g, RowGrad):
            answer.gradients[i] = RowGrad(g.indices, g.rows[::-1], g.shape)
            changed |= _differs(answer.gradients[i].to_dense(), g.to_dense())
            continue
        longer = [axis for axis, n in enumerate(g.shape) if n > 1]
        if longer:
            answer.gradients[i] = g[(slice(None),) * longer[-1] + (slice(None, None, -1),)]
            changed |= _differs(answer.gradients[i], g)
    return changed


def _swap(answer: Answer) -> bool:
    """The gradients of two operands of one shape, exchanged."""
    held = [i for i, g in enumerate(answer.gradients) if g is not None and not isinstance(g, RowGrad)]
    for a, b in itertools.pairwise(held):
        one, other = answer.gradients[a], answer.gradients[b]
        if answer.inputs[a].shape == answer.inputs[b].shape and _differs(one.reshape(-1), other.reshape(-1)):
            answer.gradients[a], answer.gradients[b] = other, one
            return True
    return False


def _drop_sum(answer: Answer) -> bool:
    """The first copy of a broadcast gradient instead of the sum of all."""
    changed = False
    for i, g in enumerate(answer.gradients):
        if g is None or isinstance(g, RowGrad) or g.shape == answer.inputs[i].shape or not raw(g).size:
            continue
        shape = answer.inputs[i].shape
        lead = g.ndim - len(shape)
        if lead < 0:
            continue
        first = g[(0,) * lead + tuple(slice(0, n) for n in shape)]
        changed |= _differs(first, raw(g).sum(axis=tuple(range(lead))).reshape(first.shape)
                            if first.size == raw(g)[(0,) * lead].size else first * np.nan)
        answer.gradients[i] = first
    return changed


def _overwrite_upstream(answer: Answer) -> bool:
    """The gradient written into the memory of the upstream gradient, as an optimisation."""
    if isinstance(answer.g, Tensor):
        return False
    for i, c in enumerate(answer.gradients):
        if isinstance(c, np.ndarray) and c.shape == answer.g.shape and _differs(c, answer.g):
            np.copyto(answer.g, c)
            answer.gradients[i] = answer.g
            return True
    return False


def _cut(answer: Answer) -> bool:
    """Computed with np.* on bare arrays: right at order 1, a constant at order 2."""
    changed = False
    for i, c in enumerate(answer.gradients):
        if isinstance(c, Tensor) and c.node is not None and c.data.any():
            answer.gradients[i] = Tensor(c.data)
            changed = True
    return changed


def _ignore_duplicates(answer: Answer) -> bool:
    """Assignment instead of addition where one input element was read several times through indices."""
    if not any(_is_index(v) for v in answer.params.values()) and not any(
            isinstance(c, RowGrad) for c in answer.gradients):
        return False
    g = raw(answer.g)
    if not g.size or g.size > 64:
        return False
    mask = np.ones(g.size)
    taken: set[tuple[int, int]] = set()
    for k in reversed(range(g.size)):  # the last one wins
        unit = np.zeros(g.size, g.dtype)
        unit[k] = 1
        found = answer.rule(unit.reshape(g.shape), bare(answer.out), [bare(x) for x in answer.inputs],
                            answer.needs, **answer.params)
        reads = {(i, int(j)) for i, c in enumerate(found) if c is not None for j in np.flatnonzero(_dense(c))}
        mask[k] = not reads & taken
        taken |= reads
    if mask.all():
        return False
    answer.gradients[:] = answer.rule(answer.g * mask.reshape(g.shape).astype(g.dtype), answer.out, answer.inputs,
                                      answer.needs, **answer.params)
    return True


def _is_index(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(_is_index(v) for v in value)
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu"


def bare(value: Any) -> Any:
    """The array behind a Tensor; anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def _dense(c: Any) -> np.ndarray:
    return c.to_dense() if isinstance(c, RowGrad) else raw(c)


ZERO = "the gradient is zero"
MUTANTS: dict[str, Mutant] = {
    "scale by 1.01": Mutant(_each(lambda c: c * 1.01), ZERO),
    "flip the sign": Mutant(_each(lambda c: -c), ZERO),
    "zero": Mutant(_each(lambda c: c * 0.0), ZERO),
    "reorder": Mutant(_reorder, "the gradient reads the same backwards"),
    "swap operands": Mutant(_swap, "no two operands of one shape have different gradients"),
    "drop the broadcast sum": Mutant(_drop_sum, "the rule leaves no sum to the engine"),
    "wrong dtype": Mutant(_each(_other_dtype), "the gradient is exact in float32"),
    "overwrite upstream": Mutant(_overwrite_upstream, "the gradient is the upstream, or of another shape"),
    "cut the graph": Mutant(_cut, "the gradient is zero, or only order 1 is proved"),
    "ignore duplicates": Mutant(_ignore_duplicates, "no index arrays"),
    "undeclared": Mutant(lambda answer: False, "the rule reads no value of the op's inputs and output"),
}


# ----------------------------------------------------------------------------------------- applying

@contextmanager
def mutated(target: Rule, name: str) -> Iterator[list[bool]]:
    """Inside the block every node that records `target` has the mutant `name` of it; yields whether it did anything."""
    active: list[bool] = []
    with _Undeclared(target, active) if name == "undeclared" else _Changed(target, MUTANTS[name], active):
        yield active


class _Changed(Watcher):
    """Changes what a rule answers."""

    def __init__(self, target: Rule, mutant: Mutant, active: list[bool]) -> None:
        self.target, self.mutant, self.active = target, mutant, active

    def returning(self, rule: Rule, node: Node) -> Rule:
        return _changed(rule, self.mutant, self.active) if rule is self.target else rule


def _changed(rule: Rule, mutant: Mutant, active: list[bool]) -> Rule:
    def changed(g: Any, out: Any, inputs: Any, needs: Any, **params: Any) -> Sequence[Any]:
        answers = rule(g, out, inputs, needs, **params)
        answer = Answer(rule, g, out, inputs, needs, params,
                        [a if need else None for a, need in zip(answers, needs, strict=True)])
        if mutant.change(answer):
            active.append(True)
        return answer.gradients

    return changed


class _Undeclared(Watcher):
    """Lets a rule read inputs and output that it has not declared, so that the engine keeps neither of them.

    It counts only where the rule reads values (with NaN it answers otherwise) of the op's own inputs or
    output: an array in the middle of a composite belongs to the rule alone.
    """

    def __init__(self, target: Rule, active: list[bool]) -> None:
        self.target, self.active = target, active

    def recording(self, forward: Forward, rule: Rule) -> tuple[Forward, Rule]:
        if rule is not self.target:
            return forward, rule
        kept: list[Any] = []  # the arrays of the inputs, and the output

        def remembering(*arrays: Any, **params: Any) -> Any:
            out, flags = forward(*arrays, **params), rule.keeps  # type: ignore[attr-defined]
            out = np.asarray(out) if flags & OUTPUT else out  # which the Tensor will have
            kept[:] = [list(arrays) if flags & INPUTS else None, out if flags & OUTPUT else None]
            return out

        @functools.wraps(rule)
        def reading(*args: Any, **params: Any) -> Sequence[Any]:
            return rule(*args, **params)

        reading.keeps, reading.kept = 0, kept  # type: ignore[attr-defined]
        return functools.wraps(forward)(remembering), reading

    def returning(self, rule: Rule, node: Node) -> Rule:
        if not hasattr(rule, "kept"):
            return rule
        arrays, out = rule.kept
        inputs = node.inputs if arrays is None else arrays
        own = out is not None or (arrays is not None and any(isinstance(p, Leaf) for p in node.parents))

        def blindly(g: Any, _out: Any, _inputs: Any, needs: Any, **params: Any) -> Sequence[Any]:
            if isinstance(g, Tensor):
                seen = [Tensor(x, p) if p is not None and x is not p else x
                        for x, p in zip(inputs, node.parents, strict=True)]
                return rule(g, None if out is None else Tensor(out, node), seen, needs, **params)
            answers = rule(g, out, inputs, needs, **params)
            blind = rule(g, _nan_like(out), [_nan_like(x) for x in inputs], needs, **params)
            if own and any(need and a is not None and _differs(a, b)
                           for a, b, need in zip(answers, blind, needs, strict=True)):
                self.active.append(True)
            return answers

        return blindly


def _nan_like(value: Any) -> Any:
    return np.full_like(value, np.nan) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


# ------------------------------------------------------------------------------------------- killing

def last_rule(op: Op, cases: Sequence[Case]) -> Rule | None:
    """The rule of the node that the op ends with; None if it records nothing."""
    for case in cases:
        call = Call(op, case)
        out = call.f(*(Tensor(a, Leaf(a.shape, a.dtype)) for a in call.arrays))
        if call.arrays and isinstance(out, Tensor) and out.node is not None and out.node.rule is not None:
            return out.node.rule
    return None


def mutation_test(op: Op, cases: Sequence[Case]) -> dict[str, Verdict]:
    """Change the op's rule in every way and look which proof fails on the cases.

    Parameters
    ----------
    op : Op
        A row of the table.
    cases : sequence of Case
        Calls on which the unchanged op passes all proofs.

    Returns
    -------
    dict of str to Verdict
    """
    rule = last_rule(op, cases)
    if rule is None:
        return {name: Verdict(None, False, "the op records nothing") for name in MUTANTS}
    cases = sorted(cases, key=lambda c: -Call(op, c).value.size)  # the empty ones last: they kill no mutant
    return {name: _verdict(op, rule, name, cases) for name in MUTANTS}


def _verdict(op: Op, rule: Rule, name: str, cases: Sequence[Case]) -> Verdict:
    ever = False
    for case in cases:
        with mutated(rule, name) as active:
            _exercise(op, case, tracked=name == "cut the graph")
            killer = _first_failure(op, case) if active else None
        ever = ever or bool(active)
        if killer:
            return Verdict(killer, True)
    return Verdict(None, ever, "" if ever else MUTANTS[name].otherwise)


BREAKS = (AssertionError, ValueError, TypeError, AttributeError, RuntimeError, IndexError)
"""What a proof of a mutant may raise: its own error, or a crash further on."""


def _exercise(op: Op, case: Case, tracked: bool) -> None:
    """Go backward once, to see whether the mutant does anything here."""
    if tracked and op.order < 2:
        return
    call = Call(op, case)
    _, pullback = vjp(call.f, *call.arrays)
    with suppress(*BREAKS), np.errstate(all="ignore"):
        pullback(Tensor(call.u, Leaf(call.u.shape, call.u.dtype)) if tracked else call.u.copy())


def _first_failure(op: Op, case: Case) -> str | None:
    call = Call(op, case)
    with np.errstate(all="ignore"):
        for name, proof in PROOFS.items():
            try:
                proof(call, Evidence())
            except BREAKS:
                return name
    return None

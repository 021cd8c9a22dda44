"""Any sequence of what a user may do with Tensors, against a naive engine that works element by element."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import minidl
from minidl import tensor

_spec = util.spec_from_file_location("scalar_engine", Path(__file__).with_name("scalar_engine.py"))
naive = util.module_from_spec(_spec)
_spec.loader.exec_module(naive)

SHAPES = [(), (1,), (2,), (2, 1), (1, 2), (2, 2)]  # any two broadcast
UNARY = {
    "negative": lambda a: -a, "sin": np.sin, "tanh": np.tanh, "sum": lambda a: a.sum(), "transpose": lambda a: a.T,
    "rows": lambda a: a.sum(axis=0) if a.ndim else a * a,
    "kept": lambda a: a.sum(axis=-1, keepdims=True) if a.ndim else a + a,
    "turned": lambda a: a.reshape(a.shape[::-1]),
    "last": lambda a: a[..., -1:] if a.ndim else -a,
    "ends": lambda a: a.reshape(-1)[np.array([0, -1])],  # one element twice, where there is only one
}
BINARY = {"add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b}
LARGEST, MOST, DEEPEST = 4.0, 12, 400


@dataclass(eq=False)
class Pair:
    """A Tensor, and the same in the naive engine: scalars and the gradient that was collected."""

    tensor: minidl.Tensor
    scalars: np.ndarray
    grad: Any = None
    frozen: np.ndarray | None = None  # the scalars of a leaf that does not require a gradient for a while
    kept: Any = None  # and the gradient that they have

    @property
    def tracked(self):
        return any(s.tracked for s in self.scalars.flat)

    @property
    def is_leaf(self):
        return not any(s.parents for s in self.scalars.flat)

    def size(self):
        """Number of scalars that it was made from."""
        seen, stack = set(), list(self.scalars.flat)
        while stack and len(seen) <= DEEPEST:
            scalar = stack.pop()
            if scalar not in seen:
                seen.add(scalar)
                stack += [p for p, _ in scalar.parents]
        return len(seen)


picks = st.integers(0, 4 * MOST - 1)
numbers = st.integers(-12, 12).map(lambda k: k / 8 + 1 / 16)


class Machine(RuleBasedStateMachine):
    """Both engines side by side; after every rule they agree in all that a user can see."""

    def __init__(self):
        super().__init__()
        self.pairs: list[Pair] = []

    def keep(self, pair):
        if np.abs(pair.tensor.data).max() <= LARGEST:  # else sums of terms that cancel lose the digits to compare
            self.pairs.append(pair)
            del self.pairs[:-MOST]

    def pick(self, k, among=lambda pair: True):
        """One of the pairs, the latest first; one that requires a gradient in three of four cases."""
        found = [p for p in self.pairs if among(p)]
        found = [p for p in found if k % 4 == 0 or p.tracked] or found
        return found[-1 - k // 4 % len(found)] if found else None

    # ------------------------------------------------------------------------------------------ making

    @initialize(first=st.lists(numbers, min_size=4, max_size=4), second=st.lists(numbers, min_size=4, max_size=4))
    def two_leaves(self, first, second):
        for values in (np.array(first).reshape(2, 2), np.array(second).reshape(2, 2)):
            self.keep(Pair(tensor(values, requires_grad=True), naive.scalars(values, leaf=True)))

    @rule(shape=st.sampled_from(SHAPES), values=st.lists(numbers, min_size=4, max_size=4), wanted=st.booleans())
    def make(self, shape, values, wanted):
        array = np.array(values[:int(np.prod(shape))]).reshape(shape)
        self.keep(Pair(tensor(array, requires_grad=wanted), naive.scalars(array, leaf=wanted)))

    @rule(name=st.sampled_from(sorted(UNARY)), k=picks, quiet=st.sampled_from([False, False, False, True]))
    def apply(self, name, k, quiet):
        self._operate(UNARY[name], [self.pick(k)], quiet)

    @rule(name=st.sampled_from(sorted(BINARY)), k=picks, m=picks, quiet=st.sampled_from([False, False, False, True]))
    def combine(self, name, k, m, quiet):
        self._operate(BINARY[name], [self.pick(k), self.pick(m)], quiet)

    def _operate(self, f, pairs, quiet):
        if sum(p.size() for p in pairs) > DEEPEST:
            return
        naive.Scalar.recording = not quiet
        scalars = np.asarray(f(*(p.scalars for p in pairs)) + naive.ZERO, dtype=object)  # views are made of new scalars
        naive.Scalar.recording = True
        with minidl.engine.recording(not quiet):
            self.keep(Pair(f(*(p.tensor for p in pairs)), scalars))

    @rule(k=picks)
    def detach(self, k):
        pair = self.pick(k)
        out = pair.tensor.detach()
        assert np.shares_memory(out.data, pair.tensor.data)
        self.keep(Pair(out, naive.scalars(naive.floats(pair.scalars))))

    @rule(k=picks)
    def forget(self, k):
        if len(self.pairs) > 1:
            self.pairs.remove(self.pick(k))

    # --------------------------------------------------------------------------------------- gradients

    @rule(k=picks, create_graph=st.booleans(), values=st.lists(numbers, min_size=4, max_size=4))
    def backward(self, k, create_graph, values):
        self._backward(self.pick(k), create_graph, values)

    @rule(k=picks, values=st.lists(numbers, min_size=4, max_size=4))
    def backward_twice(self, k, values):
        """Through a gradient, with a product between so that it is not constant."""
        pair = self.pick(k, lambda p: p.tracked)
        if pair is None:
            return
        self._operate(BINARY["multiply"], [pair, pair], quiet=False)
        self._backward(self.pairs[-1], True, values)
        leaf = self.pick(k, _has_gradient)
        if leaf is not None:
            self._take(leaf)
            self._backward(self.pairs[-1], False, values)

    def _backward(self, pair, create_graph, values):
        size = pair.tensor.size
        upstream = np.array(values[:size]).reshape(pair.tensor.shape)
        if not pair.tracked:
            with pytest.raises(minidl.GradientError, match="does not depend on anything"):
                pair.tensor.backward(upstream)
            return
        if size == 1 and values[0] > 0:
            upstream = np.ones(pair.tensor.shape)
            pair.tensor.backward(create_graph=create_graph)
        else:
            pair.tensor.backward(upstream, create_graph=create_graph)
        for leaf in self.pairs:
            if leaf.tracked and leaf.is_leaf:
                leaf.grad = self._collect(pair, upstream, leaf.scalars, leaf.grad, create_graph)
            elif leaf.frozen is not None:
                leaf.kept = self._collect(pair, upstream, leaf.frozen, leaf.kept, create_graph)

    @staticmethod
    def _collect(pair, upstream, scalars, collected, create_graph):
        g = naive.gradient(pair.scalars, upstream, scalars, create_graph)
        return collected if g is None else g if collected is None else np.asarray(collected + g, dtype=object)

    @precondition(lambda self: any(map(_has_gradient, self.pairs)))
    @rule(k=picks)
    def take_gradient(self, k):
        """A gradient becomes a value to go on with: second derivatives, where it was made with create_graph."""
        self._take(self.pick(k, _has_gradient))

    def _take(self, leaf):
        held = leaf.tensor.grad
        tracked = isinstance(held, minidl.Tensor) and held.requires_grad
        self.keep(Pair(held if tracked else tensor(held), leaf.grad))

    @precondition(lambda self: any(map(_has_gradient, self.pairs)))
    @rule(k=picks)
    def clear_gradient(self, k):
        leaf = self.pick(k, _has_gradient)
        leaf.tensor.grad = leaf.grad = None

    @precondition(lambda self: any(map(_has_gradient, self.pairs)))
    @rule(rate=st.sampled_from([0.0625, -0.125]))
    def step(self, rate):
        """Leaves change in place, as an optimizer does it; what was made from their old values is given up."""
        leaves = [p for p in self.pairs if p.tracked and p.is_leaf]
        self.pairs = [p for i, p in enumerate(leaves)
                      if not any(np.shares_memory(p.tensor.data, q.tensor.data) for q in leaves[:i])]
        with minidl.no_grad():
            for leaf in self.pairs:
                if leaf.grad is not None:
                    held = leaf.tensor.grad
                    leaf.tensor -= rate * (held.data if isinstance(held, minidl.Tensor) else held)
                    for s, g in zip(leaf.scalars.flat, leaf.grad.flat, strict=True):
                        s.value -= rate * g.value
                    leaf.tensor.grad = leaf.grad = None

    @rule(k=picks, wanted=st.booleans())
    def switch(self, k, wanted):
        """A leaf stops or starts to require a gradient, again with what it has; graphs it took part in go on."""
        leaf = self.pick(k, lambda p: p.is_leaf)
        if leaf is None or wanted == leaf.tracked:
            return
        leaf.tensor.requires_grad = wanted
        if wanted and leaf.frozen is not None:
            leaf.scalars, leaf.grad, leaf.frozen, leaf.kept = leaf.frozen, leaf.kept, None, None
        elif wanted:
            leaf.scalars = naive.scalars(naive.floats(leaf.scalars), leaf=True)
        else:
            leaf.frozen, leaf.kept = leaf.scalars, leaf.grad
            leaf.scalars, leaf.grad = naive.scalars(naive.floats(leaf.scalars)), None

    # ------------------------------------------------------------------------------------- agreement

    @invariant()
    def agree(self):
        assert minidl.is_grad_enabled()
        for pair in self.pairs:
            _close(pair.tensor.data, pair.scalars)
            assert pair.tensor.requires_grad == pair.tracked
            assert pair.tensor.is_leaf == pair.is_leaf
            g = pair.tensor.grad
            assert (g is None) == (pair.grad is None)
            if g is not None:
                _close(g.data if isinstance(g, minidl.Tensor) else g, pair.grad)
                tracked = isinstance(g, minidl.Tensor) and g.requires_grad
                assert tracked == any(s.tracked for s in pair.grad.flat)
        held = [p.tensor.grad for p in self.pairs if p.grad is not None]
        arrays = [g.data if isinstance(g, minidl.Tensor) else g for g in held]
        assert all(a.flags.writeable and a.flags.c_contiguous for a in arrays)
        assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(arrays, 2))


def _has_gradient(pair):
    return pair.grad is not None


def _close(array, scalars):
    wanted = naive.floats(scalars)
    assert array.shape == wanted.shape
    np.testing.assert_allclose(array, wanted, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(wanted).max(initial=0.0)))


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=max(60, settings.default.max_examples), stateful_step_count=30)

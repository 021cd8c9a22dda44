"""Mutation tests: a bug in any rule is noticed."""

from __future__ import annotations

import pytest

from minidl.testing.mutants import MUTANTS, mutation_test
from minidl.testing.proofs import draw_cases
from minidl.testing.table import table


@pytest.mark.parametrize("name", list(table()))
def test_every_bug_is_noticed(name):
    op = table()[name]
    verdicts = mutation_test(op, draw_cases(op, 20))
    survivors = [mutant for mutant, verdict in verdicts.items() if not verdict.ok]
    assert survivors == []
    assert set(verdicts) == set(MUTANTS)
    for verdict in verdicts.values():
        assert verdict.active or verdict.note


@pytest.mark.parametrize(("mutant", "names"), [
    ("scale by 1.01", ["exp", "matmul", "cross_entropy", "embedding", "sum"]),
    ("swap operands", ["multiply", "divide", "maximum"]),
    ("drop the broadcast sum", ["add", "multiply", "where"]),
    ("ignore duplicates", ["take", "getitem", "embedding", "take_along_axis"]),
    ("overwrite upstream", ["exp", "multiply", "relu"]),
    ("undeclared", ["exp", "multiply", "divide", "matmul", "tanh"]),
    ("cut the graph", ["exp", "add", "matmul", "cross_entropy"]),
    ("wrong dtype", ["exp", "sum", "softmax"]),
])
def test_the_bug_applies_where_it_should(mutant, names):
    for name in names:
        op = table()[name]
        assert mutation_test(op, draw_cases(op, 30))[mutant].killed_by, name

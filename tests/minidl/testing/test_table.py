"""Every op of the engine is proved: one test an op, from its row in the table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.proofs import Call, draw_cases, prove, prove_conventions
from minidl.testing.table import NOT_DIFFERENTIABLE, missing, table

NAMES = list(table())


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_op(name, data):
    op = table()[name]
    prove(op, data.draw(op.cases, label=name))


@pytest.mark.parametrize("name", [name for name in NAMES if table()[name].conventions])
def test_conventions(name):
    assert prove_conventions(table()[name])


def test_every_public_op_has_a_row():
    assert missing() == []


def test_names_without_a_row_exist():
    assert set(ops.__all__) >= NOT_DIFFERENTIABLE


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_sound(name):
    op = table()[name]
    assert op.name == name
    assert op.order >= 1
    cases = draw_cases(op, 8, seed=1)
    assert any(Call(op, case).value.size for case in cases), "only empty cases prove nothing"
    for case in cases:
        assert all(np.asarray(case.args[i]).dtype == np.float64 for i in case.wrt)
        assert set(op.linear) <= set(range(len(case.args)))

"""Looking on changes nothing: every op of the table has the same gradients under both modes, and no false alarm."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import debug
from minidl.engine import Leaf
from minidl.tensors import Tensor
from minidl.testing.oracles import gradient_of
from minidl.testing.proofs import Call, draw_cases
from minidl.testing.table import table


@pytest.mark.parametrize("name", list(table()))
def test_same_bits_and_no_alarm(name):
    op = table()[name]
    for case in draw_cases(op, 3):
        call = Call(op, case)
        for u in (call.u, Tensor(call.u, Leaf(call.u.shape, call.u.dtype))):
            plain = gradient_of(call.f, call.arrays, u)
            with debug.detect_anomaly(), debug.profile():
                watched = gradient_of(call.f, call.arrays, u)
            for a, b in zip(plain, watched, strict=True):
                np.testing.assert_array_equal(a, b)

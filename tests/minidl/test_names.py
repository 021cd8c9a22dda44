"""`axis` and `dim`, `keepdims` and `keepdim`: every op takes both, and only one at a time."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import minidl
from minidl import nn, ops
from minidl.names import OTHER, either_name
from minidl.testing.oracles import raw
from minidl.testing.proofs import draw_cases
from minidl.testing.table import table


def _own(op):
    return [n for n in inspect.signature(op).parameters if n in OTHER]


NAMES = [name for name in ops.__all__ if _own(getattr(ops, name))]


def _plain(value):
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else np.asarray(raw(value))


def test_there_are_such_ops():
    assert {"sum", "softmax", "concatenate", "glu", "cosine_similarity", "pairwise_distance", "norm"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_op_of_the_table_takes_either_name(name):
    op = getattr(ops, name)
    rows = [row for key, row in table().items() if key.partition("[")[0] == name and row.function is op]
    seen = 0
    for row in rows:
        for case in draw_cases(row, 6):
            bound = inspect.signature(op).bind(*case.args, **case.kwargs)
            bound.apply_defaults()
            given = dict(bound.arguments)
            wanted = _plain(op(**given))
            renamed = {OTHER.get(k, k): v for k, v in given.items()}
            for x, y in zip(np.atleast_1d(wanted) if isinstance(wanted, np.ndarray) else wanted,
                            np.atleast_1d(got) if isinstance(got := _plain(op(**renamed)), np.ndarray) else got,
                            strict=True):
                np.testing.assert_array_equal(x, y)
            for own in _own(op):
                with pytest.raises(TypeError, match=f"{name}: {own} and {OTHER[own]} are two names of one argument"):
                    op(**given, **{OTHER[own]: given[own]})
            seen += 1
    if not rows:  # its rows call it through a function of their own
        with pytest.raises(TypeError, match="two names of one argument"):
            op(**dict.fromkeys(inspect.signature(op).parameters, 1), **{OTHER[k]: 1 for k in _own(op)})
    assert seen or not rows


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "std"])
def test_methods_take_either_name(name):
    t = minidl.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    wanted = getattr(np, name)(t.data, axis=1, keepdims=True)
    for given in ({"axis": 1, "keepdims": True}, {"dim": 1, "keepdim": True}, {"axis": 1, "keepdim": True}):
        got = getattr(t, name)(**given)
        assert got.requires_grad
        np.testing.assert_array_equal(got.data, wanted)
    for given in ({"axis": 1, "dim": 1}, {"keepdims": True, "keepdim": False}):
        with pytest.raises(TypeError, match=f"{name}: .* two names of one argument"):
            getattr(t, name)(**given)
    with pytest.raises(TypeError, match="two names of one argument"):
        getattr(t, name)(0, dim=1)


def test_squeeze_as_a_method():
    assert minidl.tensor(np.ones((1, 2, 1))).squeeze(dim=0).shape == (2, 1)


@pytest.mark.parametrize("module", [nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.GLU, nn.CosineSimilarity])
def test_modules_take_either_name(module):
    x = np.random.default_rng(0).normal(size=(4, 6))
    args = (x, x + 1) if module is nn.CosineSimilarity else (x,)
    np.testing.assert_array_equal(module(dim=0)(*args), module(axis=0)(*args))
    with pytest.raises(TypeError, match=f"{module.__name__}: .* two names of one argument"):
        module(axis=0, dim=0)


def test_numpys_functions_keep_their_keywords():
    t = minidl.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    assert np.sum(t, axis=1, keepdims=True).shape == (2, 1)


@either_name
def _needed(x, axis, keepdims=False, scale=2):
    """Docs."""
    return x, axis, keepdims, scale


def test_signatures_stay():
    assert _needed(1, 2) == _needed(1, dim=2) == _needed(x=1, axis=2) == (1, 2, False, 2)
    assert _needed(1, dim=2, keepdim=True, scale=3) == (1, 2, True, 3)
    assert list(inspect.signature(_needed).parameters) == ["x", "axis", "keepdims", "scale"]
    assert (_needed.__name__, _needed.__doc__) == ("_needed", "Docs.")
    for wrong in ({}, {"axis": 1, "other": 2}):
        with pytest.raises(TypeError, match=r"_needed\(\)"):
            _needed(1, **wrong)

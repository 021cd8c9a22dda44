"""Values, gradients and gradients of gradients of every op that PyTorch has too, on the cases of the op table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minidl
from minidl import ops
from minidl.testing.proofs import draw_cases
from minidl.testing.spec import Case, Op
from minidl.testing.table import table
from tests.peers.counterparts import counterpart

CASES = 5
UNSUPPORTED = ("not implemented", "not differentiable", "Not implemented", "derivative for")
"""What PyTorch says where it has no second derivative."""

ONCE = {"power[whole]"}
"""PyTorch's second derivative is NaN where x and y are 0."""
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("name", table())
def test_op(name: str) -> None:
    op = table()[name]
    function = counterpart(op)
    if function is None:
        pytest.skip("PyTorch has no function of this name")
    for case in draw_cases(op, CASES, seed=3):
        if all(np.size(case.args[i]) for i in case.wrt):  # PyTorch refuses many calls without elements
            _compare(op, function, case)


def test_most_ops_have_a_counterpart() -> None:
    names = {name.partition("[")[0] for name in table()}
    assert sum(counterpart(table()[n]) is not None for n in names if n in table()) >= 90


def _compare(op: Op, function: Callable[..., Any], case: Case) -> None:
    rng = np.random.default_rng(0)
    xs = [np.asarray(case.args[i]) for i in case.wrt]
    theirs = [torch.tensor(np.array(x), requires_grad=True) for x in xs]
    out = function(*_with(case, theirs, _tensor), **{k: _tensor(v) for k, v in case.kwargs.items()})
    value = np.asarray(op.function(*case.args, **case.kwargs))
    _close(value, out, "value")
    if not value.size or not xs:
        return
    u = rng.uniform(0.5, 1.5, value.shape)
    vs = [rng.uniform(0.5, 1.5, x.shape) for x in xs]

    def scalar(*args: Any) -> Any:
        return (op.function(*_with(case, args, lambda a: a), **case.kwargs) * u).sum()

    pulled = minidl.grad(scalar, tuple(range(len(xs))))
    wanted = _gradients((out * torch.tensor(u)).sum(), theirs)
    for i, (one, other) in enumerate(zip(pulled(*xs), wanted, strict=True)):
        _close(one.to_dense() if isinstance(one, minidl.RowGrad) else one, other, f"gradient {i}")
    if op.order < 2 or op.name in ONCE:
        return
    try:
        again = _gradients(sum((w * torch.tensor(v)).sum() for w, v in zip(wanted, vs, strict=True)), theirs)
    except (RuntimeError, NotImplementedError) as error:
        if not any(said in str(error) for said in UNSUPPORTED):
            raise
        return

    def weighted(*args: Any) -> Any:
        return sum(((g * v).sum() for g, v in zip(pulled(*args), vs, strict=True)), ops.sum(args[0] * 0))

    for i, (one, other) in enumerate(zip(minidl.grad(weighted, tuple(range(len(xs))))(*xs), again, strict=True)):
        _close(one.to_dense() if isinstance(one, minidl.RowGrad) else one, other, f"second derivative {i}")


def _with(case: Case, xs: Any, convert: Callable[[Any], Any]) -> list[Any]:
    """The arguments with `xs` in the place of what is differentiated."""
    args = [convert(a) for a in case.args]
    for i, x in zip(case.wrt, xs, strict=True):
        args[i] = x
    return args


def _tensor(value: Any) -> Any:
    """Arrays as tensors; indices as int64."""
    if type(value) in (tuple, list) and any(isinstance(v, np.ndarray) for v in value):
        return type(value)(map(_tensor, value))
    if not isinstance(value, np.ndarray):
        return value
    return torch.tensor(np.array(value.astype(np.int64) if value.dtype.kind in "iu" else value))


def _gradients(scalar: Any, leaves: list[Any]) -> list[Any]:
    """With zeros where nothing depends on a leaf."""
    if not isinstance(scalar, torch.Tensor) or not scalar.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(scalar, leaves, create_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True)]


def _close(ours: Any, theirs: torch.Tensor, what: str) -> None:
    other = theirs.numpy(force=True)
    assert np.shape(ours) == other.shape, what
    np.testing.assert_allclose(ours, other, rtol=1e-9, atol=1e-9, err_msg=what)

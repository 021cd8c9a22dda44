"""What changes between the forward and the backward pass: an error, or the right gradient, never another one."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import GradientError, nn, no_grad, ops, optim, versions
from minidl.engine import pull_back
from minidl.testing.oracles import raw
from minidl.testing.proofs import Call
from minidl.testing.table import table


def leaf(*values):
    return minidl.tensor(np.array(values, float), requires_grad=True)


def column(value):
    return leaf([value])


# ------------------------------------------------------------------------------ over the op table

def _gradients(call, out, leaves, graph):
    u = minidl.tensor(call.u) if graph else call.u
    found = pull_back([(out, u)], [x.node for x in leaves], create_graph=graph)
    return [np.array(raw(g.to_dense() if isinstance(g, minidl.RowGrad) else g)) if g is not None else None
            for g in (found.get(x.node) for x in leaves)]


def _keeps_anything(node):
    return node.rule is not None and bool(node.rule.keeps or any(_keeps_anything(p) for p in node.parents if p))


@pytest.mark.parametrize("name", list(table()))
@settings(max_examples=10)
@given(data=st.data())
def test_every_op_raises_or_is_right(name, data):
    op = table()[name]
    call = Call(op, data.draw(op.cases, label=name))
    if not call.arrays:
        return
    changed = data.draw(st.integers(0, len(call.arrays) - 1), label="changed")
    graph = data.draw(st.booleans(), label="create_graph")
    leaves = [minidl.tensor(a, requires_grad=True) for a in call.arrays]
    out = call.f(*leaves)
    if out.node is None:
        return
    wanted = _gradients(call, out, leaves, graph)
    with no_grad():
        leaves[changed] *= -1.7
        leaves[changed] += 0.3
    try:
        found = _gradients(call, out, leaves, graph)
    except GradientError as error:
        assert "has been changed since the forward pass" in str(error)  # noqa: PT017
        assert _keeps_anything(out.node)
        return
    for g, w in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(g, w)


BILINEAR = {"multiply": (ops.multiply, (2, 3), (2, 3)), "matmul": (ops.matmul, (2, 3), (3, 2)),
            "linear": (ops.linear, (2, 3), (4, 3)), "row_dot": (ops.row_dot, (2, 3), (2, 3)),
            "outer": (ops.outer, (2,), (3,)), "conv1d": (ops.conv1d, (1, 2, 5), (3, 2, 2)),
            "conv2d": (ops.conv2d, (1, 2, 5, 5), (3, 2, 2, 2)),
            "einsum": (lambda a, b: ops.einsum("ij,jk->ik", a, b), (2, 3), (3, 2))}


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("name", BILINEAR)
def test_only_what_the_rule_reads_counts(name, graph):
    """Of a product's factors each needs the other: a constant one leaves the gradient of the changed one alone."""
    op, first, second = BILINEAR[name]
    rng = np.random.default_rng(0)
    a, b = (minidl.tensor(rng.normal(size=s), requires_grad=True) for s in (first, second))
    constant = minidl.tensor(a.data)
    for x, raises in ((a, True), (constant, False)):
        out = op(x, b).sum()
        out.backward()
        wanted, b.grad = b.grad, None
        with no_grad():
            b *= 2.0
        if raises:
            with pytest.raises(GradientError, match="argument 1"):
                out.backward(create_graph=graph)
        else:
            out.backward(create_graph=graph)
            np.testing.assert_array_equal(raw(b.grad), wanted)
        b.grad = None
        with no_grad():
            b /= 2.0


@pytest.mark.parametrize("op", [ops.add, ops.subtract])
@pytest.mark.parametrize("write", [lambda p: optim.SGD([p], lr=1.0).step(), lambda p: nn.init.ones_(p)])
def test_sums_do_not_mind(op, write):
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    out = op(x, y).sum() + x.mean() + x[0] + x.reshape(2, 1).sum()
    x.grad = np.ones(2)
    write(x)
    x.grad = None
    out.backward()
    np.testing.assert_array_equal(x.grad, [3.5, 2.5])


# ------------------------------------------------------------------------------ whoever writes

def test_a_step_between_two_backward_passes():
    w, v = column(1.0), column(3.0)
    o = ops.linear(ops.linear(np.ones((1, 1)), w), v)
    a, b = (o ** 2).sum(), o.sum()
    a.backward()
    sgd = optim.SGD([w, v], lr=0.1)
    sgd.step()
    with pytest.raises(GradientError, match=r"linear: its argument 1, which is a Tensor of shape \(1, 1\), has been "
                                            r"changed .* version 0, now it has 1\).* backward\(\) before the step"):
        b.backward()


def _ema(p):
    model = nn.Linear(1, 1, bias=False)
    mean = optim.swa_utils.AveragedModel(model)
    mean.module.weight = p
    mean.update_parameters(model)


def _module(p):
    model = nn.Linear(1, 1, bias=False)
    model.weight = p
    return model


def _with_gradient(make):
    def step(p):
        p.grad = np.ones(p.shape)
        make([p]).step()
        p.grad = None
    return step


WRITERS = {
    **{kind: _with_gradient(lambda ps, kind=kind: getattr(optim, kind)(ps, lr=0.1))
       for kind in ("SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Lion") if hasattr(optim, kind)},
    "constant_": lambda p: nn.init.constant_(p, 7.0), "normal_": lambda p: nn.init.normal_(p),
    "load_state_dict": lambda p: _module(p).load_state_dict({"weight": [[5.0]]}),
    "vector_to_parameters": lambda p: nn.utils.vector_to_parameters([3.0], [p]),
    "ema": _ema, "to": lambda p: _module(p).to(np.float64),
    "data = new": lambda p: setattr(p, "data", np.array([[9.0]])),
    "setitem": lambda p: p.__setitem__(0, 4.0), "iadd": lambda p: p.__iadd__(1.0), "isub": lambda p: p.__isub__(1.0),
    "imul": lambda p: p.__imul__(2.0), "itruediv": lambda p: p.__itruediv__(2.0),
    "through detach": lambda p: p.detach().__iadd__(1.0), "through a view": lambda p: p.detach().T.__iadd__(1.0),
}


def _augmented(p):
    p.data -= 0.5


WRITERS["data -= ..."] = _augmented


@pytest.mark.parametrize("view", [lambda p: p, lambda p: p.T, lambda p: p.reshape(1, 1), lambda p: p[:, :1]],
                         ids=["itself", "transposed", "reshaped", "sliced"])
@pytest.mark.parametrize("writer", WRITERS)
def test_whoever_writes_is_seen_through_views_too(writer, view):
    p, x = nn.Parameter(np.array([[2.0]])), leaf([3.0])
    out = ops.matmul(x, view(p)).sum()
    with no_grad():
        WRITERS[writer](p)
    with pytest.raises(GradientError, match=r"matmul: its argument 1"):
        out.backward()
    p.requires_grad = True
    x.grad = None
    ops.matmul(x, view(p)).sum().backward()  # computed again, all is well
    np.testing.assert_array_equal(x.grad, p.data)


def test_constants_and_results_count_too():
    c, x = minidl.tensor([2.0]), leaf(3.0)
    out = (x * c).sum()
    c += 1.0
    with pytest.raises(GradientError, match="multiply"):
        out.backward()
    y = ops.exp(x)
    y.data -= 1.0
    with pytest.raises(GradientError, match="exp: its result"):
        y.backward()


def test_frozen_parameters_count_too():
    frozen, x = nn.Linear(1, 1).requires_grad_(False), leaf([3.0])
    out = frozen(x).sum()
    nn.init.ones_(frozen.weight)
    with pytest.raises(GradientError, match=r"linear: .* Linear\.weight of shape \(1, 1\)"):
        out.backward()


def test_a_user_of_create_graph_is_protected():
    w = leaf(2.0)
    (w ** 3).sum().backward(create_graph=True)
    g = w.grad
    with no_grad():
        w -= 1.0
    with pytest.raises(GradientError, match="changed"):
        g.sum().backward()
    w.grad = None


def test_clipping_a_recorded_gradient_counts():
    w = leaf(3.0)
    (w ** 3).sum().backward(create_graph=True)
    out = (w.grad * w.grad).sum()
    nn.utils.clip_grad_norm_([w], 1.0)
    with pytest.raises(GradientError, match="multiply"):
        out.backward()
    w.grad = None


def test_numbers_of_versions_go_on_and_the_forward_pass_anew_is_right():
    w, v = column(1.0), column(3.0)
    adam = optim.Adam([w, v], lr=0.1)
    for _ in range(100):
        adam.zero_grad()
        loss = ops.linear(ops.linear(np.ones((1, 1)), w), v).sum()
        loss.backward()
        adam.step()
    with pytest.raises(GradientError, match="version 99, now it has 100"):
        loss.backward()


def test_writes_after_the_backward_pass_do_no_harm():
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    nn.init.ones_(w)
    np.testing.assert_array_equal(w.grad, [2, 4])


# ------------------------------------------------------------------------------ rows that catch up

def _behind():
    """A table of an exact optimizer whose rows 0 and 1 have missed steps."""
    table = nn.Embedding(4, 2, dtype=np.float64)
    adam = optim.Adam(table.parameters(), lr=0.1, exact=True)
    for rows in ([0, 1, 2, 3], [2], [3]):
        table(np.array(rows)).sum().backward()
        adam.step()
        adam.zero_grad()
    return table, adam


def test_rows_that_catch_up_do_not_disturb_nodes_that_read_rows():
    table, adam = _behind()
    bag = nn.EmbeddingBag(4, 2, mode="sum", dtype=np.float64)
    bag.weight = table.weight
    x = minidl.tensor(np.ones((1, 2)), requires_grad=True)
    factors = minidl.tensor(np.ones((1, 2)), requires_grad=True)
    adam.catch_up(table.weight, np.array([2, 3]))
    first = (table(np.array([2])) ** 2).sum() + bag(np.array([[2, 3]]), per_sample_weights=factors).sum()
    first = first + ops.sampled_matmul(x, table.weight, np.array([2]), np.array([0, 1])).sum()
    other = table(np.array([0, 1])).sum()  # they catch up
    (first + other).backward()
    np.testing.assert_array_equal(x.grad, table.weight.data[[2]])
    np.testing.assert_allclose(factors.grad, table.weight.data[[2, 3]].sum(axis=1)[None])


def test_who_keeps_the_table_has_read_it_up_to_date():
    table, adam = _behind()
    x = minidl.tensor(np.ones((4, 2)), requires_grad=True)
    out = (table.weight.detach() * x).sum()
    adam.flush()
    out.backward()
    np.testing.assert_array_equal(x.grad, table.weight.data)
    out = (table.weight.detach() * x).sum()
    table(np.array([2])).sum().backward()
    adam.step()
    with pytest.raises(GradientError, match="multiply"):
        out.backward()


def test_catching_up_is_no_write():
    table, adam = _behind()
    before = versions.clock.latest
    table(np.array([0, 1]))
    adam.flush()
    assert versions.clock.latest == before


# ------------------------------------------------------------------------------ housekeeping

def test_marks_go_with_their_memory():
    gc.collect()
    before = len(versions._marks)
    tensors = [leaf(1.0) for _ in range(50)]
    for t in tensors:
        nn.init.ones_(t)
    assert len(versions._marks) == before + 50
    del tensors, t
    gc.collect()
    assert len(versions._marks) == before


def test_copies_and_pickles_are_whole():
    w = nn.Linear(2, 2).weight
    for made in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        np.testing.assert_array_equal(made.data, w.data)
        assert made.requires_grad
        assert made.name == "Linear.weight"


def test_data_has_to_be_an_array():
    with pytest.raises(TypeError, match="array"):
        leaf(1.0).data = [1.0]


def test_a_stand_in_tells_its_shape_and_nothing_else():
    gone = versions.Changed(np.ones((2, 3), np.float32), "said")
    assert (gone.shape, gone.ndim, gone.dtype) == ((2, 3), 2, np.float32)
    for use in (lambda: gone + 1, lambda: np.ones(3) * gone, lambda: np.exp(gone), lambda: gone[0], lambda: gone.T,
                lambda: gone == 0, lambda: np.asarray(gone), lambda: np.where(gone, 1, 2), lambda: list(gone),
                lambda: np.ones((1, 2)) @ gone, lambda: bool(gone), lambda: np.zeros_like(gone), lambda: gone ** 2):
        with pytest.raises(GradientError, match="said"):
            use()

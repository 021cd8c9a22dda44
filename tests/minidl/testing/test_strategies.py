"""The strategies construct what they promise, and reach the nasty corners."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.testing import cases
from minidl.testing import strategies as s
from minidl.testing.graphs import Graph
from minidl.testing.spec import Case

# ------------------------------------------------------------------------------------------- values

@given(st.data(), st.lists(st.floats(-2, 2), max_size=3))
def test_values_stay_away_from_kinks(data, kinks):
    try:
        strategy = s.arrays(low=-2, high=2, away_from=kinks, margin=0.2)
    except ValueError:
        return  # nothing left of the interval
    x = data.draw(strategy)
    assert ((x >= -2) & (x <= 2)).all()
    for kink in kinks:
        assert (np.abs(x - kink) >= 0.2 - 1e-12).all()


def test_an_empty_domain_is_an_error():
    with pytest.raises(ValueError, match="nothing is left"):
        s.arrays(low=0, high=1, away_from=[0.5], margin=0.6)


@given(s.arrays((40,), low=1, high=3, away_from=[2], margin=0.5, layout=False))
def test_values_fill_all_pieces(x):
    assert (x < 1.5).any()
    assert (x > 2.5).any()


@given(s.spaced(gap=0.5), st.data())
def test_spaced_values_have_no_ties(x, data):
    levels = np.sort(x.ravel())
    assert (np.diff(levels) >= 0.25 - 1e-12).all()


@given(s.shapes(), st.data())
def test_upstreams_are_unique_and_not_small(shape, data):
    u = data.draw(s.upstream(shape))
    assert u.shape == shape
    assert len(np.unique(u)) == u.size
    assert (np.abs(u) >= 0.5).all()
    assert (np.abs(u) <= 2.0).all()


@given(s.arrays(dtype=np.float32))
def test_dtype(x):
    assert x.dtype == np.float32


# ---------------------------------------------------------------------------------- shapes and layouts

@given(st.integers(1, 4), st.data())
def test_broadcastable(n, data):
    shapes = data.draw(s.broadcastable(n))
    assert len(shapes) == n
    np.broadcast_shapes(*shapes)


@given(s.arrays(s.shapes(min_dims=1), layout=False), st.sampled_from(s.LAYOUTS))
def test_layouts_keep_the_values(x, layout):
    y = s.laid_out(x, layout)
    assert y.shape == x.shape
    if layout == "broadcast":
        if x.size:
            assert s.layout_of(y) == ("broadcast" if x.shape[-1] > 1 else s.layout_of(y))
            assert np.array_equal(y[..., 0], x[..., 0])
        assert x.size == 0 or not y.flags.writeable
    else:
        assert np.array_equal(x, y)


@pytest.mark.parametrize("layout", s.LAYOUTS)
def test_layouts_are_told_apart(layout):
    assert s.layout_of(s.laid_out(np.ones((2, 3)), layout)) == layout


def _seen(strategy, key, n=300):
    return {key(value) for value in s.sample(strategy, n)}


def test_the_corners_are_reached():
    assert set(s.LAYOUTS) | {"0-d", "empty"} == _seen(s.arrays(), s.layout_of)
    shapes = _seen(s.shapes(), lambda shape: shape)
    assert () in shapes
    assert any(0 in shape for shape in shapes)
    assert any(len(shape) == 3 for shape in shapes)


def test_samples_are_reproducible():
    a, b = (s.sample(s.arrays(), 20, seed=3) for _ in range(2))
    assert len(a) == 20
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# ---------------------------------------------------------------------------------------- axes, indices

@given(s.shapes(), st.data())
def test_axes_fit(shape, data):
    x = np.ones(shape)
    x.sum(axis=data.draw(s.axes(x.ndim)))


def test_axes_of_every_kind():
    kinds = _seen(s.axes(3), lambda a: type(a).__name__ if not isinstance(a, int) else ("int", a < 0))
    assert kinds == {"NoneType", "tuple", ("int", True), ("int", False)}
    assert _seen(s.axes(3, none=False, tuples=False), lambda a: type(a), 30) == {int}


@given(st.integers(1, 200), st.data())
def test_indices_are_in_range(size, data):
    found = data.draw(s.indices(size))
    np.take(np.arange(size), found)
    assert found.dtype.kind in "iu"


def test_indices_of_every_dtype_with_duplicates_and_negatives():
    found = s.sample(s.indices(5, (6,)), 300)
    assert {str(i.dtype) for i in found} == {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    assert any(len(np.unique(i)) < i.size for i in found)
    assert any((i < 0).any() for i in found if i.dtype.kind == "i")
    assert all((i >= 0).all() for i in s.sample(s.indices(5, negative=False), 50))


def test_indices_into_nothing():
    assert s.sample(s.indices(0, (0, 2)), 1)[0].shape == (0, 2)
    with pytest.raises(ValueError, match="length 0"):
        s.sample(s.indices(0, (2,)), 1)


@given(s.shapes(), st.data())
def test_any_index_is_valid(shape, data):
    np.ones(shape)[data.draw(s.index_for(shape))]


def test_advanced_indices_of_every_kind():
    def kind(index):
        items = index if isinstance(index, tuple) else (index,)
        return frozenset(i.dtype.kind.replace("u", "i") if isinstance(i, np.ndarray) else type(i).__name__
                         for i in items)

    kinds = _seen(s.advanced_index((3, 4)), kind)
    assert {frozenset("b"), frozenset("i"), frozenset(["i", "slice"])} <= kinds


# --------------------------------------------------------------------------------- convolutions, graphs

@given(s.conv_geometry())
def test_convolutions_fit(geometry):
    for size, kernel, stride, padding, dilation, out in zip(*geometry, strict=True):
        assert size >= 1
        assert (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 == out


@given(s.graphs(), st.data())
def test_graphs_run_on_arrays_and_complex_arrays(graph, data):
    values = [data.draw(s.arrays(shape)) for shape in graph.shapes]
    out = graph(*values)
    assert np.isfinite(out)
    np.testing.assert_allclose(graph(*(v.astype(complex) for v in values)).real, out, rtol=1e-12, atol=1e-12)


def test_graphs_share_nodes():
    def shares(graph):
        uses = [i for _, operands in graph.steps for i in operands]
        return len(uses) > len(set(uses))

    assert _seen(s.graphs(), shares) == {True, False}


def test_a_graph_is_data():
    graph = Graph(((), ()), (("add", (0, 1)), ("negative", (0,))))
    assert graph.sinks() == [2, 3]
    assert graph(np.array(2.0), np.array(5.0)) == 5.0


# -------------------------------------------------------------------------------------------- cases

def test_cases_resolve_what_depends_on_the_arguments():
    strategy = cases.cases(s.arrays((2, 3)), lambda x: s.indices(x.shape[0], (4,)), 7,
                           axis=lambda x, i, n: st.just((x.shape, i.shape, n)), mode="constant", flag=st.booleans())
    case = s.sample(strategy, 3)[0]
    assert isinstance(case, Case)
    assert case.wrt == (0,)
    assert case.args[2] == 7
    assert case.kwargs["axis"] == ((2, 3), (4,), 7)
    assert case.kwargs["mode"] == "constant"
    assert isinstance(case.kwargs["flag"], bool)


def test_binary_cases_broadcast_and_take_numbers():
    found = s.sample(cases.binary(right=cases.between(0.5, 1, mirrored=True)), 200)
    for case in found:
        np.add(*case.args)
        y = np.asarray(case.args[1])
        assert ((np.abs(y) >= 0.5) & (np.abs(y) <= 1)).all()
    assert {case.wrt for case in found} == {(0, 1), (0,), (1,)}


def test_binary_cases_apart_have_no_ties():
    for case in s.sample(cases.binary(apart=0.2), 100):
        x, y = (np.asarray(a) for a in case.args)
        gaps = np.abs(x.reshape(-1, 1) - y.reshape(1, -1))
        assert (gaps >= 0.2 - 1e-12).all()


def test_reductions_have_axis_and_keepdims():
    found = s.sample(cases.reduction(cases.spaced_out(), min_side=1, ddof=0), 50)
    for case in found:
        assert case.kwargs["ddof"] == 0
        np.max(case.args[0], axis=case.kwargs["axis"], keepdims=case.kwargs["keepdims"])
    assert len({case.kwargs["keepdims"] for case in found}) == 2

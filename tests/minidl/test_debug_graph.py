"""`graph`: text, DOT and SVG of a computation."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import debug, nn, ops, tensor
from minidl.debug.layout import HEIGHT, arrange
from minidl.testing.strategies import graphs


def leaf(values, dtype=float):
    return tensor(np.asarray(values, dtype), requires_grad=True)


def mlp():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return model, model(np.ones((5, 3), np.float32)).sum()


def test_text_of_a_model():
    model, loss = mlp()
    assert [re.split(r" {2,}", line) for line in str(debug.graph(loss, names=model)).splitlines()] == [
        ["%0", "0.weight", "(4, 3)", "float32", "leaf"], ["%1", "0.bias", "(4,)", "float32", "leaf"],
        ["%2", "2.weight", "(2, 4)", "float32", "leaf"], ["%3", "2.bias", "(2,)", "float32", "leaf"],
        ["%4", "constant", "(5, 3)", "float32"], ["%5", "linear", "(5, 4)", "float32", "<- %4, %0, %1"],
        ["%6", "relu", "(5, 4)", "float32", "<- %5"], ["%7", "linear", "(5, 2)", "float32", "<- %6, %2, %3"],
        ["%8", "sum", "()", "float32", "<- %7"]]


def test_arguments_constants_and_names():
    x = leaf(np.ones((2, 3)))
    inner = x * 2.5
    view = debug.graph(ops.sum(inner + inner, axis=1) ** x.data[0, :2], names={"x": x, "twice": inner})
    lines = str(view).splitlines()
    assert "multiply = twice" in lines[1]
    assert "<- %0, 2.5" in lines[1]
    assert "<- %1, %1" in lines[2]
    assert "sum(axis=1)" in lines[3]
    assert lines[5].endswith("<- %3, %4")
    assert debug.graph(x).boxes[0].title == "leaf"


def test_several_results_share_what_they_share():
    x = leaf([1.0])
    y = np.sin(x)
    view = debug.graph(y * 2.0, y * 3.0, y)
    assert sorted(box.title for box in view.boxes) == ["leaf", "multiply", "multiply", "sin"]


def test_a_tensor_without_a_graph():
    view = debug.graph(tensor([1.0]))
    assert "without a graph" in str(view)
    ET.fromstring(view.svg())
    assert view.dot() == "digraph {\n  node [fontname=Helvetica, fontsize=11];\n}\n"
    with pytest.raises(TypeError, match="graph: got ndarray"):
        debug.graph(np.ones(2))


def test_fused_operations_keep_their_saved_arrays_to_themselves():
    x = leaf([[1.0, 2.0]])
    assert "saved" not in str(debug.graph(ops.cross_entropy(x, np.array([1]))))


def test_dot_escapes_and_links():
    x = leaf([1.0])
    dot = debug.graph(np.sin(x), names={'a "quoted" \\ name': x}).dot()
    assert 'label="a \\"quoted\\" \\\\ name\\n(1,) float64"' in dot
    assert "  n0 -> n1;" in dot


@given(graphs())
def test_every_node_once_in_every_form(graph):
    leaves = [leaf(np.ones(shape)) for shape in graph.shapes]
    out = graph(*leaves)
    view = debug.graph(out, names={"<&>": leaves[0]})
    picture = ET.fromstring(view.svg())
    assert len(str(view).splitlines()) == len(view.boxes) == len(picture.findall("{*}g"))
    assert view.dot().count("label=") == len(view.boxes)
    assert view._repr_svg_() == view.svg()
    for i, box in enumerate(view.boxes):
        assert all(p < i for p in box.parents if isinstance(p, int))


@st.composite
def drawings(draw):
    n = draw(st.integers(1, 12))
    edges = [(a, b) for b in range(n) for a in range(b) if draw(st.integers(0, 3)) == 0]
    return draw(st.lists(st.floats(20, 200), min_size=n, max_size=n)), edges


@given(drawings())
def test_boxes_do_not_overlap_and_arrows_go_down(drawing):
    widths, edges = drawing
    layout = arrange(widths, edges)
    for i, (x, y) in enumerate(layout.centres):
        assert x - widths[i] / 2 >= 0
        assert x + widths[i] / 2 <= layout.width
        assert HEIGHT / 2 <= y <= layout.height - HEIGHT / 2
        for k in range(i):
            if layout.centres[k][1] == y:
                assert abs(layout.centres[k][0] - x) >= (widths[i] + widths[k]) / 2
    for a, b in edges:
        assert layout.centres[a][1] < layout.centres[b][1]
    assert len(layout.arrows) <= len(edges)
    assert {b for _, b in edges} == {i for i, (x, y) in enumerate(layout.centres)
                                     if any(path.endswith(f" {x:.1f} {y - HEIGHT / 2:.1f}") for path in layout.arrows)}


def test_a_deep_graph():
    x = leaf([1.0])
    y = x
    for _ in range(3000):
        y = y + x
    view = debug.graph(y)
    assert len(str(view).splitlines()) == len(view.boxes) == 3001
    assert len(view.svg()) < 3_000_000  # the 3000 uses of x share their line

"""`graph`: the computation behind a Tensor as text, DOT or SVG."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.debug.layout import HEIGHT, arrange
from minidl.engine import Leaf, Node, reachable
from minidl.errors import name_of
from minidl.tensors import Tensor

if TYPE_CHECKING:
    from minidl.nn import Module

__all__ = ["GraphView", "graph"]

_STYLE = """
text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #1c2733; text-anchor: middle; }
.small { font-size: 10.5px; fill: #52606e; }
rect { fill: #eef3f9; stroke: #2463a6; } .leaf rect { fill: #fdf1d8; stroke: #a8741a; }
.constant rect { fill: #fff; stroke: #8794a1; stroke-dasharray: 4 3; }
path { fill: none; stroke: #6b7a89; stroke-width: 1.2; } marker path { fill: #6b7a89; stroke: none; }
"""


@dataclass(frozen=True)
class Box:
    """One line of text, or one box of a picture.

    Attributes
    ----------
    kind : {"op", "leaf", "constant"}
    title : str
        Operation, or name of a Tensor or parameter.
    shape, dtype : str
    note : str
        Arguments that are not arrays.
    parents : tuple of (int or str)
        Numbers of boxes; what is no box is spelt out.
    """

    kind: str
    title: str
    shape: str
    dtype: str
    note: str = ""
    parents: tuple[int | str, ...] = ()


class GraphView:
    """The graph of one or several Tensors; made by `graph`. `print` it for text, show it in a notebook for a picture.

    Attributes
    ----------
    boxes : list of Box
        Leaves, array constants and operations, each once and after what it is made from.
    """

    def __init__(self, tensors: Iterable[Tensor], names: Mapping[int, str]) -> None:
        self.boxes: list[Box] = []
        roots = [t.node for t in tensors if t.node is not None]
        numbers: dict[Any, int] = {}
        for node in reversed(reachable(list(dict.fromkeys(roots)), ())):
            parents = tuple(self._parent(numbers, p, x) for p, x in zip(node.parents, node.inputs, strict=True))
            title = names.get(id(node), "")
            if isinstance(node, Leaf):
                box = Box("leaf", title or "leaf", _shape(node), str(node.dtype))
            else:
                op = name_of(node.rule)
                box = Box("op", f"{op} = {title}" if title else op, _shape(node), str(node.dtype), _note(node), parents)
            numbers[node] = len(self.boxes)
            self.boxes.append(box)

    def _parent(self, numbers: dict[Any, int], node: Node | None, value: Any) -> int | str:
        """The number of a parent; an array that is a constant gets a box of its own."""
        if node is not None:
            return numbers[node]
        if not isinstance(value, np.ndarray) or value.ndim == 0:
            return "constant" if value is None else str(value)
        if id(value) not in numbers:
            numbers[id(value)] = len(self.boxes)
            self.boxes.append(Box("constant", "constant", _shape(value), str(value.dtype)))
        return numbers[id(value)]

    # ------------------------------------------------------------------------------------------ text

    def __str__(self) -> str:
        rows = [(f"%{i}", b.title + b.note, b.shape, b.dtype, self._sources(b)) for i, b in enumerate(self.boxes)]
        widths = [max((len(row[k]) for row in rows), default=0) for k in range(4)]
        lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]).rstrip()
                 for row in rows]
        return "\n".join(lines) or "a Tensor without a graph: nothing that it was made from requires a gradient"

    __repr__ = __str__

    def _sources(self, box: Box) -> str:
        if box.kind != "op":
            return box.kind if box.title != box.kind else ""
        return "<- " + ", ".join(f"%{p}" if isinstance(p, int) else p for p in box.parents)

    # --------------------------------------------------------------------------------------- pictures

    def dot(self) -> str:
        """The graph in the DOT language of Graphviz."""
        shapes = {"op": "box, style=rounded", "leaf": "box, style=filled, fillcolor=lightgoldenrod1",
                  "constant": "box, style=dashed"}
        lines = ["digraph {", "  node [fontname=Helvetica, fontsize=11];"]
        for i, box in enumerate(self.boxes):
            label = "\\n".join(part.replace("\\", "\\\\").replace('"', '\\"') for part in _label(box))
            lines.append(f'  n{i} [label="{label}", shape={shapes[box.kind]}];')
        lines += [f"  n{a} -> n{b};" for a, b in self._edges()]
        return "\n".join([*lines, "}"]) + "\n"

    def svg(self) -> str:
        """The graph as an SVG picture, leaves above, results below; nothing but minidl draws it."""
        widths = [max(len(title) * 7.2, len(small) * 6.3) + 18 for title, small in map(_label, self.boxes)]
        layout = arrange(widths, list(self._edges()))
        parts = [f"<path d='{line}'/>" for line in layout.lines]
        parts += [f"<path d='{arrow}' marker-end='url(#tip)'/>" for arrow in layout.arrows]
        parts += [_drawn(*each) for each in zip(self.boxes, layout.centres, widths, strict=True)]
        w, h = layout.width, layout.height
        return (f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {w:.0f} {h:.0f}' width='{w:.0f}' "
                f"height='{h:.0f}' role='img' aria-label='computation graph'><style>{_STYLE}</style><defs>"
                "<marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
                "<path d='M0 0L8 4L0 8z'/></marker></defs>"
                f"<rect width='{w:.0f}' height='{h:.0f}' style='fill:#fff;stroke:none'/>{''.join(parts)}</svg>")

    def _repr_svg_(self) -> str:
        return self.svg()

    def _edges(self) -> Iterator[tuple[int, int]]:
        for i, box in enumerate(self.boxes):
            for parent in dict.fromkeys(p for p in box.parents if isinstance(p, int)):
                yield parent, i


def graph(*tensors: Tensor, names: Module | Mapping[str, Tensor] | None = None) -> GraphView:
    """The operations that made a Tensor: as text, DOT or a picture.

    Parameters
    ----------
    *tensors : Tensor
        Results; what they share is shown once.
    names : Module or mapping of str to Tensor, optional
        Names of parameters and other Tensors.

    Returns
    -------
    GraphView
        `print(view)`; `view.dot()`, `view.svg()` are strings; a notebook shows the picture.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> w = minidl.tensor(np.ones((3, 2)), requires_grad=True)
    >>> loss = np.tanh(np.ones((4, 3)) @ w * 0.5).sum()
    >>> print(minidl.debug.graph(loss, names={"weight": w}))
    %0  weight    (3, 2)  float64  leaf
    %1  constant  (4, 3)  float64
    %2  matmul    (4, 2)  float64  <- %1, %0
    %3  multiply  (4, 2)  float64  <- %2, 0.5
    %4  tanh      (4, 2)  float64  <- %3
    %5  sum       ()      float64  <- %4
    """
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"graph: got {type(t).__name__}; pass the Tensor that you want to see, such as a loss")
    return GraphView(tensors, _named(names))


def _named(names: Any) -> dict[int, str]:
    """Names by identity of the node."""
    if names is None:
        return {}
    pairs = names.items() if isinstance(names, Mapping) else names.named_parameters()
    return {id(t.node): name for name, t in pairs if t.node is not None}


def _label(box: Box) -> tuple[str, str]:
    """The two lines in a box."""
    spelt = [p for p in box.parents if isinstance(p, str) and p != "constant"]
    return box.title, f"{box.note}{' ' if box.note else ''}{box.shape} {box.dtype}" + (
        f", with {', '.join(spelt)}" if spelt else "")


def _drawn(box: Box, centre: tuple[float, float], width: float) -> str:
    x, y = centre
    title, small = (html.escape(part) for part in _label(box))
    return (f"<g class='{box.kind}'><rect x='{x - width / 2:.1f}' y='{y - HEIGHT / 2:.1f}' width='{width:.1f}' "
            f"height='{HEIGHT}' rx='{6 if box.kind == 'op' else 1}'/><text x='{x:.1f}' y='{y - 4:.1f}'>{title}</text>"
            f"<text class='small' x='{x:.1f}' y='{y + 12:.1f}'>{small}</text></g>")


def _shape(value: Any) -> str:
    return str(tuple(value.shape))


def _note(node: Node) -> str:
    """Arguments that fit into a few words: numbers, strings, tuples of them; what is off is left out."""
    parts = [f"{k}={f'{v:.4g}' if isinstance(v, float) else repr(v)}" for k, v in node.params.items()
             if isinstance(v, (int, float, str, tuple)) and v is not False and k != "saved" and len(repr(v)) < 30]
    return f"({', '.join(parts)})" if parts else ""

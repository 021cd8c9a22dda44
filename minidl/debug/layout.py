"""Where to put the boxes of a layered graph, and how the arrows go between them.

A box stands above what is made from it. An arrow over several ranks runs through a waypoint on each,
and all arrows from one box share them. Order in a rank by barycentres, then places that are near the neighbours'.
Sugiyama, Tagawa and Toda (1981), "Methods for visual understanding of hierarchical system structures".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HEIGHT", "Layout", "arrange"]

HEIGHT = 40.0  # of a box

_HALF = HEIGHT / 2
_GAP, _RANK, _MARGIN = 16.0, 72.0, 12.0  # between boxes, from row to row, around all
_SWEEPS = 12


@dataclass
class Layout:
    """Centres of the boxes, and SVG paths: lines, and the last pieces of arrows."""

    centres: list[tuple[float, float]]
    lines: list[str]
    arrows: list[str]
    width: float
    height: float


def arrange(boxes: Sequence[float], edges: Sequence[tuple[int, int]]) -> Layout:
    """Place boxes of the given widths, numbered so that every edge goes from a lower number to a higher one."""
    ranks = _ranks(len(boxes), edges)
    widths = list(boxes)
    links = _waypoints(ranks, widths, edges)
    rows: list[list[int]] = [[] for _ in range(max(ranks, default=0) + 1)]
    for i, rank in enumerate(ranks):
        rows[rank].append(i)
    x = _places(rows, widths, links)
    left = min((x[i] - widths[i] / 2 for i in range(len(x))), default=0.0) - _MARGIN
    x = [place - left for place in x]
    y = [_MARGIN + _HALF + _RANK * rank for rank in ranks]
    lines = [_path(x[a], y[a], x[b], y[b], through=True) for a, b in links if b >= len(boxes)]
    arrows = [_path(x[a], y[a], x[b], y[b], through=False) for a, b in links if b < len(boxes)]
    return Layout(list(zip(x, y, strict=True))[:len(boxes)], lines, arrows,
                  max((x[i] + widths[i] / 2 for i in range(len(x))), default=0.0) + _MARGIN,
                  max(y, default=0.0) + _HALF + _MARGIN)


def _ranks(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Results by their depth, everything else right above the first box that is made from it."""
    depth = [0] * n
    for a, b in sorted(edges, key=lambda edge: edge[1]):
        depth[b] = max(depth[b], depth[a] + 1)
    used: set[int] = set()
    for a, b in sorted(edges, key=lambda edge: edge[1], reverse=True):
        depth[a] = min(depth[a], depth[b] - 1) if a in used else depth[b] - 1
        used.add(a)
    return depth


def _waypoints(ranks: list[int], widths: list[float], edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Links between neighbouring ranks; the waypoints among them are added to the ranks and widths."""
    links: dict[tuple[int, int], None] = {}
    last: dict[int, int] = {}  # the end of each box's chain of waypoints
    for a, b in sorted(edges, key=lambda edge: ranks[edge[1]]):
        at = last.get(a, a)
        while ranks[at] < ranks[b] - 1:
            new = len(ranks)
            ranks.append(ranks[at] + 1)
            widths.append(2.0)
            links[at, new] = None
            at = last[a] = new
        links[at, b] = None
    return list(links)


def _places(rows: list[list[int]], widths: list[float], links: list[tuple[int, int]]) -> list[float]:
    """The x of every box: near the mean of its neighbours in the ranks beside, without overlap."""
    up: dict[int, list[int]] = defaultdict(list)
    down: dict[int, list[int]] = defaultdict(list)
    for a, b in links:
        up[b].append(a)
        down[a].append(b)
    x = [0.0] * len(widths)
    for row in rows:
        _spread(row, [0.0] * len(row), widths, x)
    for sweep in range(_SWEEPS):
        near, order = (up, rows) if sweep % 2 == 0 else (down, rows[::-1])
        for row in order:
            wanted = {i: sum(x[k] for k in near[i]) / len(near[i]) if near[i] else x[i] for i in row}
            row.sort(key=wanted.__getitem__)
            _spread(row, [wanted[i] for i in row], widths, x)
    return x


def _spread(row: list[int], wanted: list[float], widths: list[float], x: list[float]) -> None:
    """Place a row in its order, as near as possible to where its boxes want to be.

    With the room that each box needs taken off, places must only not decrease: the least squares answer pools
    neighbours that are out of order.
    """
    offsets, at = [], 0.0
    for k, i in enumerate(row):
        at += widths[i] / 2 + (widths[row[k - 1]] / 2 + _GAP if k else 0.0)
        offsets.append(at)
    pools: list[list[float]] = []  # mean, number
    for want, offset in zip(wanted, offsets, strict=True):
        pools.append([want - offset, 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, n = pools.pop()
            before, m = pools[-1]
            pools[-1] = [(before * m + mean * n) / (m + n), m + n]
    places = [mean for mean, n in pools for _ in range(int(n))]
    for i, place, offset in zip(row, places, offsets, strict=True):
        x[i] = place + offset


def _path(xa: float, ya: float, xb: float, yb: float, through: bool) -> str:
    """A curve from below one row to the next, and straight through that, where boxes stand to the left and right."""
    start, end = ya + _HALF, yb - _HALF
    middle = (start + end) / 2
    curve = f"M{xa:.1f} {start:.1f}C{xa:.1f} {middle:.1f} {xb:.1f} {middle:.1f} {xb:.1f} {end:.1f}"
    return f"{curve}V{yb + _HALF:.1f}" if through else curve

"""The report's figures, as SVG text that stands inside the page."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accuracy_against_popularity", "best_so_far", "intervals", "learning_curves", "lines", "metric_bars",
           "require", "scatters", "shares"]

_COLOURS = ("#3b6ea8", "#d1783c", "#4f9a57", "#a8566e", "#7c6bb1", "#8a7a4f", "#3f9aa3", "#b34a3c", "#6d6d6d",
            "#c2a12f", "#7fa6d6", "#b98a5e")
_INK, _FLOOR = "#222222", "#9a9a9a"  # ink becomes the page's own, which is light in the dark
# where a label may stand, seen from its point: (dx, dy) in points, and which corner of the text is put there
_PLACES = ((8, 0, "left", "center"), (-8, 0, "right", "center"), (0, 8, "center", "bottom"), (0, -8, "center", "top"),
           (7, 7, "left", "bottom"), (7, -7, "left", "top"), (-7, 7, "right", "bottom"), (-7, -7, "right", "top"),
           (0, 20, "center", "bottom"), (0, -20, "center", "top"), (18, 18, "left", "bottom"), (18, -18, "left", "top"))


def require() -> None:
    """Raise MissingExtraError, naming the command to run, when there is no matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", "the page with the figures")


def learning_curves(curves: Mapping[str, tuple[str, Sequence[float]]]) -> list[str]:
    """What each model minimises, against the epoch, a figure each: model -> (quantity, values), one of them finite."""
    drawn = []
    for i, (name, (quantity, values)) in enumerate(curves.items()):
        figure = _figure(3.4, 2.4)
        axes = figure.add_subplot()
        axes.plot(np.arange(1, len(values) + 1), values, color=_COLOURS[0], linewidth=1.8, marker=".", markersize=5)
        axes.set_title(name, fontsize=11, loc="left", color=_INK)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{quantity}, training")
        axes.set_xlim(0, len(values) + 0.5)
        finite = np.asarray(values)[np.isfinite(values)]
        axes.set_ylim(1.08 * min(0, finite.min()), 1.08 * max(0, finite.max()) or (0 if finite.min() < 0 else 1))
        axes.locator_params(axis="x", integer=True, nbins=5)
        axes.locator_params(axis="y", nbins=5)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
        _tidy(axes)
        drawn.append(_svg(figure, f"curve{i}", f"{name}: {quantity} in training against the epoch"))
    return drawn


def metric_bars(names: Sequence[str], values: Sequence[float], errors: Sequence[float], metric: str,
                floor: str | None) -> str:
    """One bar a model with its standard error; the dashed line is what the floor model reaches."""
    figure = _figure(5.6, 0.27 * len(names) + 0.9)
    axes = figure.add_subplot()
    places = np.arange(len(names))[::-1]
    errors = np.nan_to_num(np.asarray(errors, float))
    axes.barh(places, values, xerr=errors, color=[_FLOOR if n == floor else _COLOURS[0] for n in names], height=0.62,
              error_kw={"elinewidth": 1.2, "ecolor": _INK, "capsize": 2})
    reach = max(np.add(values, errors), default=0) or 1
    for place, value, error in zip(places, values, errors, strict=True):
        axes.annotate(f"{value:.3f}", (value + error, place), xytext=(5, 0), textcoords="offset points", va="center",
                      fontsize=9, color=_INK)
    reached = dict(zip(names, values, strict=True)).get(floor or "")
    if reached is not None:
        axes.axvline(reached, color=_INK, linestyle="--", linewidth=1)
    axes.set_yticks(places, names)
    axes.set_xlabel(f"{metric} ± standard error{'' if reached is None else f'; dashed: {floor}'}")
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlim(0, 1.16 * reach)
    axes.set_ylim(-0.6, len(names) - 0.4)
    _tidy(axes)
    axes.grid(visible=False, axis="y")
    return _svg(figure, "bars", f"{metric} of each model")


def lines(name: str, shares: Sequence[float], series: Mapping[str, Sequence[float]], across: str, along: str) -> str:
    """A line for each series over shares from 0 to 1, shown as per cent."""
    figure = _figure(4.4, 3.3)
    axes = figure.add_subplot()
    for i, (what, values) in enumerate(series.items()):
        axes.plot(100 * np.asarray(shares), values, color=_COLOURS[i], linewidth=2, marker=".", markersize=5,
                  linestyle=("-", "--", ":")[i % 3], label=what)
    axes.set_xlabel(across)
    axes.set_ylabel(along)
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK)
    axes.locator_params(axis="both", nbins=6)
    _tidy(axes)
    return _svg(figure, name, f"{along} against {across}")


def accuracy_against_popularity(names: Sequence[str], popularity: Sequence[float], accuracy: Sequence[float],
                                metric: str) -> str:
    """Each model as a point: how popular what it recommends is, against how accurate it is."""
    figure = _figure(8.4, 4.6)
    axes = figure.add_subplot()
    axes.scatter(popularity, accuracy, color=[_COLOURS[i % len(_COLOURS)] for i in range(len(names))], s=48, zorder=3)
    axes.set_xlabel("mean number of training events of what is recommended (left: less known)")
    axes.set_ylabel(f"{metric} (up: more accurate)")
    axes.set_xlim(0, 1.12 * max(popularity, default=1) or 1)
    axes.set_ylim(0, 1.12 * max(accuracy, default=1) or 1)
    _tidy(axes)
    _label_points(figure, axes, names, np.column_stack([popularity, accuracy]))
    return _svg(figure, "popularity", f"{metric} against the popularity of recommendations")


def intervals(name: str, names: Sequence[str], values: Sequence[float], limits: Sequence[tuple[float, float]],
              label: str, neutral: float, told: Sequence[bool]) -> str:
    """A point with its interval a line, beside what is neither more nor less; those that are `told` stand out.

    Parameters
    ----------
    name : str
        Of the figure, for its ids.
    names, values, limits : sequences of equal length
    label : str
        Of the axis.
    neutral : float
        Where the dashed line stands.
    told : sequence of bool
    """
    figure = _figure(6.4, 0.27 * len(names) + 0.9)
    axes = figure.add_subplot()
    places = np.arange(len(names))[::-1]
    for place, value, (low, high), stands_out in zip(places, values, limits, told, strict=True):
        colour = _COLOURS[1] if stands_out else _COLOURS[0]
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([value], [place], color=colour, marker="o", markersize=6)
    axes.axvline(neutral, color=_INK, linestyle="--", linewidth=1)
    axes.set_yticks(places, names)
    axes.set_xlabel(label)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.locator_params(axis="x", nbins=6)
    _tidy(axes)
    axes.grid(visible=False, axis="y")
    return _svg(figure, name, label)


def shares(name: str, names: Sequence[str], series: Mapping[str, Sequence[float]], label: str) -> str:
    """Bars side by side for each name, one of each series, from 0 to 1 as per cent."""
    figure = _figure(6.4, 0.16 * len(names) * (len(series) + 1) + 1.1)
    axes = figure.add_subplot()
    places, height = np.arange(len(names))[::-1], 0.8 / len(series)
    for i, (what, values) in enumerate(series.items()):
        axes.barh(places + 0.4 - height * (i + 0.5), 100 * np.nan_to_num(np.asarray(values, float)), height,
                  color=_COLOURS[i], label=what)
    axes.set_yticks(places, names)
    axes.set_xlabel(label)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK, loc="lower center", bbox_to_anchor=(0.4, 1.0),
                ncols=len(series))
    _tidy(axes)
    axes.grid(visible=False, axis="y")
    return _svg(figure, name, label)


def scatters(name: str, panels: Mapping[str, tuple[Sequence[Any], Sequence[float]]], label: str,
             log: Collection[str] = ()) -> list[str]:
    """Numbers, or words, against a value, a figure each; those of `log` by their logarithm.

    Parameters
    ----------
    name : str
        Of the figures, for their ids.
    panels : mapping of str to (values of x, values of y)
    label : str
        Of the values of y.
    log : collection of str
    """
    drawn = []
    for i, (what, (across, up)) in enumerate(panels.items()):
        figure = _figure(3.4, 2.4)
        axes = figure.add_subplot()
        words = any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in across)
        if words:
            order = sorted(zip(across, up, strict=True), key=lambda pair: (
                (0, pair[0], "") if isinstance(pair[0], (int, float)) else (-1, 0, str(pair[0]))))
            across, up = [str(value) for value, _ in order], [value for _, value in order]
        axes.scatter(across, up, color=_COLOURS[0], s=22, alpha=0.75)
        if what in log and not words:
            _logarithmic(axes)
        axes.set_title(what, fontsize=11, loc="left", color=_INK)
        axes.set_ylabel(label)
        _tidy(axes)
        drawn.append(_svg(figure, f"{name}{i}", f"{label} against {what}"))
    return drawn


def _logarithmic(axes: Any) -> None:
    """A logarithmic axis whose marks are plain numbers: of one decade, or two, more than its powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high / low < 100 else (1,), numticks=6))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def best_so_far(name: str, found: Mapping[str, Sequence[float | None]], label: str, larger: bool) -> str:
    """The best value up to each trial, a line a model; None is a trial without a value."""
    figure = _figure(8.4, 3.4)
    axes = figure.add_subplot()
    best = np.fmax.accumulate if larger else np.fmin.accumulate
    for i, (model, values) in enumerate(found.items()):
        numbers = np.array([np.nan if value is None else value for value in values], float)
        trials, colour = np.arange(1, len(numbers) + 1), _COLOURS[i % len(_COLOURS)]
        axes.scatter(trials, numbers, color=colour, s=14, alpha=0.45)
        axes.step(trials, best(numbers), where="post", color=colour, linewidth=1.8, label=model)
    axes.set_xlabel("trial")
    axes.set_ylabel(label)
    axes.locator_params(axis="x", integer=True)
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK)
    _tidy(axes)
    return _svg(figure, name, f"The best {label} up to each trial")


def _label_points(figure: Figure, axes: Any, names: Sequence[str], points: np.ndarray) -> None:
    """Write each name beside its point, where it covers no other point or name, if there is such a place."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # now data has places
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in axes.transData.transform(points)]
    for name, point in zip(names, points, strict=True):
        written: list[tuple[int, int, Any, Any]] = []  # faults, place, text, box
        for dx, dy, across, along in _PLACES:
            text = axes.annotate(name, point, xytext=(dx, dy), textcoords="offset points", ha=across, va=along,
                                 fontsize=9, color=_INK)
            text.set_in_layout(False)
            box = text.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            written.append((sum(box.overlaps(other) for other in taken) + 3 * (not inside), len(written), text, box))
            if written[-1][0] == 0:
                break
        best = min(written, key=lambda each: each[:2])
        for each in written:
            if each is not best:
                each[2].remove()
        taken.append(best[3])


def _figure(width: float, height: float) -> Figure:
    require()
    from matplotlib.figure import Figure as MatplotlibFigure

    made = MatplotlibFigure(figsize=(width, height), layout="constrained")
    made.patch.set_alpha(0)
    return made


def _tidy(axes: Any) -> None:
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, labelcolor=_INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=10, color=_INK)


def _svg(figure: Figure, name: str, label: str) -> str:
    """The figure's `<svg>` element: text stays text, equal figures give equal bytes, ids are the figure's own."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "recsys"}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawing = buffer.getvalue()
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawing[drawing.index("<svg"):])
    drawing = re.sub(f"{_INK}|#000000", "var(--ink)", drawing)
    return drawing.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)

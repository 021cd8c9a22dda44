"""The ledger as one HTML page: what was proved of each op, and its error of differences against the step size."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minidl.testing.mutants import BREAKS
from minidl.testing.oracles import EPS, step_curve
from minidl.testing.proofs import Call, draw_cases
from minidl.testing.spec import Op

if TYPE_CHECKING:
    from minidl.testing.ledger import Entry

__all__ = ["render"]

STEPS = [10.0**-k for k in np.arange(0.5, 12.01, 0.5)]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 260, 150, 30, 26, 4
LOWEST = -16  # log10 of the smallest error drawn; exact agreement lies there too
WRONG = -2  # log10 of the error of a derivative that is 1 % off

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5d6b79; --line: #2463a6; --paper: #fff; --rule: #dfe5eb;
  --bad: #c62f2f; --round: #a8741a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e2e8ee; --soft: #9aa7b4; --line: #7db4ee; --paper: #14191f; --rule: #2e3741; --bad: #f08a8a;
    --round: #dcb36a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .2rem; } p { color: var(--soft); max-width: 52rem; margin: .4rem 0; }
nav { columns: 13rem; font-size: .78rem; } nav a { display: block; color: var(--line); overflow-wrap: anywhere; }
p b { color: var(--ink); } .round { color: var(--round); } .off { color: var(--bad); }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 1.4rem; margin-top: 1.4rem; }
figure { margin: 0; border-top: 2px solid var(--rule); padding-top: .4rem; overflow-wrap: anywhere; }
figcaption { font-size: .78rem; color: var(--soft); }
figcaption b { color: var(--ink); font-size: .98rem; display: block; }
figcaption strong { color: var(--bad); font-weight: 600; }
.bad { border-color: var(--bad); } .bad b { color: var(--bad); }
dl { display: grid; grid-template-columns: 1fr auto 1fr auto; gap: 0 .6rem; margin: .3rem 0; font-size: .75rem;
  color: var(--soft); }
dd { margin: 0; text-align: right; color: var(--ink); font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; height: auto; margin-top: .3rem; }
path { fill: none; stroke: var(--line); stroke-width: 1.8; stroke-linejoin: round; } line { stroke: var(--rule); }
.wrong { stroke: var(--bad); stroke-dasharray: 2 3; } .rounding { stroke: var(--round); stroke-dasharray: 5 3; }
text { font-size: 9px; fill: var(--soft); text-anchor: end; } .x { text-anchor: middle; }
"""

_SHORT = {"differences": "order 1", "differences, order 2": "order 2", "differences, order 3": "order 3",
          "float32 (ULP)": "float32, ULP", "Hessian symmetry": "symmetry"}

_INTRODUCTION = """
<p><b>How to read a curve.</b> It is the relative error of two-point differences against the derivative by the engine,
for steps from 1 on the right down to 10<sup>-12</sup> on the left. The error of a right derivative falls by two decades
a decade as the step shrinks, until rounding takes over and lifts it again
(<span class='round'>dashed: rounding / step</span>). A function that is linear along the way shows rounding alone, one
that is exact lies on the bottom, and one with a kink jumps where a step crosses it. A wrong derivative never gets below
its own error (<span class='off'>dotted: where one that is 1 % off would stay</span>).</p>
<p><b>The numbers</b> are the worst relative errors of all cases against each oracle; 0 is agreement to the last bit.
Orders are compared with five-point differences of the order below; what is exactly 0 there has the rounding of the
differences as its error.</p>
"""


def render(entries: Sequence[Entry], ops: Sequence[Op], seed: int = 0) -> str:
    """The page, self-contained."""
    proved = sum(e.ok for e in entries)
    title = f"Gradient ledger: {proved} of {len(entries)} ops proved"
    figures = "\n".join(_figure(entry, op, seed) for entry, op in zip(entries, ops, strict=True))
    return (f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>{_totals(entries)}{_INTRODUCTION}"
            f"<nav>{_contents(entries)}</nav><main>{figures}</main></html>\n")


def _contents(entries: Sequence[Entry]) -> str:
    return " ".join(f"<a href='#{_anchor(e.op)}'>{html.escape(e.op)}</a>" for e in entries)


def _anchor(name: str) -> str:
    return html.escape(name.replace(" ", "_"))  # an id has no blanks


def _totals(entries: Sequence[Entry]) -> str:
    applied = sum(v.active for e in entries for v in e.mutants.values())
    killed = applied - sum(len(e.survivors) for e in entries)
    mutants = f"; {killed} of {applied} mutants killed" if applied else "; no mutation tests (--mutants runs them)"
    failed = ", ".join(html.escape(e.op) for e in entries if not e.ok)
    cases = sum(e.evidence.cases for e in entries)
    return f"<p>{cases} cases{mutants}.{f' Failed: <b>{failed}</b>.' if failed else ''}</p>"


def _figure(entry: Entry, op: Op, seed: int) -> str:
    numbers = "".join(f"<dt>{html.escape(_SHORT.get(oracle, oracle))}</dt><dd>{_number(error)}</dd>"
                      for oracle, error in entry.evidence.worst.items())
    applied = sum(v.active for v in entry.mutants.values())
    facts = [f"order {entry.evidence.order}"]
    if applied:
        facts.append(f"{applied - len(entry.survivors)} of {applied} mutants killed")
    facts += [html.escape(says) for says in entry.conventions]
    faults = [*([entry.error] if entry.error else []), *(f"survived: {name}" for name in entry.survivors)]
    wrong = "".join(f"<br><strong>{html.escape(fault)}</strong>" for fault in faults)
    try:
        chart = _chart(op, seed)
    except BREAKS:  # an op that breaks in its proofs breaks here too
        chart = ""
    opening = f"<figure id='{_anchor(entry.op)}'{'' if entry.ok else ' class=bad'}>"
    return (f"{opening}<figcaption><b>{html.escape(entry.op)}</b>{'; '.join(facts)}"
            f"{wrong}</figcaption>{chart}<dl>{numbers}</dl></figure>")


def _number(error: float) -> str:
    return "0" if error == 0 else f"{error:.2g}" if error >= 0.01 else f"{error:.0e}".replace("e-0", "e-")


# -------------------------------------------------------------------------------------------- curves

def _chart(op: Op, seed: int) -> str:
    """Error against step size, both logarithmic."""
    errors = _curve(op, seed)
    if not errors:
        return ""
    grid = "".join(f"<line x1='{LEFT}' x2='{WIDTH}' y1='{_y(k):.1f}' y2='{_y(k):.1f}'/>"
                   f"<text x='{LEFT - 4}' y='{_y(k) + 3:.1f}'>{_power(k)}</text>" for k in (0, -4, -8, -12, -16))
    ticks = "".join(f"<text class='x' x='{_x(k):.1f}' y='{HEIGHT - 14}'>{_power(k)}</text>" for k in (-12, -9, -6, -3))
    ticks += (f"<text class='x' x='{(LEFT + WIDTH) / 2}' y='{HEIGHT - 3}'>step</text>"
              f"<text x='{WIDTH}' y='{_y(WRONG) - 3:.1f}'>1 % wrong</text>")
    rounding = math.log10(EPS)
    guides = (f"<line class='wrong' x1='{LEFT}' x2='{WIDTH}' y1='{_y(WRONG):.1f}' y2='{_y(WRONG):.1f}'/>"
              f"<line class='rounding' x1='{LEFT}' x2='{WIDTH}' y1='{_y(rounding + 12):.1f}' y2='{_y(rounding):.1f}'/>")
    return (f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='error against step, both logarithmic'>"
            f"{grid}{ticks}{guides}<path d='{_path(errors)}'/></svg>")


def _curve(op: Op, seed: int) -> list[float]:
    """The errors on the case that shows most: not all zero, right for some step, and curved."""
    calls = [Call(op, case) for case in draw_cases(op, 12, seed)]
    curves = [step_curve(c.f, c.arrays, c.u, STEPS, c.rng)
              for c in calls if c.value.size and any(a.size for a in c.arrays)]
    curves = [c for c in curves if math.isfinite(c[STEPS.index(10.0**-1.5)])]
    shown = [c for c in curves if 0 < np.nanmax(c) <= 10] or curves  # beyond: the derivative is 0 but for rounding
    shown = [c for c in shown if np.nanmin(c) < 1e-7] or shown
    return max(shown, key=lambda c: c[STEPS.index(10.0**-1.5)], default=[])


def _path(errors: Sequence[float]) -> str:
    points = [(_x(math.log10(h)), _y(math.log10(min(max(e, 10.0**LOWEST), 1.0))))
              for h, e in zip(STEPS, errors, strict=True) if math.isfinite(e)]
    return " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))


def _power(k: int) -> str:
    return "1" if k == 0 else "10" + str(k).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _x(log_step: float) -> float:
    return LEFT + (WIDTH - LEFT) * (log_step + 12) / 12


def _y(log_error: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * -log_error / -LOWEST

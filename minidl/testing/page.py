"""The ledger as one HTML page: the table, and each op's error of differences against the step size."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minidl.testing.oracles import step_curve
from minidl.testing.proofs import Call, draw_cases
from minidl.testing.spec import Op

if TYPE_CHECKING:
    from minidl.testing.ledger import Entry

__all__ = ["render"]

STEPS = [10.0**-k for k in np.arange(0.5, 12.01, 0.5)]
WIDTH, HEIGHT, MARGIN = 190, 110, 14
LOWEST = -16.0  # log10 of the smallest error drawn

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --soft: #6b7a89; --line: #2463a6; --paper: #fff; --rule: #d5dde5; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e2e8ee; --soft: #93a1af; --line: #7db4ee; --paper: #14191f; --rule: #333d48; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } p { color: var(--soft); max-width: 46rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 1.2rem 1rem; }
figure { margin: 0; border-top: 1px solid var(--rule); padding-top: .4rem; }
figcaption { font-size: .8rem; color: var(--soft); } figcaption b { color: var(--ink); font-size: .95rem; }
.bad b { color: #c62f2f; }
svg { display: block; width: 100%; height: auto; } path { fill: none; stroke: var(--line); stroke-width: 1.6; }
line { stroke: var(--rule); } text { font-size: 8px; fill: var(--soft); }
"""


def render(entries: Sequence[Entry], ops: Sequence[Op], seed: int = 0) -> str:
    """The page, self-contained."""
    proved = sum(e.ok for e in entries)
    figures = "\n".join(_figure(entry, op, seed) for entry, op in zip(entries, ops, strict=True))
    return (f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            f"<title>Gradient ledger</title><style>{_STYLE}</style><h1>Gradient ledger: {proved} of {len(entries)} ops "
            "proved</h1><p>Each curve is the relative error of two-point differences against the pullback, by step "
            "size. A right derivative falls with slope 2 as the step shrinks, until rounding lifts it again with slope "
            "-1; a wrong one is flat. Functions linear in their input show rounding alone.</p>"
            f"<main>{figures}</main></html>\n")


def _figure(entry: Entry, op: Op, seed: int) -> str:
    worst = ", ".join(f"{html.escape(oracle)} {error:.0e}" for oracle, error in entry.evidence.worst.items())
    notes = "; ".join(html.escape(c) for c in entry.conventions)
    error = f"<br>{html.escape(entry.error)}" if entry.error else ""
    return (f"<figure{'' if entry.ok else ' class=bad'}><figcaption><b>{html.escape(entry.op)}</b> order "
            f"{entry.evidence.order}</figcaption>{_curve(op, seed)}<figcaption>{worst}"
            f"{'<br>' + notes if notes else ''}{error}</figcaption></figure>")


def _curve(op: Op, seed: int) -> str:
    """Error against step size, both logarithmic, of the first case that has elements on both sides."""
    calls = (Call(op, case) for case in draw_cases(op, 12, seed))
    call = next((c for c in calls if c.value.size and sum(a.size for a in c.arrays) > 1), None)
    if call is None:
        return ""
    errors = step_curve(call.f, call.arrays, call.u, STEPS, call.rng)
    points = [(_x(math.log10(h)), _y(math.log10(max(e, 10**LOWEST)))) for h, e in zip(STEPS, errors, strict=True)
              if math.isfinite(e)]
    path = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
    grid = "".join(f"<line x1='{MARGIN}' x2='{WIDTH}' y1='{_y(k):.1f}' y2='{_y(k):.1f}'/>"
                   f"<text x='0' y='{_y(k) + 3:.1f}'>{k}</text>" for k in (0, -4, -8, -12, -16))
    ticks = "".join(f"<text x='{_x(k) - 5:.1f}' y='{HEIGHT}'>{k}</text>" for k in (-2, -5, -8, -11))
    return (f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='log10 of error against log10 of step'>"
            f"{grid}{ticks}<path d='{path}'/></svg>")


def _x(log_step: float) -> float:
    return MARGIN + (WIDTH - MARGIN) * (log_step + 12) / 12


def _y(log_error: float) -> float:
    return 4 + (HEIGHT - 18) * (1 - log_error) / (1 - LOWEST)

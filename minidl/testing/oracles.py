"""Independent ways to know a derivative. NumPy and minidl only; `gradcheck` and the proofs use them.

A function of several arrays is looked at as a function of one flat vector (`Flat`). A Jacobian is
looked at from both sides: rows come from pullbacks (`pulled`), columns from `complex_step` or
`differences`, and `U J V` is compared, where `U` and `V` are identities or a few signed directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.derivatives import grad, hvp, jvp, vjp
from minidl.tensors import Tensor

__all__ = ["Differences", "Flat", "adjoint_gap", "basis", "complex_step", "differences", "gradient_of",
           "hessian_asymmetry",
           "jvp_gap", "pulled", "raw", "relative", "step_curve", "weighted", "wobble"]

EPS = float(np.finfo(float).eps)


def raw(value: Any) -> np.ndarray:
    """The array behind a Tensor, an array or a number."""
    return np.asarray(value.data if isinstance(value, Tensor) else value)


class Flat:
    """A function of arrays as a function of one vector.

    Parameters
    ----------
    f : callable
        Takes and returns an array or a Tensor.
    inputs : sequence of arrays
        Where it is looked at; `x` is all of them in one vector.
    """

    def __init__(self, f: Callable[..., Any], inputs: Sequence[np.ndarray]) -> None:
        self.f = f
        self.shapes = [np.shape(a) for a in inputs]
        self.ends = np.cumsum([int(np.prod(s)) for s in self.shapes]).tolist()
        self.x = np.concatenate([np.ravel(a) for a in inputs] or [np.zeros(0)])

    def parts(self, x: np.ndarray) -> list[np.ndarray]:
        """The vector cut into arrays of the inputs' shapes; memory is not shared."""
        return [part.reshape(s).copy() for part, s in zip(np.split(x, self.ends[:-1]), self.shapes, strict=True)]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The value as a vector."""
        return raw(self.f(*self.parts(x))).ravel()

    def where(self, i: int) -> tuple[int, tuple[int, ...]]:
        """The input and the index in it of element `i` of the vector."""
        slot = int(np.searchsorted(self.ends, i, side="right"))
        inside = i - (self.ends[slot - 1] if slot else 0)
        return slot, tuple(int(k) for k in np.unravel_index(inside, self.shapes[slot]))


def basis(n: int, limit: int, rng: np.random.Generator, directions: int = 4) -> np.ndarray:
    """The unit vectors as rows if there are at most `limit`, else a few directions of both signs.

    No component of a direction is small: one that is would not be tested.
    """
    if n <= limit:
        return np.eye(n)
    signs = rng.choice([-1.0, 1.0], (directions, n))
    return np.asarray(signs * rng.uniform(0.5, 1.0, (directions, n)))


# -------------------------------------------------------------------------------------- first order

def pulled(f: Callable[..., Any], inputs: Sequence[np.ndarray], covectors: np.ndarray) -> np.ndarray:
    """`U J` by the engine: one pullback for each row of `covectors`, shape (m, n)."""
    out, pullback = vjp(f, *inputs)
    rows = []
    for u in covectors:
        gradients = pullback(u.reshape(raw(out).shape))
        rows.append(np.concatenate([raw(g).ravel() for g in gradients] or [np.zeros(0)]))
    return np.array(rows).reshape(len(covectors), int(sum(np.size(a) for a in inputs)))


def complex_step(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, directions: np.ndarray,
                 h: float = 1e-30) -> np.ndarray:
    """`J v` for each row v of `directions`, as columns: Im f(x + i h v) / h, exact to rounding.

    Squire & Trapp (1998), "Using complex variables to estimate derivatives of real functions". `f` has
    to be analytic as it is written: branches on `x.real`, no abs, conj, nor maximum of complex values.
    """
    columns = [np.imag(f(x + 1j * (h * v))) / h for v in directions]
    return np.array(columns).T if columns else np.zeros((f(x).size, 0))


@dataclass(frozen=True)
class Differences:
    """Derivatives by differences along several directions, as columns, and how far to trust them.

    Attributes
    ----------
    value : float array, shape (m, k)
        Five-point derivative.
    low, high : float array, shape (m, k)
        Hull of the four slopes between neighbouring points, where the answer lies at a kink.
    kink : bool array, shape (m, k)
        The one-sided derivatives disagree.
    noise : float
        What rounding of the function values may amount to.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kink: np.ndarray
    noise: float


def differences(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, directions: np.ndarray,
                step: float = 1e-3) -> Differences:
    """Five-point differences, error O(h^4), and a look for kinks.

    `(f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12 h`, with h = `step` times the largest |x| that the
    direction moves, at least 1. A kink within 2h makes the second-order one-sided derivatives
    disagree by far more than their error, O(h^3).
    """
    centre = f(x)
    found = [_stencil(f, x, v, centre, step) for v in directions]
    if not found:
        empty = np.zeros((centre.size, 0))
        return Differences(empty, empty, empty, empty.astype(bool), 0.0)
    value, low, high, kink = (np.array(part).T for part in list(zip(*found, strict=True))[:4])
    return Differences(value, low, high, kink, max(part[4] for part in found))


def _stencil(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, v: np.ndarray, centre: np.ndarray,
             step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    h = step * max(1.0, float(np.max(np.abs(x[v != 0]), initial=0.0)))
    p = np.array([f(x - 2 * h * v), f(x - h * v), centre, f(x + h * v), f(x + 2 * h * v)])  # (5, m)
    value = (p[0] - 8 * p[1] + 8 * p[3] - p[4]) / (12 * h)
    slopes = np.diff(p, axis=0) / h  # (4, m)
    before, after = (3 * slopes[1] - slopes[0]) / 2, (3 * slopes[2] - slopes[3]) / 2
    noise = 200 * EPS * float(np.max(np.abs(p), initial=0.0)) / h
    scale = np.max(np.abs(slopes), axis=0, initial=0.0)
    curvature = np.abs(slopes[1] - slopes[0]) + np.abs(slopes[3] - slopes[2])  # of each side alone
    kink = np.abs(after - before) > 0.05 * curvature + 1e-6 * scale + noise
    return value, slopes.min(axis=0) - curvature - noise, slopes.max(axis=0) + curvature + noise, kink, noise


def adjoint_gap(f: Callable[..., Any], x: np.ndarray, v: np.ndarray, u: np.ndarray) -> float:
    """Relative difference of <A v, u> and <v, A'u>, where `f(x) = A x + b`; no step size at all."""
    forward = raw(f(v)) - raw(f(np.zeros_like(x)))
    back = raw(vjp(f, x)[1](u)[0])
    left, right = forward * u, back * v
    scale = max(float(np.abs(left).sum()), float(np.abs(right).sum()), np.finfo(float).tiny)
    return abs(float(left.sum() - right.sum())) / scale


# ------------------------------------------------------------------------------------- second order

def jvp_gap(f: Callable[..., Any], inputs: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[float, bool]:
    """Relative difference of `J v` by two pullbacks and by differences; and whether a kink is near."""
    flat = Flat(f, inputs)
    v = basis(flat.x.size, -1, rng, 1)
    found = differences(flat, flat.x, v)

    def tangent(primals: Sequence[np.ndarray]) -> np.ndarray:
        return raw(jvp(f, primals, flat.parts(v[0]))[1]).ravel()

    exact, kink = tangent(inputs), bool(found.kink.any())
    gap = relative(exact, found.value[:, 0], found.noise)
    if gap and not kink:  # where the derivative is 0, all there is may be rounding
        gap = relative(exact, found.value[:, 0], found.noise + wobble(lambda x: tangent(flat.parts(x)), flat.x, rng))
    return gap, kink


def hessian_asymmetry(f: Callable[..., Any], inputs: Sequence[np.ndarray], rng: np.random.Generator) -> float:
    """Relative difference of <u, H v> and <v, H u> for the scalar function `f`."""
    flat = Flat(f, inputs)
    u, v = basis(flat.x.size, -1, rng, 2)

    def terms(primals: Sequence[np.ndarray]) -> np.ndarray:
        """(2, n): those of <u, H v> and of <v, H u>."""
        hu, hv = (np.concatenate([raw(p).ravel() for p in hvp(f, list(primals), flat.parts(d))]) for d in (u, v))
        return np.stack([u * hv, v * hu])

    both = terms(inputs)
    scale = max(float(np.abs(both).sum(axis=1).max()), 1e-6)
    gap = abs(float(both[0].sum() - both[1].sum()))
    if gap > 1e-10 * scale:  # where H is 0, all there is may be rounding
        gap = max(gap - wobble(lambda x: terms(flat.parts(x)).sum(axis=1), flat.x, rng), 0.0)
    return gap / scale


def gradient_of(f: Callable[..., Any], inputs: Sequence[np.ndarray], u: Any) -> list[np.ndarray]:
    """Gradients of `<u, f>`, as arrays."""
    return [raw(g) for g in vjp(f, *inputs)[1](u)]


def weighted(f: Callable[..., Any], u: np.ndarray) -> Callable[..., Any]:
    """The scalar function `<u, f>`."""
    return lambda *args: (f(*args) * u).sum()


def wobble(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, rng: np.random.Generator) -> float:
    """How much `f` changes when its inputs change in their last bits: what rounding may amount to, times 16."""
    centre = f(x)
    moved = (f(x * (1 + 2 * EPS * rng.uniform(-1, 1, x.shape))) for _ in range(8))
    return 16 * max(float(np.max(np.abs(m - centre), initial=0.0)) for m in moved)


def relative(a: np.ndarray, b: np.ndarray, floor: float = 0.0) -> float:
    """Largest `|a - b|` beyond `floor`, relative to the largest value."""
    gap = float(np.max(np.abs(a - b), initial=0.0))
    scale = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
    return max(gap - floor, 0.0) / scale if scale else 0.0


def step_curve(f: Callable[..., Any], inputs: Sequence[np.ndarray], u: np.ndarray, steps: Sequence[float],
                rng: np.random.Generator) -> list[float]:
    """Relative error of two-point differences of `<u, f>` along one direction, for each step size.

    NaN where a step leaves the domain of `f`.
    """
    flat = Flat(weighted(f, u), inputs)
    v = basis(flat.x.size, -1, rng, 1)[0]
    exact = float(np.concatenate([raw(g).ravel() for g in grad(flat.f, range(len(inputs)))(*inputs)]) @ v)

    def error(h: float) -> float:
        try:
            slope = float((flat(flat.x + h * v) - flat(flat.x - h * v))[0]) / (2 * h)
        except ValueError:
            return math.nan
        return abs(slope - exact) / max(abs(exact), 1e-300)

    return [error(h) for h in steps]

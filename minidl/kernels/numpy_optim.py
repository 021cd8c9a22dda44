"""NumPy references of the optimizer kernels: two for each rule.

- `rule(p, indices, rows, state, s)` updates rows of a table `p (n, d)`: `indices (k,)` are unique and in range,
  `rows (k, d)` are their gradients, `state (S, n, d)` holds the rule's S moments. A dense parameter is a table of one
  row.
- `rule_catch_up(p, indices, state, last, history, now)` gives rows the steps they have missed: row i has seen the
  first `last[i]` of `now` steps, the numbers of the latest T steps are in `history (T, K)`, and what is missing is
  replayed with gradient 0. `now - T <= last[i] <= now`. Numba's kernels stop replaying a row that has come to rest.

`s (K,)` are the numbers of a step, in the parameter's dtype. The first are the same for all rules:
`sign, shrink, decay, lr, eps, calm, keep, ...`. The gradient that a rule sees is g' = sign g + decay (shrink p), where
only rules with decoupled weight decay have a `shrink` that is not 1; `calm` is 1 if a row without gradient is moved
less from step to step, else 0; and `keep` is what such a row's moments are multiplied by, one number a moment. What
follows is listed at each rule. The formulas keep the order of operations of `torch.optim`. Everything happens in place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["adadelta", "adadelta_catch_up", "adam", "adam_catch_up", "adamax", "adamax_catch_up", "lion", "rmsprop",
           "rmsprop_catch_up", "sgd", "sgd_catch_up"]

_Rule = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]


def _sgd(p: np.ndarray, g: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """Stochastic gradient descent; `s = ..., keep, take, of_gradient, of_buffer`.

    With a momentum buffer (S = 1) b = keep b + take g' and p = p - lr (of_gradient g' + of_buffer b);
    without (S = 0) p = p - lr g'.
    """
    sign, _, decay, lr, _, _, keep, take, of_gradient, of_buffer = s
    gradient = sign * g + decay * p
    if len(state):
        buffer = state[0]
        buffer[...] = keep * buffer + take * gradient
        gradient = of_gradient * gradient + of_buffer * buffer
    p -= lr * gradient


def _rmsprop(p: np.ndarray, g: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """RMSprop and Adagrad; `s = ..., keep of square, of the second and third moment, take, momentum`.

    v = keep v + take g'^2;  a = a + take (g' - a);  step = g' / (sqrt(v - a^2) + eps);  b = momentum b + step;
    p = p - lr b. The moments are v, then b if momentum is not 0, and then a if there is one more; what is not there
    counts as 0. Adagrad has keep = take = 1.
    """
    sign, _, decay, lr, eps, _, keep, _, _, take, momentum = s
    gradient = sign * g + decay * p
    square = state[0]
    square[...] = keep * square + take * gradient * gradient
    variance = square
    if len(state) - 1 > (momentum > 0):
        average = state[-1]
        average += take * (gradient - average)
        variance = square - average * average
    move = gradient / (np.sqrt(variance) + eps)
    if momentum > 0:
        state[1] = move = move + momentum * state[1]
    p -= lr * move


def _adam(p: np.ndarray, g: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """Adam, AdamW, NAdam and RAdam; `s = ..., beta1, beta2, 1, w1, w2, of_gradient, correction`.

    p = shrink p;  m = m + w1 (g' - m);  v = beta2 v + w2 g'^2;
    p = p - (of_gradient g' + lr m) / (sqrt(v) / correction + eps).
    With a third moment (AMSGrad) its maximum with v takes the place of v in the last line.
    """
    sign, shrink, decay, lr, eps, _, _, beta2, _, w1, w2, of_gradient, correction = s
    m, v = state[:2]
    p *= shrink
    gradient = sign * g + decay * p
    m += w1 * (gradient - m)
    v[...] = v * beta2 + w2 * gradient * gradient
    if len(state) > 2:
        v = np.maximum(state[2], v, out=state[2])
    p -= (of_gradient * gradient + lr * m) / (np.sqrt(v) / correction + eps)


def _adamax(p: np.ndarray, g: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """Adamax; `s = ..., beta1, beta2, w1`.

    m = m + w1 (g' - m);  u = max(beta2 u, |g'| + eps);  p = p - lr m / u.
    """
    sign, _, decay, lr, eps, _, _, beta2, w1 = s
    m, u = state
    gradient = sign * g + decay * p
    m += w1 * (gradient - m)
    np.maximum(beta2 * u, np.abs(gradient) + eps, out=u)
    p -= lr * m / u


def _adadelta(p: np.ndarray, g: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """Adadelta; `s = ..., rho, rho, take`.

    v = rho v + take g'^2;  d = sqrt(u + eps) / sqrt(v + eps) g';  u = rho u + take d^2;  p = p - lr d.
    """
    sign, _, decay, lr, eps, _, rho, _, take = s
    square, moved = state
    gradient = sign * g + decay * p
    square[...] = rho * square + take * gradient * gradient
    move = np.sqrt(moved + eps) / np.sqrt(square + eps) * gradient
    moved[...] = rho * moved + take * move * move
    p -= lr * move


def _lion(p: np.ndarray, g: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """Lion; `s = ..., beta2, beta1, w1, w2`. It has no `lion_catch_up`: rows without gradient do not come to rest.

    p = shrink p - lr sign(beta1 m + w1 g');  m = beta2 m + w2 g'.
    """
    sign, shrink, decay, lr, _, _, beta2, beta1, w1, w2 = s
    m = state[0]
    p *= shrink
    gradient = sign * g + decay * p
    p -= lr * np.sign(beta1 * m + w1 * gradient)
    m[...] = beta2 * m + w2 * gradient


def _update(rule: _Rule, p: np.ndarray, indices: np.ndarray, rows: np.ndarray, state: np.ndarray,
            s: np.ndarray) -> None:
    chosen, moments = p[indices], state[:, indices]
    rule(chosen, rows, moments, s)
    p[indices], state[:, indices] = chosen, moments


def _catch_up(rule: _Rule, p: np.ndarray, indices: np.ndarray, state: np.ndarray, last: np.ndarray,
              history: np.ndarray, now: int) -> None:
    first = now - len(history)
    for step in range(int(last[indices].min(initial=now)), now):
        behind = indices[last[indices] <= step]
        _update(rule, p, behind, np.zeros_like(p[behind]), state, history[step - first])
    last[indices] = now


def _around(rule: _Rule) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return functools.partial(_update, rule), functools.partial(_catch_up, rule)


sgd, sgd_catch_up = _around(_sgd)
rmsprop, rmsprop_catch_up = _around(_rmsprop)
adam, adam_catch_up = _around(_adam)
adamax, adamax_catch_up = _around(_adamax)
adadelta, adadelta_catch_up = _around(_adadelta)
lion, _ = _around(_lion)

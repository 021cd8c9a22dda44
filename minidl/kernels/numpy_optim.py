"""NumPy twins of the optimizer kernels: three for each rule.

- `rule(p, g, state, s)` updates a flat parameter `p (n,)` with its gradient `g (n,)`; `state (S, n)` holds
  the rule's S moments.
- `rule_rows(p, indices, rows, state, s)` updates rows of a table `p (n, d)`; `indices (k,)` are unique and in
  range, `rows (k, d)` are their gradients, `state` is `(S, n, d)`.
- `rule_catch_up(p, indices, state, last, history, now)` gives rows the steps they have missed: row i has seen the
  first `last[i]` of `now` steps, the numbers of the latest T steps are in `history (T, K)`, and what is missing is
  replayed with gradient 0. `now - T <= last[i] <= now`.

`s (K,)` are the numbers of a step, in the parameter's dtype, listed at each rule. The formulas keep the order of
operations of `torch.optim`. Everything happens in place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["adagrad", "adagrad_catch_up", "adagrad_rows", "adam", "adam_catch_up", "adam_rows", "sgd", "sgd_catch_up",
           "sgd_rows"]

_Update = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]


def sgd(p: np.ndarray, g: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """Stochastic gradient descent; `s = lr, decay, keep, take, of_gradient, of_buffer`.

    g' = g + decay p; with a momentum buffer (S = 1) b = keep b + take g' and p = p - lr (of_gradient g' + of_buffer b);
    without (S = 0) p = p - lr g'.
    """
    lr, decay, keep, take, of_gradient, of_buffer = s
    gradient = g + decay * p
    if len(state):
        buffer = state[0]
        buffer[...] = keep * buffer + take * gradient
        gradient = of_gradient * gradient + of_buffer * buffer
    p -= lr * gradient


def adagrad(p: np.ndarray, g: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """Adagrad; `s = lr, decay, eps`.

    g' = g + decay p;  total = total + g'^2;  p = p - lr g' / (sqrt(total) + eps).
    """
    lr, decay, eps = s
    gradient = g + decay * p
    state[0] += gradient * gradient
    p -= lr * gradient / (np.sqrt(state[0]) + eps)


def adam(p: np.ndarray, g: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """Adam and AdamW; `s = lr, shrink, decay, w1, beta2, w2, correction, eps`.

    p = shrink p;  g' = g + decay p;  m = m + w1 (g' - m);  v = beta2 v + w2 g'^2;
    p = p - lr m / (sqrt(v) / correction + eps).
    """
    lr, shrink, decay, w1, beta2, w2, correction, eps = s
    m, v = state
    p *= shrink
    gradient = g + decay * p
    m += w1 * (gradient - m)
    v[...] = v * beta2 + w2 * gradient * gradient
    p -= lr * m / (np.sqrt(v) / correction + eps)


def _rows(update: _Update, p: np.ndarray, indices: np.ndarray, rows: np.ndarray, state: np.ndarray,
          s: np.ndarray) -> None:
    chosen, moments = p[indices], state[:, indices]
    update(chosen, rows, moments, s)
    p[indices], state[:, indices] = chosen, moments


def _catch_up(update: _Update, p: np.ndarray, indices: np.ndarray, state: np.ndarray, last: np.ndarray,
              history: np.ndarray, now: int) -> None:
    first = now - len(history)
    for step in range(int(last[indices].min(initial=now)), now):
        behind = indices[last[indices] <= step]
        _rows(update, p, behind, np.zeros_like(p[behind]), state, history[step - first])
    last[indices] = now


def sgd_rows(p: np.ndarray, indices: np.ndarray, rows: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """`sgd` for some rows of a table."""
    _rows(sgd, p, indices, rows, state, s)


def adagrad_rows(p: np.ndarray, indices: np.ndarray, rows: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """`adagrad` for some rows of a table."""
    _rows(adagrad, p, indices, rows, state, s)


def adam_rows(p: np.ndarray, indices: np.ndarray, rows: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
    """`adam` for some rows of a table."""
    _rows(adam, p, indices, rows, state, s)


def sgd_catch_up(p: np.ndarray, indices: np.ndarray, state: np.ndarray, last: np.ndarray, history: np.ndarray,
                 now: int) -> None:
    """Missed steps of `sgd`."""
    _catch_up(sgd, p, indices, state, last, history, now)


def adagrad_catch_up(p: np.ndarray, indices: np.ndarray, state: np.ndarray, last: np.ndarray, history: np.ndarray,
                     now: int) -> None:
    """Missed steps of `adagrad`."""
    _catch_up(adagrad, p, indices, state, last, history, now)


def adam_catch_up(p: np.ndarray, indices: np.ndarray, state: np.ndarray, last: np.ndarray, history: np.ndarray,
                  now: int) -> None:
    """Missed steps of `adam`."""
    _catch_up(adam, p, indices, state, last, history, now)

"""NumPy references of the kernels for pairwise ranking."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["deal", "epoch"]

_TRIES = 16
_MASK = (1 << 64) - 1


def deal(indptr: np.ndarray, indices: np.ndarray, bounds: np.ndarray, owner: np.ndarray,
         users: np.ndarray, items: np.ndarray, cells: np.ndarray) -> None:
    """Deal the pairs of each block of users to the blocks of items, keeping their order.

    Parameters
    ----------
    indptr, indices : int arrays, shapes (n_users + 1,), (nnz,)
        Positive pairs as CSR, each once.
    bounds : int array, shape (blocks + 1,)
        Block a has the users `bounds[a]` to `bounds[a + 1]`.
    owner : int array, shape (n_items,)
        The block of each item.
    users, items : int32 arrays, shape (nnz,)
        Overwritten: the pairs, cell by cell.
    cells : int64 array, shape (blocks, blocks + 1)
        Overwritten: cell (a, b) is `users[cells[a, b]:cells[a, b + 1]]`.
    """
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    blocks = len(bounds) - 1
    for a in range(blocks):
        part = slice(indptr[bounds[a]], indptr[bounds[a + 1]])
        of = owner[indices[part]]
        order = np.argsort(of, kind="stable")
        users[part], items[part] = rows[part][order], indices[part][order]
        cells[a] = part.start + np.searchsorted(of[order], np.arange(blocks + 1))


def _scramble(x: int) -> int:
    """splitmix64: a well mixed, never zero state for xorshift from any counter."""
    x = (x + 1) * 0x9E3779B97F4A7C15 & _MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31 | 1


def _next(x: int) -> int:
    x ^= x << 13 & _MASK
    x ^= x >> 7
    return x ^ x << 17 & _MASK


def epoch(users: np.ndarray, items: np.ndarray, cells: np.ndarray, pool: np.ndarray, edges: np.ndarray,
          X: np.ndarray, Y: np.ndarray, bias: np.ndarray, mark: np.ndarray,
          lr: float, reg: float, seed: int, loss: np.ndarray) -> None:
    """One step of SGD for every positive pair, against a random item that is not a positive of the user.

    With `s = X[u] . (Y[i] - Y[j]) + bias[i] - bias[j]` the step descends
    `-log sigmoid(s) + reg / 2 * squares`. Cells whose user blocks and item blocks all differ touch
    different factors, so they may be worked on at once: round t takes the cells (a, a + t mod blocks). The
    negative comes from the cell's own block of items, where the user's positives are just the user's items in the
    cell. Blocks of items that are drawn anew in every epoch make all pairs of items equally likely to meet.
    Gemulla et al. (2011), *Large-scale matrix factorization with distributed stochastic gradient descent*.

    Parameters
    ----------
    users, items, cells
        As `deal` made them.
    pool : int32 array, shape (n_items,)
        Items, block by block.
    edges : int array, shape (blocks + 1,)
        Block b is `pool[edges[b]:edges[b + 1]]`.
    X, Y, bias : float arrays, shapes (n_users, f), (n_items, f), (n_items,)
        Changed in place.
    mark : int32 array, shape (blocks, n_items)
        `mark[a, i]` is a user of block a who has item i, or -1. Starts from -1, kept between epochs.
    lr, reg : float
        Learning rate and L2 penalty.
    seed : int
        Not negative, below 2**50.
    loss : float64 array, shape (blocks,)
        The sums of `-log sigmoid(s)`, each before its step, are added.
    """
    blocks = len(cells)
    for shift in range(blocks):
        for a in range(blocks):
            b = (a + shift) % blocks
            state = _scramble(seed * blocks * blocks + a * blocks + b)
            block = pool[edges[b]:edges[b + 1]]
            cell = slice(cells[a, b], cells[a, b + 1])
            last = -1
            for n in range(cell.start, cell.stop):
                u, i = users[n], items[n]
                if u != last:
                    mark[a, items[n:cell.stop][users[n:cell.stop] == u]] = u
                    last = u
                for _ in range(_TRIES):
                    state = _next(state)
                    j = block[(state >> 32) * len(block) >> 32]
                    if mark[a, j] != u:
                        break
                else:
                    continue
                loss[a] += _step(X[u], Y, bias, i, j, lr, reg)


def _step(x: np.ndarray, Y: np.ndarray, bias: np.ndarray, i: int, j: int, lr: float, reg: float) -> float:
    keep = 1 - lr * reg
    s = min(max(float(bias[i] - bias[j] + x @ (Y[i] - Y[j])), -30.0), 30.0)
    g = lr / (1 + math.exp(s))
    bias[i] = keep * bias[i] + g
    bias[j] = keep * bias[j] - g
    p, q, r = x.copy(), Y[i].copy(), Y[j].copy()
    x[:] = keep * p + g * (q - r)
    Y[i] = keep * q + g * p
    Y[j] = keep * r - g * p
    return math.log1p(math.exp(-s))

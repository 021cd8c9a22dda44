"""NumPy references of the ranking kernels, and what both versions promise.

Candidates of a row are the items that are allowed and not seen. `seen` and `targets` are CSR rows
(indptr int64 (B + 1,), indices integer (nnz,)) in any order, duplicates welcome, indices in range.
A NaN score ranks last; NaNs tie with one another.
"""

from __future__ import annotations

import numpy as np

__all__ = ["UNREACHABLE", "ranks", "topk"]

UNREACHABLE = np.iinfo(np.int32).max  # the rank of a target that is not a candidate


def topk(scores: np.ndarray, seen_indptr: np.ndarray, seen_indices: np.ndarray, allowed: np.ndarray | None,
         k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best candidates of every row, best first; ties by lower index, NaN last.

    Parameters
    ----------
    scores : ndarray, shape (B, n), float32 or float64
        Not changed and not copied.
    seen_indptr, seen_indices : ndarray, shapes (B + 1,) and (nnz,)
        Items to leave out of each row.
    allowed : ndarray of bool, shape (n,), or None
        Items that may be listed at all; None allows every one.
    k : int

    Returns
    -------
    items : ndarray of int32, shape (B, k)
        -1 where a row has fewer than k candidates.
    scores : ndarray, shape (B, k)
        -inf where a row has fewer than k candidates.

    Examples
    --------
    >>> scores = np.array([[0.1, 0.9, 0.5, 0.9]], np.float32)
    >>> topk(scores, np.array([0, 1]), np.array([1]), None, 2)[0]
    array([[3, 2]], dtype=int32)
    """
    rows, _ = scores.shape
    items = np.full((rows, k), -1, np.int32)
    best = np.full((rows, k), -np.inf, scores.dtype)
    for row in range(rows):
        candidates = np.flatnonzero(_candidates(scores.shape[1], seen_indptr, seen_indices, allowed, row))
        found = candidates[np.argsort(-scores[row, candidates], kind="stable")[:k]]  # NaN sorts last
        items[row, :len(found)] = found
        best[row, :len(found)] = scores[row, found]
    return items, best


def ranks(scores: np.ndarray, seen_indptr: np.ndarray, seen_indices: np.ndarray, allowed: np.ndarray | None,
          target_indptr: np.ndarray, target_indices: np.ndarray, deepest: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each target stands among the candidates of its row, with ties left open.

    With ties broken at random the target's position is uniform on `greater + 1 ... greater + equal`.

    Parameters
    ----------
    scores, seen_indptr, seen_indices, allowed
        As for `topk`.
    target_indptr, target_indices : ndarray, shapes (B + 1,) and (m,)
        The items to find, row by row.
    deepest : int
        Places beyond are all the same: counting stops where so many candidates stand above a target, as they do
        for most; `n` counts them all.

    Returns
    -------
    greater : ndarray of int32, shape (m,)
        Candidates with a higher score than the target, `deepest` if they are so many or more; `UNREACHABLE` if the
        target is no candidate.
    equal : ndarray of int32, shape (m,)
        Candidates with the target's score, itself included, 1 where `greater` is `deepest`; 0 if the target is no
        candidate.

    Examples
    --------
    >>> scores = np.array([[0.1, 0.9, 0.5, 0.9]], np.float32)
    >>> ranks(scores, np.array([0, 0]), np.array([], int), None, np.array([0, 2]), np.array([2, 3]), 4)
    (array([2, 0], dtype=int32), array([1, 2], dtype=int32))
    """
    greater = np.full(len(target_indices), UNREACHABLE, np.int32)
    equal = np.zeros(len(target_indices), np.int32)
    for row in range(len(scores)):
        candidates = _candidates(scores.shape[1], seen_indptr, seen_indices, allowed, row)
        ordered = np.sort(scores[row, candidates])  # NaN at the end, where a search finds it too
        numbers = len(ordered) - np.count_nonzero(np.isnan(ordered))
        for at in range(target_indptr[row], target_indptr[row + 1]):
            if not candidates[target_indices[at]]:
                continue
            score = scores[row, target_indices[at]]
            first, last = (np.searchsorted(ordered, score, side) for side in ("left", "right"))
            greater[at] = numbers if np.isnan(score) else numbers - last
            equal[at] = last - first
            if greater[at] >= deepest:
                greater[at], equal[at] = deepest, 1
    return greater, equal


def _candidates(n: int, indptr: np.ndarray, indices: np.ndarray, allowed: np.ndarray | None, row: int) -> np.ndarray:
    candidates = np.ones(n, bool) if allowed is None else allowed.copy()
    candidates[indices[indptr[row]:indptr[row + 1]]] = False
    return candidates

"""Exact search for the items whose vectors have the largest products with a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR
from recsys.errors import ArtifactError
from recsys.estimator.arrays import Arrays, expect
from recsys.kernels.numpy_retrieval import Index

__all__ = ["VectorIndex"]

_ROWS = 1 << 16  # vectors that are encoded at a time
_WIDTH = 32  # codes come in multiples, which fill a processor's registers
_LARGEST = 127


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """Vectors of items in the order of their norms, and codes of 8 bits that bound their products.

    It is never changed, and may be shared by threads. Its answers are those of computing every product, bit by bit, and
    one row's do not depend on the others'; `recsys.kernels.retrieval` says how a product is summed up.

    Parameters
    ----------
    index : Index
        Arrays as the kernels take them.

    Examples
    --------
    >>> index = VectorIndex.build(np.float32([[1, 0], [0, 2], [3, 3]]))
    >>> items, products = index.search(np.float32([[1, 1]]), 2)
    >>> items, products
    (array([[2, 1]], dtype=int32), array([[6., 2.]]))
    """

    index: Index

    @classmethod
    def build(cls, vectors: np.ndarray, bias: np.ndarray | None = None, length: float = 1.0) -> VectorIndex:
        """The index of some vectors.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, f)
            Kept, not copied.
        bias : ndarray of float32, shape (n,), optional
            Added to the products of each item.
        length : float
            About what norm queries have: how much a bias weighs against a vector in the order of the items. Answers
            do not depend on it, their speed does.
        """
        vectors = np.ascontiguousarray(vectors, np.float32)
        n, f = vectors.shape
        bias = np.zeros(0, np.float32) if bias is None or not bias.any() else np.ascontiguousarray(bias, np.float32)
        offset = float(bias.min()) if len(bias) and np.isfinite(bias).all() else 0.0
        norms = _norms(vectors)
        unit = _unit(bias, offset, norms, length)
        if len(bias):
            with np.errstate(invalid="ignore"):
                norms = np.hypot(norms, (bias - np.float64(offset)) / unit)
        norms[~np.isfinite(norms)] = np.inf
        order = np.argsort(-norms, kind="stable").astype(np.int32)
        codes = np.zeros((n, -(-f // _WIDTH) * _WIDTH), np.int8)
        steps, errors = np.empty(n, np.float32), np.empty(n, np.float32)
        for start in range(0, n, _ROWS):
            part = slice(start, start + _ROWS)
            codes[part, :f], steps[part], errors[part] = _encoded(vectors[order[part]])
        return cls(Index(vectors, bias, order, _up(norms[order]), codes, steps, errors,
                         bias[order] if len(bias) else bias, offset, unit))

    def __len__(self) -> int:
        return len(self.index.vectors)

    @property
    def finite(self) -> bool:
        """Whether all numbers are; where not, every product is computed in every search."""
        return not len(self) or bool(np.isfinite(self.index.norms[0]))

    def search(self, queries: np.ndarray, k: int, hidden: CSR | None = None, allowed: np.ndarray | None = None
               ) -> tuple[np.ndarray, np.ndarray]:
        """The k items of every row with the largest products, ties by lower item.

        Parameters
        ----------
        queries : ndarray of float32, shape (B, f)
        k : int
        hidden : CSR, shape (B, n), or None
            Items to leave out of each row.
        allowed : ndarray of bool, shape (n,), or None
            Items that may be listed at all; None allows every one.

        Returns
        -------
        items : ndarray of int32, shape (B, k)
            -1 where a row has fewer than k candidates.
        products : ndarray of float64, shape (B, k)
            -inf where a row has fewer than k candidates.
        """
        return tuple(kernels.retrieval.search(_plain(queries), self.index, *_ascending(hidden, len(queries)), allowed,
                                              k))

    def ranks(self, queries: np.ndarray, targets: CSR, deepest: int, hidden: CSR | None = None,
              allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Where targets stand among the candidates of their rows, as `recsys.kernels.ranking.ranks` says.

        Parameters
        ----------
        queries, hidden, allowed
            As for `search`.
        targets : CSR, shape (B, n)
            The items to find, m in all.
        deepest : int
            Places beyond are all the same.

        Returns
        -------
        greater, equal : ndarray of int32, shape (m,)
        """
        return tuple(kernels.retrieval.ranks(_plain(queries), self.index, *_ascending(hidden, len(queries)), allowed,
                                             targets.indptr, targets.indices, deepest))

    def products(self, queries: np.ndarray, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Products of pairs of a query's number and an item, the same bits as those of a search: float64 (m,)."""
        found: np.ndarray = kernels.retrieval.dots(_plain(queries), self.index.vectors, self.index.bias, rows, items)
        return found

    # ------------------------------------------------------------------------------------ storing
    def settings(self) -> dict[str, Any]:
        """What a file's manifest says of it: nothing, as it is exact."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restore` takes beside the vectors and biases: about a third of their bytes."""
        named = {name: getattr(self.index, name) for name in ("order", "norms", "codes", "steps", "errors", "biases")}
        return named | {"scale": np.array([self.index.offset, self.index.unit])}

    @classmethod
    def restore(cls, arrays: Arrays, vectors: np.ndarray, bias: np.ndarray | None) -> VectorIndex:
        """The index that gave these arrays, which are not copied.

        Raises
        ------
        ArtifactError
            An array is missing, or does not fit the vectors.
        """
        n, f = vectors.shape
        bias = np.zeros(0, np.float32) if bias is None or not bias.any() else bias
        order = expect(arrays, "order", (n,), np.int32)
        if n and not (order.min() == 0 and order.max() == n - 1 and np.bincount(order).max() == 1):
            raise ArtifactError(f"array 'order' is no order of {n} items")
        norms, steps, errors = (expect(arrays, name, (n,), np.float32) for name in ("norms", "steps", "errors"))
        offset, unit = expect(arrays, "scale", (2,), np.float64).tolist()
        return cls(Index(vectors, bias, order, norms, expect(arrays, "codes", (n, -(-f // _WIDTH) * _WIDTH), np.int8),
                         steps, errors, expect(arrays, "biases", bias.shape, np.float32), offset, unit))


def _plain(queries: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(queries, np.float32)


def _ascending(hidden: CSR | None, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Hidden items as the kernels take them: ascending within a row."""
    if hidden is None:
        return np.zeros(rows + 1, np.int64), np.zeros(0, np.int32)
    keys = hidden.keys
    if np.all(keys[1:] >= keys[:-1]):
        return hidden.indptr, hidden.indices
    return hidden.indptr, (np.sort(keys) % hidden.shape[1]).astype(np.int32)


def _norms(vectors: np.ndarray) -> np.ndarray:
    """float64 (n,)."""
    norms = np.empty(len(vectors))
    with np.errstate(invalid="ignore"):
        for start in range(0, len(vectors), _ROWS):
            part = vectors[start:start + _ROWS].astype(np.float64)
            norms[start:start + _ROWS] = np.sqrt(np.einsum("nf,nf->n", part, part))
    return norms


def _unit(bias: np.ndarray, offset: float, norms: np.ndarray, length: float) -> float:
    """The last column of queries for which `|(q, unit)| |(v, b / unit)|` is least, for vectors and biases as they are.

    It is `sqrt(|q| b / |v|)`, with roots of mean squares for what differs from item to item.
    """
    if not len(bias):
        return 1.0
    height = float(np.sqrt(np.mean((bias - np.float64(offset)) ** 2)))
    usual = float(np.sqrt(np.mean(norms ** 2)))
    unit = np.sqrt(length * height / usual) if usual > 0 else 1.0
    return float(unit) if np.isfinite(unit) and unit > 0 else 1.0


def _encoded(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes (n, f), steps (n,) and errors (n,)."""
    vectors = vectors.astype(np.float64)
    with np.errstate(invalid="ignore"):
        steps = (np.abs(vectors).max(axis=1, initial=0) / _LARGEST).astype(np.float32)
        usable = np.isfinite(steps) & (steps > 0)
        codes = np.rint(vectors / np.where(usable, steps, np.float32(1)).astype(np.float64)[:, None])
        codes = np.where(usable[:, None], np.clip(codes, -_LARGEST, _LARGEST), 0)
        rest = vectors - codes * steps.astype(np.float64)[:, None]
        return codes.astype(np.int8), steps, _up(np.sqrt(np.einsum("nf,nf->n", rest, rest)))


def _up(values: np.ndarray) -> np.ndarray:
    """float32 numbers that are not below float64 ones, rounding of their computation included."""
    with np.errstate(over="ignore"):
        return np.nextafter((values * (1 + 2.0**-40)).astype(np.float32), np.float32(np.inf))

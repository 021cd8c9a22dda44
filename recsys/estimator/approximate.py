"""Approximate search in so many millions of vectors that an exact one takes too long (extra `ann`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from minidl import MissingExtraError
from recsys.data.csr import CSR
from recsys.errors import ArtifactError, ParameterError, UnsupportedError
from recsys.estimator.arrays import Arrays, expect
from recsys.estimator.fitted import Fitted
from recsys.estimator.retrieval import VectorIndex

__all__ = ["ApproximateIndex", "Probing", "approximated"]

_LISTS = 4  # times the square root of the number of items
_MORE = 2  # candidates for each place, as distances in float32 order them nearly


@dataclass(frozen=True)
class Probing:
    """How an approximate search was built, and what it finds; a model's file says it in its manifest.

    Attributes
    ----------
    probes, lists : int
        How many of the lists of vectors are looked through.
    k : int
    recall : float
        The share of the exact k best items that are among the approximate ones, over `queries` queries.
    floor : float
        What the recall had to reach.
    queries : int
    """

    probes: int
    lists: int
    k: int
    recall: float
    floor: float
    queries: int


@dataclass(frozen=True, eq=False)
class ApproximateIndex(VectorIndex):
    """A `VectorIndex` whose `search` looks through some of the vectors: those in the lists nearest to the query.

    The lists are Faiss' IVF of vectors with one more column, which makes the largest product the smallest distance
    (Bachrach et al. 2014); of the vectors themselves, as codes of 8 bits are too coarse where norms differ much. What
    they propose is computed exactly and ordered as an exact search does; a row for which they propose too little is
    searched exactly. Ranks and products are exact.

    Parameters
    ----------
    index : Index
    faiss_index : faiss.IndexIVF
    probing : Probing
    """

    faiss_index: Any
    probing: Probing

    @classmethod
    def measured(cls, exact: VectorIndex, queries: np.ndarray, hidden: CSR | None = None, *, k: int = 10,
                 probes: int | None = None, lists: int | None = None, floor: float = 0.95) -> ApproximateIndex:
        """Build it, and measure it beside the exact search.

        Parameters
        ----------
        exact : VectorIndex
        queries : ndarray of float32, shape (B, f)
            Such as it will get, of users that are held out.
        hidden : CSR, shape (B, n), or None
            Items to leave out of each list, such as those that were seen: without the best of them, what is left of a
            list is harder to find.
        k : int
        probes : int, optional
            By default the smallest power of 2 with which the recall reaches the floor.
        lists : int, optional
            By default four times the square root of the number of items.
        floor : float

        Raises
        ------
        ParameterError
            The recall at k is below the floor; or there are no queries, or no items.
        MissingExtraError
            Faiss is not installed.
        """
        faiss = _faiss()
        if not len(queries) or not len(exact):
            raise ParameterError("ApproximateIndex: its recall is measured, which takes one or more items and queries; "
                                 "give queries of held-out users.")
        vectors = _augmented(exact)
        lists = min(lists or round(_LISTS * len(exact) ** 0.5), len(exact))
        coarse = faiss.IndexFlatL2(vectors.shape[1])
        index = faiss.IndexIVFFlat(coarse, vectors.shape[1], lists)
        index.cp.min_points_per_centroid = 1  # so few are no reason to print a warning
        index.train(vectors)
        index.add(vectors)
        wanted = exact.search(queries, k, hidden)[0]
        seen = [None if hidden is None else hidden.row(row)[0] for row in range(len(queries))]
        tried = [probes] if probes else [2**i for i in range(lists.bit_length())]
        recall = 0.0
        for probes in tried:
            index.nprobe = probes
            built = cls(exact.index, index, Probing(probes, lists, k, 1.0, floor, len(queries)))
            found = [built._proposed(query, k, own)[0] for query, own in zip(queries, seen, strict=True)]
            recall = _recall(wanted, found)
            if recall >= floor:
                return replace(built, probing=replace(built.probing, recall=recall))
        raise ParameterError(f"ApproximateIndex: the recall at {k} is {recall:.3f} with {tried[-1]} of {lists} lists "
                             f"probed, below the floor of {floor}; give more probes, fewer lists or a lower floor, or "
                             f"search exactly.")

    def search(self, queries: np.ndarray, k: int, hidden: CSR | None = None, allowed: np.ndarray | None = None
               ) -> tuple[np.ndarray, np.ndarray]:
        """About the k items of every row with the largest products; as `VectorIndex.search`."""
        items, products = np.full((len(queries), k), -1, np.int32), np.full((len(queries), k), -np.inf)
        for row, query in enumerate(queries):  # one at a time, so that a row's list does not depend on the others
            found, exact = self._proposed(query, k, None if hidden is None else hidden.row(row)[0], allowed)
            if len(found) < k:
                own = None if hidden is None else hidden.rows(np.array([row]))
                items[row], products[row] = super().search(query[None], k, own, allowed)
            else:
                items[row], products[row] = found, exact
        return items, products

    def _proposed(self, query: np.ndarray, k: int, hidden: np.ndarray | None = None, allowed: np.ndarray | None = None
                  ) -> tuple[np.ndarray, np.ndarray]:
        """The best of what the lists propose, with exact products; k, if they propose so many that may be listed."""
        found = self._candidates(query, k, np.zeros(0, np.int32) if hidden is None else hidden, allowed)
        exact = self.products(query[None], np.zeros(len(found), np.int64), found)
        best = np.lexsort((found, -exact))[:k]
        return found[best], exact[best]

    def _candidates(self, query: np.ndarray, k: int, hidden: np.ndarray, allowed: np.ndarray | None) -> np.ndarray:
        unit = [self.index.unit] if len(self.index.bias) else []
        point = np.concatenate([query, unit, [0.0]]).astype(np.float32)[None]
        asked = _MORE * k + len(hidden)
        while True:
            found = self.faiss_index.search(point, min(asked, len(self)))[1][0]
            proposed: np.ndarray = found[found >= 0]
            kept = proposed[~np.isin(proposed, hidden)]
            kept = kept if allowed is None else kept[allowed[kept]]
            if len(kept) >= _MORE * k or len(proposed) < asked:
                return kept
            asked *= 2

    def settings(self) -> dict[str, Any]:
        """What a file's manifest says of it."""
        return asdict(self.probing)

    def arrays(self) -> dict[str, np.ndarray]:
        """Those of the exact index, and Faiss' own bytes."""
        return super().arrays() | {"faiss": _faiss().serialize_index(self.faiss_index)}

    @classmethod
    def found_again(cls, settings: dict[str, Any], arrays: Arrays, vectors: np.ndarray, bias: np.ndarray | None
                    ) -> ApproximateIndex:
        """The index that gave these settings and arrays."""
        exact, probing = VectorIndex.restore(arrays, vectors, bias), Probing(**settings)
        index = _faiss().deserialize_index(np.ascontiguousarray(expect(arrays, "faiss", (None,), np.uint8)))
        if (index.ntotal, index.d) != _augmented_shape(exact):
            raise ArtifactError(f"array 'faiss' holds {index.ntotal} vectors, expected {len(exact)}")
        index.nprobe = probing.probes
        return cls(exact.index, index, probing)


def approximated(fitted: Fitted, users: np.ndarray, **options: Any) -> Fitted:
    """The same model, with lists that are found by approximate search; its `index.probing` says how well.

    Parameters
    ----------
    fitted : Fitted
    users : ndarray of int, shape (B,)
        Whose queries the recall is measured with, by internal index, without what they have seen.
    **options
        As of `ApproximateIndex.measured`.

    Raises
    ------
    UnsupportedError
        The model's scores are no products of vectors.
    """
    if fitted.index is None:
        raise UnsupportedError(f"{fitted.name} has no approximate search: its scores are no products of vectors.")
    exact = VectorIndex(fitted.index.index)
    seen = None if fitted.seen is None else fitted.seen.rows(users)
    return replace(fitted, kept=ApproximateIndex.measured(exact, fitted.queries(users).vectors, seen, **options))


def _augmented(exact: VectorIndex) -> np.ndarray:
    """Vectors, biases, and the column that gives all rows the same norm: float32 (n, f + 1), or f + 2 with biases."""
    index = exact.index
    points = np.empty(_augmented_shape(exact), np.float32)
    points[:, :index.vectors.shape[1]] = index.vectors
    if len(index.bias):
        points[:, -2] = (index.bias - np.float64(index.offset)) / index.unit
    squares = np.einsum("nf,nf->n", points[:, :-1], points[:, :-1], dtype=np.float64)
    points[:, -1] = np.sqrt(squares.max() - squares)
    return points


def _augmented_shape(exact: VectorIndex) -> tuple[int, int]:
    n, f = exact.index.vectors.shape
    return n, f + 1 + (len(exact.index.bias) > 0)


def _recall(wanted: np.ndarray, found: list[np.ndarray]) -> float:
    """The mean share of each row's wanted items, -1 being none, that were found."""
    shares = [np.isin(want[want >= 0], have).mean() for want, have in zip(wanted, found, strict=True)]
    return float(np.mean(shares))


def _faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss", "ann", "recsys.estimator.approximate") from error
    return faiss

"""ALS, BPR, item-kNN and top-k lists against implicit, on the distinct pairs of ML-1M."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.datasets import SEED, distinct, ratings
from benchmarks.harness import Arrays, Claim, Session, close, near

NEIGHBOURS = 20


def data() -> Arrays:
    """Nine tenths of ML-1M to train on, the rest to see that both sides are equally good."""
    arrays = distinct(ratings("ml-1m"))  # a matrix of ones adds repeated pairs up, where an event is an event here
    arrays["held"] = np.random.default_rng(SEED).random(len(arrays["user"])) < 0.1
    return arrays


def _interactions(arrays: Arrays, part: str) -> Any:
    from recsys import Interactions

    rows = arrays["held"] if part == "held" else ~arrays["held"]
    return Interactions.from_arrays(arrays["user"][rows], arrays["item"][rows])


def _csr(arrays: Arrays) -> Any:
    from scipy.sparse import csr_matrix

    rows = ~arrays["held"]
    ones = np.ones(int(rows.sum()), np.float32)
    return csr_matrix((ones, (arrays["user"][rows], arrays["item"][rows])), shape=tuple(arrays["shape"]))


def _recall(lists: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Mean recall at 10 of top-10 lists, shape (n_users, 10), on the events held out."""
    held = np.zeros(tuple(arrays["shape"]), bool)
    held[arrays["user"][arrays["held"]], arrays["item"][arrays["held"]]] = True
    found = np.take_along_axis(held, np.maximum(lists, 0), 1) & (lists >= 0)
    some = held.any(1)
    return np.array(np.mean(found[some].sum(1) / held[some].sum(1)))


def _our_lists(model: Any, arrays: Arrays) -> np.ndarray:
    """Top 10 of every user, as the indices the data came with."""
    lists = np.full((int(arrays["shape"][0]), 10), -1)
    ids = model.users.ids
    lists[ids] = model.recommend(ids, k=10).items
    return lists


def _their_lists(model: Any, matrix: Any) -> np.ndarray:
    lists: np.ndarray = model.recommend(np.arange(matrix.shape[0]), matrix, N=10)[0]
    return lists


def _our_recall(model: Any, arrays: Arrays, train: Any) -> Arrays:
    return {"recall": _recall(_our_lists(model, arrays), arrays)}


def _their_recall(model: Any, arrays: Arrays, matrix: Any) -> Arrays:
    return {"recall": _recall(_their_lists(model, matrix), arrays)}


def our_model(arrays: Arrays, build: Any, result: Any = _our_recall) -> Session:
    from minidl import runtime

    runtime.tune()
    train = _interactions(arrays, "train")
    model = build()

    def run() -> None:
        model.fit(train)

    return Session(run, lambda: result(model, arrays, train))


def their_model(arrays: Arrays, build: Any, result: Any = _their_recall) -> Session:
    import threadpoolctl

    threadpoolctl.threadpool_limits(1, "blas")  # as implicit advises: its own threads do the work
    matrix = _csr(arrays)
    model = build()

    def run() -> None:
        model.fit(matrix, show_progress=False)

    return Session(run, lambda: result(model, arrays, matrix))


def same_quality(ours: Arrays, theirs: Arrays) -> str:
    return near(ours["recall"], theirs["recall"], "recall@10", worse_by=0.005)


def _als(factors: int) -> Claim:
    def ours() -> Any:
        from recsys.models import ALS
        return ALS(factors=factors, epochs=10, reg=0.01, alpha=1.0, reg_exponent=0.0, cg_steps=3, seed=SEED)

    def theirs() -> Any:
        from implicit.als import AlternatingLeastSquares
        return AlternatingLeastSquares(factors=factors, iterations=10, regularization=0.01, alpha=2.0, num_threads=2,
                                       random_state=SEED)

    return Claim(f"als-{factors}", f"ALS, 10 iterations, {factors} factors", "implicit", 1.7, data,
                 lambda a: our_model(a, ours), lambda a: their_model(a, theirs), same_quality, on="ml-1m")


def _bpr() -> Claim:
    def ours() -> Any:
        from recsys.models import BPR
        return BPR(factors=64, epochs=10, lr=0.05, reg=0.01, seed=SEED)

    def theirs() -> Any:
        from implicit.bpr import BayesianPersonalizedRanking
        return BayesianPersonalizedRanking(factors=64, iterations=10, learning_rate=0.05, regularization=0.01,
                                           num_threads=2, random_state=SEED)

    return Claim("bpr", "BPR, 10 epochs, 64 factors", "implicit", 1.2, data, lambda a: our_model(a, ours),
                 lambda a: their_model(a, theirs), same_quality, on="ml-1m")


def _neighbours(name: str, work: str, ours: Any, our_result: Any = _our_recall, their_result: Any = _their_recall,
                agree: Any = same_quality) -> Claim:
    """The nearest others of every item, by whatever measure is ours, beside implicit's cosines."""
    def theirs() -> Any:
        from implicit.nearest_neighbours import CosineRecommender
        return CosineRecommender(K=NEIGHBOURS + 1, num_threads=2)  # counts the item itself as one of them

    return Claim(name, work, "implicit", 1.5, data, lambda a: our_model(a, ours, our_result),
                 lambda a: their_model(a, theirs, their_result), agree, on="ml-1m")


def _item_knn() -> Claim:
    """Both find the most similar others of every item; what they recommend with them differs, so that is not compared.

    Ours adds up a candidate's own neighbours among what a user has, theirs those that have the candidate as neighbour.
    """
    def ours() -> Any:
        from recsys.models import ItemKNN
        return ItemKNN(neighbours=NEIGHBOURS, shrink=0, asymmetry=0.5)

    return _neighbours("item-knn", f"item-kNN, cosine, {NEIGHBOURS} neighbours", ours, _our_similarities,
                       _their_similarities, lambda a, b: close(a["similarity"], b["similarity"],
                                                               "similarities of neighbours", rtol=1e-5))


def _rp3beta() -> Claim:
    """Both find the nearest others of every item and rank by them; ours by walks, theirs by cosines."""
    def ours() -> Any:
        from recsys.models import RP3beta
        return RP3beta(neighbours=NEIGHBOURS)

    return _neighbours("rp3beta", f"item-kNN, RP3beta beside cosine, {NEIGHBOURS} neighbours", ours)


def _our_similarities(model: Any, arrays: Arrays, train: Any) -> Arrays:
    """Similarities of every item's neighbours in descending order, shape (n_items, 20), 0 where there are fewer."""
    found = np.zeros((int(arrays["shape"][1]), NEIGHBOURS))
    found[model.items.ids] = np.nan_to_num(model.similar_items(model.items.ids, k=NEIGHBOURS).scores, neginf=0)
    return {"similarity": found}


def _their_similarities(model: Any, arrays: Arrays, matrix: Any) -> Arrays:
    table = model.similarity.tocoo()
    row, value = (column[table.row != table.col] for column in (table.row, table.data))
    order = np.lexsort((-value, row))
    row, value = row[order], value[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)  # within its row
    found, kept = np.zeros((int(arrays["shape"][1]), NEIGHBOURS)), place < NEIGHBOURS
    found[row[kept], place[kept]] = value[kept]
    return {"similarity": found}


def _our_top(arrays: Arrays) -> Session:
    from recsys.models import ALS

    model = ALS(factors=64, epochs=1, seed=SEED).fit(_interactions(arrays, "train"))
    lists: list[np.ndarray] = []

    def run() -> None:
        lists[:] = [model.recommend(model.users.ids, k=10).items]

    return Session(run, lambda: {"full": np.array((lists[0] >= 0).mean())})


def _their_top(arrays: Arrays) -> Session:
    from implicit.als import AlternatingLeastSquares

    matrix = _csr(arrays)
    model = AlternatingLeastSquares(factors=64, iterations=1, num_threads=2, random_state=SEED)
    model.fit(matrix, show_progress=False)
    lists: list[np.ndarray] = []

    def run() -> None:
        lists[:] = [_their_lists(model, matrix)]

    return Session(run, lambda: {"full": np.array((lists[0] >= 0).mean())})


CLAIMS = [_als(64), _als(128), _bpr(),
          Claim("top-10", "top 10 for all users, 64 factors, seen items left out", "implicit", 1.2, data,
                _our_top, _their_top, lambda a, b: close(a["full"], b["full"], "share of lists filled", rtol=1e-3),
                on="ml-1m"),
          _item_knn(), _rp3beta()]

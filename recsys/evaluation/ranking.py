"""Full ranking in blocks of users: the model scores, or says what to multiply, and the kernels count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.data.parts import Split, difference
from recsys.errors import DataError, UnsupportedError
from recsys.evaluation.metrics import LISTS, RANKING, Lists, Metric, Ranks
from recsys.progress import task

__all__ = ["Pool", "lists_of", "measure", "part_of", "ranked", "require_ids_of"]

_SCORES = 2**21  # scores held at once, 8 MB: they stay in the cache between model and kernel


@dataclass(frozen=True, eq=False)
class Pool:
    """Who is asked for what, and among which items it must be found.

    Attributes
    ----------
    train : Interactions
    users : ndarray of int32, shape (U,)
        Those with targets.
    relevant : CSR, shape (n_users, n_items)
        The targets.
    allowed : ndarray of bool, shape (n_items,)
        Items that are ranked at all.
    seen : CSR, shape (n_users, n_items)
        Items that are not ranked for a user.
    history : CSR or None
        What a model that folds in is shown; None: it answers from training.
    negatives : int or None
        Rank the targets among so many sampled candidates only.
    seed : int
        Of the samples.
    candidates, excluded : str
        What the card says of `allowed` and of `seen`.
    """

    train: Interactions
    users: np.ndarray
    relevant: CSR
    allowed: np.ndarray
    seen: CSR
    history: CSR | None
    negatives: int | None
    seed: int
    candidates: str
    excluded: str

    @classmethod
    def of(cls, split: Split, part: str, candidates: str, exclude_seen: bool | str,
           negatives: int | None, seed: int) -> Pool:
        """The pool of one part of a split; its arguments are those of `evaluate`."""
        train, test = split.train, part == "test"
        relevant = part_of(split, part).csr.unique()
        history = split.test_history if test else split.valid_history
        hidden = [train if history is None else history, split.valid if test and exclude_seen != "train" else None]
        seen = _pairs([each for each in hidden if each is not None and exclude_seen], relevant.shape)
        trained = np.bincount(train.item, minlength=train.n_items) > 0
        new = (np.bincount(relevant.indices, minlength=train.n_items) > 0) & ~trained
        allowed, what = {"train": (trained, "those with training events"), "all": (np.ones_like(trained), "all known"),
                         "new": (new, "those of this part without training events")}[candidates]
        count = f"{int(allowed.sum()):,} items, {what}"
        if negatives is not None:
            count = f"SAMPLED: the targets and {negatives} of {count}, uniform, seed {seed}"
        but = ", validation events too" if hidden[1] is not None else \
            ", but not validation events" if test and split.valid is not None else ""
        excluded = f"excluded{but}" if exclude_seen else "not excluded"
        return cls(train, np.flatnonzero(relevant.counts).astype(np.int32), relevant, allowed, seen,
                   None if history is None else history.csr, negatives, seed, count, excluded)

    def blocks(self, size: int | None) -> Iterator[np.ndarray]:
        """The users, so many at a time that their scores fit a few megabytes."""
        step = size or min(max(_SCORES // max(len(self.allowed), 1), 64), 4096)
        for start in range(0, len(self.users), step):
            yield self.users[start:start + step]

    def excluded_for(self, users: np.ndarray, targets: CSR) -> CSR:
        """The items that are not ranked, row by row: (B, n_items)."""
        seen = self.seen.rows(users)
        if self.negatives is None:
            return seen
        rest = np.tile(self.allowed, (len(users), 1))
        rest[seen.row_of_entry, seen.indices] = False
        kept = np.zeros_like(rest)
        kept[targets.row_of_entry, targets.indices] = True
        pools = rest & ~kept  # a sample never holds a target, whatever its part
        kept &= rest
        for row, user in enumerate(users):
            pool = np.flatnonzero(pools[row])
            generator = np.random.default_rng((self.seed, int(user)))  # the same sample for any size of block
            kept[row, generator.choice(pool, min(self.negatives, len(pool)), replace=False)] = True
        rows, items = np.nonzero(~kept)
        return CSR.from_pairs(rows, items, None, kept.shape)


def require_ids_of(model: Any, train: Interactions) -> None:
    """Raise DataError unless the model numbers users and items as the split does."""
    for side in ("users", "items"):
        ours = getattr(train, side)
        theirs = getattr(model, side, ours)  # somebody's own scorer may have none
        if theirs is not ours and theirs != ours:
            raise DataError(f"evaluate: {type(model).__name__} was fitted on other {side} than the split's, or numbers "
                            f"them differently ({difference(theirs, ours)}); fit it on split.train.")


def part_of(split: Split, part: str) -> Interactions:
    """The events to be predicted."""
    events = split.test if part == "test" else split.valid
    if events is None or not len(events):
        raise DataError(f"evaluate: the {part} part of {split!r} has no events; take more data, or another "
                        f"division or protocol.")
    return events


def measure(model: Any, pool: Pool, asked: list[Metric], vectors: np.ndarray | None, block: int | None,
            progress: Any) -> tuple[dict[Metric, Any], dict[str, Any]]:
    """Values of the metrics, (U,) or one number each, and what the card says."""
    longest = max((metric.k or 0 for metric in asked if metric.name in LISTS), default=0)
    cuts = [metric.k or len(pool.allowed) for metric in asked if metric.name in RANKING]
    ranks, items = ranked(model, pool, longest, max(cuts, default=1), block, progress)
    if ranks is None:
        raise DataError("evaluate: there are no events to be found; take another part.")
    found: dict[Metric, Any] = {metric: RANKING[metric.name](ranks, metric.k) for metric in asked
                                if metric.name in RANKING}
    if longest:
        if vectors is None and any(metric.name in ("diversity", "miscalibration") for metric in asked):
            vectors = _genres(pool.train)
        lists = lists_of(pool, items, vectors)
        found |= {metric: LISTS[metric.name](lists, metric.k or longest) for metric in asked if metric.name in LISTS}
    return found, _card(model, pool, ranks.equal)


def ranked(model: Any, pool: Pool, longest: int, deepest: int, block: int | None = None, progress: Any = None
           ) -> tuple[Ranks | None, np.ndarray]:
    """Where the targets stand, down to the place `deepest`, and the lists of all users, int32 (U, longest).

    In a pool without targets there are lists alone.
    """
    _check(model, pool)
    found = []
    with task(progress, len(pool.users), "evaluating") as bar:
        for users in pool.blocks(block):
            found.append(_rank(model, pool, users, longest, deepest))
            bar.advance(len(users))
    greater, equal, candidates, items = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    if not pool.relevant.nnz:
        return None, items
    return Ranks(greater, equal, np.append(0, np.cumsum(pool.relevant.counts[pool.users])), candidates), items


def _card(model: Any, pool: Pool, equal: np.ndarray) -> dict[str, Any]:
    visible = pool.train.csr if pool.history is None else pool.history
    return {"users evaluated": len(pool.users), "without history": int((visible.counts[pool.users] == 0).sum()),
            "targets": len(equal), "unreachable targets": int((equal == 0).sum()),
            "candidates": pool.candidates, "seen items": pool.excluded,
            "scored from": "history, folded in" if _folds_in(model, pool) else "training",
            "equal scores": "expected value over their orders"}


def _rank(model: Any, pool: Pool, users: np.ndarray, longest: int, deepest: int
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`greater` and `equal` of the targets down to `deepest`, numbers of candidates (B,), lists (B, longest)."""
    history = pool.history.rows(users) if pool.history is not None and _folds_in(model, pool) else None
    targets = pool.relevant.rows(users)
    excluded = pool.excluded_for(users, targets)
    searched = model.products(users, history) if hasattr(model, "products") else None
    if searched is None:
        scores = _scores(model, pool, users, history)
        where = excluded.indptr, excluded.indices, pool.allowed
        greater, equal = kernels.ranking.ranks(scores, *where, targets.indptr, targets.indices, deepest)
        items, _ = kernels.ranking.topk(scores, *where, longest)
    else:
        index, queries = searched
        greater, equal = index.ranks(queries, targets, deepest, excluded, pool.allowed)
        items, _ = index.search(queries, longest, excluded, pool.allowed)
    lost = np.bincount(excluded.row_of_entry[pool.allowed[excluded.indices]], minlength=len(users))
    return greater, equal, pool.allowed.sum() - lost, items


def _scores(model: Any, pool: Pool, users: np.ndarray, history: CSR | None) -> np.ndarray:
    scores = np.ascontiguousarray(model.score_block(users, history))
    if scores.shape != (len(users), len(pool.allowed)):
        raise DataError(f"evaluate: {type(model).__name__}.score_block gave shape {scores.shape} for {len(users)} "
                        f"users and {len(pool.allowed)} items.")
    return scores


def _folds_in(model: Any, pool: Pool) -> bool:
    return pool.history is not None and bool(model.can.fold_in)


def _check(model: Any, pool: Pool) -> None:
    name = type(model).__name__
    cold = pool.history is not None and not pool.train.csr.counts[pool.users].any()
    if cold and not (model.can.fold_in or model.can.cold_user):
        raise UnsupportedError(f"evaluate: {name} does not fold in, so it cannot answer users that training has not "
                               f"seen, and this split tests only such users.")


def lists_of(pool: Pool, items: np.ndarray, vectors: np.ndarray | None = None) -> Lists:
    """The lists (U, k) of a pool's users, with what is known of the items."""
    known = pool.train.csr.unique()
    owners = np.bincount(known.indices, minlength=len(pool.allowed))
    visible = pool.train.csr if pool.history is None else pool.history
    return Lists(items, owners, int((known.counts > 0).sum()), pool.allowed, vectors, visible.rows(pool.users))


def _genres(train: Interactions) -> np.ndarray | None:
    features = train.item_features
    return None if features is None or features.genres is None else features.genres.toarray()


def _pairs(parts: Sequence[Interactions], shape: tuple[int, int]) -> CSR:
    """The pairs of all parts, each once."""
    if len(parts) == 1:
        return parts[0].csr.unique()  # which keeps the answer for the next model
    rows, items = (np.concatenate([np.zeros(0, np.int32), *(getattr(part, column) for part in parts)])
                   for column in ("user", "item"))
    return CSR.from_pairs(rows, items, None, shape).unique()

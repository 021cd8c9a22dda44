"""Bayesian personalised ranking: what a user has met shall score higher than what not."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.epochs import EarlyStopping, run_epochs
from recsys.models.base import Can
from recsys.models.factors import MappedFactorModel, draw
from recsys.models.parameters import Check, above, at_least, optional, whole
from recsys.models.sparse import numbers, restore_numbers
from recsys.models.updating import all_but, grown, members
from recsys.models.validating import validation

__all__ = ["BPR"]

_EVERY = 10  # epochs from one validation to the next
_ASKED = 5000  # users to validate
_NEW_EPOCHS, _TOUCHED_EPOCHS = 30, 10  # of `partial_fit`: for what is new, for what new events touch
_BLOCKS = 8
_BLOCK_ITEMS = 32  # a block with fewer items would offer too few negatives


class BPR(MappedFactorModel):
    """Factors and item biases that rank each user's items above the others.

    Minimises `sum -log sigmoid(x_u . (y_i - y_j) + b_i - b_j)` plus `reg / 2` times the squares, over the pairs
    (u, i) and items j that u has not met: one step of SGD for each pair and a random j, in every epoch. Several
    threads work on pairs that share no factor, by a schedule that does not depend on their number, so
    the result does not either.

    A new user's vector is a linear function of the mean of the items' vectors, learned on the known users.

    `partial_fit` learns new users and items alone for 30 epochs, then all users and items of the new events for 10,
    over all pairs of these users; the others stay. Updated, it ranks better than before and nearly as a
    refit, see `tests/recsys/models/test_partial_distance.py`.

    Parameters
    ----------
    factors : int
    epochs : int
        With validation data, whose NDCG@10 is looked at every tenth epoch, for at most 5000 users, the best is kept.
    lr : float
    reg : float, optional
        By default .3 times the density, the share of pairs that are there, but at least .003 and at most .1: where
        users have met half of everything, what they have not met says little, and is soon learned by heart.
    init_std : float
        Standard deviation of the initial factors, times sqrt(factors).
    seed : int

    Attributes
    ----------
    reg_ : float
        What was taken.
    history_ : dict of list of float
        `"loss"`, the mean over the steps of an epoch, and with validation data `"valid"`, its last value.

    References
    ----------
    Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> BPR(factors=4).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, embeddings=True)
    checks: ClassVar[dict[str, Check]] = {
        "factors": whole(1), "epochs": whole(1), "lr": above(0), "reg": optional(at_least(0)), "init_std": at_least(0),
        "seed": whole(0)}

    factors: int
    epochs: int
    lr: float
    reg: float | None
    reg_: float
    init_std: float
    seed: int

    def __init__(self, *, factors: int = 64, epochs: int = 150, lr: float = 0.03, reg: float | None = None,
                 init_std: float = 0.1, seed: int = 0) -> None:
        self._store(locals())

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        pairs = data.csr.unique()
        n_users, n_items = pairs.shape
        rng = np.random.default_rng(self.seed)
        std = self.init_std / np.sqrt(self.factors)
        self.user_factors = draw(rng, n_users, self.factors, std)
        self.item_factors = draw(rng, n_items, self.factors, std)
        self.item_bias = np.zeros(n_items, np.float32)
        self.reg_ = _by_density(pairs) if self.reg is None else float(self.reg)
        schedule = _Schedule(pairs)
        measure = None if valid is None else validation(self, Split(data, valid, valid).sample_valid(_ASKED))
        stopping, quality = EarlyStopping(lambda: [part.copy() for part in self._parts()]), 0.0

        def step(epoch: int) -> dict[str, float]:
            nonlocal quality
            schedule.deal(np.random.default_rng((self.seed, epoch)))
            report = {"loss": schedule.run(self, epoch) / max(pairs.nnz, 1)}
            if measure is None:
                return report
            if epoch % _EVERY == 0 or epoch == self.epochs - 1:
                quality = measure()
                stopping.update(quality)
            return report | {"valid": quality}

        self.history_ = run_epochs(type(self).__name__, self.epochs, step, progress, remedy=self.remedy())
        if stopping.best_state is not None:
            for part, best in zip(self._parts(), stopping.best_state, strict=True):
                part[:] = best
        self._learn_map(pairs)

    def _parts(self) -> tuple[np.ndarray, ...]:
        return self.user_factors, self.item_factors, self.item_bias

    def _state(self) -> dict[str, np.ndarray]:
        return super()._state() | numbers(self, "reg_")

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        restore_numbers(self, state, reg_=self.reg)

    def _partial_fit(self, data: Interactions) -> None:
        """New rows alone, then all that new events touch, by SGD over the pairs of their users; the others stay."""
        pairs = self.require_seen("partial_fit")
        known, (n_users, n_items) = (len(self.user_factors), len(self.item_factors)), pairs.shape
        rng, std = np.random.default_rng((self.seed, n_users, n_items)), self.init_std / np.sqrt(self.factors)
        self.user_factors = np.concatenate([self.user_factors, draw(rng, n_users - known[0], self.factors, std)])
        self.item_factors = np.concatenate([self.item_factors, draw(rng, n_items - known[1], self.factors, std)])
        self.item_bias = grown(self.item_bias, n_items)
        users, items = members(data.user, n_users), members(data.item, n_items)
        new_users, new_items = np.arange(n_users) >= known[0], np.arange(n_items) >= known[1]
        of_new = new_users | members(data.user[new_items[data.item]], n_users)
        self._steps(pairs.where(of_new[pairs.row_of_entry]), new_users, new_items, _NEW_EPOCHS)
        self._steps(pairs.where(users[pairs.row_of_entry]), users, items, _TOUCHED_EPOCHS)
        self._learn_map(pairs)

    def _steps(self, pairs: CSR, users: np.ndarray, items: np.ndarray, epochs: int) -> None:
        """Epochs over some pairs that change some users and items alone, bool (n,)."""
        if not pairs.nnz:
            return
        schedule = _Schedule(pairs)
        put_back = all_but([(self.user_factors, users), (self.item_factors, items), (self.item_bias, items)])
        for epoch in range(self.epochs, self.epochs + epochs):
            schedule.deal(np.random.default_rng((self.seed, epoch)))
            schedule.run(self, epoch)
            put_back()


def _by_density(pairs: CSR) -> float:
    """The penalty for such data: .3 times the share of pairs of active users and items that are there."""
    active = int((pairs.counts > 0).sum()) * int((pairs.T.counts > 0).sum())
    return min(max(0.3 * pairs.nnz / max(active, 1), 0.003), 0.1)


class _Schedule:
    """Blocks of users with equally many pairs, blocks of items drawn anew in every epoch, and their cells."""

    def __init__(self, pairs: CSR) -> None:
        self.pairs = pairs
        n_users, n_items = pairs.shape
        self.blocks = max(1, min(_BLOCKS, n_items // _BLOCK_ITEMS, n_users // _BLOCK_ITEMS))
        shares = np.arange(self.blocks + 1) * pairs.nnz // self.blocks
        self.bounds = np.searchsorted(pairs.indptr, shares)
        self.bounds[0], self.bounds[-1] = 0, n_users
        self.edges = np.arange(self.blocks + 1) * n_items // self.blocks
        self.users, self.items = np.empty(pairs.nnz, np.int32), np.empty(pairs.nnz, np.int32)
        self.cells = np.empty((self.blocks, self.blocks + 1), np.int64)
        self.mark = np.full((self.blocks, n_items), -1, np.int32)

    def deal(self, rng: np.random.Generator) -> None:
        """New blocks of items."""
        n_items = self.pairs.shape[1]
        self.pool = rng.permutation(n_items).astype(np.int32)
        owner = np.empty(n_items, np.int32)
        owner[self.pool] = np.repeat(np.arange(self.blocks), np.diff(self.edges))
        kernels.bpr.deal(self.pairs.indptr, self.pairs.indices, self.bounds, owner, self.users, self.items, self.cells)

    def run(self, model: BPR, epoch: int) -> float:
        """An epoch of steps -> the sum of their losses."""
        loss = np.zeros(self.blocks)
        kernels.bpr.epoch(self.users, self.items, self.cells, self.pool, self.edges, model.user_factors,
                          model.item_factors, model.item_bias, self.mark, model.lr, model.reg_,
                          (model.seed * 1_000_003 + epoch) % (1 << 50), loss)
        return float(loss.sum())

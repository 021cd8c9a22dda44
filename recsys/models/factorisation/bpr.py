"""Bayesian personalised ranking: what a user interacted with shall score higher than the rest."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.estimator import Can, Context, Fitted, Learned, Recommender
from recsys.estimator.parameters import Check, above, at_least, optional, whole
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.updating import all_but, grown, members
from recsys.estimator.validating import validation
from recsys.models.factorisation.factors import draw, learn_map
from recsys.training.epochs import EarlyStopping, run_epochs

__all__ = ["BPR"]

_EVERY = 10  # epochs from one validation to the next
_ASKED = 5000  # users to validate
_NEW_EPOCHS, _TOUCHED_EPOCHS = 30, 10  # of `partial_fit`: for what is new, for what new events touch
_BLOCKS = 8
_BLOCK_ITEMS = 32  # a block with fewer items would offer too few negatives


class _Parts(NamedTuple):
    """What is learned."""

    user_factors: np.ndarray
    item_factors: np.ndarray
    item_bias: np.ndarray

    def copy(self) -> _Parts:
        """As it is now."""
        return _Parts(*(part.copy() for part in self))


class BPR(Recommender):
    """Factors and item biases that rank each user's items above the others.

    Minimises `sum -log sigmoid(x_u . (y_i - y_j) + b_i - b_j)` plus `reg / 2` times the squares, over the pairs
    (u, i) and items j that u has not interacted with: one step of SGD for each pair and a random j, in every epoch.
    Several threads work on pairs that share no factor, by a schedule that does not depend on their number, so
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
        users interacted with half of everything, the other half says little, and is soon learned by heart.
    init_std : float
        Standard deviation of the initial factors, times sqrt(factors).
    seed : int

    Attributes
    ----------
    reg_ : float
        What was taken.
    curves_ : dict of list of float
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
    init_std: float
    seed: int

    def __init__(self, *, factors: int = 64, epochs: int = 150, lr: float = 0.03, reg: float | None = None,
                 init_std: float = 0.1, seed: int = 0) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """Steps of SGD over all pairs."""
        pairs = data.csr.unique()
        rng, std = np.random.default_rng(self.seed), self.init_std / np.sqrt(self.factors)
        user_factors, item_factors = (draw(rng, n, self.factors, std) for n in pairs.shape)
        parts = _Parts(user_factors, item_factors, np.zeros(pairs.shape[1], np.float32))
        reg, schedule = _by_density(pairs) if self.reg is None else float(self.reg), _Schedule(pairs)
        measure = None if context.valid is None else validation(
            self, context.facts, Split(data, context.valid, context.valid).sample_valid(_ASKED),
            lambda: Factors(self.can, *parts))
        stopping, quality = EarlyStopping(parts.copy), 0.0

        def step(epoch: int) -> dict[str, float]:
            nonlocal quality
            report = {"loss": schedule.run(parts, self.lr, reg, self.seed, epoch) / max(pairs.nnz, 1)}
            if measure is None:
                return report
            if epoch % _EVERY == 0 or epoch == self.epochs - 1:
                quality = measure()
                stopping.update(quality)
            return report | {"valid": quality}

        history = run_epochs(type(self).__name__, self.epochs, step, context.progress, remedy=self.remedy())
        return self._learned(stopping.best_state or parts, pairs, {"reg_": reg, "curves_": history})

    def _learned(self, parts: _Parts, pairs: CSR, taken: dict[str, object]) -> Learned:
        fold_in = learn_map(pairs, parts.user_factors, parts.item_factors)
        return Learned(Factors(self.can, *parts, fold_in), taken)

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """New rows alone, then all that new events touch, by SGD over the pairs of their users; the others stay."""
        pairs, before = context.facts.pairs, fitted.answers_by(Factors)
        n_users, n_items = pairs.shape
        known = len(before.user_factors), len(before.item_factors)
        rng, std = np.random.default_rng((self.seed, n_users, n_items)), self.init_std / np.sqrt(self.factors)
        user_factors = np.concatenate([before.user_factors, draw(rng, n_users - known[0], self.factors, std)])
        item_factors = np.concatenate([before.item_factors, draw(rng, n_items - known[1], self.factors, std)])
        parts = _Parts(user_factors, item_factors, grown(before.item_bias, n_items))
        users, items = members(data.user, n_users), members(data.item, n_items)
        new_users, new_items = np.arange(n_users) >= known[0], np.arange(n_items) >= known[1]
        of_new = new_users | members(data.user[new_items[data.item]], n_users)
        taken = dict(fitted.learned.taken)
        self._steps(parts, pairs.where(of_new[pairs.row_of_entry]), new_users, new_items, _NEW_EPOCHS, taken["reg_"])
        self._steps(parts, pairs.where(users[pairs.row_of_entry]), users, items, _TOUCHED_EPOCHS, taken["reg_"])
        return self._learned(parts, pairs, taken)

    def _steps(self, parts: _Parts, pairs: CSR, users: np.ndarray, items: np.ndarray, epochs: int, reg: float) -> None:
        """Epochs over some pairs that change some users and items alone, bool (n,)."""
        if not pairs.nnz:
            return
        schedule = _Schedule(pairs)
        put_back = all_but(zip(parts, (users, items, items), strict=True))
        for epoch in range(self.epochs, self.epochs + epochs):
            schedule.run(parts, self.lr, reg, self.seed, epoch)
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

    def run(self, parts: _Parts, lr: float, reg: float, seed: int, epoch: int) -> float:
        """An epoch of steps that change the parts -> the sum of their losses."""
        self.deal(np.random.default_rng((seed, epoch)))
        loss = np.zeros(self.blocks)
        kernels.bpr.epoch(self.users, self.items, self.cells, self.pool, self.edges, *parts, self.mark, lr, reg,
                          (seed * 1_000_003 + epoch) % (1 << 50), loss)
        return float(loss.sum())

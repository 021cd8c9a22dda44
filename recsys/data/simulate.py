"""Interactions drawn from a model that is known, so that what a recommender learns can be checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.kernels import sparse

__all__ = ["Truth", "simulate"]

_BLOCK = 1 << 20  # events drawn at a time; each block has a generator of its own
_LONGEST = 16  # longest run of successors
_YEAR = 365 * 86_400  # seconds
_ROUNDS = 12  # of drawing again what a user has already


@dataclass(frozen=True, eq=False)
class Truth:
    """What the events of `simulate` were drawn from.

    Parameters
    ----------
    tastes : float32 array, shape (n_users, factors)
        Each user's distribution over factors.
    factors : float32 array, shape (factors, n_items)
        Each factor's distribution over items.
    successor : int32 array, shape (n_items,)
        The item that follows each item in a run; cycles of `period` items.
    sequence : float
        Probability that an event is the successor of the one before.
    community : int32 array, shape (n_users,)
        Friends are of one community, which shares a part of its taste.
    genre : int32 array, shape (n_items,)
        Each item's genre: its main factor, unless it was drawn at random.
    user_bias, item_bias : float32 arrays
        Shifts of the ratings.
    noise : float
        Standard deviation of the ratings before rounding.
    """

    tastes: np.ndarray
    factors: np.ndarray
    successor: np.ndarray
    sequence: float
    community: np.ndarray
    genre: np.ndarray
    user_bias: np.ndarray
    item_bias: np.ndarray
    noise: float

    def probabilities(self, users: np.ndarray) -> np.ndarray:
        """The distribution of a fresh event of each user, (B,) -> (B, n_items) float32."""
        probabilities: np.ndarray = self.tastes[users] @ self.factors
        return probabilities

    def ratings(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The rating of each pair before noise and rounding, float32, shape (n,).

        `3.5 + b_u + b_i + 2 (sum_f tastes[u, f] p(f | i) - 1 / n_factors)`, where `p(f | i)` is factor f's share
        in item i.
        """
        share = self.factors / self.factors.sum(axis=0)
        affinity = np.einsum("nf,fn->n", self.tastes[users], share[:, items])
        rating: np.ndarray = 3.5 + self.user_bias[users] + self.item_bias[items] + 2 * (affinity - 1 / len(share))
        return rating


def simulate(
    n_users: int = 1000,
    n_items: int = 500,
    n_events: int = 50_000,
    *,
    seed: int = 0,
    factors: int = 8,
    popularity: float = 0.8,
    activity: float = 1.0,
    sequence: float = 0.0,
    period: int = 5,
    social: float = 0.0,
    friends: int = 5,
    content: float = 0.8,
    ratings: bool = True,
    noise: float = 0.7,
    repeats: bool = False,
) -> tuple[Interactions, Truth]:
    """Draw interactions from latent factors, popularity, sequences, friends and genres.

    An event of user `u` is fresh with probability `1 - sequence`: factor `f ~ tastes[u]`, then item
    `i ~ factors[f]`; otherwise it is the successor of the user's event before it. Memory and time are linear in
    `n_events`; no users x items matrix is ever made.

    Parameters
    ----------
    n_users, n_items, n_events : int
        Sizes. Every user has events when there are enough of them.
    seed : int
        Of the counter-based Philox generator; equal seeds give equal data.
    factors : int
        Number of latent factors.
    popularity : float
        Exponent of the items' Zipf weights; 0 makes all equally popular.
    activity : float
        Standard deviation of the logarithm of the users' shares of the events.
    sequence : float
        Probability, below 1, that an event succeeds the one before.
    period : int
        Length of the cycles of successors.
    social : float
        Share of a user's taste, 0 to 1, that is the community's.
    friends : int
        Friends a user names, all of the community; 0 leaves the graph out.
    content : float
        Probability that an item's genre is its main factor.
    ratings : bool
        Whether events have values 1 to 5.
    noise : float
        Standard deviation of the ratings before rounding.
    repeats : bool
        Whether a user may interact with an item again. If not, repeated pairs are drawn again, and what still repeats
        is dropped: heavy users of small catalogues then have fewer events.

    Returns
    -------
    data : Interactions
        Ids count from 1; rows by user, in time order; item features (titles, genres), social graph.
    truth : Truth
    """
    _check(n_users, n_items, n_events, factors, sequence, social, content, period)
    random = _generator(seed, 0)
    truth = _draw_truth(random, n_users, n_items, factors, popularity, sequence, period, social, content, noise)
    user = _draw_users(random, n_users, n_events, activity)
    item = _draw_items(truth, user, seed)
    if not repeats:
        kept = _redraw_repeats(truth, user, item, seed)
        user, item = user[kept], item[kept]
    value = _draw_values(truth, user, item, seed) if ratings else None
    names = np.array([f"genre {g}" for g in range(factors)])
    genres = CSR.from_pairs(np.arange(n_items), truth.genre, None, (n_items, factors))
    titles = np.char.add("item ", np.arange(1, n_items + 1).astype(np.str_))
    graph = _draw_friends(random, truth.community, friends) if friends else None
    data = Interactions(
        IdMap(np.arange(1, n_users + 1)), IdMap(np.arange(1, n_items + 1)), user, item, value,
        _draw_times(random, user), Features(titles, genres, names), name=f"simulated (seed {seed})", social=graph,
    )
    return data, truth


def _check(n_users: int, n_items: int, n_events: int, factors: int, sequence: float, social: float, content: float,
           period: int) -> None:
    for name, size in (("n_users", n_users), ("n_items", n_items), ("n_events", n_events), ("factors", factors),
                       ("period", period)):
        if size < 1:
            raise ParameterError(f"simulate: {name} must be at least 1, got {size}.")
    for name, share in (("social", social), ("content", content)):
        if not 0 <= share <= 1:
            raise ParameterError(f"simulate: {name} must lie in [0, 1], got {share}.")
    if not 0 <= sequence < 1:
        raise ParameterError(f"simulate: sequence must lie in [0, 1), got {sequence}.")


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=key)))


def _draw_truth(random: np.random.Generator, n_users: int, n_items: int, n_factors: int, popularity: float,
                sequence: float, period: int, social: float, content: float, noise: float) -> Truth:
    weight = random.permutation((np.arange(n_items) + 1.0) ** -popularity)
    share = random.dirichlet(np.full(n_factors, 0.1), n_items).T + 1e-6  # (factors, items): mostly one factor an item
    factors = share * weight
    factors /= factors.sum(axis=1, keepdims=True)
    main = (factors / factors.sum(axis=0)).argmax(axis=0)
    n_communities = max(1, min(n_users // 25, 100))
    community = random.integers(n_communities, size=n_users, dtype=np.int32)
    common = random.dirichlet(np.full(n_factors, 0.3), n_communities)
    own = random.dirichlet(np.full(n_factors, 0.3), n_users)
    tastes = social * common[community] + (1 - social) * own
    cycle = random.permutation(n_items)
    ahead = np.arange(n_items) + 1
    ahead = np.where((ahead % period == 0) | (ahead == n_items), (ahead - 1) // period * period, ahead)
    successor = np.empty(n_items, np.int32)
    successor[cycle] = cycle[ahead]
    genre = np.where(random.random(n_items) < content, main, random.integers(n_factors, size=n_items))
    return Truth(
        tastes.astype(np.float32), factors.astype(np.float32), successor, sequence, community,
        genre.astype(np.int32), random.normal(0, 0.4, n_users).astype(np.float32),
        random.normal(0, 0.4, n_items).astype(np.float32), noise,
    )


def _draw_users(random: np.random.Generator, n_users: int, n_events: int, activity: float) -> np.ndarray:
    """The user of each event, ascending: one each as far as they go, the rest by log-normal shares."""
    share = np.exp(activity * random.standard_normal(n_users))
    counts = random.multinomial(max(n_events - n_users, 0), share / share.sum())
    counts += np.arange(n_users) < n_events
    return np.repeat(np.arange(n_users, dtype=np.int32), counts)


def _draw_items(truth: Truth, user: np.ndarray, seed: int) -> np.ndarray:
    """The item of each event: fresh draws, and successors `k` steps after the last fresh one."""
    n = len(user)
    item = _fresh(truth, user, seed, 1)
    if truth.sequence == 0:
        return item
    fresh = _generator(seed, 2).random(n) >= truth.sequence
    fresh[np.flatnonzero(np.diff(user, prepend=-1))] = True  # a user begins with a fresh event
    last = np.maximum.accumulate(np.where(fresh, np.arange(n), 0))
    steps = np.arange(n) - last
    powers = np.empty((_LONGEST, len(truth.successor)), np.int32)  # successor applied k times
    powers[0] = np.arange(len(truth.successor))
    for k in range(1, _LONGEST):
        powers[k] = truth.successor[powers[k - 1]]
    in_run = steps < _LONGEST
    item[in_run] = powers[steps[in_run], item[last[in_run]]]
    return item


def _fresh(truth: Truth, user: np.ndarray, seed: int, *key: int) -> np.ndarray:
    """A fresh item for each event, block by block."""
    item = np.empty(len(user), np.int32)
    taste = np.cumsum(truth.tastes, axis=1)
    within = np.cumsum(truth.factors, axis=1, dtype=np.float64)
    for block, begin in enumerate(range(0, len(user), _BLOCK)):
        random = _generator(seed, *key, block)
        part = user[begin : begin + _BLOCK]
        wheel = random.random(len(part), dtype=np.float32) * taste[part, -1]
        factor = (taste[part, :-1] <= wheel[:, None]).sum(axis=1)  # (block, factors - 1) -> (block,)
        ball = random.random(len(part))
        drawn = np.empty(len(part), np.int32)
        for f in range(len(within)):
            mine = np.flatnonzero(factor == f)
            drawn[mine] = np.searchsorted(within[f, :-1], ball[mine] * within[f, -1], side="right")
        item[begin : begin + _BLOCK] = drawn
    return item


def _redraw_repeats(truth: Truth, user: np.ndarray, item: np.ndarray, seed: int) -> np.ndarray:
    """Draw repeated pairs again, in place; the mask of rows that are first of their pair in the end."""
    rows = np.arange(len(user))  # of users who repeat themselves
    for attempt in range(_ROUNDS):
        repeated = rows[~_first_of_pair(user[rows], item[rows], len(truth.successor))]
        if not len(repeated):
            break
        item[repeated] = _fresh(truth, user[repeated], seed, 3, attempt)
        repeating = np.bincount(user[repeated], minlength=len(truth.tastes)) > 0
        rows = rows[repeating[user[rows]]]
    return _first_of_pair(user, item, len(truth.successor))


def _first_of_pair(user: np.ndarray, item: np.ndarray, n_items: int) -> np.ndarray:
    by_item = sparse.group(item, n_items)[1]
    order = by_item[sparse.group(user[by_item], int(user[-1]) + 1)[1]]
    first = np.ones(len(user), np.bool_)
    first[order[1:]] = (np.diff(user[order]) != 0) | (np.diff(item[order]) != 0)
    return first


def _draw_values(truth: Truth, user: np.ndarray, item: np.ndarray, seed: int) -> np.ndarray:
    value = np.empty(len(user), np.float32)
    for block, begin in enumerate(range(0, len(user), _BLOCK)):
        part = slice(begin, begin + _BLOCK)
        noise = _generator(seed, 4, block).standard_normal(len(user[part]), dtype=np.float32)
        exact = truth.ratings(user[part], item[part]) + np.float32(truth.noise) * noise
        value[part] = np.clip(np.rint(exact), 1, 5)
    return value


def _draw_times(random: np.random.Generator, user: np.ndarray) -> np.ndarray:
    """Seconds from 2024 on: a user begins within the year and is there for half a year, gaps are exponential."""
    first = np.flatnonzero(np.diff(user, prepend=-1))
    counts = np.diff(np.append(first, len(user)))
    mean_gap = np.repeat(_YEAR / 2 / counts, counts)
    elapsed = np.cumsum(np.ceil(random.standard_exponential(len(user)) * mean_gap).astype(np.int64))
    begin = 1_704_067_200 + random.integers(_YEAR, size=len(first))
    return elapsed + np.repeat(begin - elapsed[first], counts)


def _draw_friends(random: np.random.Generator, community: np.ndarray, friends: int) -> CSR:
    """`friends` distinct members of each user's community (fewer in a small one), users x users."""
    n = len(community)
    order = np.argsort(community, kind="stable")
    size = np.bincount(community)
    begin = np.cumsum(size) - size
    me = np.repeat(np.arange(n), friends)
    place = np.floor(random.random(len(me)) * size[community[me]]).astype(np.int64)
    other = order[begin[community[me]] + place]
    different = me != other
    return CSR.from_pairs(me[different], other[different], None, (n, n)).unique()

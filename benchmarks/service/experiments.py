"""What experiments conclude: of variants that do not differ, and of lists that were never shown."""

from __future__ import annotations

import numpy as np

from benchmarks.datasets import SEED
from benchmarks.service.bench import Bench

__all__ = ["conclusions"]

EXPERIMENTS, PEOPLE, RATES = 1000, 10_000, (.01, .1, .5)
BLOCK = 100  # experiments at a time
WORLDS, VISITORS, POOL, SHOWN, EXPLORED = 300, 150, 12, 4, .4
ESTIMATES = ("ips", "snips", "dr")


def conclusions(bench: Bench) -> dict[str, float]:
    """The most false alarms of all rates, and the least coverage of all estimates; no world counts twice."""
    worlds = max(20, round(WORLDS * min(1.0, bench.seconds / 300)))
    alarms, naive = zip(*(_alarms(rate) for rate in RATES), strict=True)
    covered = dict.fromkeys(ESTIMATES, 0)
    for seed in range(worlds):
        for name, covers in _world(seed).items():
            covered[name] += covers
    return {"experiments": EXPERIMENTS, "looks": PEOPLE, "false_alarms": max(alarms), "naive": max(naive),
            "worlds": worlds, **{f"{name}_covered": count / worlds for name, count in covered.items()},
            "covered": min(covered.values()) / worlds}


def _alarms(rate: float) -> tuple[float, float]:
    """The share of experiments without a difference in which a look after any person ever sees one.

    With the intervals of `recsys experiment`, and with ones that are made for a single look, from 1,000 people on.
    """
    from recsys.experiments import Moments, difference_sequence

    random, alarms, fooled = np.random.default_rng((SEED, int(1000 * rate))), 0, 0
    for _ in range(EXPERIMENTS // BLOCK):
        clicked = random.random((BLOCK, PEOPLE), np.float32) < rate
        second = random.random((BLOCK, PEOPLE), np.float32) < .5
        moments = []
        for mine in (~second, second):
            total = np.cumsum(clicked & mine, 1, np.int32)
            moments.append(Moments(total, total, np.cumsum(mine, 1, np.int32)))
        low, high = difference_sequence(*moments)
        alarms += int(((low > 0) | (high < 0)).any(1).sum())
        one, two = ([each[:, 1000:] for each in group] for group in moments)
        spread = sum(total / n * (1 - total / n) / n for total, _, n in (one, two))
        fooled += int((np.abs(two[0] / two[2] - one[0] / one[2]) > 1.96 * np.sqrt(spread)).any(1).sum())
    return alarms / EXPERIMENTS, fooled / EXPERIMENTS


def _world(seed: int) -> dict[str, bool]:
    """Whether the intervals cover what lists that were never shown would have brought, by the truth of `simulate`.

    Shown are popular items, some lists in random order; the target has what each person truly likes best of them.
    """
    from recsys import datasets
    from recsys.experiments import Logged, estimate_policy, explore

    random, n_users, n_items = np.random.default_rng((SEED, seed)), 400, 60
    data, truth = datasets.simulate(n_users, n_items, 2000, seed=seed)
    taste = truth.probabilities(np.arange(n_users))
    popular = np.log1p(np.bincount(data.item, minlength=n_items)) + random.normal(0, .7, (n_users, n_items))
    pool = np.argsort(-popular, axis=1)[:, :POOL]
    liked = np.argsort(-np.take_along_axis(taste, pool, 1), axis=1)[:, :SHOWN]
    target = np.take_along_axis(pool, liked, 1)

    def chance(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return .9 ** np.arange(SHOWN) * np.minimum(.8, 6 * taste[users[:, None], items])

    person = np.repeat(np.arange(VISITORS), random.integers(1, 6, VISITORS))
    users = random.integers(n_users, size=VISITORS)[person]
    lists = [explore(range(POOL), SHOWN, EXPLORED, random) for _ in users]
    shown = np.take_along_axis(pool[users], np.array([positions for positions, _ in lists]), 1)
    logged = Logged(person, shown, np.array([each for _, each in lists]),
                    random.random(shown.shape) < chance(users, shown))
    worth = chance(np.arange(n_users), target).sum(1).mean()
    found = estimate_policy(logged, target[users])
    return {name: bool(getattr(found, name).low <= worth <= getattr(found, name).high) for name in ESTIMATES}

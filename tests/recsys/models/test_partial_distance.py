"""How far a model that was updated is from one that is fitted on everything, by what simulated events come from."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.data.simulate import Truth, simulate
from recsys.models import REGISTRY, Recommender, find, models_that
from tests.recsys.models.test_partial_fit import EXACT

PAIRS = {"ALS": {"factors": 16}, "BPR": {"factors": 16, "epochs": 60}, "GMF": {"factors": 16},
         "MLP": {"factors": 16, "epochs": 30, "batch_size": 2048}, "NeuMF": {"factors": 16, "epochs": 20},
         "ConvNCF": {"factors": 4, "channels": 8, "epochs": 8}, "FactorizationMachine": {"factors": 16},
         "DeepFM": {"factors": 8, "hidden": (16,), "epochs": 10}, "LogisticRegression": {"epochs": 10},
         "CDAE": {"hidden": (50,), "epochs": 30}, "MultDAE": {"hidden": (50,), "epochs": 50},
         "MultVAE": {"latent": 50, "epochs": 50, "anneal": 20}, "LinearAutoencoder": {"factors": 8, "dropout": 0.8},
         "LightGCN": {"factors": 16}, "FeatureALS": {"factors": 16}}
RATINGS = {"MatrixFactorization": {"factors": 16, "epochs": 40}, "LinearRegression": {"epochs": 20}}
SHORT = {"factors": 16, "recent": 20, "epochs": 10}
SEQUENCES = {"SASRec": {**SHORT, "layers": 1, "epochs": 15}, "GRU4Rec": {"factors": 16, "negatives": 128},
             "SequenceRecommender": SHORT, "CausalCNN": SHORT, "LRURec": SHORT,
             "Caser": {**SHORT, "window": 3, "horizontal": 4, "epochs": 15}}
LEAST = {"MLP": 0.93}  # its layers, which stay, are worth the rest
CONTENT = {"TextCNN", "ImageCNN", "VisualBPR", "Multimodal",  # in tests of their own
           "ContentProfile"}


@cache
def parts(sequence: float) -> tuple[Interactions, Interactions, Interactions, Truth]:
    """Old events, new ones, and all: a tenth of the users and 5 of the items are new, and others went on."""
    data, truth = simulate(300, 120, 8_000, seed=2, sequence=sequence, social=0.3)
    rng = np.random.default_rng(1)
    late = data.time >= np.quantile(data.time, 0.8)  # type: ignore[operator, arg-type]
    user = rng.random(data.n_users) < 0.1
    item = np.isin(np.arange(data.n_items), rng.permutation(data.n_items)[:5])
    new = user[data.user] | late
    kept = new | ~item[data.item]  # the new items are cold
    order = np.lexsort((new, data.user))
    old, more = (data.take(order[(kept & part)[order]]).compact() for part in (~new, new))
    return old, more, data.take(order[kept[order]]).compact(), truth


def worth(model: Recommender, data: Interactions, truth: Truth, sequence: float) -> float:
    """How likely the next event of a user is among the ten best, relative to the best that is possible."""
    total = best = 0.0
    chance = (1 - sequence) * truth.probabilities(data.users.ids - 1)[:, data.items.ids - 1]
    place = np.full(len(truth.successor), -1)
    place[data.items.ids - 1] = np.arange(data.n_items)
    for user, row in enumerate(chance):
        mine = data.csr.row(user)[0]
        follows = place[truth.successor[data.items.ids[mine[-1]] - 1]]
        row[follows] += sequence * (follows >= 0)
        row[mine] = 0
        recs = model.recommend(data.users.ids[user], k=10, exclude=data.items.ids[mine], filter_seen=True,
                               on_unknown="fallback")
        total += row[data.items.encode(recs.items)].sum()
        best += np.sort(row)[-10:].sum()
    return float(total / best)


def distances(name: str, params: dict[str, Any], sequence: float = 0.0,
              ratings: bool = False) -> tuple[float, float, float]:
    """Of the old model, the updated one and the one that is fitted on everything: their worth, or minus the RMSE."""
    old, more, everything, truth = parts(sequence)
    users, items = np.divmod(np.arange(everything.n_users * everything.n_items), everything.n_items)
    users, items = everything.users.ids[users], everything.items.ids[items]
    target = truth.ratings(users - 1, items - 1).clip(1, 5)

    def value(model: Recommender) -> float:
        if ratings:
            return -float(np.sqrt(np.mean((model.predict(users, items, on_unknown="fallback") - target) ** 2)))
        return worth(model, everything, truth, sequence)

    model = find(name)(**params).fit(old)
    before, refit = value(model), value(model.clone().fit(everything))
    return before, value(model.partial_fit(more)), refit


@pytest.mark.parametrize("name", PAIRS)
def test_updated_it_ranks_nearly_as_a_refit(name: str) -> None:
    before, after, refit = distances(name, PAIRS[name])
    assert after > before
    assert after > LEAST.get(name, 0.95) * refit


@pytest.mark.parametrize("name", SEQUENCES)
def test_updated_it_continues_sequences_nearly_as_a_refit(name: str) -> None:
    before, after, refit = distances(name, SEQUENCES[name], sequence=0.5)
    assert after > before
    assert after > LEAST.get(name, 0.95) * refit


@pytest.mark.parametrize("name", RATINGS)
def test_updated_it_predicts_nearly_as_a_refit(name: str) -> None:
    before, after, refit = distances(name, RATINGS[name], ratings=True)
    assert after > before
    assert after > 1.02 * refit


def test_all_that_learn_more_are_measured() -> None:
    assert {*EXACT, *PAIRS, *RATINGS, *SEQUENCES, *CONTENT} == set(models_that("partial_fit"))
    assert set(REGISTRY) - set(models_that("partial_fit")) == {
        "AutoRec", "CascadeHybrid", "KernelAutoRec", "Private", "Reranked", "Sharded", "SocialMF", "SwitchingHybrid",
        "TrustKNN",
        "TrustSVD", "WeightedHybrid"}

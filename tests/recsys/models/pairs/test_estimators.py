"""Scorers of pairs: networks and formulas, every loss, planted groups, saving, resuming, edges."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import nn, ops
from recsys import loading
from recsys.data import Interactions, splits
from recsys.errors import DataError, ParameterError, TrainingInterrupted
from recsys.estimator import Context, Facts
from recsys.estimator.scorers import networks
from recsys.estimator.training import identity
from recsys.evaluation import evaluate
from recsys.models import MLP, ConvNCF, NeuMF, Popular
from recsys.models.pairs.estimators import PairRecommender
from recsys.models.pairs.network import ConvNCFNetwork, GMFNetwork, MLPNetwork, NeuMFNetwork
from recsys.models.pairs.objective import LOSSES
from tests.recsys.models.conftest import learned

QUICK = {"MLP": MLP(factors=8, hidden=(16, 8), epochs=25, lr=0.02, batch_size=256, reg=0.02),
         "NeuMF": NeuMF(factors=8, hidden=(16,), epochs=15, lr=0.02, batch_size=256, reg=0.02),
         "ConvNCF": ConvNCF(factors=4, channels=8, negatives=2, epochs=15, lr=0.03, batch_size=256)}


def groups(n_users: int = 120, n_items: int = 40, events: int = 8, seed: int = 0) -> Interactions:
    """Four groups of users, each with items of its own, in which nothing is more popular than anything else."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), events)
    own = np.concatenate([rng.permutation(n_items // 4)[:events] for _ in range(n_users)])
    item = own * 4 + user % 4
    return Interactions.from_arrays(user, item, np.where(own < 5, 5.0, 1.0))


class Distance(nn.Module):
    """A scorer of one's own: minus the squared distance."""

    def __init__(self, n_users, n_items, generator):
        self.users = nn.Embedding(n_users, 8, generator=generator)
        self.items = nn.Embedding(n_items, 8, generator=generator)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, 0, 0.1, generator)

    def forward(self, users, items):
        return -ops.square(self.items(items) - self.users(users)[:, None]).sum(axis=2)


# ----------------------------------------------------------------------------------------------- networks
@pytest.mark.parametrize("network", [
    GMFNetwork(3, 6, 4, 0.5, np.random.default_rng(0)), MLPNetwork(3, 6, 4, (8, 5), 0.5, 0.0, np.random.default_rng(0)),
    NeuMFNetwork(3, 6, 4, (8,), 0.5, 0.0, np.random.default_rng(0)),
    ConvNCFNetwork(3, 6, 4, 2, 0.5, np.random.default_rng(0))], ids=lambda n: type(n).__name__)
def test_items_may_be_shared_or_not(network):
    users = np.array([2, 0])
    everything = network(users).data
    assert everything.shape == (2, 6)
    np.testing.assert_allclose(network(users, np.arange(6)).data, everything, rtol=1e-5, atol=1e-6)
    items = np.array([[1, 4, 4], [0, 5, 2]])
    np.testing.assert_allclose(network(users, items).data, np.take_along_axis(everything, items, 1), rtol=1e-5,
                               atol=1e-6)
    vectors = [table.weight.data[i] for tables in network.tables() for table, i in zip(tables, (2, 4), strict=True)]
    assert float(network.penalty(users[:1], np.array([4])).data) == pytest.approx(sum((v**2).sum() for v in vectors))


def test_layers_see_both_vectors_one_behind_the_other():
    network = MLPNetwork(3, 6, 4, (8, 5), 0.5, 0.0, np.random.default_rng(0))
    x = np.concatenate([network.users.weight.data[1], network.items.weight.data[3]])
    x = np.maximum(np.hstack([network.from_user.data, network.from_item.data]) @ x + network.bias.data, 0)
    x = np.maximum(network.inner[0].weight.data @ x + network.inner[0].bias.data, 0)
    expected = network.output.weight.data[0] @ x + network.output.bias.data[0]
    assert float(network(np.array([1]), np.array([3])).data[0, 0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("factors", [1, 2, 8])
def test_convolutions_are_those_of_the_outer_product(factors):
    network = ConvNCFNetwork(2, 2, factors, 3, 0.5, np.random.default_rng(0))
    x = np.outer(network.users.weight.data[1], network.items.weight.data[0])[None]  # (1, f, f)
    for layer in network.convolutions:
        kernels = layer.weight.data.reshape(3, 2, 2, len(x)).transpose(0, 3, 1, 2)
        x = ops.relu(ops.conv2d(x, kernels, layer.bias.data, stride=2))  # (3, f / 2, f / 2), ...
    assert x.shape[1:] == (1, 1)
    expected = network.output.weight.data[0] @ x[:, 0, 0] + network.output.bias.data[0]
    assert float(network(np.array([1]), np.array([0])).data[0, 0]) == pytest.approx(expected, rel=1e-5, abs=1e-7)


# ------------------------------------------------------------------------------------------------ learning
@pytest.mark.parametrize("name", QUICK)
def test_groups_of_users_are_found(name):
    split = splits.split_random(groups().binarise(), valid=0, test=0.3, by="user", seed=0)
    recall = evaluate(QUICK[name].clone().fit(split.train), split, metrics=["recall@3"]).metrics["recall@3"]
    floor = evaluate(Popular().fit(split.train), split, metrics=["recall@3"]).metrics["recall@3"]
    assert recall > floor + 0.3


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "mse"])
def test_every_loss_ranks(loss):
    split = splits.split_random(groups().binarise(), valid=0, test=0.3, by="user", seed=0)
    model = PairRecommender(scorer=Distance, loss=loss, negatives=8, negatives_power=0.5, epochs=12, lr=0.05,
                            batch_size=128)
    assert evaluate(model.fit(split.train), split, metrics=["recall@3"]).metrics["recall@3"] > 0.5


@pytest.mark.parametrize("name", QUICK)
def test_squared_error_predicts_ratings(name):
    data = groups()
    model = QUICK[name].clone().set_params(loss="mse", epochs=30, reg=0.0).fit(data)
    assert model.can.ratings
    predicted = model.predict(data.users.ids[data.user], data.items.ids[data.item])
    assert np.sqrt(np.mean((predicted - data.value) ** 2)) < 0.4  # the deviation of the ratings is 2
    with pytest.raises(DataError, match="needs data with values"):
        model.clone().fit(data.binarise())


def test_softmax_over_the_items_of_some_users_at_a_time(monkeypatch):
    monkeypatch.setattr(networks, "_AT_ONCE", 256 * 150)  # 150 pairs at a time
    split = splits.split_random(groups().binarise(), valid=0, test=0.3, by="user", seed=0)
    model = PairRecommender(scorer=Distance, loss="softmax", epochs=12, lr=0.05, batch_size=128).fit(split.train)
    assert evaluate(model, split, metrics=["recall@3"]).metrics["recall@3"] > 0.5


def test_scores_do_not_depend_on_blocks(monkeypatch):
    data = groups()
    model = QUICK["NeuMF"].clone().set_params(epochs=1).fit(data)
    users = np.arange(120, dtype=np.int32)
    scores, predicted = model.score_block(users), model.require("test").pairs(data.user, data.item)
    monkeypatch.setattr(networks, "_AT_ONCE", 400)
    np.testing.assert_allclose(model.score_block(users), scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.require("test").pairs(data.user, data.item), predicted, rtol=1e-5, atol=1e-6)


def test_batches_of_pairs_without_any_first_one_do_no_harm():
    data = groups(n_users=2)
    assert np.isfinite(MLP(factors=4, hidden=(4,), epochs=2, batch_size=1).fit(data).curves_["loss"]).all()


# --------------------------------------------------------------------------------------- saving, resuming
@pytest.mark.parametrize("name", QUICK)
def test_saved_and_loaded_gives_the_same_bits(name, tmp_path):
    data = groups()
    model = QUICK[name].clone().set_params(epochs=2).fit(data)
    model.save(tmp_path / "model.recsys")
    users = np.arange(120, dtype=np.int32)
    assert loading.load(tmp_path / "model.recsys").score_block(users).tobytes() == model.score_block(users).tobytes()


@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_resumed_gives_the_same_bits(loss, tmp_path):
    data, path = groups(), tmp_path / "checkpoint.npz"
    model = NeuMF(factors=4, hidden=(8,), epochs=4, loss=loss, dropout=0.2, batch_size=256)
    whole = model.clone().fit(data)

    def interrupt(epoch, report):
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterrupted):
        model.clone().fit(data, checkpoint=path, callbacks=[interrupt])
    found = model.clone().fit(data, checkpoint=path)
    assert all(np.array_equal(learned(found)[k], v) for k, v in learned(whole).items())


# --------------------------------------------------------------------------------------------------- edges
def test_who_has_met_everything_has_no_negatives():
    data = Interactions.from_arrays([1, 1, 1, 2], ["a", "b", "c", "a"])
    model = NeuMF(factors=4, hidden=(4,), loss="bpr", epochs=2).fit(data)
    assert model.recommend(1).counts == 0
    assert model.recommend(2).counts == 2
    alone = NeuMF(factors=4, hidden=(4,), loss="bpr", epochs=2).fit(data.take(np.arange(3)))
    assert np.isfinite(alone.recommend(1, filter_seen=False).scores).all()


def test_sides_are_powers_of_two():
    with pytest.raises(ParameterError, match="ConvNCF: factors must be a power of 2, not 12"):
        ConvNCF(factors=12).fit(groups())
    assert np.isfinite(ConvNCF(factors=1, epochs=1).fit(groups()).curves_["loss"]).all()


def test_a_scorer_of_ones_own_is_part_of_a_checkpoints_identity():
    model = PairRecommender(scorer=Distance, epochs=1).fit(groups())
    context = Context(Facts.of(groups(), keep_events=False))
    assert identity(model, groups(), context)["scorer"] == f"{__name__}.Distance"
    assert not model.can.embeddings
    with pytest.raises(ParameterError, match="scorer must be callable"):
        PairRecommender(scorer=3).fit(groups())

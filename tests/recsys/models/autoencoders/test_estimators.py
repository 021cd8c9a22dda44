"""Autoencoders of histories and of ratings: what their losses are, what they find, how they are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import recsys
from minidl import tensor
from recsys.data import CSR, Interactions, splits
from recsys.errors import ParameterError
from recsys.evaluation import evaluate
from recsys.models import CDAE, AutoRec, Bias, KernelAutoRec, LinearAutoencoder, MultDAE, MultVAE, Popular
from recsys.models.autoencoders.kernelised import GlobalKernel, KernelLayer
from recsys.models.autoencoders.network import Bag
from recsys.models.autoencoders.objective import bce, multinomial, squares

HISTORY = CSR.from_pairs(np.array([0, 0, 2]), np.array([3, 1, 0]), None, (3, 4))  # the second is empty


def groups(n_users: int = 120, n_items: int = 40, events: int = 10, seed: int = 0) -> Interactions:
    """Four groups of users, each with items of its own, in which nothing is more popular than anything else."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), events)
    own = np.concatenate([rng.permutation(n_items // 4)[:events] for _ in range(n_users)])
    return Interactions.from_arrays(user, own * 4 + user % 4, np.where(own < 5, 5.0, 1.0))


# ----------------------------------------------------------------------------------------------- losses

def test_losses_are_those_of_dense_rows():
    scores = np.random.default_rng(0).normal(size=(3, 4))
    x = HISTORY.toarray()
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    sigmoid = 1 / (1 + np.exp(-scores))
    assert multinomial(scores, HISTORY) == pytest.approx(-(x * log_p).sum() / 3)
    assert bce(scores, HISTORY) == pytest.approx(-(x * np.log(sigmoid) + (1 - x) * np.log(1 - sigmoid)).sum() / 3)
    assert squares(scores, HISTORY) == pytest.approx(((x - scores) ** 2).sum() / 3)
    read, left = CSR.from_pairs(np.array([0, 1]), np.array([2, 0]), None, (3, 4)), scores.copy()
    left[[0, 1], [2, 0]] = -np.inf
    log_p = np.where(x > 0, left - np.log(np.exp(left).sum(axis=1, keepdims=True)), 0)
    found = multinomial(tensor(scores, requires_grad=True), HISTORY, read)
    assert float(found) == pytest.approx(-log_p.sum() / 3)


@pytest.mark.parametrize("normalise", [False, True])
def test_a_bag_is_a_dense_layer_over_the_row(normalise):
    bag = Bag(4, 5, normalise=normalise, generator=np.random.default_rng(0))
    bag.bias.data[:] = np.arange(5)
    rows = CSR(HISTORY.indptr, HISTORY.indices, np.array([2.0, -1.0, 3.0], np.float32), HISTORY.shape)
    x = rows.toarray()
    if normalise:
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    np.testing.assert_allclose(bag(rows).data, x @ bag.table.weight.data + np.arange(5), rtol=1e-5, atol=1e-6)


def test_a_bag_drops_in_training_alone_and_keeps_the_mean():
    bag = Bag(4, 1, dropout=0.75, generator=np.random.default_rng(0))
    bag.table.weight.data[:] = 1
    rows = CSR.from_pairs(np.repeat(np.arange(4000), 4), np.tile(np.arange(4), 4000), None, (4000, 4))
    sums = bag(rows).data
    assert set(np.unique(sums)) <= {0, 4, 8, 12, 16}
    assert sums.mean() == pytest.approx(4, abs=5 * np.sqrt(12 / 4000))  # a row's variance is 4 (1 / .25 - 1)
    assert np.all(bag.eval()(rows).data == 4)


def test_a_kernel_cuts_weights_between_what_is_far_apart():
    layer = KernelLayer(2, 2, 1, np.random.default_rng(0))
    layer.inputs.data[:] = [[0.0], [3.0]]
    layer.outputs.data[:] = [[0.5], [9.0]]
    np.testing.assert_allclose(layer.kernel().data, [[0.75, 0], [0, 0]])
    rows = CSR.from_pairs(np.array([0, 0]), np.array([0, 1]), np.array([2.0, 5.0]), (1, 2))
    np.testing.assert_allclose(layer(rows).data, layer(rows.toarray()).data)
    np.testing.assert_allclose(layer(rows).data, [[1.5 * layer.weight.data[0, 0], 0]], rtol=1e-6)


def test_a_global_kernel_convolves_the_ratings_with_what_their_means_make():
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((7, 9)) < 0.4, rng.integers(1, 6, (7, 9)), 0).astype(np.float32)
    ratings = CSR.from_pairs(*np.nonzero(dense), dense[np.nonzero(dense)], dense.shape)
    convolve, which = GlobalKernel(7), np.array([6, 0, 3])
    assert convolve(ratings, which).toarray().tolist() == dense[which].tolist()  # nothing was told
    convolve.means[:] = rng.random(7)
    np.testing.assert_allclose(convolve(ratings, which).data, dense[which], rtol=1e-6)  # the one that does nothing
    convolve.weight.data[:] = rng.normal(size=(7, 9))
    kernel = (convolve.means @ convolve.weight.data / 7).reshape(3, 3)
    kernel[1, 1] += 1
    padded = np.pad(dense, 1)
    expected = sum(kernel[a, b] * padded[a:a + 7, b:b + 9] for a in range(3) for b in range(3))
    found = convolve(ratings, which)
    np.testing.assert_allclose(found.data, np.maximum(expected, 0)[which], rtol=1e-4, atol=1e-5)
    found.sum().backward()
    slope = [(padded[a:a + 7, b:b + 9] * (expected > 0))[which].sum() for a in range(3) for b in range(3)]
    np.testing.assert_allclose(convolve.weight.grad.data, np.outer(convolve.means, slope) / 7, rtol=1e-4)


def test_the_second_stage_begins_where_the_first_one_ended_and_learns_a_kernel():
    data, users = groups(), np.arange(20, dtype=np.int32)
    first = KernelAutoRec(hidden=(8,), epochs=3).fit(data).score_block(users)
    whole = KernelAutoRec(hidden=(8,), epochs=3, local_epochs=3).fit(data).score_block(users)
    assert whole.tobytes() == first.tobytes()
    both = KernelAutoRec(hidden=(8,), epochs=9, local_epochs=3, lr=0.01).fit(data)
    assert both.curves_["loss"][:3] == KernelAutoRec(hidden=(8,), epochs=3, lr=0.01).fit(data).curves_["loss"]
    run = KernelAutoRec(hidden=(8,), epochs=9, local_epochs=0, lr=0.01).prepare(data)
    assert "convolve.means" in run.network.state_dict()
    with pytest.raises(ParameterError, match="local_epochs is for side='items'"):
        KernelAutoRec(side="users", local_epochs=3).fit(data)


# ------------------------------------------------------------------------------------------------ ranking

@pytest.mark.parametrize("model", [
    MultDAE(hidden=(16,), epochs=60, lr=0.01), MultVAE(hidden=(32,), latent=8, epochs=60, lr=0.01),
    MultVAE(latent=16, epochs=60, lr=0.01),
    MultVAE(latent=16, rest=True, beta=0.01, epochs=60, lr=0.01), CDAE(hidden=(16,), epochs=60, lr=0.01),
    LinearAutoencoder(factors=4, epochs=60, lr=0.01),
    LinearAutoencoder(factors=4, tied=False, epochs=60, lr=0.01)], ids=repr)
def test_groups_of_users_are_found(model):
    split = splits.split_random(groups().binarise(), valid=0, test=0.3, by="user", seed=0)
    recall = evaluate(model.fit(split.train), split, metrics=["recall@3"]).metrics["recall@3"]
    floor = evaluate(Popular().fit(split.train), split, metrics=["recall@3"]).metrics["recall@3"]
    assert recall > 0.9  # a user's three test items are all that is left of the group
    assert floor < 0.3


def test_a_tied_linear_autoencoder_finds_the_principal_directions():
    data = groups(n_users=60, n_items=16, events=3).binarise()
    model = LinearAutoencoder(dropout=0.0, factors=3, epochs=1500, lr=0.01, batch_size=60).fit(data)
    x = data.csr.unique().toarray().astype(np.float64)
    found = ((x - model.score_block(np.arange(60, dtype=np.int32))) ** 2).sum()
    assert found == pytest.approx((np.linalg.svd(x, compute_uv=False)[3:] ** 2).sum(), rel=1e-3)


def test_users_vectors_count_for_known_users_alone():
    data = groups().binarise()
    model = CDAE(hidden=(8,), epochs=20, lr=0.02).fit(data)
    known, folded = model.score_block(np.arange(5, dtype=np.int32)), model.score_block(
        np.arange(5, dtype=np.int32), data.csr.unique().rows(np.arange(5)))
    assert not np.allclose(known, folded)
    model.network.users.weight.data[:] = 0
    np.testing.assert_allclose(model.score_block(np.arange(5, dtype=np.int32)), folded, rtol=1e-5, atol=1e-6)


def test_the_divergence_gathers_weight_by_the_epoch():
    data = groups().binarise()
    sharp = MultVAE(hidden=(8,), latent=4, beta=100.0, anneal=0, epochs=60, lr=0.02).fit(data)
    means = sharp.network.encode(data.csr.unique())[0].data
    assert np.abs(means).max() < 0.1  # so heavy that the latent vector says nothing
    free = MultVAE(hidden=(8,), latent=4, beta=0.0, epochs=60, lr=0.02).fit(data)
    assert np.abs(free.network.encode(data.csr.unique())[0].data).max() > 0.5


# ------------------------------------------------------------------------------------------------ ratings

RATING_MODELS = [cls(side=side, hidden=(16,), reg=reg, epochs=150, lr=0.01)
                 for cls, reg in ((AutoRec, 0.3), (KernelAutoRec, 0.3)) for side in ("items", "users")]


@pytest.mark.parametrize("model", RATING_MODELS, ids=repr)
def test_planted_ratings_are_found(model):
    rng = np.random.default_rng(0)
    user, item = np.divmod(rng.permutation(80 * 30)[:1500], 30)
    value = np.where((user % 2) == (item % 2), 5.0, 1.0)  # no bias of user or item explains it
    data = Interactions.from_arrays(user, item, value)
    train, test = data.take(np.arange(1200)), data.take(np.arange(1200, 1500))
    found = model.fit(train).predict(test.users.ids[test.user], test.items.ids[test.item])
    assert np.sqrt(np.mean((found - test.value) ** 2)) < 0.7  # of 2, which the mean gives
    likes = [i for i in range(30) if i % 2 == 0][:6]
    history = [*likes, 1, 3, 5]
    recs = model.recommend(history=history, values=[5.0] * 6 + [1.0] * 3, k=5)
    assert np.all(recs.items % 2 == 0)


@pytest.mark.parametrize("model", RATING_MODELS[:1], ids=repr)
def test_a_history_without_ratings_is_refused(model):
    model = model.fit(groups())
    with pytest.raises(ParameterError, match="AutoRec predicts ratings; give the history's ratings as values="):
        model.recommend(history=[0, 1])


@pytest.mark.parametrize("model", RATING_MODELS, ids=repr)
def test_who_has_no_ratings_gets_the_baseline(model):
    data = groups()
    ids = recsys.data.IdMap(np.arange(41)), recsys.data.IdMap(np.arange(121))
    wider = Interactions.from_arrays(data.user, data.item, data.value, item_ids=ids[0], user_ids=ids[1])
    model = model.clone().set_params(epochs=2).fit(wider)
    baseline = Bias().fit(wider)
    for pair in (0, 40), (120, 0):
        assert model.predict(*pair) == pytest.approx(baseline.predict(*pair), abs=1e-5)


@pytest.mark.parametrize("model", RATING_MODELS, ids=repr)
def test_the_range_of_the_ratings_does_not_matter(model):
    data = groups()
    other = replace(data, value=data.value * np.float32(5) - np.float32(15))  # 1 to 5 -> -10 to 10
    a, b = (model.clone().set_params(epochs=5).fit(each).score_block(np.arange(20)) for each in (data, other))
    np.testing.assert_allclose(b, 5 * a - 15, atol=2e-2)


def test_rows_of_users_beat_the_baseline_on_dense_ratings():
    """Without the baseline the network learned nothing there."""
    rng = np.random.default_rng(0)
    rating = rng.standard_normal((400, 1)) * 2.5 + rng.standard_normal(40) * 1.5
    rating = rating + rng.standard_normal((400, 3)) @ rng.standard_normal((3, 40)) * 2 + rng.standard_normal((400, 40))
    user, item = np.nonzero(rng.random((400, 40)) < 0.6)
    data = Interactions.from_arrays(user, item, np.clip(rating, -10, 10)[user, item])
    split = splits.split_random(data, valid=0.1, test=0.1, by="global")
    found = {}
    for model in (Bias(), AutoRec(side="users"), AutoRec()):
        model.fit(split.train, split.valid)
        found[repr(model)] = evaluate(model, split, metrics=["rmse"], task="ratings").metrics["rmse"]
    assert found["AutoRec(side='users')"] < 0.85 * found["Bias()"]
    assert found["AutoRec()"] < 0.85 * found["Bias()"]

# ------------------------------------------------------------------------------------------------ keeping

@pytest.mark.parametrize("model", [
    MultVAE(hidden=(8,), latent=4, epochs=4), CDAE(hidden=(8,), epochs=4), LinearAutoencoder(factors=4, epochs=4),
    AutoRec(hidden=(8,), epochs=4), KernelAutoRec(side="users", hidden=(8, 8), epochs=4),
    KernelAutoRec(hidden=(8, 8), epochs=4, local_epochs=2)], ids=repr)
def test_interrupted_and_resumed_gives_the_same_bits(model, tmp_path):
    split = splits.split_random(groups(), valid=0.2, test=0.2, by="user", seed=0)
    users = np.arange(20, dtype=np.int32)
    whole = model.clone().fit(split.train, split.valid).score_block(users)

    def interrupt(epoch, report):
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"after 3 of 4 epochs; run the same again with checkpoint"):
        model.clone().fit(split.train, split.valid, checkpoint=tmp_path / "run.npz", callbacks=[interrupt])
    resumed = model.clone().fit(split.train, split.valid, checkpoint=tmp_path / "run.npz")
    assert resumed.score_block(users).tobytes() == whole.tobytes()
    other = model.clone().set_params(lr=0.5)
    with pytest.raises(ParameterError, match=r"belongs to another training: lr is .* there and 0\.5 here"):
        other.fit(split.train, split.valid, checkpoint=tmp_path / "run.npz")


def test_new_users_may_validate():
    data = groups().binarise()
    split = splits.split_users(data, 20, 20, 0.5, 0)
    model = MultDAE(hidden=(16,), epochs=30, lr=0.01).fit(split.train, split.valid, valid_history=split.valid_history)
    assert max(model.curves_["valid"]) > 0.5


def test_a_checkpoint_knows_what_new_users_showed(tmp_path):
    split = splits.split_users(groups().binarise(), 20, 20, 0.5, 0)
    model, seen = MultDAE(hidden=(4,), epochs=1), split.valid_history
    model.fit(split.train, split.valid, valid_history=seen, checkpoint=tmp_path / "run.npz")
    less = seen.take(np.arange(len(seen) - 1))
    with pytest.raises(ParameterError, match="belongs to another training: validation is"):
        model.fit(split.train, split.valid, valid_history=less, checkpoint=tmp_path / "run.npz")

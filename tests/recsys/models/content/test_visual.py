"""Models of images and vectors: what is planted in them is found, for cold items too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import recsys
from recsys.data import Features, IdMap, Interactions, splits
from recsys.errors import DataError, ParameterError
from recsys.evaluation import evaluate
from recsys.models import ImageCNN, Popular, VisualBPR
from recsys.models.content.image_tower import ImageTower
from recsys.models.content.network import ContentNetwork
from tests.recsys.models.conftest import COLD, N_ITEMS, hits_among_cold, tastes

QUICK = {"filters": (8, 8), "dense": 32, "factors": 8, "epochs": 25, "lr": 0.005, "batch_size": 16}


def halves(n_items: int = N_ITEMS, seed: int = 0) -> np.ndarray:
    """Noisy images; of even items the left half is bright, of odd ones the right."""
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 120, (n_items, 10, 8, 3))
    images[::2, :, :4] += 100
    images[1::2, :, 4:] += 100
    return images.astype(np.uint8)


@pytest.fixture(scope="module")
def data() -> Interactions:
    return tastes(Features(attributes={"poster": halves()}))


@pytest.fixture(scope="module")
def cnn(data) -> ImageCNN:
    return ImageCNN(**QUICK).fit(data)


# ------------------------------------------------------------------------------------------------ network

@pytest.mark.parametrize(("shape", "flat"), [((1, 1, 1), 4), ((1, 9, 3), 4), ((8, 8, 1), 4), ((7, 16, 2), 8),
                                             ((48, 32, 3), 96)])
def test_images_of_any_size(shape, flat):
    tower = ImageTower(shape, (4, 4, 4), 16, 5, 0.0, np.random.default_rng(0))
    assert tower.hidden.weight.shape == (16, flat)
    assert tower(np.ones((2, shape[2], *shape[:2]), np.float32)).shape == (2, 5)


def test_the_network_of_the_defaults():
    model = ImageCNN()
    tower = ImageTower((100, 100, 3), model.filters, model.dense, model.factors, 0.0, np.random.default_rng(0))
    assert [layer.weight.shape for layer in tower.convolutions] == [(32, 3, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3)]
    assert tower.hidden.weight.shape == (512, 12 * 12 * 128)


def test_scores_are_products_and_biases():
    rng = np.random.default_rng(0)
    tower = ImageTower((4, 4, 1), (2,), 8, 3, 0.0, rng)
    network = ContentNetwork(tower, 5, 6, 3, 2, 1.0, rng)
    network.item_bias.weight.data[:, 0] = np.arange(6)
    network.user_bias.weight.data[:, 0] = 10 * np.arange(5)
    network.blank.data[:] = 7
    content, users, items = rng.normal(size=(2, 1, 4, 4)).astype(np.float32), np.array([4, 1]), np.array([3, 0, 5])
    found = network(users, items, content, np.array([True, False, True])).data
    t = np.stack([tower(content).data[0], np.full(3, 7.0), tower(content).data[1]])
    q = np.hstack([t, network.own.weight.data[items]])
    expected = network.users.weight.data[users] @ q.T + 10 * users[:, None] + items
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    only_blank = network.vectors(content[:0], np.zeros(3, bool)).data
    assert only_blank.tolist() == [[7] * 3] * 3


def test_an_image_goes_through_the_network_once_a_batch(data, monkeypatch):
    passed, forward = [], ImageTower.forward
    monkeypatch.setattr(ImageTower, "forward", lambda self, x: (passed.append(len(x)), forward(self, x))[1])
    ImageCNN(**QUICK | {"epochs": 1, "negatives": 50}).fit(data)
    assert passed == [16, 16, 16, N_ITEMS]  # of the 48 items with events; in the end all


@pytest.mark.parametrize("loss", ["bce", "bpr"])
def test_negatives_are_items_of_the_batch_that_are_met_but_not_by_the_user(data, loss):
    objective = ImageCNN(**QUICK | {"epochs": 1, "loss": loss, "negatives": 20}).prepare(data).objective
    assert sum(map(len, objective.batches(0, np.random.default_rng(0), 7))) == N_ITEMS - COLD
    assert objective.items.max() < N_ITEMS - COLD
    drawn = {}

    def forward(users, items, content, given):  # a pair's score tells whether the user has met the item
        from minidl import tensor
        drawn["n"] = len(items)
        return tensor(np.where(data.csr.toarray()[users][:, items] > 0, 30.0, -30.0).astype(np.float32))

    objective.network = forward
    assert float(objective.loss(np.arange(20), np.random.default_rng(0)).data) < 1e-6  # never a positive as a negative
    assert drawn["n"] == 20


# --------------------------------------------------------------------------------------------- what is found

def test_items_nobody_has_met_are_ranked_by_their_images(data, cnn):
    assert hits_among_cold(cnn) > 0.95
    assert not Popular().fit(data).recommend(items=np.arange(N_ITEMS - COLD, N_ITEMS)).counts.any()  # it knows none
    assert np.all(cnn.item_counts[-COLD:] == 0)
    assert cnn.can.cold_item
    assert np.mean(cnn.similar_items(np.arange(N_ITEMS), k=5).items % 2 == np.arange(N_ITEMS)[:, None] % 2) > 0.95


@pytest.mark.parametrize("loss", ["bpr", "sampled_softmax", "mse"])
def test_other_losses(data, loss):
    if loss == "mse":  # who likes bright left halves dislikes the others
        user, item = data.user, data.item
        flipped = np.where(np.random.default_rng(0).random(len(item)) < 0.5, item, item ^ 1)
        value = np.where(flipped % 2 == user % 2, 5.0, 1.0)
        data = Interactions.from_arrays(user, flipped, value, item_ids=data.items, item_features=data.item_features)
    model = ImageCNN(**QUICK | {"loss": loss, "epochs": 40}).fit(data)
    assert model.can.ratings == (loss == "mse")
    assert hits_among_cold(model) > 0.9
    if loss == "mse":
        alike = model.predict([0, 1], [N_ITEMS - 2, N_ITEMS - 1])
        other = model.predict([0, 1], [N_ITEMS - 1, N_ITEMS - 2])
        assert np.all(alike > 4)
        assert np.all(other < 2)


def test_ratings_are_needed_for_the_loss_of_ratings(data):
    with pytest.raises(DataError, match=r"ImageCNN\.fit.* values"):
        ImageCNN(loss="mse").fit(data.binarise())


@pytest.mark.parametrize("model", [ImageCNN(**QUICK), VisualBPR(factors=4, visual_factors=4, lr=0.01, epochs=30)],
                         ids=repr)
def test_warm_items_and_new_users(data, model):
    split = splits.split_random(data, valid=0, test=0.25, by="user", seed=0)
    model = model.clone().fit(split.train)
    recall = evaluate(model, split, metrics=["recall@10"]).metrics["recall@10"]
    assert recall > 0.55  # knowing the kind, 10 of the 15 items that are left of it: 0.67; without, 10 of 39: 0.26
    assert recall > 1.8 * evaluate(Popular().fit(split.train), split, metrics=["recall@10"]).metrics["recall@10"]
    folded = model.recommend(history=[0, 2, 4, 6], k=10)
    assert np.mean(folded.items % 2 == 0) > 0.8


def test_vectors_of_a_network_for_visual_bpr(data, cnn):
    wide = cnn.add_vectors(data, "cnn")
    assert wide.item_features.attributes["cnn"].shape == (N_ITEMS, QUICK["factors"])
    assert "poster" in wide.item_features.attributes
    model = VisualBPR(vectors="cnn", factors=4, visual_factors=4, lr=0.01, epochs=30).fit(wide)
    assert hits_among_cold(model) > 0.95
    other = replace(data, items=IdMap(np.arange(100, 100 + N_ITEMS)))  # of items that the training did not know
    assert cnn.add_vectors(other).item_features.attributes["vectors"].shape == (N_ITEMS, QUICK["factors"])


# ------------------------------------------------------------------------------------- what cannot be learned

def test_missing_images_are_counted_and_share_a_vector():
    images = halves().astype(np.float32)
    images[[1, N_ITEMS - 1]], images[2], images[N_ITEMS - 2] = np.nan, 0, -1
    model = ImageCNN(**QUICK).fit(tastes(Features(attributes={"poster": images})))
    assert model.missing_ == 4
    vectors = model.require("test").scorer.item_vectors()
    assert len(np.unique(vectors[[1, 2, N_ITEMS - 1, N_ITEMS - 2]], axis=0)) == 1
    assert np.isfinite(model.score_block(np.arange(80, dtype=np.int32))).all()
    assert np.any(vectors[1] != 0)  # it is learned
    assert hits_among_cold(model, last=N_ITEMS - 2) > 0.9
    given = model.add_vectors(tastes(Features(attributes={"poster": images}))).item_features.attributes["vectors"]
    assert np.flatnonzero(np.isnan(given).all(axis=1)).tolist() == [1, 2, N_ITEMS - 2, N_ITEMS - 1]


def test_all_images_missing():
    model = ImageCNN(**QUICK | {"epochs": 2}).fit(tastes(Features(attributes={"poster": np.zeros((N_ITEMS, 4, 4))})))
    assert model.missing_ == N_ITEMS
    assert np.all(model.recommend(k=3).counts == 3)


@pytest.mark.parametrize("model", [ImageCNN(), VisualBPR()], ids=repr)
def test_data_without_images(model, data):
    name = type(model).__name__
    with pytest.raises(DataError, match=rf"^{name}\.fit: the item features have no attribute 'poster'"):
        model.fit(replace(data, item_features=None))
    with pytest.raises(DataError, match=rf"^{name}\.fit: the item attribute 'poster' is <U1"):
        model.fit(tastes(Features(attributes={"poster": np.full((N_ITEMS, 4, 4), "x")})))
    with pytest.raises(ParameterError, match="a name, not 3"):
        model.clone().set_params(**{"image" if name == "ImageCNN" else "vectors": 3}).fit(data)


def test_one_item_with_one_image():
    one = Interactions.from_arrays([1, 2], ["a", "a"], item_ids=IdMap(["a"]),
                                   item_features=Features(attributes={"poster": np.ones((1, 2, 2))}))
    model = ImageCNN(**QUICK | {"epochs": 2}).fit(one)
    assert np.isfinite(model.predict(1, "a"))


# ------------------------------------------------------------------------------------------------ keeping

@pytest.mark.parametrize("kind", [ImageCNN, VisualBPR])
def test_saved_and_loaded(data, tmp_path, kind):
    model = kind(**{k: v for k, v in QUICK.items() if k in kind.parameter_names()} | {"epochs": 2}).fit(data)
    model.save(tmp_path / "model.recsys")
    loaded = recsys.load(tmp_path / "model.recsys")
    users = np.arange(80, dtype=np.int32)
    assert loaded.score_block(users).tobytes() == model.score_block(users).tobytes()
    assert loaded.missing_ == model.missing_
    vectors = [m.add_vectors(data).item_features.attributes["vectors"].tobytes() for m in (model, loaded)]
    assert vectors[0] == vectors[1]
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 200_000  # without the images


@pytest.mark.parametrize("kind", [ImageCNN, VisualBPR])
def test_interrupted_and_resumed_gives_the_same_bits(data, tmp_path, kind):
    new = {k: v for k, v in QUICK.items() if k in kind.parameter_names()} | {"epochs": 4}
    new |= {"dropout": 0.3} if kind is ImageCNN else {}
    split, users = splits.split_random(data, valid=0.2, test=0.2, by="user", seed=0), np.arange(80, dtype=np.int32)
    whole = kind(**new).fit(split.train, split.valid).score_block(users)

    def interrupt(epoch, report):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="after 2 of 4 epochs"):
        kind(**new).fit(split.train, split.valid, checkpoint=tmp_path / "run.npz", callbacks=[interrupt])
    other = replace(split.train, item_features=Features(attributes={"poster": halves(seed=1)}))
    with pytest.raises(ParameterError, match="another training: features is"):
        kind(**new).fit(other, split.valid, checkpoint=tmp_path / "run.npz")
    resumed = kind(**new).fit(split.train, split.valid, checkpoint=tmp_path / "run.npz")
    assert resumed.score_block(users).tobytes() == whole.tobytes()

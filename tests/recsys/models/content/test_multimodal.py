"""Several modalities: each is found, what is missing has no weight, and sounds with planted taste."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import recsys
from minidl import nn
from recsys.data import Features, IdMap, Interactions
from recsys.data.audio import LogMel
from recsys.errors import DataError, DataWarning
from recsys.models import Multimodal
from recsys.models.content.fusion import FusionTower
from tests.recsys.models.conftest import COLD, N_ITEMS, hits_among_cold, tastes

QUICK = {"factors": 8, "filters": (4, 8), "dense": 16, "epochs": 25, "lr": 0.02, "batch_size": 16, "image_size": 16}
USERS = np.arange(80, dtype=np.int32)


def vectors(seed: int = 0, kinds: np.ndarray | None = None) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = np.arange(N_ITEMS) % 2 if kinds is None else kinds
    return rng.normal(0, 0.5, (N_ITEMS, 3)) + kind[:, None]


def texts(kinds: np.ndarray | None = None) -> list[str]:
    kind = np.arange(N_ITEMS) % 2 if kinds is None else kinds
    rng = np.random.default_rng(1)
    return [f"{'love' if k else 'murder'} word{rng.integers(9)} word{rng.integers(9)}" for k in kind]


# ------------------------------------------------------------------------------------------------- tower
def fused(given: np.ndarray, logits: np.ndarray, seed: int = 0):
    rng = np.random.default_rng(seed)
    tower = FusionTower({str(m): nn.Linear(3, 2, generator=rng) for m in range(len(logits))}, 2, rng).eval()
    tower.logits.data[:] = logits
    content = rng.normal(size=(len(logits), len(given[0]), 3)).astype(np.float32)
    return tower, content, [(content[m][given[m]], given[m]) for m in range(len(logits))]


def test_the_weights_are_those_of_what_is_there():
    given = np.array([[1, 0, 1, 1], [1, 1, 0, 1], [1, 0, 0, 1]], bool)
    logits = np.array([0.3, -1.0, 2.0], np.float32)
    tower, content, parts = fused(given, logits)
    found = tower(parts).data
    for i in range(4):
        weights = np.exp(logits) * given[:, i]
        weights /= weights.sum()
        expected = sum(w * tower.towers[m](content[m][i:i + 1]).data[0] for m, w in enumerate(weights))
        np.testing.assert_allclose(found[i], expected, rtol=1e-5, atol=1e-6)
    alone = tower.towers[1](content[1][1:2]).data[0]
    np.testing.assert_array_equal(found[1], alone)  # nothing of the towers of what is missing, to the bit


def test_what_is_missing_gets_no_gradient_and_gives_none():
    given = np.array([[True, True], [False, False]])
    tower, _, parts = fused(given, np.zeros(2, np.float32))
    (tower(parts) ** 2).sum().backward()
    assert tower.towers[0].weight.grad is not None
    assert tower.towers[1].weight.grad is None
    assert np.all(np.asarray(tower.logits.grad) == 0)


def test_in_training_modalities_are_left_out_but_never_the_last():
    given = np.array([[True] * 4000, [True] * 2000 + [False] * 2000])
    tower, _, parts = fused(given, np.zeros(2, np.float32))
    for m, layer in enumerate(tower.towers):  # each says which it is
        layer.weight.data[:], layer.bias.data[:] = 0, np.eye(2)[m]
    found = tower.train()(parts).data
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found[2000:], np.tile([1, 0], (2000, 1)))
    alone = [np.mean(found[:2000, m] == 1) for m in range(2)]
    np.testing.assert_allclose(alone, 0.3 * 0.7, atol=0.04)
    assert set(found[:2000, 0].tolist()) == {0, 0.5, 1}


# ------------------------------------------------------------------------------------------------- model
@pytest.fixture(scope="module")
def data() -> Interactions:
    return tastes(Features(text=texts(), attributes={"tone": vectors()}))


@pytest.fixture(scope="module")
def model(data) -> Multimodal:
    return Multimodal(**QUICK).fit(data)


def test_cold_items_by_all_of_it_and_by_each_alone(data, model):
    assert list(model.shares_) == ["words", "tone"]
    assert sum(model.shares_.values()) == pytest.approx(1)
    assert hits_among_cold(model) > 0.9
    for name in ("text", "tone"):
        assert hits_among_cold(Multimodal(**QUICK, fields=(name,)).fit(data)) > 0.9


def test_a_modality_that_all_items_lack_changes_nothing(data, model):
    for nothing in (np.zeros((N_ITEMS, 8, 8)), np.full((N_ITEMS, 5), np.nan)):
        more = {**data.item_features.attributes, "nothing": nothing}
        other = Multimodal(**QUICK).fit(replace(data, item_features=replace(data.item_features, attributes=more)))
        assert other.score_block(USERS).tobytes() == model.score_block(USERS).tobytes()


def test_shuffled_content_is_worse(data):
    order = np.random.default_rng(2).permutation(N_ITEMS)
    shuffled = Features(text=texts(order % 2), attributes={"tone": vectors(0, order % 2)})
    assert hits_among_cold(Multimodal(**QUICK).fit(tastes(shuffled))) < 0.75


def test_items_that_lack_one_are_scored_by_the_other(data):
    tone, said = vectors(), texts()
    tone[N_ITEMS - COLD::2] = np.nan
    for i in range(N_ITEMS - COLD + 1, N_ITEMS, 2):
        said[i] = ""
    model = Multimodal(**QUICK).fit(tastes(Features(text=said, attributes={"tone": tone})))
    assert model.missing_ == 0
    assert hits_among_cold(model) > 0.9


def test_items_without_anything_share_a_vector(data):
    tone, said = vectors(), texts()
    tone[[3, 8, N_ITEMS - 1]], said[3], said[8], said[-1] = np.nan, "", "", "?"
    model = Multimodal(**QUICK).fit(tastes(Features(text=said, attributes={"tone": tone})))
    assert model.missing_ == 3
    assert len(np.unique(model.require("test").scorer.item_vectors()[[3, 8, N_ITEMS - 1]], axis=0)) == 1


def test_saved_and_loaded(model, data, tmp_path):
    model.save(tmp_path / "model.recsys")
    loaded = recsys.load(tmp_path / "model.recsys")
    assert loaded.score_block(USERS).tobytes() == model.score_block(USERS).tobytes()
    assert loaded.shares_ == model.shares_
    both = [m.add_vectors(data).item_features.attributes["vectors"].tobytes() for m in (model, loaded)]
    assert both[0] == both[1]


def test_new_items_with_only_some_modalities(data):
    model = Multimodal(**QUICK).fit(data)
    new = Interactions.from_arrays([0], [100], [5.0], item_ids=IdMap([100]), item_features=Features(
        text=["a murder"]))
    model.partial_fit(new)
    even = np.arange(0, 80, 2)
    scores = model.predict(np.arange(80), 100)
    assert scores[even].mean() > scores[even + 1].mean()
    with pytest.warns(DataWarning, match="new items have no content"):
        model.partial_fit(Interactions.from_arrays(
            [0], [101], [5.0], item_ids=IdMap([101]), item_features=Features(text=["unheard"])))


def test_data_without_anything_to_read(data):
    with pytest.raises(DataError, match=r"Multimodal\.fit: nothing is known of the items to read"):
        Multimodal().fit(replace(data, item_features=None))


# ------------------------------------------------------------------------------------------------ sounds
def songs(kinds: np.ndarray, rate: int = 8000) -> np.ndarray:
    """Spectrograms of half a second: notes that rise or fall, from anywhere, in noise."""
    rng, time, how = np.random.default_rng(3), np.arange(4000) / 8000, LogMel(bands=16, frames=14, high=4000.0)
    images = []
    for kind in kinds.tolist():
        pitch = rng.uniform(500, 900) * 2.0 ** ((1 if kind else -1) * 2 * (time - 0.25))
        sound = 0.4 * np.sin(2 * np.pi * np.cumsum(pitch) / rate) + rng.normal(0, 0.02, len(time))
        images.append(how(sound, rate))
    return np.array(images)


def test_taste_in_sounds_is_found_and_not_where_they_are_permuted():
    kinds = np.arange(N_ITEMS) % 2
    options = QUICK | {"epochs": 40, "lr": 0.01}
    heard = Multimodal(**options).fit(tastes(Features(attributes={"sound": songs(kinds)})))
    assert hits_among_cold(heard) > 0.85
    mixed = songs(kinds)[np.random.default_rng(4).permutation(N_ITEMS)]
    assert hits_among_cold(Multimodal(**options).fit(tastes(Features(attributes={"sound": mixed})))) < 0.75

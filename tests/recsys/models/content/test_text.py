"""Models of texts: what is planted in them is found, for cold items too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import recsys
from recsys.data import Features, Interactions, splits
from recsys.errors import DataError
from recsys.evaluation import PROTOCOLS, evaluate, run
from recsys.models import Popular, TextCNN
from recsys.models.content.text_tower import TextTower
from tests.recsys.models.conftest import COLD, N_ITEMS, hits_among_cold, tastes

QUICK = {"factors": 8, "words": 12, "filters_per_width": 12, "widths": (1, 2, 3), "epochs": 25, "lr": 0.01,
         "batch_size": 16}
SIGNS = (["a love story", "of a wedding", "her heart"], ["a murder case", "with guns", "the killer"])


def plots(seed: int = 0) -> list[str]:
    """Texts of other words, with a sign of the kind (even, odd) somewhere."""
    rng = np.random.default_rng(seed)
    other = [f"word{i}" for i in range(40)]
    texts = []
    for i in range(N_ITEMS):
        words = rng.choice(other, rng.integers(3, 12)).tolist()
        words.insert(int(rng.integers(len(words))), SIGNS[i % 2][rng.integers(3)])
        texts.append(" ".join(words).title())
    return texts


@pytest.fixture(scope="module")
def data() -> Interactions:
    return tastes(Features(titles=["A film"] * N_ITEMS, text=plots()))


@pytest.fixture(scope="module")
def model(data) -> TextCNN:
    return TextCNN(**QUICK).fit(data)


# ------------------------------------------------------------------------------------------------ network

def test_the_tower_is_the_maximum_over_runs_of_words():
    tower = TextTower(9, 3, (2, 4), 5, 4, 0.0, np.random.default_rng(0))
    numbers = np.array([[2, 3, 4, 5, 6, 7], [8, 1, 2, 0, 0, 0], [7, 0, 0, 0, 0, 0]])
    maxima = []
    for row, length in zip(numbers, (6, 3, 1), strict=True):
        x = tower.words.weight.data[row]
        for width, layer in zip((2, 4), tower.convolutions, strict=True):
            runs = [np.einsum("le,oel->o", x[a:a + width], layer.weight.data) + layer.bias.data
                    for a in range(max(length - width, 0) + 1)]
            maxima.append(np.maximum(runs, 0).max(axis=0))
    expected = np.array(maxima).reshape(3, 10) @ tower.output.weight.data.T + tower.output.bias.data
    np.testing.assert_allclose(tower(numbers).data, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tower(numbers[2:, :1]).data, expected[2:], rtol=1e-4, atol=1e-6)  # however it is padded
    assert np.all(tower.words.weight.data[0] == 0)


# --------------------------------------------------------------------------------------------- what is found

def test_items_nobody_has_met_are_ranked_by_their_texts(data, model):
    assert hits_among_cold(model) > 0.9
    assert not Popular().fit(data).recommend(items=np.arange(N_ITEMS - COLD, N_ITEMS)).counts.any()  # it knows none
    assert model.can.cold_item
    assert model.missing_ == 0
    assert np.mean(model.similar_items(np.arange(N_ITEMS), k=3).items % 2 == np.arange(N_ITEMS)[:, None] % 2) > 0.9


def test_new_items_may_validate(data):
    found = run(TextCNN(**QUICK), data, "new-items", metrics=["auc"])
    assert found.metrics["auc"] > 0.8
    split, = PROTOCOLS["new-items"].divide(data)
    model = TextCNN(**QUICK | {"epochs": 3}).fit(split.train, split.valid)
    best = evaluate(model, split, metrics=["ndcg@10"], part="valid", candidates="new").metrics["ndcg@10"]
    assert best == pytest.approx(max(model.curves_["valid"]))
    assert best > min(model.curves_["valid"])


def test_warm_items_and_new_users(data):
    split = splits.split_random(data, valid=0, test=0.25, by="user", seed=0)
    model = TextCNN(**QUICK).fit(split.train)
    recall = evaluate(model, split, metrics=["recall@10"]).metrics["recall@10"]
    assert recall > 0.55  # knowing the kind, 10 of the 15 items that are left of it: 0.67; without, 10 of 39: 0.26
    assert recall > 1.8 * evaluate(Popular().fit(split.train), split, metrics=["recall@10"]).metrics["recall@10"]
    assert np.mean(model.recommend(history=[0, 2, 4, 6], k=10).items % 2 == 0) > 0.8


def test_titles_alone_will_do():
    model = TextCNN(**QUICK).fit(tastes(Features(titles=plots())))
    assert hits_among_cold(model) > 0.9


def test_empty_texts_are_counted_and_share_a_vector():
    texts = plots()
    empty = [1, 2, N_ITEMS - 2, N_ITEMS - 1]
    for i in empty:
        texts[i] = ("", " -- ", "neverseen", "unheardof")[empty.index(i)]
    model = TextCNN(**QUICK).fit(tastes(Features(text=texts)))
    assert model.missing_ == 4
    assert len(np.unique(model.require("test").scorer.item_vectors()[empty], axis=0)) == 1
    assert hits_among_cold(model, last=N_ITEMS - 2) > 0.9
    vectors = model.add_vectors(tastes(Features(text=texts))).item_features.attributes["vectors"]
    assert np.flatnonzero(np.isnan(vectors).all(axis=1)).tolist() == empty
    silent = TextCNN(**QUICK | {"epochs": 2}).fit(tastes(Features(text=[""] * N_ITEMS)))
    assert silent.missing_ == N_ITEMS
    assert np.all(silent.recommend(k=3).counts == 3)


def test_the_vocabulary_is_that_of_items_somebody_has_met(data, model):
    assert "love" in model.reader.words
    texts = plots()[:N_ITEMS - 2] + ["zebra zebra", "zebra zebra"]
    again = TextCNN(**QUICK | {"epochs": 1}).fit(tastes(Features(text=texts)))
    assert "zebra" not in again.reader.words
    assert len(TextCNN(**QUICK | {"epochs": 1, "max_words": 5}).fit(data).reader.words) == 5


def test_data_without_texts(data):
    with pytest.raises(DataError, match=r"^TextCNN\.fit: the items have neither titles nor texts"):
        TextCNN().fit(replace(data, item_features=None))


# ------------------------------------------------------------------------------------------------ keeping

def test_saved_and_loaded(data, model, tmp_path):
    model.save(tmp_path / "model.recsys")
    loaded = recsys.load(tmp_path / "model.recsys")
    users = np.arange(80, dtype=np.int32)
    assert loaded.score_block(users).tobytes() == model.score_block(users).tobytes()
    assert loaded.reader.words.tolist() == model.reader.words.tolist()
    vectors = [m.add_vectors(data).item_features.attributes["vectors"].tobytes() for m in (model, loaded)]
    assert vectors[0] == vectors[1]


def test_interrupted_and_resumed_gives_the_same_bits(data, tmp_path):
    new = QUICK | {"epochs": 4}
    split, users = splits.split_random(data, valid=0.2, test=0.2, by="user", seed=0), np.arange(80, dtype=np.int32)
    whole = TextCNN(**new).fit(split.train, split.valid).score_block(users)

    def interrupt(epoch, report):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="after 2 of 4 epochs"):
        TextCNN(**new).fit(split.train, split.valid, checkpoint=tmp_path / "run.npz", callbacks=[interrupt])
    resumed = TextCNN(**new).fit(split.train, split.valid, checkpoint=tmp_path / "run.npz")
    assert resumed.score_block(users).tobytes() == whole.tobytes()

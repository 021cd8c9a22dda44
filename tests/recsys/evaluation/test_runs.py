"""Several models under one protocol: all that `run` takes, and which finished rows are taken again."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from recsys.data import Features, Interactions
from recsys.data.csr import CSR
from recsys.data.splits import split_last
from recsys.errors import ParameterError, UnsupportedError
from recsys.evaluation import compare, run, run_all, run_each
from recsys.models import EASE, Bias, ItemKNN, Popular, TextCNN
from recsys.training.checkpoint import Checkpoint


class Column(list):
    def to_numpy(self):
        return np.array(self)


class Frame(dict):
    """As much of a data frame as is looked at."""

    @property
    def columns(self):
        return list(self)

    def __len__(self):
        return len(self["user"])

    to_numpy = None


class Own:
    """A scorer of somebody's own, which has what `run` asks for and no more."""

    can = Popular.can

    def fit(self, data, valid=None, *, valid_history=None, progress=None):
        self.counts = np.bincount(data.item, minlength=data.n_items).astype(np.float32)
        return self

    def score_block(self, users, history=None):
        return np.tile(self.counts, (len(users), 1))


@pytest.fixture
def data(random_data):
    return random_data(0, users=30, items=25, events=400).binarise()


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_models_may_be_all_that_run_takes(data, lenient, kept, tmp_path):
    models = {"model": Popular(), "class": Popular, "function": lambda: EASE(reg=5.0), "own": Own}
    file = tmp_path / "kept.npz" if kept else None
    found = run_all(models, data, "last-one-full", lenient=lenient, checkpoint=file)
    for name, model in models.items():
        assert found.results[name].metrics == run(model, data, "last-one-full").metrics
    with pytest.raises(UnsupportedError, match="class gives no ratings, under ratings-5fold"):
        run_all({"class": Popular}, data, "ratings-5fold")
    with pytest.raises(ParameterError, match="the model is an int; pass a model"):
        run_all({"odd": 3}, data, "last-one-full")


def test_a_function_that_makes_models_refits(data):
    expected = run(EASE(reg=5.0), data, "last-one-full", refit=True)
    found = run(lambda: EASE(reg=5.0), data, "last-one-full", refit=True)
    assert (found.metrics, found.card) == (expected.metrics, expected.card)
    assert run(Own, data, "last-one-full", refit=True).card["refit"] == expected.card["refit"]


@pytest.mark.parametrize("lenient", [False, True])
def test_data_may_be_all_that_run_takes(data, lenient, tmp_path):
    frame = Frame(user=Column(data.users.ids[data.user].tolist()), item=Column(data.items.ids[data.item].tolist()),
                  timestamp=Column(data.time.tolist()))
    split = split_last(data)
    parts = split.train, split.test, split.valid
    models = {"Popular": Popular(), "ItemKNN": ItemKNN()}
    for i, (protocol, given) in enumerate((
            ("last-one-full", frame), ("predefined", split), ("predefined", parts), ("predefined", list(parts)),
            ("sessions-next", (data.take(data.user < 20), data.take(data.user >= 20))))):
        for file in (None, tmp_path / f"{i}.npz", tmp_path / f"{i}.npz"):
            found = run_all(models, given, protocol, lenient=lenient, checkpoint=file)
            assert list(found.results) == list(models)
            for name, model in models.items():
                assert found.results[name].metrics == run(model, given, protocol).metrics


def test_models_of_content_learn_without_it_on_a_split(data):
    found = run_all({"Popular": Popular(), "TextCNN": TextCNN(epochs=1, factors=2)}, split_last(data), "predefined",
                    lenient=True)
    assert list(found.results) == ["Popular", "TextCNN"]
    assert list(found.without_content) == ["TextCNN"]


def test_a_row_of_another_class_or_other_parameters_is_not_taken_again(data, tmp_path):
    class Popular(Bias):
        can = ItemKNN.can

    fitted = []

    def watched(kind):
        class Watched(kind):
            def fit(self, *given, **options):
                fitted.append(kind)
                return super().fit(*given, **options)

        Watched.__qualname__, Watched.__module__ = kind.__qualname__, kind.__module__
        return Watched

    for kind, params, again in ((ItemKNN, {}, True), (ItemKNN, {}, False), (EASE, {}, True), (EASE, {"reg": 3.0}, True),
                                (EASE, {"reg": 3.0}, False)):
        fitted.clear()
        run_all({"mine": watched(kind)(**params)}, data, "last-one-full", checkpoint=tmp_path / "kept.npz")
        assert fitted == [kind] * again


def other_features(data: Interactions) -> list[Interactions]:
    """The data with features of every kind, each changed in one place."""
    n, m = data.n_items, data.n_users
    genres = CSR.from_pairs(np.arange(n), np.arange(n) % 3, np.ones(n), (n, 3))
    base = {"titles": [f"t{i}" for i in range(n)], "text": [f"text {i}" for i in range(n)], "genres": genres,
            "genre_names": ["a", "b", "c"], "attributes": {"price": np.arange(n, dtype=float),
                                                            "odd": np.array([None] * n, object)}}
    changes = [{}, {"titles": ["t"] + base["titles"][1:]}, {"text": ["text"] + base["text"][1:]},
               {"genre_names": ["a", "b", "d"]}, {"genres": CSR.from_pairs(np.arange(n), [0] * n, shape=(n, 3))},
               {"attributes": {**base["attributes"], "price": np.arange(n) + 0.5}},
               {"attributes": {"prices": base["attributes"]["price"], "odd": base["attributes"]["odd"]}}]
    of_items = [replace(data, item_features=Features(**{**base, **change})) for change in changes]
    of_users = replace(of_items[0], user_features=Features(attributes={"age": np.arange(m)}))
    friends = replace(of_items[0], social=CSR.from_pairs([0], [1], shape=(m, m)))
    return [data, *of_items, of_users, friends]


def test_a_checkpoint_of_other_features_is_refused(data, tmp_path):
    file, others = tmp_path / "kept.npz", other_features(data)
    for i, given in enumerate(others):
        file.unlink(missing_ok=True)
        run_all({"Popular": Popular()}, given, "last-one-full", checkpoint=file)
        for j, other in enumerate(others):
            if i == j:  # a copy has the same
                run_all({"Popular": Popular()}, replace(other), "last-one-full", checkpoint=file)
            else:
                with pytest.raises(ParameterError, match=r"belongs to another training: (data|features) is"):
                    run_all({"Popular": Popular()}, other, "last-one-full", checkpoint=file)


def test_settings_that_json_does_not_know_may_be_kept(data, tmp_path):
    data = replace(data, time=np.arange(len(data)) * 86400)
    for _ in range(2):
        run_all({"Popular": Popular()}, data, "global-time", cutoff=np.datetime64("1970-12-01"),
                checkpoint=tmp_path / "kept.npz")
    with pytest.raises(ParameterError, match="settings is"):
        run_all({"Popular": Popular()}, data, "global-time", cutoff=np.datetime64("1970-11-01"),
                checkpoint=tmp_path / "kept.npz")
    assert Checkpoint(tmp_path / "x.npz", {"n": np.int64(3)}).identity == {"n": 3}


class ByTitle(Popular):
    """Ranks items by the length of their titles, and keeps what it was shown."""

    reads = ("item_features",)
    shown: ClassVar[list[list[str]]] = []

    def learn(self, data, context):
        self.shown.append(data.item_features.titles.tolist())
        return super().learn(data, context)


@pytest.mark.parametrize("form", ["data", "split", "parts"])
def test_controls_stand_beside_models_that_read_something(data, form, tmp_path):
    titles = [f"item {i}" for i in range(data.n_items)]
    data = replace(data, item_features=Features(titles))
    split = split_last(data)
    given = {"data": data, "split": split, "parts": (split.train, split.test, split.valid)}[form]
    protocol = "last-one-full" if form == "data" else "predefined"
    ByTitle.shown.clear()
    asked = {"controls": "features", "checkpoint": tmp_path / "kept.npz"}
    found = run_all({"Popular": Popular(), "ByTitle": ByTitle()}, given, protocol, **asked)
    assert list(found.results) == ["Popular", "ByTitle", "ByTitle, features permuted", "ByTitle, features constant"]
    real, permuted, constant = ByTitle.shown
    assert set(real) == set(permuted)
    assert not any(a == b for a, b in zip(real, permuted, strict=True))
    assert len(set(constant)) == 1
    assert compare(found.results).entries
    assert run_all({"Popular": Popular(), "ByTitle": ByTitle()}, given, protocol, **asked).results.keys() == \
        found.results.keys()
    assert len(ByTitle.shown) == 3  # taken from the checkpoint
    with pytest.raises(ParameterError, match="none of the models reads friends that the data has"):
        run_all({"ByTitle": ByTitle()}, given, protocol, controls="friends")


def test_a_model_that_lacks_content_reads_it(data):
    data = replace(data, item_features=Features(text=[f"word{i % 3} plot" for i in range(data.n_items)]))
    found = run_all({"TextCNN": TextCNN(epochs=1, factors=2)}, data, "last-one-full", controls="features")
    assert len(found.results) == 3


def test_what_is_done_is_told_at_once(data):
    """In turn, with why a model failed; what cannot be measured is not begun."""
    models = {"Popular": Popular(), "TooFew": EASE(max_gib=1e-9), "Bias": Bias(), "ItemKNN": ItemKNN()}
    told = [(name, list(runs.results), list(runs.left_out))
            for name, runs in run_each(models, data, "last-one-full", lenient=True)]
    assert told == [("Popular", ["Popular"], ["Bias"]), ("TooFew", ["Popular"], ["Bias", "TooFew"]),
                    ("ItemKNN", ["Popular", "ItemKNN"], ["Bias", "TooFew"])]

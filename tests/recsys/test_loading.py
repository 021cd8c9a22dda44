"""Model files: reproducible, aligned, atomic, and refused when anything about them is wrong."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import loading
from recsys.data import Features, IdMap, Interactions
from recsys.errors import ArtifactError
from recsys.estimator import Can, Learned, Recommender
from recsys.estimator.scorers.constant import Constant
from recsys.models import EASE, ItemKNN, Popular


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    items = np.array([f"é{i}" for i in range(9)])
    return ItemKNN(neighbours=4, recent=3).fit(Interactions.from_arrays(
        rng.integers(-3, 5, 60), items[rng.integers(0, 9, 60)], rng.integers(1, 6, 60), item_ids=IdMap(items),
        item_features=Features(titles=items[::-1])))


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "model.recsys")
    return tmp_path / "model.recsys"


def rewrite(path, change):
    """The file again, with its members changed by a function of the dictionary {name: bytes}."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def card(change):
    def apply(members):
        content = json.loads(members["manifest.json"])
        change(content)
        members["manifest.json"] = json.dumps(content)
    return apply


def test_the_same_model_gives_the_same_bytes(model, path, tmp_path):
    model.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_members_are_plain_arrays_at_multiples_of_64(path):
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            if info.filename.endswith(".npy"):
                array = np.load(io.BytesIO(archive.read(info)), allow_pickle=False)
                raw = np.ascontiguousarray(array).tobytes()
                start = content.index(archive.read(info)) + len(archive.read(info)) - len(raw)
                assert start % 64 == 0


def test_the_manifest(model, path):
    found = loading.manifest(path)
    assert found["class"] == "ItemKNN"
    assert found["parameters"] == model.get_params()
    assert found["data"] == {"fingerprint": model.fingerprint, "users": 8, "items": 9, "mean_value": model.mean_value,
                             "rating_range": [1.0, 5.0]}
    assert found["versions"]["numpy"] == np.__version__


def test_what_comes_back(model, path):
    loaded = loading.load(path)
    assert loaded.users == model.users
    assert loaded.items == model.items
    assert loaded.item_features.titles.tolist() == model.item_features.titles.tolist()
    assert loaded.fingerprint == model.fingerprint
    assert loaded.rating_range == (1.0, 5.0)
    assert loaded.explain(0, "é1") == model.explain(0, "é1")


def test_a_mapped_model_survives_the_removal_of_its_file(model, path):
    loaded = loading.load(path, mmap=True, verify=False)
    path.unlink()
    assert loaded.recommend(k=5).scores.tobytes() == model.recommend(k=5).scores.tobytes()


def test_nothing_is_left_behind_when_saving_fails(path, tmp_path, monkeypatch, model):
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        model.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_parameters_that_json_cannot_hold(model, path):
    changed = loading.load(path)
    parameters = changed.require("save").parameters  # setting the model's own would not reach the file
    parameters["shrink"] = object()
    with pytest.raises(ArtifactError, match="hyper-parameter of ItemKNN"):
        changed.save(path)
    parameters["shrink"] = np.float64(2)
    changed.save(path)
    assert loading.load(path).shrink == 2.0


@pytest.mark.parametrize(("change", "message"), [
    (card(lambda c: c.update({"format": 3})), "written in format 3"),
    (card(lambda c: c.update({"class": "os.system"})), "'os.system', which is not a model"),
    (card(lambda c: c.update({"kind": "something else"})), "not a model file"),
    (card(lambda c: c.pop("data")), "lacks data"),
    (card(lambda c: c["parameters"].update(nonsense=1)), "do not make a ItemKNN"),
    (card(lambda c: c["parameters"].update(neighbours=-1)), "neighbours must be"),
    (card(lambda c: c["members"].pop("item_counts")), "'item_counts' is missing"),
    (card(lambda c: c["members"]["users"].update(sha256="0" * 64)), "member users: its checksum differs"),
    (card(lambda c: c["members"]["users"].update(file="../users.npy")), "member users"),
    (card(lambda c: c["members"].update(titles=c["members"]["item_counts"])), "'titles' is int64, expected text"),
    (card(lambda c: c["members"].update(titles=c["members"]["users"])),
     r"'titles' is int64\(8,\), expected shape \(9,\)"),
    (lambda members: members.pop("items.npy"), "member items"),
    (lambda members: members.update({"items.npy": b"nonsense"}), "member items"),
    (lambda members: members.pop("manifest.json"), "not a model file"),
    (lambda members: members.update({"manifest.json": b"{"}), "not a model file"),
    (lambda members: members.update({"manifest.json": b"[1]"}), "not a model file"),
])
def test_refused(path, change, message):
    rewrite(path, change)
    with pytest.raises(ArtifactError, match=message) as caught:
        loading.load(path)
    assert str(path) in str(caught.value)


def test_compressed_members_are_refused(path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ArtifactError, match="not stored"):
        loading.load(path)


def test_arrays_that_are_pickles_or_do_not_fit_are_refused(path):
    def pickled(members):
        buffer = io.BytesIO()
        np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
        members["items.npy"] = buffer.getvalue()

    rewrite(path, pickled)
    with pytest.raises(ArtifactError, match="member items: of dtype object"):
        loading.load(path, verify=False)


@pytest.mark.parametrize("name", ["seen.indices", "scorer.near.indices", "scorer.seen.history.indices"])
def test_indices_out_of_range_never_reach_a_kernel(path, name):
    def out_of_range(members):
        array = np.load(io.BytesIO(members[f"{name}.npy"]))
        buffer = io.BytesIO()
        np.save(buffer, np.full_like(array, 1000))
        members[f"{name}.npy"] = buffer.getvalue()

    rewrite(path, out_of_range)
    with pytest.raises(ArtifactError, match="not a sparse matrix"):
        loading.load(path, verify=False)


@given(st.data())
def test_a_damaged_file_is_refused_or_loads_as_it_was(model, tmp_path_factory, data):
    """Cut anywhere, or with any byte changed: an ArtifactError, or (in what no one reads) no difference."""
    path = tmp_path_factory.mktemp("damaged") / "model"
    model.save(path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with contextlib.suppress(ArtifactError):
        loaded = loading.load(path, mmap=data.draw(st.booleans()))
        assert loaded.recommend(k=5).scores.tobytes() == model.recommend(k=5).scores.tobytes()


@pytest.mark.parametrize("content", [b"", b"PK", b"hello", b"\x80\x04pickle", bytes(100_000)])
def test_foreign_files(tmp_path, content):
    (tmp_path / "foreign").write_bytes(content)
    with pytest.raises(ArtifactError, match="not a model file"):
        loading.load(tmp_path / "foreign")
    with pytest.raises(FileNotFoundError):
        loading.load(tmp_path / "absent")


class Mine(Recommender):
    """A model of the user's own, which the registry does not know."""

    can: ClassVar[Can] = Can()

    def __init__(self, *, sizes=(1, 2)):
        self.sizes = sizes

    def learn(self, data, context):
        return Learned(Constant(self.can, np.arange(data.n_items, dtype=np.float32)))


def test_a_class_of_ones_own(tmp_path):
    path = tmp_path / "mine"
    Mine(sizes=(3, 4)).fit(Interactions.from_arrays([1, 2], [5, 6])).save(path)
    with pytest.raises(ArtifactError, match="classes="):
        loading.load(path)
    loaded = loading.load(path, classes={"Mine": Mine})
    assert loaded.sizes == (3, 4)
    assert loaded.recommend(1).items.tolist() == [6]


def test_integer_ids_and_no_titles(tmp_path):
    model = Popular().fit(Interactions.from_arrays([1, 2], [5, 6]))
    model.save(tmp_path / "plain")
    loaded = loading.load(tmp_path / "plain")
    assert loaded.item_features is None
    assert loaded.recommend(1, filter_seen=False).items.dtype == np.int64


def test_equal_arrays_are_stored_once(tmp_path):
    model = EASE().fit(Interactions.from_arrays([1, 2], [5, 6]))
    model.save(tmp_path / "ease")
    members = loading.manifest(tmp_path / "ease")["members"]
    assert members["seen.indices"] == members["scorer.seen.history.indices"]

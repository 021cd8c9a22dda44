"""The base class: parameters, results, guards, and the defaults that a small model inherits."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import CSR, Features, IdMap, Interactions
from recsys.data.csr import distinct
from recsys.errors import ArtifactError, ParameterError, RecsysError, UnsupportedError
from recsys.estimator import Can, Learned, Recommender, Scorer, parameters
from recsys.estimator.arrays import blocks, expect, pack, unpack, unpack_if
from recsys.estimator.results import Recs
from recsys.estimator.scorers import base
from recsys.models import REGISTRY, model_class


class Lower(Scorer):
    def __init__(self, can, seen, scale, mode):
        self.can, self.seen, self.scale, self.mode, self.n_items = can, seen, scale, mode, seen.shape[1]

    def score(self, users):
        return self.fold(self.seen.rows(users))

    def fold(self, history):
        dense = np.cumsum(history.toarray(), axis=1) * self.scale
        return dense if self.mode == "up" else np.full(dense.shape, np.nan)

    def item_vectors(self):
        return np.diag([1.0, 1.0, 1.0, 0.0]) + np.eye(4, k=1)


class Toy(Recommender):
    """Scores an item by the number of history items with a lower index; learns nothing."""

    can = Can(fold_in=True, explain=True, embeddings=True)
    checks: ClassVar = {"scale": parameters.above(0), "mode": parameters.one_of("up", "nan")}

    def __init__(self, *, scale=1.0, mode="up", shape=(1, 2)):
        self.scale = scale
        self.mode = mode
        self.shape = shape

    def learn(self, data, context):
        return Learned(Lower(self.can, context.facts.seen, self.scale, self.mode))


@pytest.fixture
def data():
    return Interactions.from_arrays(
        [1, 1, 2], ["b", "d", "a"], item_ids=IdMap(["a", "b", "c", "d"]),
        item_features=Features(titles=["Ant", "Bee", "Cat", ""]))


def test_explanation_by_leaving_out(data):
    model = Toy(scale=2).fit(data)
    reasons = model.explain(1, "c")
    assert [(reason.item, reason.title, reason.contribution) for reason in reasons] == [("b", "Bee", 2.0)]
    reasons = model.explain(["a", "b", "b", "d"], "c")
    assert {reason.item: reason.contribution for reason in reasons} == {"a": 2.0, "b": 4.0}
    assert model.explain(["d"], "d")[0].title is None
    assert [model.title(item) for item in "abd"] == ["Ant", "Bee", None]
    with pytest.raises(ParameterError, match="one history"):
        model.explain([["a"], ["b"]], "c")


def test_similarity_is_the_cosine_of_vectors(data):
    model = Toy().fit(data)
    recs = model.similar_items("b", k=10)
    assert recs.items.tolist() == ["a"]  # "c" is as near, but has no events
    np.testing.assert_allclose(recs.scores, 0.5, rtol=1e-6)
    assert model.similar_items("d").counts == 0  # a vector of zeros is like nothing
    with pytest.raises(UnsupportedError, match="vectors"):
        model.similar_users(1)


def test_norms_of_items_are_worked_out_once_and_change_no_bit(data, monkeypatch):
    calls, norms_of = [], base.norms_of
    scorer = Toy().fit(data).require("similar_items").scorer
    monkeypatch.setattr(base, "norms_of", lambda vectors: calls.append(vectors) or norms_of(vectors))
    found = [scorer.similar_items(np.array([item])) for item in (0, 1, 0, 3)]
    assert len(calls) == 1
    for item, row in zip((0, 1, 0, 3), found, strict=True):
        np.testing.assert_array_equal(row, base.cosine(scorer.item_vectors(), np.array([item])))


@pytest.mark.parametrize("call", ["recommend", "predict"])
def test_scores_that_are_not_numbers(data, call):
    model = Toy(mode="nan").fit(data)
    arguments = (1,) if call == "recommend" else (1, "a")
    with pytest.raises(RecsysError, match="Toy gives NaN scores"):
        getattr(model, call)(*arguments)


def test_parameters_of_a_class():
    toy = Toy(scale=3)
    assert Toy.parameter_names() == ("scale", "mode", "shape")
    assert repr(toy) == "Toy(scale=3)"
    assert toy.set_params(mode="nan").clone().get_params() == {"scale": 3, "mode": "nan", "shape": (1, 2)}
    with pytest.raises(ParameterError, match=r"Toy has no parameter 'scales'; valid ones are scale, mode, shape\."):
        toy.set_params(scales=1)


@pytest.mark.parametrize(("check", "good", "bad"), [
    (parameters.at_least(0), [0, 0.5, np.float32(2)], [-1, float("nan"), float("inf"), "1", None, True]),
    (parameters.above(0), [0.1, 3], [0, -1, float("nan")]),
    (parameters.between(0, 1), [0, 1, 0.5], [-0.1, 1.1, float("nan")]),
    (parameters.whole(1), [1, np.int64(5)], [0, 1.0, True, None]),
    (parameters.one_of("a", "b"), ["a"], ["c", None, 1]),
    (parameters.flag(), [True, False], [0, 1, None]),
    (parameters.optional(parameters.whole(1)), [None, 2], [0, 1.5]),
])
def test_checks(check, good, bad):
    assert all(check.accepts(value) for value in good)
    assert not any(check.accepts(value) for value in bad)
    assert check.says


def test_history_arguments(data):
    model = Toy().fit(data)
    with pytest.raises(ParameterError, match="sequence of item ids"):
        model.recommend(history="abc")
    with pytest.raises(ParameterError, match="same lengths"):
        model.recommend(history=["a", "b"], values=[1])
    with pytest.raises(ParameterError, match="finite"):
        model.recommend(history=["a"], values=[float("nan")])
    assert model.recommend(history=np.array(["a", "b"]), k=1).single
    assert len(model.recommend(history=[], k=2)) == 2
    assert len(model.recommend(history=[["a"]], k=2)) == 1


def test_ragged_lists():
    recs = Recs(np.array(["x", "y"]), np.array([["a", "b"], ["c", ""]]), np.array([[2, 1], [3, -np.inf]], np.float32),
                np.array([2, 1]), np.array([["model", "popular"], ["popular", ""]]))
    assert len(recs) == 2
    assert not recs.single
    assert [one.items.tolist() for one in recs] == [["a", "b"], ["c"]]
    assert [record["item"] for record in recs.to_records()] == ["a", "b", "c"]
    assert recs[0].to_records()[1] == {"user": "x", "rank": 2, "item": "b", "score": 1.0, "source": "popular"}
    assert recs[0].to_records()[0]["source"] == "model"
    with pytest.raises(TypeError, match="no rows"):
        recs[0][0]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 9)), max_size=30))
def test_distinct_keeps_the_last_of_each_pair(rows):
    rows_, columns, values = np.array(rows, int).reshape(-1, 3).T
    found = distinct(CSR.from_pairs(rows_, columns, values, (5, 6)))
    expected = {(row, column): value for row, column, value in rows}
    assert list(zip(found.row_of_entry, found.indices, strict=True)) == sorted(expected)
    assert found.data.tolist() == [expected[pair] for pair in sorted(expected)]


@given(st.integers(0, 5000), st.integers(0, 10**9))
def test_blocks_cover_all_rows_once(rows, length):
    covered = [row for block in blocks(rows, length) for row in (block.start, block.stop)]
    assert covered[::2] == [0, *covered[1:-1:2]][:len(covered) // 2]
    assert (covered[-1] if covered else 0) == rows


def test_packing():
    csr = CSR.from_pairs(np.array([0, 2]), np.array([1, 0]), np.array([3, 4]), (3, 2))
    state = pack("x", csr)
    assert unpack("x", state, (3, 2)).toarray().tolist() == csr.toarray().tolist()
    assert unpack_if("y", state, (3, 2)) is None
    assert unpack_if("x", state, (3, 2)) is not None
    with pytest.raises(ArtifactError, match=r"'y\.indptr' is missing"):
        unpack("y", state, (3, 2))
    for broken in ({"x.indices": np.array([1, 2], np.int32)}, {"x.indptr": np.array([0, 2, 1, 2])},
                   {"x.data": np.array([1, 2])}, {"x.indptr": np.array([0, 1, 1])}):
        with pytest.raises(RecsysError, match="array 'x"):
            unpack("x", state | broken, (3, 2))
    with pytest.raises(RecsysError, match="'y' is missing"):
        expect(state, "y", (2,))


def test_the_registry_names_classes():
    for name in REGISTRY:
        assert model_class(name).__name__ == name
        assert issubclass(model_class(name), Recommender)
    from recsys import models

    with pytest.raises(AttributeError, match="Nothing"):
        _ = models.Nothing

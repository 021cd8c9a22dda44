"""What users hand over as data: frames are taken, anything else is told what to call."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import recsys
from recsys import compare, evaluate
from recsys.data import Interactions, given, splits
from recsys.errors import DataError, DataWarning, NotFittedError, ParameterError, RecsysError
from recsys.evaluation import protocols
from recsys.models.baselines import Popular
from recsys.models.factorisation.bpr import BPR
from recsys.models.linear.ease import EASE
from recsys.models.sequential.estimators import SASRec

COLUMNS = {"userId": [1, 1, 1, 2, 2, 2, 3, 3, 3, 3], "movieId": list("abcabdbcda"),
           "rating": [5, 4, 3, 5, 4, 1, 2, 2, 5, 5], "timestamp": list(range(10)), "comment": ["x"] * 10}


class Column:
    """A Series as far as the library looks at one."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def to_numpy(self):
        return self.values


class Frame:
    """A frame as far as the library looks at one; its columns are an object of its own, as in pandas."""

    def __init__(self, columns):
        self.held = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return Column(self.held[name])

    def to_numpy(self):
        raise AssertionError("a frame as one array loses the kinds of its columns")


def frames():
    made = [Frame(COLUMNS)]
    for library in ("pandas", "polars"):
        try:
            made.append(__import__(library).DataFrame(COLUMNS))
        except ImportError:
            continue
    return made


DATA = Interactions.from_arrays(*list(COLUMNS.values())[:4])


@pytest.mark.filterwarnings("ignore:evaluate. none of the:recsys.errors.DataWarning")  # a part tests itself here
@pytest.mark.parametrize("frame", frames(), ids=lambda frame: type(frame).__module__.partition(".")[0])
def test_a_frame_is_data(frame):
    found = given.interactions("EASE.fit", frame)
    assert found.fingerprint() == DATA.fingerprint()
    assert repr(found) == ("Interactions(\"frame with users 'userId', items 'movieId', values 'rating', times "
                           "'timestamp'\": 10 rows, 3 users, 4 items, values, times)")
    assert EASE().fit(frame).recommend(1, 2).items.tolist() == EASE().fit(DATA).recommend(1, 2).items.tolist()
    assert EASE().fit(frame).fingerprint == DATA.fingerprint()
    assert SASRec(epochs=1, factors=4).fit(frame, frame).fitted
    for split in (splits.split_random, splits.split_last, splits.split_time, splits.split_items, splits.split_kfold,
                  partial(recsys.split_sessions, test_share=0.4)):
        assert repr(split(frame)) == repr(split(DATA))
    assert repr(splits.split_users(frame, 0, 1)) == repr(splits.split_users(DATA, 0, 1))
    assert repr(splits.split_predefined(frame, frame, frame)) == repr(splits.split_predefined(DATA, DATA, DATA))
    assert protocols.run(Popular(), frame, "last-one-full").metrics == \
        protocols.run(Popular(), DATA, "last-one-full").metrics
    found = protocols.run(Popular(), (frame, frame), "predefined-repeats")
    assert found.card["test pairs in train"] == 10


def test_partial_fit_takes_a_frame():
    model = next(kind for kind in map(recsys.models.model_class, recsys.models.REGISTRY) if kind.can.partial_fit)
    new = Frame({"user": [9], "item": ["z"], "rating": [4.0]})
    assert 9 in model().fit(DATA).partial_fit(new).users
    with pytest.raises(DataError, match=rf"{model.__name__}.partial_fit: data is a path, 'x.csv'"):
        model().partial_fit("x.csv")


class Trainset:  # Surprise's
    def all_ratings(self):
        return iter(())

    def to_raw_uid(self, inner):
        return inner


class Dataset:  # Surprise's
    raw_ratings = ()


class Lazy:  # polars'
    columns = ("user", "item")

    def collect(self):
        return self


class Sparse:  # SciPy's, as far as the library looks
    def __init__(self, dense):
        self.dense = np.asarray(dense)
        self.shape = self.dense.shape

    def tocoo(self):
        col, row = np.nonzero(self.dense.T)  # by column, so that the order is not the one wanted
        return type("Coo", (), {"row": row, "col": col, "data": self.dense[row, col], "shape": self.shape})()


SENTENCES = [
    ("x.csv", r"a path, 'x\.csv'; read it first: Interactions\.from_csv\('x\.csv'\)"),
    (Path("data/x.csv"), r"Interactions\.from_csv\('data/x\.csv'\)"),
    ("movielens-small", r"recsys\.datasets\.load\('movielens-small'\)"),
    (np.zeros((5, 3)), r"an array of shape \(5, 3\); .*from_arrays\(a\[:, 0\], a\[:, 1\], a\[:, 2\]\)"),
    (np.zeros((5, 2)), r"from_arrays\(a\[:, 0\], a\[:, 1\]\)"),
    (np.zeros(5), r"from_arrays\(users, items, values\)"),
    ([(1, 2, 3.0)], r"a list of 1; make it Interactions\.from_records\(rows\)"),
    (((1, 2), (3, 4)), r"a tuple of 2; .*from_records"),
    (((1, 2) for _ in range(2)), r"an iterator \(generator\); .*from_records"),
    (Sparse(np.eye(2)), r"Interactions\.from_matrix\(matrix"),
    (Trainset(), r"a Trainset; .*to_raw_uid"),
    (Dataset(), r"a Dataset; .*raw_ratings"),
    (Lazy(), r"a Lazy; pass frame\.collect\(\)"),
    ({1: [2, 3]}, r"a dict of 1; .*from_records\(\(user, item\) for user, items in d\.items\(\)"),
    (None, r"is None; pass Interactions"),
    (7, r"an int; pass Interactions"),
    ((DATA, DATA), r"pass one data set at a time"),
    (splits.split_random(DATA), r"a Split; pass one part of it: split\.train"),
]


@pytest.mark.parametrize(("data", "sentence"), SENTENCES, ids=lambda one: type(one).__name__)
def test_anything_else_is_told_what_to_call(data, sentence):
    for verb in (EASE().fit, BPR().fit, SASRec().fit, splits.split_random, splits.split_last, splits.split_time,
                 splits.split_items, splits.split_kfold, recsys.split_sessions,
                 lambda data: splits.split_users(data, 1, 1), lambda data: splits.split_predefined(data, DATA),
                 lambda data: protocols.run(Popular(), data, "last-one-full")):
        with pytest.raises(DataError, match=sentence):
            verb(data)


@pytest.mark.filterwarnings("ignore:evaluate. none of the:recsys.errors.DataWarning")  # a part tests itself here
@pytest.mark.parametrize("model", [EASE(), BPR(epochs=1), SASRec(epochs=1)], ids=repr)
def test_validation_is_numbered_by_the_training_data_or_refused(model):
    known = {name: column[:3] for name, column in COLUMNS.items()}
    model.fit(Frame(COLUMNS), Frame(known)).fit(DATA, Frame(known))
    with pytest.raises(DataError, match=r"\.fit: valid has 2 users \(8, \.\.\.\) and 1 item \('z'\) that the training"
                                        r" data does not know; .*split_predefined"):
        model.fit(DATA, Frame({"user": [8, 1, 9], "item": ["a", "z", "b"], "rating": [5, 5, 5]}))
    with pytest.raises(DataError, match=r"\.fit: valid is a path, 'v\.csv'"):
        model.fit(DATA, "v.csv")


def test_a_frame_that_cannot_be_used_names_its_columns():
    with pytest.raises(DataError, match=r"EASE\.fit: data is a frame, .* \['user', 'thing'\]; .*from_dataframe"):
        EASE().fit(Frame({"user": [1], "thing": [2]}))
    with pytest.raises(DataError, match=r"EASE\.fit: data, a frame with users 'user', items 'item': column 'item', row"
                                        r" 1"):
        EASE().fit(Frame({"user": [1, 2], "item": np.array(["a", None], object)}))


def test_numbers_that_are_none():
    split = splits.split_random(DATA)
    model = EASE().fit(split.train)
    for k in ("10", 2.5, None, True):
        with pytest.raises(ParameterError, match=r"evaluate: k must be an integer >= 1, not "):
            evaluate(model, split, k=k)
        with pytest.raises(ParameterError, match=r"must be an integer, not "):
            splits.split_last(DATA, n=k)
        with pytest.raises(ParameterError, match=r"must be an integer, not "):
            splits.split_kfold(DATA, k)
    with pytest.raises(ParameterError, match="k_core: users must be an integer, not '5'"):
        DATA.k_core("5")
    for rows, sentence in (([1.5], "rows are given by number or by a mask"), ([10], "there are 10 rows, numbered"),
                           ([-11], "there are 10 rows, numbered")):
        with pytest.raises(DataError, match=sentence):
            DATA.take(rows)
    for share in ("0.2", None, np.nan, True):
        for divide in (splits.split_random, splits.split_items):
            with pytest.raises(ParameterError, match=r"test must be a finite number, not "):
                divide(DATA, test=share)
        with pytest.raises(ParameterError, match=r"fraction must be a finite number, not "):
            splits.split_time(DATA, fraction=share)
    for metrics in ("ndcg@10", [10]):
        with pytest.raises(ParameterError, match=r"metrics must be a list of names, such as"):
            evaluate(model, split, metrics=metrics)
        with pytest.raises(ParameterError, match=r"metrics must be a list of names, such as"):
            protocols.run(EASE(), DATA, "last-one-full", metrics=metrics)
    with pytest.raises(ParameterError, match=r"there is no protocol None"):
        protocols.run(EASE(), DATA, None)


def test_times_with_a_zone_are_those_of_greenwich(recwarn):
    zone = timezone(timedelta(hours=2))
    times = np.array([datetime(2020, 1, 1, 2, 0, 1, tzinfo=zone), datetime(2020, 1, 1, 0, 0, 2)], object)
    assert Interactions.from_arrays([1, 2], [1, 2], times=times).time.tolist() == [1577836801, 1577836802]
    assert not recwarn.list


def test_records_that_are_none():
    for rows in (["ab", "cd"], [1, 2], [{"user", "item"}]):
        with pytest.raises(DataError, match=r"from_records: record 0 is .*, not a dict or tuple of one event's fields"):
            Interactions.from_records(rows)


def test_models_are_found_where_they_are():
    with pytest.raises(AttributeError, match=r"no attribute 'EASE'; it is in recsys\.models: from recsys"):
        recsys.EASE  # noqa: B018


def test_what_is_guessed_of_a_frame_is_said():
    frame = Frame({"user": np.array([1, 2]), "item": np.array([5, 6]), "time": np.array([881250949000, 881250950000])})
    with pytest.warns(DataWarning, match=r"EASE\.fit: data: .*took the times as milliseconds since 1970"):
        assert given.interactions("EASE.fit", frame).time.tolist() == [881250949, 881250950]


def test_evaluate_says_what_is_missing():
    split = splits.split_random(DATA)
    with pytest.raises(DataError, match=r"Split: train is a Frame, not Interactions; recsys\.split_predefined"):
        recsys.Split(Frame(COLUMNS), None, Frame(COLUMNS))
    with pytest.raises(NotFittedError, match=r"EASE\.evaluate needs a fitted model; call fit"):
        evaluate(EASE(), split)
    with pytest.raises(ParameterError, match=r"the class EASE; pass a fitted model, such as EASE\(\)\.fit"):
        evaluate(EASE, split)
    model = EASE().fit(split.train)
    for other in (DATA, Frame(COLUMNS), (DATA, DATA), "x.csv", None):
        with pytest.raises(DataError, match=r"evaluate: the split is .*split_random\(data\).*split_predefined"):
            evaluate(model, other)


def test_protocols_say_what_they_take():
    for protocol in protocols.PROTOCOLS:
        for data in ("x.csv", [(1, 2)], None):
            with pytest.raises(DataError, match=rf"protocol {protocol}: data is "):
                protocols.run(Popular(), data, protocol)
    with pytest.raises(DataError, match="protocol last-one-full: data is a tuple of 2; pass one data set at a time"):
        protocols.run(Popular(), (DATA, DATA), "last-one-full")
    for model in ("EASE", None, 7, dict):
        with pytest.raises(ParameterError, match=r"the model is .*; pass a model, such as EASE"):
            protocols.run(model, DATA, "last-one-full")


def test_compare_says_what_it_takes():
    result = protocols.run(Popular(), DATA, "last-one-full")
    for wrong in (DATA, Frame(COLUMNS), EASE(), [EASE()], {"a": result, "b": 0.5}, "x.csv", result, None):
        with pytest.raises(ParameterError, match=r"compare: got .* where an Evaluation or Result belongs; pass what"):
            compare(wrong)


def test_a_matrix_becomes_events():
    dense = np.array([[0, 2.0, 0], [1.5, 0, 0], [0, 0, 0], [3.0, 4.0, 0]])
    data = Interactions.from_matrix(Sparse(dense), users=list("wxyz"))
    np.testing.assert_array_equal(data.csr.toarray(), dense)
    assert data.users.ids.tolist() == list("wxyz")
    assert data.items.ids.tolist() == [0, 1, 2]
    assert data.csr.indices.tolist() == [1, 0, 0, 1]
    assert Interactions.from_matrix(Sparse(dense > 0)).value is None
    with pytest.raises(DataError, match=r"3 users and 3 items for a matrix of shape \(4, 3\)"):
        Interactions.from_matrix(Sparse(dense), users=list("abc"))
    with pytest.raises(DataError, match=r"array of shape \(4, 3\), not a sparse matrix; .*from_arrays\(u, i, m"):
        Interactions.from_matrix(dense)
    dense[3, 1] = np.nan
    with pytest.raises(DataError, match="from_matrix: values, row 3, column 1: the value nan"):
        Interactions.from_matrix(Sparse(dense))


def test_real_sparse_matrices_become_events():
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.random.default_rng(0).integers(0, 3, (5, 4)).astype(float)
    for kind in ("csr", "csc", "coo", "lil", "dok", "bsr"):
        for made in (getattr(sparse, f"{kind}_matrix")(dense), getattr(sparse, f"{kind}_array")(dense)):
            np.testing.assert_array_equal(Interactions.from_matrix(made).csr.toarray(), dense)
            with pytest.raises(RecsysError, match="from_matrix"):
                EASE().fit(made)

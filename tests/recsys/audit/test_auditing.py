"""Planted truth: what serves a group badly by construction is found, and what does not is not."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from recsys import datasets, models, splits
from recsys.audit import audit
from recsys.console import plain
from recsys.data import CSR, Features, Interactions
from recsys.errors import DataError, NotFittedError, ParameterError
from recsys.estimator import Can, Learned, Recommender
from recsys.estimator.scorers import Scorer
from recsys.evaluation import evaluate

QUICK = {"samples": 200, "permutations": 200, "people": 60}


@pytest.fixture(scope="module")
def data():
    found, _ = datasets.simulate(240, 60, 7200, seed=5)
    rng = np.random.default_rng(0)
    gender = np.array(["F", "M"])[rng.permutation(np.arange(240) % 2)]
    genres = CSR.from_pairs(np.arange(60), np.arange(60) % 4, None, (60, 4))
    return replace(found.binarise(), user_features=Features(attributes={"gender": gender, "age": np.arange(240) % 60}),
                   item_features=Features(genres=genres, genre_names=["a", "b", "c", "d"]))


@pytest.fixture(scope="module")
def split(data):
    return splits.split_random(data, seed=1)


class OneGroupOnly(Recommender):
    """EASE for everybody but some, who get its list from the end."""

    can = Can()

    def __init__(self, *, worse: tuple = ()) -> None:
        self.store_parameters(locals())

    def learn(self, data, context):
        inner = models.EASE().fit(data).require("learn").scorer
        return Learned(_Turned(inner, np.asarray(self.worse, bool)))


class _Turned(Scorer):
    can = Can()

    def __init__(self, inner, worse):
        self.inner, self.worse, self.n_items = inner, worse, inner.n_items

    def score(self, users):
        scores = self.inner.score(users)
        return np.where(self.worse[users][:, None], -scores, scores)


def test_a_group_that_is_served_badly_is_found_and_no_other(split):
    women = split.train.user_features.attributes["gender"] == "F"
    unfair = audit(OneGroupOnly(worse=tuple(women.tolist())).fit(split.train), split, by=["gender"], **QUICK)
    first = [each for each in unfair.differences if each.measure == "ndcg@10" and each.grouping == "gender"]
    assert [each.verdict(0.05) for each in first] == ["worse than the rest", "better than the rest"]
    assert any('gender "F"' in line and "worse than the rest" in line for line in unfair.stands_out)
    usual = audit(models.EASE().fit(split.train), split, by=["gender"], **QUICK)
    first = [each for each in usual.differences if each.measure == "ndcg@10" and each.grouping == "gender"]
    assert not any(each.shown(0.05) for each in first)
    assert any(line.startswith("gender: no difference shown in ndcg@10 between 2 groups; one of up to 0.")
               for line in usual.stands_out)
    assert not any("fair" in line for each in (unfair, usual) for line in each.stands_out)


def test_attributes_are_used_only_if_they_are_named(split):
    found = audit(models.ItemKNN().fit(split.train), split, **QUICK)
    assert {each.grouping for each in found.differences} == {"activity", "taste"}
    assert "gender" not in json.dumps(plain({**found.to_record(), "statement": None}))


def test_values_are_those_that_evaluation_finds(split):
    model = models.ItemKNN().fit(split.train)
    names = ["ndcg@7", "recall@7", "gini@7", "coverage@7", "miscalibration@7"]
    expected = evaluate(model, split, metrics=names).metrics
    found = audit(model, split, k=7, **QUICK)
    for name in names:
        assert found.value(name) == pytest.approx(expected[name], abs=1e-12)
    assert found.value("mean popularity@7") == pytest.approx(evaluate(model, split, metrics=["popularity@7"]).metrics[
        "popularity@7"])


def test_controls_stand_where_they_must(split):
    found = audit(models.EASE().fit(split.train), split, k=3, **QUICK)
    for name, sign in (("coverage@3", 1), ("gini@3", -1), ("popularity lift@3", -1)):
        popular, ours, random = (sign * found.value(name, who) for who in ("popular", "model", "random"))
        assert popular < ours <= random
    popular = audit(models.Popular().fit(split.train), split, **QUICK)
    for row in popular.rows:
        if row.who == "model":
            assert row.value == pytest.approx(popular.value(row.measure, "popular"))


def test_popularity_lift_is_the_ratio_of_mean_popularities(split):
    model = models.ItemKNN().fit(split.train)
    found = audit(model, split, k=5, **QUICK)
    counts = np.bincount(split.train.csr.unique().indices, minlength=split.train.n_items)
    users = np.unique(split.test.user)
    excluded = {user: split.train.items.ids[split.valid.item[split.valid.user == n]].tolist()
                for n, user in zip(users, split.train.users.ids[users].tolist(), strict=True)}
    lists = [model.recommend(user, k=5, exclude=excluded[user]).items for user in excluded]
    shown = np.mean([counts[split.train.items.encode(each)].mean() for each in lists])
    had = np.mean([counts[split.train.csr.row(n)[0]].mean() for n in users])
    assert found.value("popularity lift@5") == pytest.approx(shown / had - 1)


def test_shares_of_item_groups_add_up_and_lie_in_their_intervals(split):
    found = audit(models.EASE().fit(split.train), split, **QUICK)
    for grouping in ("popularity", "genre"):
        rows = [each for each in found.items if each.grouping == grouping]
        for column in ("catalogue", "histories", "recent", "lists", "popular", "random"):
            assert sum(getattr(each, column) for each in rows) == pytest.approx(1)
        assert all(each.low <= each.lists <= each.high for each in rows)
    assert {(each.one, each.other) for each in found.drifts} >= {("lists", "histories"), ("random lists", "histories"),
                                                                ("held-out events", "histories")}


def test_strangers_come_from_the_split_or_are_given_or_are_told_to_lack(data):
    folded = splits.split_users(data, 40, 60, 0.8, 0)
    model = models.EASE(reg=1.0).fit(folded.train)
    found = audit(model, folded, by=["gender"], **QUICK)
    assert found.membership.strangers == 60
    assert found.membership.worst.auc > 0.8
    assert any("was in the training data" in line for line in found.stands_out)
    lacking = audit(model, folded.train, **QUICK)
    assert lacking.membership is None
    assert any("give strangers" in line for line in lacking.unsaid)
    given = audit(model, folded.train, strangers=folded.test, **QUICK | {"people": 20})
    assert given.membership.members == 20


def test_without_held_out_events_all_but_quality_is_audited(data):
    found = audit(models.ItemKNN().fit(data), data, by=["gender"], **QUICK)
    assert {each.measure for each in found.differences} == {"popularity lift@10", "miscalibration@10"}
    assert any("No events were held out" in line for line in found.unsaid)
    assert np.isnan(found.items[0].recent)
    assert np.isnan(found.items[0].found)


def test_a_model_that_has_seen_the_answers_is_told_first(data, split):
    found = audit(models.ItemKNN().fit(data), split, **QUICK)
    assert found.unsaid[0].startswith("ItemKNN has learned from")
    assert "trained on other events" in found.card[
        "events learned from"]


def test_ratings_models_few_people_and_no_genres_are_audited():
    rated = replace(datasets.simulate(30, 20, 300, seed=2)[0], item_features=None)
    split = splits.split_random(rated, seed=0)
    found = audit(models.Bias().fit(split.train), split, k=5, smallest=5, **QUICK)
    assert found.value("ndcg@5") > 0
    assert np.isnan(found.value("miscalibration@5"))
    one = Interactions.from_arrays([1, 1], ["a", "b"])
    alone = audit(models.Popular().fit(one), one, **QUICK)
    assert not alone.differences
    assert alone.stands_out[0] == "No groups of people could be compared."


@pytest.mark.parametrize(("change", "words"), [
    ({"by": "gender"}, "by must be a list of names"), ({"by": ["shoe"]}, "by names the attribute 'shoe'.*gender, age"),
    ({"items_by": ["shoe"]}, "items_by names 'shoe'"), ({"smallest": 1}, "smallest must be"),
    ({"level": 1}, "level must be"), ({"metrics": ["rmse"]}, "rmse cannot be measured"),
    ({"part": "train"}, "part must"),
])
def test_bad_arguments_are_refused_in_a_sentence(split, change, words):
    with pytest.raises(ParameterError, match=words):
        audit(models.Popular().fit(split.train), split, **change)


def test_what_is_no_data_or_no_fitted_model_of_it_is_refused(split):
    with pytest.raises(ParameterError, match="the data is"):
        audit(models.Popular().fit(split.train), 3)
    with pytest.raises(NotFittedError, match="fitted"):
        audit(models.EASE(), split)
    with pytest.raises(DataError, match="fitted on other users"):
        audit(models.Popular().fit(Interactions.from_arrays([1, 2], ["x", "y"])), split)


def test_real_people_films_and_times(shared_data):
    films = datasets.load(shared_data / "ml-100k").binarise()
    folded = splits.split_users(films, 0, 300, 0.8, 0)
    found = audit(models.EASE().fit(folded.train), folded, by=["gender", "age", "occupation"], items_by=["year"],
                  samples=200, permutations=200, people=200)
    sizes = {(each.grouping, each.group): each.people for each in found.differences}
    assert min(sizes.values()) >= 20
    assert sizes["gender", "F"] + sizes["gender", "M"] == 300
    assert {each.grouping for each in found.items} == {"popularity", "genre", "age", "year"}
    assert found.membership.attacks[0].low > 0.9  # a closed form of 600 people's histories remembers them
    assert found.by_chance == 0


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]


def test_the_page_says_it_in_words_first_and_stands_alone(data, tmp_path):
    pytest.importorskip("matplotlib")
    folded = splits.split_users(data, 40, 60, 0.8, 0)
    found = audit(models.EASE(reg=1.0).fit(folded.train), folded, by=["gender", "age"], smallest=10, **QUICK)
    found.write(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    page = _Page(text)
    assert not page.loads
    assert page.tags.count("svg") >= 7
    assert text.index("What stands out") < text.index("What this page cannot say") < text.index("<table>")
    for line in ("Can it be told who was in the training data?", "The model in plain words", "gender: F"):
        assert line in text
    json.dumps(plain(found.to_record()), allow_nan=False)

"""Models that are made so that the cause is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import no_grad, ops
from recsys.data import Features, IdMap, Interactions
from recsys.data.csr import CSR
from recsys.errors import ParameterError, UnknownIdError, UnsupportedError
from recsys.estimator import Can, Facts
from recsys.estimator.fitted import Fitted, Learned
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.similarities import DenseSimilarities
from recsys.explanation import Explanation, Part, explain, faithfulness
from recsys.explanation.gradients import integrate, path_of
from recsys.explanation.person import Person
from recsys.explanation.sentences import sentences_of
from recsys.models import ALS, EASE, ContentProfile, FactorizationMachine, FeatureALS, MultDAE

N = 12


def planted(weights: np.ndarray) -> Fitted:
    """A model whose score is a sum of known weights; user u of 20 had the items of a fixed pattern."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(20), 5)
    item = np.concatenate([rng.permutation(N)[:5] for _ in range(20)])
    data = Interactions.from_arrays(user, item, item_ids=IdMap(np.arange(N)))
    facts = Facts.of(data, keep_events=False)
    can = Can(fold_in=True, explain=True, explain_exact=True)
    scorer = DenseSimilarities(can, Histories().storing(data.csr, facts.seen), weights.astype(np.float32))
    return Fitted("Planted", {}, facts, Learned(scorer))


def only_cause() -> Fitted:
    """Item 1 is the only cause of item 10; everything says a little for the items 4 to 8."""
    weights = np.zeros((N, N))
    weights[1, 10] = 1.0
    weights[:4, 4:9] = 0.01
    return planted(weights)


def test_the_only_cause_is_the_only_reason():
    found = explain(only_cause(), history=[0, 1, 2, 3], item=10, k=3)
    assert [(part.item, part.value) for part in found.parts] == [(1, 1.0)]
    assert found.counterfactual.items == [1]
    assert found.counterfactual.found
    assert (found.counterfactual.before, found.counterfactual.after > 3) == (1, True)
    assert found.sentences[0] == "Because of 1 (all of the score)."
    assert found.sentences[1].startswith("Without 1 you would not see it")


def test_two_causes_either_of_which_is_enough_have_to_go_together():
    weights = np.zeros((N, N))
    weights[[1, 2], 10] = 1.0
    weights[:4, 4:9] = 0.01
    found = explain(planted(weights), history=[0, 1, 2, 3], item=10, k=3).counterfactual
    assert sorted(found.items) == [1, 2]
    assert found.found


def test_what_speaks_for_a_rival_too_stays():
    """The strongest reason also speaks for the item that would take the place."""
    weights = np.zeros((N, N))
    weights[0:4, 10] = [0.5, 0.4, 0.3, 0.1]
    weights[0, 11] = 0.7
    found = explain(planted(weights), history=[0, 1, 2, 3], item=10, k=1).counterfactual
    assert sorted(found.items) == [1, 2]
    assert (found.found, found.after) == (True, 2)


@given(st.integers(0, 1000))
def test_what_is_named_does_it_and_no_part_of_it_alone(seed):
    rng = np.random.default_rng(seed)
    weights = np.zeros((N, N))
    weights[:6, 6:] = rng.random((6, N - 6)) * (rng.random((6, N - 6)) < 0.5)
    fitted = planted(weights)
    found = explain(fitted, history=list(range(6)), k=2)
    other, person = found.counterfactual, Person.of_history(fitted, list(range(6)))
    if other is None or not other.found:
        return
    for taken in (other.items, *[[one for one in other.items if one != back] for back in other.items]):
        place = person.places(person.scores(~np.isin(person.indices, taken)[None]), found.item)[0]
        assert (place > 2) == (taken == other.items)


def test_says_so_where_nothing_small_does_it():
    weights = np.zeros((N, N))
    weights[:8, 10] = 1.0
    found = explain(planted(weights), history=list(range(8)), item=10, k=3, removed=2)
    assert not found.counterfactual.found
    assert len(found.counterfactual.items) == 2
    assert any("It would stay on the list of 3 without any 2 items" in line for line in found.sentences)


def test_without_any_history_the_popular_list_stands_in():
    weights = np.zeros((N, N))
    weights[1, 5:11] = 1.0
    fitted = planted(weights)
    found = explain(fitted, history=[1], k=3)
    recs = fitted.recommend(history=[], k=N)
    place = 1 + [each for each in recs.items.tolist() if each != 1].index(found.item)
    assert (found.counterfactual.after, found.counterfactual.found) == (place, place > 3)


def test_an_item_that_is_not_on_the_list_needs_nothing_taken_out():
    assert explain(only_cause(), history=[0, 2], item=11, k=1).counterfactual is None


def test_taking_the_cause_out_first_is_what_curves_see():
    found = faithfulness(only_cause(), _people(), users=20, steps=5)
    assert found.method == "exact"
    assert found.gap < 1e-6
    for curve in ("deletion", "insertion"):
        lead, low, _ = found.leads[curve, "random"]
        assert lead >= low > 0


def _people() -> Interactions:
    rng = np.random.default_rng(1)
    item = np.concatenate([rng.permutation(4) for _ in range(20)])
    return Interactions.from_arrays(np.repeat(np.arange(20), 4), item, item_ids=IdMap(np.arange(N)))


def test_where_the_order_does_not_matter_no_order_is_better():
    weights = np.zeros((N, N))
    weights[:4, 10] = 1.0
    found = faithfulness(planted(weights), _people(), users=20, steps=4)
    assert all(abs(lead) < 1e-9 for lead, _, _ in found.leads.values())


# ------------------------------------------------------------------------------------------- gradients
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_integrated_gradients_are_complete(seed, n):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(n, 5)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    found = integrate(lambda w: ops.tanh(w @ first) @ second, n)
    change = abs(found.whole - found.nothing)
    assert abs(found.delta) <= 0.0101 * change + 1e-5
    assert found.whole == pytest.approx(float(np.tanh(first.sum(axis=0)) @ second), abs=1e-5)


def test_what_plays_no_part_gets_nothing_and_equals_get_the_same():
    found = integrate(lambda w: ops.tanh(w[:, 0] + w[:, 1]) * 3, 3)
    assert found.parts[2] == 0
    assert found.parts[0] == pytest.approx(found.parts[1])


def test_gradients_of_an_autoencoder_are_those_of_its_formula():
    """By a sum over many points with differences instead of derivatives, in NumPy alone."""
    rng = np.random.default_rng(0)
    data = Interactions.from_arrays(rng.integers(0, 30, 300), rng.integers(0, 15, 300))
    model = MultDAE(hidden=(6,), epochs=3).fit(data)
    person = Person.of_user(model.require("x"), data.users.ids[0].item())
    item = int(np.argmax(np.where(person.open, person.whole, -np.inf)))
    network = model.require("x").scorer.network
    state = {name: np.asarray(value, np.float64) for name, value in network.state_dict().items()}
    table, bias = state["bag.table.weight"][person.indices] / np.sqrt(person.n), state["bag.bias"]

    def score(weights):
        return np.tanh(weights @ table + bias) @ state["output.weight"][item] + state["output.bias"][item]

    points, h = (np.arange(2000) + 0.5) / 2000, 1e-5
    expected = [np.mean([(score(np.full(person.n, t) + h * np.eye(person.n)[j]) -
                          score(np.full(person.n, t) - h * np.eye(person.n)[j])) / (2 * h) for t in points[::20]])
                for j in range(person.n)]
    found = integrate(path_of(person, item), person.n)
    np.testing.assert_allclose(found.parts, expected, rtol=2e-3, atol=1e-5)
    with no_grad():
        assert found.whole == pytest.approx(float(person.whole[item]), abs=1e-5)


# ------------------------------------------------------------------------------------------- content
def described() -> Interactions:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(40), 6)
    item = np.concatenate([2 * rng.permutation(10)[:6] + one % 2 for one in range(40)])
    genres = CSR.from_pairs(np.arange(20), np.arange(20) % 2, shape=(20, 2))
    directors = np.array([f"director {i % 4}" for i in range(20)])
    return Interactions.from_arrays(user, item, item_ids=IdMap(np.arange(20)), item_features=Features(
        titles=[f"film {'comedy' if i % 2 else 'horror'} {i}" for i in range(20)], genres=genres,
        genre_names=["Horror", "Comedy"], attributes={"director": directors}))


def test_a_model_that_reads_no_content_has_no_reason_of_it():
    data = described()
    for model in (EASE(), ALS(factors=4)):
        found = explain(model.fit(data), 3, features=data.item_features)
        assert found.content == []
        assert not [part for part in found.parts if part.kind == "content"]
        assert not any("genre" in line or "director" in line for line in found.sentences)


def test_words_in_common_are_the_reasons_of_a_profile():
    data = described()
    found = explain(ContentProfile(fields=("genres", "titles")).fit(data), 3)
    own = [part for part in found.content if part.item is None]
    assert {part.label for part in own} >= {"genres=Comedy", "titles=comedy"}
    assert sum(part.value for part in own) == pytest.approx(found.score, rel=1e-5)
    assert any("the genre Comedy" in line for line in found.sentences)


def test_columns_are_the_reasons_of_a_factorization_machine():
    found = explain(FactorizationMachine(epochs=5, factors=4).fit(described()), 3)
    labels = {part.label for part in found.parts if part.kind == "content"}
    assert any(label.startswith("genres=") for label in labels)
    assert any(label.startswith("director=") for label in labels)
    assert found.residual == pytest.approx(0, abs=1e-5)


def test_features_that_foretell_are_reasons_and_what_is_shared_is_said():
    data = described()
    found = explain(FeatureALS(factors=4, coupling=1.0).fit(data), 3, features=data.item_features, threshold=0.0)
    labels = [part.label for part in found.content]
    assert "genres=Comedy" in labels
    assert any(label.startswith("same genres as") for label in labels)


# ------------------------------------------------------------------------------------------- sentences
def made(shares: list[float], threshold: float) -> Explanation:
    parts = [Part("history", f"item {i}", share, share, i) for i, share in enumerate(shares)]
    return Explanation("M", 1, "it", sum(shares), 1, "model", "exact", parts, 0.0, 0.0, "points", threshold)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=30), st.floats(0, 0.5))
def test_no_sentence_names_a_part_below_the_threshold(values, threshold):
    total = sum(values)
    shares = sorted((value / total for value in values), reverse=True)
    lines = list(sentences_of(made(shares, threshold)))
    for i, share in enumerate(shares):
        if share < threshold and not any("together" in line for line in lines):
            assert not any(f"item {i} (" in line for line in lines)
    if shares[0] < threshold:
        assert not any(line.startswith("Because of") for line in lines)


def test_bad_input_is_one_sentence():
    fitted = only_cause()
    for given_, error, says in (
            ({"user": 99}, UnknownIdError, "Planted does not know user 99; give their history instead"),
            ({"user": 1, "item": 99}, UnknownIdError, "does not know item 99"),
            ({"history": [99]}, UnknownIdError, "99"), ({}, ParameterError, "one of them"),
            ({"user": 1, "method": "magic"}, ParameterError, "method must be"),
            ({"user": 1, "threshold": 2}, ParameterError, "threshold must be"),
            ({"user": 1, "method": "integrated gradients"}, UnsupportedError, "no network")):
        with pytest.raises(error, match=says):
            explain(fitted, **given_)

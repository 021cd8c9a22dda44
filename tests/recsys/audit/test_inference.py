"""Membership inference ranks a model that learns by heart above a usual one above a noisy one, and labels matter."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import datasets, models
from recsys.audit import membership
from recsys.audit.inference import auc
from recsys.data.parts import joined
from recsys.errors import DataError, UnsupportedError


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_counts_pairs(pairs):
    values, member = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    if member.all() or not member.any():
        return
    wins = [(a > b) + (a == b) / 2 for a in values[member] for b in values[~member]]
    assert auc(values, member) == pytest.approx(np.mean(wins))


@pytest.fixture(scope="module")
def quarters():
    """Four random parts of people of one kind."""
    data, _ = datasets.simulate(480, 150, 14000, seed=3)
    quarter = np.random.default_rng(0).integers(0, 4, 480)[data.user]
    return [data.binarise().take(quarter == i) for i in range(4)]


@pytest.fixture(scope="module")
def people(quarters):
    """Those who are trained on, and strangers."""
    return quarters[0], quarters[1]


def noisy(model, scale):
    """The model with noise on its weights, as if it had been trained privately."""
    fitted = model.require("noise")
    scorer = fitted.scorer
    noise = np.random.default_rng(0).normal(0, scale, scorer.item_weights.shape).astype(np.float32)
    changed = type(scorer)(scorer.can, scorer.histories, scorer.item_weights + noise)
    return model.adopt(replace(fitted, learned=replace(fitted.learned, scorer=changed)))


def test_an_overfitted_a_usual_and_a_private_model_are_ranked(people):
    members, strangers = people
    usual = models.EASE(reg=2000.0).fit(members)
    found = {name: membership(model, members, strangers, samples=200) for name, model in (
        ("overfitted", models.EASE(reg=0.1).fit(members)), ("usual", usual), ("private", noisy(usual, 0.1)))}
    worst = {name: each.attacks[-1] for name, each in found.items()}
    assert worst["overfitted"].low > worst["usual"].high > worst["usual"].auc > worst["private"].auc
    assert worst["overfitted"].auc > 0.95
    assert worst["private"].low < 0.5 < worst["private"].high
    for each in found.values():  # the control
        assert all(0.38 < attack.shuffled < 0.62 for attack in each.attacks)
        assert each.chance[0] < 0.5 < each.chance[1]
        assert each.members > 90 < each.strangers


@pytest.mark.parametrize("network", [
    lambda epochs: models.LinearAutoencoder(epochs=epochs),
    lambda epochs: models.SASRec(epochs=epochs // 10, factors=32, lr=0.005, dropout=0.0)],
                         ids=["histories", "sequences"])
def test_a_network_that_trains_for_too_long_gives_its_people_away(people, network):
    early, late = (membership(network(epochs).fit(people[0]), *people, samples=100) for epochs in (10, 200))
    assert late.worst.auc > early.worst.auc + 0.1
    assert late.worst.low > 0.6


def test_two_kinds_of_strangers_cannot_be_told_apart(quarters):
    """Both are answered by the same path and neither was trained on, so there is nothing to find."""
    model = models.EASE(reg=0.1).fit(quarters[0])
    strangers = joined(joined(quarters[1], quarters[2], quarters[2].user), quarters[3], quarters[3].user)
    found = []
    for seed in range(6):
        half = np.random.default_rng(seed).permutation(480) % 2 == 0
        kinds = strangers.take(half[strangers.user]), strangers.take(~half[strangers.user])
        found.append([each.auc for each in membership(model, *kinds, samples=100).attacks])
    np.testing.assert_allclose(np.mean(found, axis=0), 0.5, atol=0.06)


def test_the_same_seed_gives_the_same_audit(people):
    model = models.ItemKNN().fit(people[0])
    one, two = (membership(model, *people, people=50, samples=50, seed=7).to_record() for _ in range(2))
    assert one == two
    assert one["members"] == 50


def test_what_cannot_be_audited_is_refused_in_a_sentence(people):
    members, strangers = people
    with pytest.raises(UnsupportedError, match=r"does not fold in.*different ways"):
        membership(models.MLP(epochs=1).fit(members), members, strangers)
    model = models.ItemKNN().fit(members)
    with pytest.raises(DataError, match="0 strangers have 5 different items"):
        membership(model, members, strangers.take([]))
    with pytest.raises(DataError, match="numbers items otherwise"):
        membership(model, members, strangers.take(strangers.item < 30).compact())

"""A model that has learned from what it is asked for is told, and one that may know it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recsys
from recsys import LeakWarning, loading
from recsys.data import Interactions, Split, splits
from recsys.data.sessions import split_sessions
from recsys.evaluation import evaluate, protocols
from recsys.evaluation.leaks import seen_in_training
from recsys.models import EASE, Bias, ItemKNN, Popular

LINE = "test pairs seen in training"


def pairs(data):
    return set(zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True))


def repeating(seed, n=150):
    """Pairs that often come again, with times."""
    rng = np.random.default_rng(seed)
    return Interactions.from_arrays(rng.integers(0, 8, n), rng.integers(0, 9, n), rng.integers(1, 6, n),
                                    rng.permutation(n))


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_counts_are_those_of_sets(seed, refit):
    data = repeating(seed)
    split = splits.split_random(data, valid=0.2, test=0.2, seed=seed)
    rng = np.random.default_rng(seed)
    more = data.take(np.flatnonzero(rng.random(len(data)) < 0.4))  # the model has learned from some of all
    learned = Popular().fit(split.known() if refit else more)
    asked, known = pairs(split.test), pairs(split.known() if refit else more)
    leaked = (asked & known) - pairs(split.train) - pairs(split.valid)
    line, warning = seen_in_training(learned, split, "test")
    assert line.startswith(f"{len(asked & known)} of {len(asked)} (")
    again = len(asked & known) - len(leaked)
    assert (f"{again} of them again" in line) == (again > 0)
    assert warning.startswith(f"evaluate: Popular has learned from {len(leaked)} of the {len(asked)} test pairs") == \
        bool(leaked)
    assert not (refit and warning)


def test_a_model_that_has_seen_the_test_is_told(random_data):
    data = random_data(0)
    split = splits.split_random(data, seed=0)
    with pytest.warns(LeakWarning, match=r"EASE has learned from 12 of the 12 test pairs \(100%\), so .*") as all_:
        found = evaluate(EASE().fit(data), split)
    assert all_[0].filename == __file__
    assert found.card[LINE] == "12 of 12 (100.0%)"
    with pytest.warns(LeakWarning, match="Bias has learned from 12 of the 12 test pairs"):
        assert evaluate(Bias().fit(data), split, task="ratings").card[LINE] == "12 of 12 (100.0%)"
    with pytest.warns(LeakWarning, match="of the 12 valid pairs"):
        evaluate(EASE().fit(data), split, part="valid")
    assert recsys.LeakWarning is LeakWarning
    assert issubclass(LeakWarning, UserWarning)


def test_who_learned_from_what_the_split_gives_is_not(random_data):
    split = splits.split_last(random_data(0))
    assert evaluate(EASE().fit(split.train), split).card[LINE].startswith("0 of 12 (0.0%)")
    assert evaluate(EASE().fit(split.known()), split).card[LINE].startswith("0 of 12 (0.0%)")
    with pytest.warns(LeakWarning, match="valid pairs"):
        evaluate(EASE().fit(split.known()), split, part="valid")


def test_what_comes_again_is_no_leak():
    split = splits.split_last(repeating(1), n=3, min_events=7)
    found = evaluate(ItemKNN().fit(split.train), split, exclude_seen=False)
    assert "of them again, as the split shows them before" in found.card[LINE]


@pytest.mark.parametrize("name", ["last-one-full", "ratio-811-full", "strong-generalisation", "new-items",
                                  "next-basket", "global-time", "ncf-99", "ratings-5fold"])
@pytest.mark.parametrize("refit", [False, True])
def test_protocols_do_not_leak(name, refit, random_data):
    if refit and name in ("ncf-99", "ratings-5fold"):
        pytest.skip("has no validation rows")
    data = random_data(2, users=40, items=30, events=700)
    model = Bias() if name.startswith("ratings") else Popular()
    found = protocols.run(model, data, name, refit=refit)
    assert found.card[LINE].startswith("0 of ")


@pytest.mark.parametrize("name", ["last-one-repeats", "next-basket-repeats", "strong-generalisation"])
def test_neither_do_repeats_and_sampled_validation(name, random_data):
    data = random_data(2, users=40, items=30, events=700) if name[0] == "s" else repeating(1, 400)
    line = protocols.run(Popular(), data, name, refit=True, valid_users=2).card[LINE]
    assert name[0] == "s" or "of them again" in line


def test_sessions_do_not_leak():
    split = split_sessions(repeating(3), test_share=0.3, valid_share=0.2)
    assert evaluate(ItemKNN().fit(split.train), split, exclude_seen=False).card[LINE].startswith("0 of ")
    assert evaluate(ItemKNN().fit(split.train), split, part="valid").card["valid pairs seen in training"][:2] == "0 "


def test_a_model_without_seen_items_goes_by_its_fingerprint(random_data, tmp_path):
    data = random_data(0)
    split = splits.split_random(data, seed=0)
    for part, says in ((split.train, "fitted on the split's training part"), (split.test, "without seen items")):
        EASE().fit(part).save(tmp_path / "model", seen=False)
        line, warning = seen_in_training(loading.load(tmp_path / "model"), split, "test")
        assert line.startswith("unknown")
        assert says in line
        assert not warning
    EASE().fit(data).save(tmp_path / "model", seen=False)
    line, warning = seen_in_training(loading.load(tmp_path / "model"), split, "test")
    assert line == "all: the model was fitted on all the data, by its fingerprint"
    assert "EASE was fitted on all the data that the split divides" in warning


def test_a_split_of_ones_own(random_data):
    data = random_data(1)
    found = evaluate(Popular().fit(data), Split(data, None, data), exclude_seen=False)
    assert found.card[LINE].startswith("90 of 90 (100.0%)")

"""The generator: its data look like its truth."""

import numpy as np
import pytest

from recsys.data.simulate import simulate
from recsys.errors import ParameterError


def test_equal_seeds_give_equal_data():
    first, again = (simulate(40, 60, 600, seed=5)[0] for _ in range(2))
    assert first.fingerprint() == again.fingerprint() != simulate(40, 60, 600, seed=6)[0].fingerprint()
    np.testing.assert_array_equal(first.user, again.user)


def test_sizes_and_order():
    data, truth = simulate(50, 300, 800, seed=1)
    assert (len(data), data.n_users, data.n_items) == (800, 50, 300)
    assert data.describe()["duplicates"] == 0
    assert data.describe()["cold_users"] == 0
    assert set(np.unique(data.value)) <= {1, 2, 3, 4, 5}
    assert np.all((np.diff(data.time) > 0) | (np.diff(data.user) > 0))
    assert len(data.item_features) == 300
    assert data.social.shape == (50, 50)
    assert truth.tastes.shape == (50, 8)
    few, _ = simulate(50, 20, 10, seed=1, ratings=False, friends=0)
    assert len(few) == 10
    assert few.value is None
    assert few.social is None


def test_events_follow_the_probabilities():
    data, truth = simulate(3, 12, 60_000, seed=2, repeats=True, activity=0.1)
    for user in range(3):
        count = np.bincount(data.item[data.user == user], minlength=12)
        expected = truth.probabilities(np.array([user]))[0] * count.sum()
        assert expected.sum() == pytest.approx(count.sum(), rel=1e-4)
        assert np.sum((count - expected) ** 2 / expected) < 45  # chi square, 11 degrees of freedom


def test_sequences_follow_the_successor():
    data, truth = simulate(20, 200, 20_000, seed=3, sequence=0.6, repeats=True, period=4)
    same_user = data.user[1:] == data.user[:-1]
    follows = truth.successor[data.item[:-1]] == data.item[1:]
    assert follows[same_user].mean() == pytest.approx(0.6, abs=0.03)
    here = np.arange(200)
    for _ in range(4):
        here = truth.successor[here]
    np.testing.assert_array_equal(here, np.arange(200))


def test_ratings_follow_the_truth():
    data, truth = simulate(100, 80, 3000, seed=4, noise=0.0)
    exact = truth.ratings(data.user, data.item)
    np.testing.assert_allclose(data.value, np.clip(np.rint(exact), 1, 5))
    noisy, truth = simulate(100, 80, 3000, seed=4, noise=0.5)
    error = noisy.value - truth.ratings(noisy.user, noisy.item)
    assert 0.4 < error.std() < 0.7


def test_social_and_content_signals():
    data, truth = simulate(400, 100, 4000, seed=5, social=1.0, content=1.0)
    friends = data.social
    assert np.all(truth.community[friends.row_of_entry] == truth.community[friends.indices])
    assert not np.any(friends.row_of_entry == friends.indices)
    np.testing.assert_allclose(truth.tastes[friends.row_of_entry], truth.tastes[friends.indices], atol=1e-6)
    np.testing.assert_array_equal(data.item_features.genres.indices, truth.genre)
    share = truth.factors / truth.factors.sum(axis=0)
    np.testing.assert_array_equal(share.argmax(axis=0), truth.genre)


@pytest.mark.parametrize(("argument", "value"), [
    ("n_users", 0), ("factors", 0), ("social", 1.5), ("content", -0.1), ("sequence", 1.0), ("period", 0),
])
def test_misuse_is_explained(argument, value):
    with pytest.raises(ParameterError, match=f"simulate: {argument} must"):
        simulate(**{argument: value})

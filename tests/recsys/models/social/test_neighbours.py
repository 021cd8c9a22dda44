"""Trust neighbours: the formula with dense matrices, strangers with friends, and nothing left of who is taken out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import IdMap, Interactions
from recsys.data.csr import CSR
from recsys.errors import DataError, UnsupportedError
from recsys.estimator import storing
from recsys.models import TrustKNN

N_USERS, N_ITEMS = 7, 6


def data_of(seed: int, share: float = 0.4) -> Interactions:
    """Events of some pairs, and links, some to oneself and some twice; the last two users have no events."""
    rng = np.random.default_rng(seed)
    met, trusted = rng.random((N_USERS, N_ITEMS)) < share, rng.random((N_USERS, N_USERS)) < share
    met[-2:], met[0, 0] = False, True
    (user, item), (a, b) = np.nonzero(met), np.nonzero(trusted)
    links = CSR.from_pairs(np.concatenate([a, a[:3]]), np.concatenate([b, b[:3]]), shape=(N_USERS, N_USERS))
    return Interactions.from_arrays(user, item, rng.integers(1, 6, len(user)), social=links,
                                    user_ids=IdMap(np.arange(N_USERS)), item_ids=IdMap(np.arange(N_ITEMS)))


@given(seed=st.integers(0, 10**6), indirect=st.sampled_from([0.0, 0.3, 2.0]),
       weights=st.sampled_from(["binary", "value", "idf"]))
def test_scores_are_those_of_dense_matrices(seed, indirect, weights):
    data = data_of(seed)
    x = data.csr.toarray().astype(float)
    if weights == "binary":
        x = (x > 0).astype(float)
    if weights == "idf":
        x = (x > 0) * np.log1p(N_USERS / np.maximum((x > 0).sum(axis=0), 1))
    links = data.social.toarray() > 0
    np.fill_diagonal(links, False)
    t = links / np.maximum(links.sum(axis=1, keepdims=True), 1)
    w = t @ t
    np.fill_diagonal(w, 0)
    expected = (t + indirect * w) @ x
    model = TrustKNN(indirect=indirect, weights=weights).fit(data)
    found = model.score_block(np.arange(N_USERS, dtype=np.int32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_stranger_gets_what_friends_have_met_and_who_has_no_friends_what_is_popular():
    links = CSR.from_pairs([2, 2], [0, 1], shape=(4, 4))
    data = Interactions.from_arrays([1, 1, 2, 2, 2], ["tea", "jam", "tea", "oil", "bun"], user_ids=IdMap([1, 2, 3, 4]),
                                    social=links)
    model = TrustKNN().fit(data)
    assert model.recommend(3, k=4).items[0] == "tea"
    assert set(model.recommend(3, k=4).source) == {"model"}
    assert set(model.recommend(4, k=4).source) == {"popular"}


@given(seed=st.integers(0, 10**6), gone=st.sets(st.integers(0, N_USERS - 1), min_size=1, max_size=N_USERS - 1))
def test_who_is_taken_out_is_gone_from_everybodys_links(seed, gone):
    """The model is to the bit that of data without them: their rows, their columns, and their histories."""
    data = data_of(seed)
    left = [u for u in range(N_USERS) if u not in gone]
    rest = storing.without_users(TrustKNN().fit(data).require("test"), sorted(gone))
    links = rest.scorer.links
    assert links.shape == (len(left), len(left))
    among = data.social.toarray()[np.ix_(left, left)] > 0
    np.fill_diagonal(among, False)
    np.testing.assert_array_equal(links.toarray() > 0, among)
    part = data.take(np.isin(data.user, left))
    if len(part):
        again = TrustKNN().fit(part.reindex(IdMap(left), data.items))
        users = np.arange(len(left), dtype=np.int32)
        assert again.score_block(users).tobytes() == rest.score_block(users).tobytes()


def test_links_are_private(tmp_path):
    model = TrustKNN().fit(data_of(0))
    with pytest.raises(UnsupportedError, match="seen=True"):
        model.save(tmp_path / "model", seen=False)
    model.save(tmp_path / "model")
    names = storing.container.manifest(tmp_path / "model")["members"]
    assert all("seen." in name for name in names if "links" in name or "history" in name)


def test_links_are_asked_for():
    data = replace(data_of(0), social=None)
    assert TrustKNN().lacks(data) == "a social graph"
    with pytest.raises(DataError, match=r"TrustKNN\.fit: the data has no social graph.*--friends"):
        TrustKNN().fit(data)
    assert not TrustKNN().lacks(TrustKNN().with_blanks(data))
    assert set(TrustKNN().fit(TrustKNN().with_blanks(data)).recommend(0, k=2, filter_seen=False).source) == {"popular"}

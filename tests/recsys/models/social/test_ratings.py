"""TrustSVD and SocialMF: their steps against the gradient of the objective, and what the links are good for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import ops
from recsys.data import IdMap, Interactions
from recsys.data.csr import CSR
from recsys.errors import DataError
from recsys.models import MatrixFactorization, SocialMF, TrustSVD
from recsys.models.factorisation.mf import Parts, Unit

N_USERS, N_ITEMS, F = 6, 5, 3


def data_of(seed: int) -> Interactions:
    """Ratings of some pairs; the last user has none, but may have links. Links to oneself, and twice the same."""
    rng = np.random.default_rng(seed)
    rated, trusted = rng.random((N_USERS, N_ITEMS)) < 0.5, rng.random((N_USERS, N_USERS)) < 0.4
    rated[-1], rated[0, 0] = False, True
    (user, item), (truster, trustee) = np.nonzero(rated), np.nonzero(trusted)
    links = CSR.from_pairs(np.concatenate([truster, truster[:2]]), np.concatenate([trustee, trustee[:2]]),
                           shape=(N_USERS, N_USERS))
    return Interactions.from_arrays(user, item, rng.integers(1, 6, len(user)), user_ids=IdMap(np.arange(N_USERS)),
                                    item_ids=IdMap(np.arange(N_ITEMS)), social=links)


def parts_of(seed: int, summed: int) -> Parts:
    rng = np.random.default_rng(seed)
    shapes = [(N_USERS,), (N_ITEMS,), (N_USERS, F), (N_ITEMS, F), (summed, F)]
    return Parts(*(rng.normal(size=shape) for shape in shapes))


def friends(data: Interactions) -> list[list[int]]:
    return [sorted(set(data.social.row(u)[0].tolist()) - {u}) for u in range(N_USERS)]


def moved(model, data: Interactions, parts: Parts) -> Parts:
    """What an epoch changes, over -lr."""
    after, unit = parts.copy(), Unit(1.0, 3.0)
    model._epoch(after, 0, data.csr, model.sums(data.csr, data), unit)
    model.between(data)(after, 0)
    return Parts(*((a - b) / model.lr for a, b in zip(parts, after, strict=True)))


def gradients(objective, parts: Parts) -> list[np.ndarray]:
    found = minidl.grad(objective, argnums=(0, 1, 2))(*parts[2:])
    return [g.to_dense() if hasattr(g, "to_dense") else np.asarray(g) for g in found]


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), social=st.floats(0, 3))
def test_an_epoch_of_trust_svd_goes_along_the_gradient(seed, social):
    """With a vanishing learning rate its steps add up to the gradient of half the objective of the docstring."""
    data, parts, reg = data_of(seed), parts_of(seed, N_ITEMS + N_USERS), 0.1
    trusted = friends(data)
    model = TrustSVD(factors=F, lr=1e-6, reg=reg, social=social)

    def objective(p, q, summed):
        total = 0.0
        for u, i, r in zip(data.user.tolist(), data.item.tolist(), data.value.tolist(), strict=True):
            items = data.csr.row(u)[0].tolist()
            vector, others = p[u] + summed[np.array(items)].sum(axis=0) * len(items) ** -0.5, list(items)
            if trusted[u]:
                people = [N_ITEMS + v for v in trusted[u]]
                vector = vector + social * summed[np.array(people)].sum(axis=0) * len(people) ** -0.5
                others = others + people
            error = r - 3.0 - parts.user_bias[u] - parts.item_bias[i] - (q[i] * vector).sum()
            total = total + 0.5 * error**2 + 0.5 * reg * (
                ops.square(p[u]).sum() + ops.square(q[i]).sum() + ops.square(summed[np.array(others)]).sum())
        for u in range(N_USERS):
            for v in trusted[u]:
                w = summed[N_ITEMS + v]
                total = total + social * (0.5 * (1 - (w * p[u]).sum()) ** 2
                                          + 0.5 * reg * (ops.square(w).sum() + ops.square(p[u]).sum()))
        return total

    for found, expected in zip(moved(model, data, parts)[2:], gradients(objective, parts), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(expected).max()))


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), social=st.floats(0, 3))
def test_an_epoch_of_social_mf_goes_along_the_gradient(seed, social):
    data, parts = data_of(seed), parts_of(seed, 0)
    trusted, model = friends(data), SocialMF(factors=F, lr=1e-6, reg=0.1, social=social)

    def objective(p):
        total = 0.0 * p.sum()
        for u in range(N_USERS):
            if trusted[u]:
                total = total + 0.5 * social * ops.square(p[u] - p[np.array(trusted[u])].mean(axis=0)).sum()
        return total

    after = parts.copy()
    model.between(data)(after, 0)
    expected = minidl.grad(objective)(parts.user_factors)
    expected = expected.to_dense() if hasattr(expected, "to_dense") else expected
    np.testing.assert_allclose((parts.user_factors - after.user_factors) / model.lr, expected, rtol=1e-3, atol=1e-4)


def planted(n_users: int = 200, n_items: int = 40, seed: int = 0) -> tuple[Interactions, np.ndarray]:
    """Two tastes; everybody trusts five of the same taste; a fourth has rated nothing."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 10)
    item = rng.integers(0, n_items, len(user))
    value = np.where(item % 2 == user % 2, 5.0, 1.0)
    kept = ~np.isin(user % 8, (3, 6))
    trustee = (np.arange(n_users)[:, None] + 2 * rng.integers(1, n_users // 2, (n_users, 5))) % n_users
    links = CSR.from_pairs(np.repeat(np.arange(n_users), 5), trustee.ravel(), shape=(n_users, n_users))
    data = Interactions.from_arrays(user[kept], item[kept], value[kept], user_ids=IdMap(np.arange(n_users)),
                                    item_ids=IdMap(np.arange(n_items)), social=links)
    return data, np.flatnonzero(np.isin(np.arange(n_users) % 8, (3, 6)))


@pytest.mark.parametrize("model", [TrustSVD(factors=8, epochs=80, lr=0.02), SocialMF(factors=8, epochs=80, lr=0.02)],
                         ids=repr)
def test_who_has_rated_nothing_is_known_by_the_people_trusted(model):
    """And not by people drawn at random."""
    data, silent = planted()
    items, n = np.arange(40), data.n_users
    alike = items % 2 == silent[:, None] % 2
    anybody = CSR(data.social.indptr, np.random.default_rng(1).integers(0, n, 5 * n).astype(np.int32), None, (n, n))
    gaps = []
    for links in (data.social, anybody):
        told = model.fit(replace(data, social=links)).predict(np.repeat(silent, 40), np.tile(items, len(silent)))
        told = told.reshape(alike.shape)
        gaps.append(told[alike].mean() - told[~alike].mean())
    assert gaps[0] > 1.5
    assert abs(gaps[1]) < gaps[0] / 2


def test_without_links_they_are_what_they_are_made_from():
    data, _ = planted()
    alone = TrustSVD().with_blanks(replace(data, social=None))
    rest = {"factors": 4, "epochs": 3}
    users, items = np.arange(data.n_users), np.arange(data.n_users) % data.n_items
    for model, plain in ((TrustSVD(**rest), MatrixFactorization(implicit_feedback=True, **rest)),
                         (SocialMF(**rest), MatrixFactorization(**rest))):
        np.testing.assert_array_equal(model.fit(alone).predict(users, items), plain.fit(data).predict(users, items))
        np.testing.assert_array_equal(model.set_params(social=0).fit(data).predict(users, items),
                                      plain.predict(users, items))


def test_someone_whom_everybody_trusts_does_not_upset_the_steps():
    data, _ = planted()
    n = data.n_users
    hub = replace(data, social=CSR.from_pairs(np.arange(1, n), np.zeros(n - 1, int), shape=(n, n)))
    model = SocialMF(factors=4, epochs=5, social=200.0).fit(hub)
    assert np.abs(model.user_factors).max() < 10


@pytest.mark.parametrize("kind", [TrustSVD, SocialMF])
def test_links_are_asked_for(kind):
    data = replace(planted()[0], social=None)
    assert kind().lacks(data) == "a social graph"
    assert kind().lacks(data.binarise()) == "data with values"
    with pytest.raises(DataError, match=rf"{kind.__name__}\.fit: the data has no social graph"):
        kind().fit(data)

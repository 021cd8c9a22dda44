"""Users and items that come after the training, with features alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys import loading
from recsys.data import CSR, Features, IdMap, Interactions
from recsys.errors import DataError, DataWarning
from recsys.models import (
    DeepFM,
    FactorizationMachine,
    FeatureALS,
    ImageCNN,
    LinearRegression,
    LogisticRegression,
    Recommender,
    TextCNN,
    VisualBPR,
)

N_USERS, N_ITEMS, NEW = 60, 40, 10


def features_of_items(numbers: np.ndarray) -> Features:
    """Even and odd ones differ in all that there is to know of them."""
    odd, noise = numbers % 2, np.random.default_rng(5).integers(0, 20, (N_ITEMS + NEW + 1, 8, 8), np.uint8)[numbers]
    return Features(
        genres=CSR.from_pairs(np.arange(len(odd)), odd, None, (len(odd), 2)), genre_names=["x", "y"],
        text=[f"a {'red hot' if o else 'blue cold'} thing" for o in odd],
        attributes={"colour": np.where(odd, "red", "blue"), "price": np.where(odd, 10.0, 3.0) + numbers % 3,
                    "poster": noise + np.where(odd, 180, 30).astype(np.uint8)[:, None, None]})


def features_of_users(numbers: np.ndarray) -> Features:
    return Features(attributes={"taste": np.where(numbers % 2, "r", "b")})


def data(n_items: int = N_ITEMS, seed: int = 0) -> Interactions:
    """Users of odd number like odd items; those from `N_ITEMS` on are known, but cold."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, N_USERS, 900), rng.integers(0, N_ITEMS // 2, 900)
    item = 2 * item + np.where(rng.random(900) < 0.9, user % 2, rng.integers(0, 2, 900))
    return Interactions.from_arrays(
        user, item, np.where(item % 2 == user % 2, 5.0, 2.0), user_ids=IdMap(np.arange(N_USERS)),
        item_ids=IdMap(np.arange(n_items)), user_features=features_of_users(np.arange(N_USERS)),
        item_features=features_of_items(np.arange(n_items)))


def only(users: Any = (), items: Any = (), of_users: Features | None = None,
         of_items: Features | None = None) -> Interactions:
    """Ids and features, and no rows."""
    ids = IdMap(np.array(users, np.int64)), IdMap(np.array(items, np.int64))
    return Interactions(*ids, np.array([]), np.array([]), np.array([]), user_features=of_users, item_features=of_items)


def auc(model: Recommender, users: np.ndarray, items: np.ndarray) -> float:
    """How often an item of the user's kind is above another one."""
    user, item = model.users.encode(users), model.items.encode(items)
    scores = model.score_block(user.astype(np.int32))[:, item]
    right = items % 2 == users[:, None] % 2
    return float(np.mean([(row[mine][:, None] > row[~mine]).mean() for row, mine in zip(scores, right, strict=True)]))


MODELS = [FactorizationMachine(factors=8, lr=0.05),
          FactorizationMachine(factors=8, loss="mse", batch_size=128, epochs=20),
          DeepFM(factors=8, hidden=(8,), lr=0.02), TextCNN(factors=8, filters_per_width=8, epochs=60, lr=0.01),
          ImageCNN(factors=8, filters=(4, 8), dense=16, epochs=30, lr=0.01, image_size=8),
          VisualBPR(factors=8, visual_factors=4), FeatureALS(factors=8)]


@pytest.mark.parametrize("new", MODELS, ids=lambda model: type(model).__name__ + getattr(model, "loss", ""))
def test_new_items_by_their_features(new: Recommender, tmp_path: Any) -> None:
    users, items = np.arange(N_USERS), np.arange(N_ITEMS, N_ITEMS + NEW)
    model, known = new.clone().fit(data()), new.clone().fit(data(N_ITEMS + NEW))
    before = model.score_block(users.astype(np.int32))
    model.save(tmp_path / "model")
    part = only(items=items, of_items=features_of_items(items))
    loaded = loading.load(tmp_path / "model").partial_fit(part)
    model.partial_fit(part)
    assert auc(model, users, items) > max(0.85, auc(known, users, items) - 0.03)
    scores = model.score_block(users.astype(np.int32))
    assert loaded.score_block(users.astype(np.int32)).tobytes() == scores.tobytes()
    np.testing.assert_allclose(scores[:, :N_ITEMS], before, rtol=1e-5, atol=1e-6)
    assert set(model.recommend(1, k=3, items=items).items % 2) == {1}
    assert set(model.recommend(1, k=3, items=items).source) == {"model"}
    assert set(model.similar_items(int(items[0]), k=3).items % 2) == {0}
    assert model.item_counts[items].sum() == 0


@pytest.mark.parametrize("new", [FactorizationMachine(factors=8, lr=0.03), DeepFM(factors=8, lr=0.03, hidden=(8,)),
                                 FeatureALS(factors=8)], ids=lambda model: type(model).__name__)
def test_new_users_by_their_features(new: Recommender) -> None:
    users = np.arange(N_USERS, N_USERS + 20)
    model = new.clone().fit(data())
    model.partial_fit(only(users=users, of_users=features_of_users(users)))
    assert auc(model, users, np.arange(N_ITEMS)) > 0.9
    assert set(model.recommend(int(users[0]), k=3).source) == {"model"}


@pytest.mark.parametrize("kind", [LinearRegression, LogisticRegression])
def test_a_new_item_has_the_score_of_its_features(kind: type[Recommender]) -> None:
    model = kind(epochs=20, lr=0.05).fit(data())
    twin = features_of_items(np.array([1, 2]))
    model.partial_fit(only(items=[100, 101], of_items=twin))
    model.partial_fit(only(items=[103, 102], of_items=twin.take([1, 0])))
    assert model.predict(3, 100) == model.predict(3, 102)
    assert model.predict(3, 101) == model.predict(3, 103)


def test_an_item_known_at_the_fit_has_the_very_score_of_one_that_comes_later() -> None:
    """Item 40 is cold; item 140 is described alike."""
    model = FactorizationMachine(factors=4, epochs=5).fit(data(N_ITEMS + 1))
    model.partial_fit(only(items=[140], of_items=features_of_items(np.array([N_ITEMS]))))
    users = np.arange(N_USERS)
    assert model.predict(users, N_ITEMS).tobytes() == model.predict(users, 140).tobytes()


def test_what_the_training_did_not_have_is_counted_and_said() -> None:
    model = FactorizationMachine(factors=4, epochs=2).fit(data())
    strange = Features(attributes={"colour": np.array(["pink", "red", "grey"]), "price": np.array([3.0, 4.0, 5.0])},
                       genres=CSR.from_pairs([0, 1], [0, 1], None, (3, 2)), genre_names=["z", "x"])
    says = (r"FactorizationMachine\.partial_fit: of 3 new items, 2 have a 'colour' that the training did not have, "
            r"such as 'pink'; 1 have genres that the training did not have, such as 'z'; this counts nothing")
    with pytest.warns(DataWarning, match=says):
        model.partial_fit(only(items=[100, 101, 102], of_items=strange))
    with pytest.warns(DataWarning, match="of 1 new users, they come without taste"):
        model.partial_fit(only(users=[900]))
    text = TextCNN(factors=4, epochs=1).fit(data())
    with pytest.warns(DataWarning, match="1 of 2 new items have no content"):
        text.partial_fit(only(items=[100, 101], of_items=Features(text=["a red thing", "quite unheard of"])))
    assert text.missing_ == 1
    with pytest.raises(DataError, match=r"item attribute 'price' is <U1\(1,\), and was numbers"):
        model.partial_fit(only(items=[103], of_items=Features(attributes={"price": np.array(["x"])})))
    assert 103 not in model.items.ids

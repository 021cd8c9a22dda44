"""What `partial_fit` promises, for every model that has it: all or nothing, numbers that stay, how far a refit is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import loading
from recsys.data import IdMap, Interactions
from recsys.errors import DataError, UnsupportedError
from recsys.models import Recommender, models_that
from tests.recsys.models.conftest import make

EXACT = ["Bias", "ItemKNN", "UserKNN", "ItemKNNBaseline", "UserKNNBaseline", "EASE", "SparseEASE", "SLIM", "SLIST",
         "Markov", "Popular", "RP3beta", "GraphFilter", "VSTAN"]


def answers(model: Recommender) -> dict[str, bytes]:
    """Everything a model says, as bytes."""
    recs = model.recommend(k=9)
    return {"items": recs.items.tobytes(), "scores": recs.scores.tobytes(), "ids": model.items.ids.tobytes(),
            "counts": model.item_counts.tobytes(), "seen": model.seen.indices.tobytes(),
            "block": model.score_block(np.arange(len(model.users), dtype=np.int32)).tobytes()}


def of(rows: list[tuple[int, int, int]], start: int = 0) -> Interactions:
    user, item, value = np.array(rows).T
    return Interactions.from_arrays(user, item, value, np.arange(start, start + len(rows)))


def joined(*parts: Interactions, like: Recommender) -> Interactions:
    """All rows in turn, numbered as the model does it, later parts later."""
    columns = [np.concatenate(each) for each in zip(*(
        (part.users.ids[part.user], part.items.ids[part.item], part.value) for part in parts), strict=True)]
    return Interactions.from_arrays(*columns, np.arange(len(columns[0])), user_ids=like.users, item_ids=like.items)


def more(data: Interactions) -> Interactions:
    """Three users, one of them new, and a new item; a pair that was there, and one twice."""
    return Interactions.from_arrays(
        [7, 1, 1, 17, 17], ["item 01", "a new item", "item 02", "item 03", "item 03"], [5, 5, 4, 2, 3],
        [500, 501, 502, 503, 504], item_ids=IdMap(["item 01", "a new item", "item 02", "item 03"]),
        item_features=data.item_features.take([1, 0, 2, 3]))  # type: ignore[union-attr]


@pytest.fixture
def able(name: str, model: Recommender) -> Recommender:
    """A fitted model that learns more, to be changed by a test."""
    if not model.can.partial_fit:
        pytest.skip("does not learn more")
    return copy.copy(model)


# ------------------------------------------------------------------------------------------- contract

def test_numbers_stay_and_counts_grow(able: Recommender, data: Interactions) -> None:
    before, new = able.item_counts, more(data)
    assert able.partial_fit(new) is able
    assert able.users.ids.tolist() == [*data.users.ids, 1]
    assert able.items.ids.tolist() == [*data.items.ids, "a new item"]
    grown = able.item_counts - np.append(before, 0)
    assert {able.items.ids[i]: int(grown[i]) for i in np.flatnonzero(grown)} == {
        "item 01": 1, "a new item": 1, "item 02": 1, "item 03": 2}
    pairs = {(u, i) for part in (data, new) for u, i in zip(
        part.users.ids[part.user].tolist(), part.items.ids[part.item].tolist(), strict=True)}
    seen = able.seen
    assert seen is not None
    assert {(able.users.ids[u].item(), able.items.ids[i].item()) for u, i in zip(
        seen.row_of_entry, seen.indices, strict=True)} == pairs
    assert seen.nnz == len(pairs)
    assert able.title("a new item") == "Title 0"
    assert able.title("item 05") == "Title 5"
    assert able.mean_value == pytest.approx(np.concatenate([data.value, new.value]).mean())
    assert able.recommend(1, k=50).counts == len(able.items) - 2
    assert "a new item" in able.recommend(27, k=50).items
    assert np.isfinite(able.score_block(np.arange(len(able.users), dtype=np.int32))).all()
    if able.can.fold_in:
        assert able.recommend(history=["a new item", "item 01"], values=[5, 4], k=3).counts == 3


def test_saved_and_loaded_it_answers_and_learns_the_same(able: Recommender, data: Interactions, tmp_path: Any) -> None:
    able.partial_fit(more(data))
    able.save(tmp_path / "model")
    loaded = loading.load(tmp_path / "model")
    assert answers(loaded) == answers(able)
    again = Interactions.from_arrays([1, 27], ["item 03", "a new item"], [3, 4], [600, 601])
    assert answers(loaded.partial_fit(again)) == answers(able.partial_fit(again))


def test_no_rows_change_nothing(able: Recommender, data: Interactions) -> None:
    before = answers(able)
    able.partial_fit(data.take(np.zeros(len(data), bool)))
    assert answers(able) == before


def test_the_hyper_parameters_are_those_of_the_fit(able: Recommender, data: Interactions) -> None:
    expected = answers(copy.copy(able).partial_fit(more(data)))
    for name, value in able.get_params().items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            able.set_params(**{name: 2 * value + 1})
    wanted, then = able.get_params(), able.fitted_params
    assert answers(able.partial_fit(more(data))) == expected
    assert able.get_params() == wanted
    assert able.fitted_params == then


def test_learning_more_twice_gives_the_same_bits(able: Recommender, data: Interactions) -> None:
    assert answers(copy.copy(able).partial_fit(more(data))) == answers(able.partial_fit(more(data)))


@pytest.mark.parametrize("place", ["learn", "update", "as_fitted"])
def test_what_fails_changes_nothing(able: Recommender, data: Interactions, place: str,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    before, inner = answers(able), getattr(type(able), place)

    def fails(self: Recommender, *arguments: Any) -> Any:
        inner(self, *arguments)
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(type(able), place, fails)
        try:
            copy.copy(able).partial_fit(more(data))
        except MemoryError:
            with pytest.raises(MemoryError):
                able.partial_fit(more(data))
            assert answers(able) == before
    assert answers(able.partial_fit(more(data))) != before


def test_what_does_not_fit_is_refused(able: Recommender, data: Interactions) -> None:
    before, new = answers(able), more(data)
    wrong = [
        (Interactions.from_arrays(["7"], ["item 01"], [3], [1]), "integers"),
        (Interactions.from_arrays([7], [1], [3], [1]), "strings"),
        (new.binarise(), "values"),
    ]
    for part, says in wrong:
        with pytest.raises(DataError, match=says):
            able.partial_fit(part)
    assert answers(able) == before


def test_without_seen_items_it_is_refused(able: Recommender, data: Interactions, tmp_path: Any) -> None:
    if able.needs_histories:
        pytest.skip("is not saved without")
    able.save(tmp_path / "model", seen=False)
    loaded = loading.load(tmp_path / "model")
    with pytest.raises(UnsupportedError, match="seen=False"):
        loaded.partial_fit(more(data))
    assert loaded.items.ids.tolist() == data.items.ids.tolist()


@pytest.mark.parametrize("side", [0, 1])
def test_users_and_items_without_events(able: Recommender, data: Interactions, side: int) -> None:
    """They are for models that read features."""
    empty = replace(more(data), user=[], item=[], value=[], time=[])
    ids = able.users if side == 1 else empty.users, able.items if side == 0 else empty.items
    empty = empty.reindex(*ids)
    before = answers(able)
    if able.reads_features[side]:
        able.partial_fit(empty)
        assert (able.items if side else able.users).ids[-1] == ("a new item" if side else 1)
        assert able.item_counts.sum() == len(data)
        return
    with pytest.raises(DataError, match=rf"no rows, but 1 new {('users', 'items')[side]}.*reads no features of"):
        able.partial_fit(empty)
    assert answers(able) == before


@pytest.mark.parametrize("rows", [[(999, "item 01")], [(7, "new")], [(999, "new")], [(7, "item 01")] * 3])
def test_one_of_each(able: Recommender, data: Interactions, rows: list[tuple[int, str]]) -> None:
    user, item = zip(*rows, strict=True)
    ids = IdMap(list(dict.fromkeys(item)))
    part = Interactions.from_arrays(user, item, [4.0] * len(rows), np.arange(500, 500 + len(rows)), item_ids=ids,
                                    item_features=data.item_features.take(  # type: ignore[union-attr]
                                        [3] * len(ids)))
    able.partial_fit(part)
    assert able.users.ids.tolist() == [*data.users.ids, *{999} & set(user)]
    assert np.isfinite(able.recommend(user[0], k=5).scores).all()
    assert item[0] not in able.recommend(user[0], k=100).items


def test_the_first_call_is_fit(new: Callable[[], Recommender], model: Recommender, data: Interactions) -> None:
    if model.can.partial_fit:
        assert answers(new().partial_fit(data)) == answers(model)


# ------------------------------------------------------------------------------------------ exact ones

events = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(1, 5)), min_size=1, max_size=20)


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=15)
@given(parts=st.lists(events, min_size=2, max_size=4), recent=st.sampled_from([None, 2]))
def test_in_parts_is_at_once(kind: str, parts: list[list[tuple[int, int, int]]], recent: int | None) -> None:
    model, data = make(kind), [of(rows, 100 * i) for i, rows in enumerate(parts)]
    if "recent" in model.get_params():
        weights = {"weights": "binary" if recent is None else "value"} if "weights" in model.get_params() else {}
        model.set_params(recent=recent, **weights)
    model.fit(data[0])
    for part in data[1:]:
        model.partial_fit(part)
    whole = model.clone().fit(joined(*data, like=model))
    users = np.arange(len(model.users), dtype=np.int32)
    if kind == "Popular":
        np.testing.assert_allclose(model.score_block(users), whole.score_block(users), rtol=1e-6)
    else:
        assert answers(model) == answers(whole)


def test_exact_ones_are_said_to_be() -> None:
    assert set(EXACT) <= set(models_that("partial_fit"))

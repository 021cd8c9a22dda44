"""What every model promises, whatever it learns: these tests run for each name in the registry."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from recsys import loading
from recsys.data import IdMap, Interactions
from recsys.errors import DataError, NotFittedError, ParameterError, UnknownIdError, UnsupportedError
from recsys.models import models_that
from tests.recsys.models.conftest import for_nobody


def same(a, b) -> bool:
    """Whether two results have the same bits."""
    return all(np.asarray(getattr(a, f.name)).tobytes() == np.asarray(getattr(b, f.name)).tobytes()
               for f in dataclasses.fields(a) if f.compare)


def seen_items(data, user):
    return set(data.items.ids[data.item[data.users.ids[data.user] == user]])


# ---------------------------------------------------------------------------------------- recommend
@pytest.mark.parametrize("k", [1, 5, 1000])
def test_exactly_k_or_as_many_as_there_are(model, data, k):
    recs = model.recommend(k=k)
    assert recs.users.tolist() == data.users.ids.tolist()
    for user, one in zip(data.users.ids, recs, strict=True):
        seen = seen_items(data, user)
        assert one.counts == len(one.items) == min(k, data.n_items - len(seen))
        assert len(set(one.items)) == len(one.items)
        assert not seen & set(one.items)
        assert np.isfinite(one.scores).all()
        assert np.all(np.diff(one.scores) <= 0)


def test_seen_items_come_back_when_asked_for(model, data):
    recs = model.recommend(k=data.n_items, filter_seen=False)
    assert np.all(recs.counts == data.n_items)


def test_one_user_gives_one_list(model, data):
    one, many = model.recommend(7, k=3), model.recommend([7, 17], k=3)
    assert one.single
    assert one.items.shape == (3,)
    assert one.items.tolist() == many.items[0].tolist()
    assert [item for item, _ in one] == one.items.tolist()
    assert [record["rank"] for record in one.to_records()] == [1, 2, 3]


def test_without_profiling_nothing_of_anybody_is_read(model, data):
    recs = model.recommend(k=data.n_items, profiling="off")
    assert recs.single
    assert recs.counts == len(set(recs.items)) == data.n_items
    standing_in = model.require("counts").facts.item_counts[data.items.encode(recs.items[recs.source == "popular"])]
    assert standing_in.tolist() == sorted(standing_in.tolist(), reverse=True)
    few = data.items.ids[3:9]
    assert set(model.recommend(k=10, profiling="off", items=few, exclude=few[:2]).items) == set(few[2:])
    for who in ({"users": 7}, {"history": few[:1]}):
        with pytest.raises(ParameterError, match="leave users and history out"):
            model.recommend(**who, profiling="off")
    with pytest.raises(ParameterError, match="profiling must be"):
        model.recommend(profiling="perhaps")


def test_allowed_and_banned_items(model, data):
    few = data.items.ids[3:9]
    recs = model.recommend(k=10, items=few, exclude=few[:2], filter_seen=False)
    assert np.all(recs.counts == 4)
    assert set(recs.items.ravel()) == set(few[2:])
    assert np.all(model.recommend(k=3, items=few[:1], exclude=few[:1]).counts == 0)


def test_a_filter_does_not_change_scores(model, data):
    everything = model.recommend(7, k=data.n_items)
    half = set(data.items.ids[::2])
    expected = [item for item in everything.items if item in half]
    assert model.recommend(7, k=data.n_items, items=list(half)).items.tolist() == expected


def test_unknown_users(model):
    with pytest.raises(UnknownIdError, match="-5"):
        model.recommend([7, -5])
    recs = model.recommend([-5, 7], k=4, on_unknown="fallback")
    assert set(recs.source[0]) == {"popular"}
    counts = model.item_counts[model.items.encode(recs.items[0])]
    assert counts.tolist() == sorted(model.item_counts, reverse=True)[:4]
    assert recs.items[1].tolist() == model.recommend(7, k=4).items.tolist()
    assert model.recommend([-5, 7], k=4, on_unknown="skip").users.tolist() == [7]
    assert len(model.recommend(-5, on_unknown="skip")) == 0


def test_unknown_items_in_filters(model):
    with pytest.raises(UnknownIdError, match="no such"):
        model.recommend(7, exclude=["no such item"])
    assert len(model.recommend(7, k=2, exclude=["no such item"], on_unknown="skip")) == 2


@pytest.mark.parametrize("on_unknown", ["raise", "skip", "fallback"])
def test_ids_of_a_wrong_kind_always_raise(model, on_unknown):
    """Users are integers here, items strings."""
    how = {"on_unknown": on_unknown}
    calls = [({"users": "7"}, "integers"), ({"users": ["7", "x"]}, "integers"), ({"users": [7.5]}, "7.5"),
             ({"users": [None]}, "None"), ({"users": 7, "items": [5]}, "strings"),
             ({"users": 7, "exclude": [5]}, "strings"), ({"users": [7, "17"]}, "str"),
             ({"users": 7, "exclude": [np.datetime64("2020-01-31")]}, "datetime64")]
    if model.can.fold_in:
        calls += [({"history": [1, 2], "values": [4, 5]}, "strings"), ({"history": [None], "values": [4]}, "None")]
    for arguments, says in calls:
        with pytest.raises(DataError, match=says):
            model.recommend(**arguments, **how)
    for pair in ("7", "item 01"), (7, 1), (7, [None]), ([7, 17], [1, 2]):
        with pytest.raises(DataError):
            model.predict(*pair, **how)
    with pytest.raises(ParameterError, match="None, which is no id"):
        model.predict(7, None, **how)
    assert model.recommend(7, k=2, exclude=[], **how).counts == 2
    assert model.recommend([], **how).items.shape[0] == 0


def test_ids_of_a_wrong_kind_in_the_other_verbs(model):
    calls = [lambda: model.title(5)]
    if model.can.explain:
        calls += [lambda: model.explain("7", "item 01"), lambda: model.explain(7, 1), lambda: model.explain(
            [1, 2], "item 01", values=[4, 5])]
    if model.can.embeddings:
        calls += [lambda: model.similar_items(5), lambda: model.similar_users("7")]
    for call in calls:
        with pytest.raises(DataError, match=r"The known ids are (integers|strings), such as .*, and these are"):
            call()


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_k_is_a_positive_integer(model, k):
    with pytest.raises(ParameterError, match="k must be"):
        model.recommend(7, k=k)


def test_filter_seen_is_true_or_false(model):
    for keep in ("no", None):
        with pytest.raises(ParameterError, match=r"\.recommend: filter_seen must be True or False"):
            model.recommend(7, filter_seen=keep)


def test_a_user_without_events_gets_popular_items(new, data):
    quiet = data.take(data.user != 0)
    model = new().fit(quiet)
    recs = model.recommend(7, k=3)
    assert recs.counts == 3
    assert recs.source.tolist() == 3 * [for_nobody(model)]


# ------------------------------------------------------------------------------------------ history
def test_history(model, data):
    history = data.items.ids[[4, 6, 8]].tolist()
    if not model.can.fold_in:
        with pytest.raises(UnsupportedError, match="EASE"):
            model.recommend(history=history, values=[5, 4, 5])
        return
    one = model.recommend(history=history, values=[5, 4, 5], k=5)
    two = model.recommend(history=[history, history[:1], []], values=[[5, 4, 5], [5], []], k=5)
    assert one.items.tolist() == two.items[0].tolist()
    assert np.all(two.counts == 5)
    assert not set(history) & set(one.items)
    assert set(two.source[2]) == {for_nobody(model)}
    assert set(history) & set(model.recommend(history=history, values=[5, 4, 5], k=data.n_items,
                                              filter_seen=False).items)
    with pytest.raises(UnknownIdError, match="no such"):
        model.recommend(history=[*history, "no such item"], values=[5, 4, 5, 5])
    skipped = model.recommend(history=[*history, "no such item"], values=[5, 4, 5, 5], k=5, on_unknown="skip")
    assert skipped.items.tolist() == one.items.tolist()


def test_history_and_users_exclude_each_other(model):
    with pytest.raises(ParameterError, match="not both"):
        model.recommend(7, history=["item 01"])


def test_score_block_folds_in_or_answers_from_training(model, data):
    users = np.array([0, 3], np.int32)
    scores = model.score_block(users)
    assert scores.dtype == np.float32
    assert scores.shape == (2, data.n_items)
    assert np.isfinite(scores).all()
    folded = model.score_block(users, data.csr.rows(users))
    assert folded.dtype == np.float32
    assert np.isfinite(folded).all()
    if not model.can.fold_in:
        assert folded.tobytes() == scores.tobytes()


# ---------------------------------------------------------------------------------- predict, explain
def test_predict(model, data):
    users, items = data.users.ids[data.user[:40]], data.items.ids[data.item[:40]]
    found = model.predict(users, items)
    assert found.dtype == np.float32
    assert model.predict(int(users[0]), str(items[0])) == pytest.approx(found[0], rel=1e-6, abs=1e-6)
    if model.can.ratings:
        assert np.all((found >= 1) & (found <= 5))
    else:
        expected = model.score_block(data.user[:40])[np.arange(40), data.item[:40]]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_predict_unknown(model):
    with pytest.raises(UnknownIdError):
        model.predict([7, -5], ["item 01", "item 02"])
    skipped = model.predict([7, -5], ["item 01", "item 02"], on_unknown="skip")
    assert np.isnan(skipped).tolist() == [False, True]
    assert np.isfinite(model.predict([7, -5], ["no such", "item 02"], on_unknown="fallback")).all()
    with pytest.raises(ParameterError, match="pair up"):
        model.predict([7, 17], ["item 01"] * 3)


def test_ratings_models_need_values(new, data):
    model, implicit = new(), data.binarise()
    if model.can.ratings:
        with pytest.raises(DataError, match="values"):
            model.fit(implicit)
    else:
        assert np.all(model.fit(implicit).recommend(k=3).counts == 3)


def test_explain(model, data):
    item = "item 05"
    if not model.can.explain:
        with pytest.raises(UnsupportedError, match="EASE"):
            model.explain(7, item)
        return
    reasons = model.explain(7, item, k=1000)
    sizes = [abs(reason.contribution) for reason in reasons]
    assert sizes == sorted(sizes, reverse=True)
    assert {reason.item for reason in reasons} - {None} <= seen_items(data, 7)
    assert all(reason.title.startswith("Title") for reason in reasons if reason.item is not None)
    assert model.explain(7, item, k=2) == reasons[:2]
    if model.can.explain_exact:
        score = model.score_block(np.array([0], np.int32))[0, 5]
        assert sum(reason.contribution for reason in reasons) == pytest.approx(score, rel=1e-4, abs=1e-5)


def test_explain_a_history(model, data):
    if not (model.can.explain and model.can.fold_in):
        pytest.skip("does not explain histories")
    history, values = data.items.ids[[4, 6, 7]].tolist(), [5, 4, 1]
    reasons = model.explain(history, "item 05", k=1000, values=values)
    assert {reason.item for reason in reasons} - {None} <= set(history)
    if model.can.explain_exact:
        scores = model.recommend(history=history, values=values, items=["item 05"], filter_seen=False).scores
        assert sum(reason.contribution for reason in reasons) == pytest.approx(scores[0], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("verb", ["similar_items", "similar_users"])
def test_similar_is_never_itself(model, data, verb):
    ids = data.items.ids if verb == "similar_items" else data.users.ids
    try:
        recs = getattr(model, verb)(ids, k=5)
    except UnsupportedError:
        assert not model.can.embeddings
        return
    assert all(query not in one.items for query, one in zip(ids, recs, strict=True))
    assert np.all(recs.counts <= 5)
    assert getattr(model, verb)(ids[3], k=5).items.tolist() == recs[3].items.tolist()
    with pytest.raises(UnknownIdError):
        getattr(model, verb)(["no such"] if verb == "similar_items" else [-5])


# ----------------------------------------------------------------------------------------- learning
def degenerate(case: str) -> Interactions:
    if case == "one user":
        return Interactions.from_arrays([1, 1, 1], ["a", "b", "c"], [3, 4, 5], [1, 2, 3])
    if case == "one item":
        return Interactions.from_arrays([1, 2, 3], ["a", "a", "a"], [3, 4, 5], [1, 2, 3])
    if case == "one row":
        return Interactions.from_arrays([1], ["a"], [3], [1])
    if case == "repeated rows":
        return Interactions.from_arrays([1, 1, 1, 2, 2, 2], list("aababb"), [3, 4, 5, 1, 1, 2], [1] * 6)
    user, item = np.divmod(np.arange(36), 6)  # constant ratings, all pairs
    return Interactions.from_arrays(user, item.astype(str), np.full(36, 4.0), np.arange(36))


@pytest.mark.parametrize("case", ["one user", "one item", "one row", "repeated rows", "constant"])
def test_degenerate_data(new, case, describe):
    data = describe(degenerate(case))
    model = new().fit(data)
    recs = model.recommend(k=3, filter_seen=False)
    assert np.all(recs.counts == min(3, data.n_items))
    assert np.isfinite(recs.scores).all()
    prediction = model.predict(data.users.ids[data.user], data.items.ids[data.item])
    assert np.isfinite(prediction).all()
    if case == "constant" and model.can.ratings:
        np.testing.assert_allclose(prediction, 4, atol=0.05)


def test_no_rows(new, data):
    with pytest.raises(DataError, match="no rows"):
        new().fit(data.take(np.zeros(len(data), bool)))


def test_the_same_seed_gives_the_same_bits(new, model, data):
    assert same(new().fit(data).recommend(k=30), model.recommend(k=30))


def test_fitting_again_forgets(new, model, data, describe):
    other = describe(degenerate("one user"))
    assert same(new().fit(other).fit(data).recommend(k=30), model.recommend(k=30))


def test_the_order_of_items_does_not_matter(new, model, data):
    if "seed" in model.get_params():
        pytest.skip("random starting points go by position")
    order = np.random.default_rng(3).permutation(data.n_items)
    moved = data.reindex(data.users, IdMap(data.items.ids[order]))
    found = new().fit(moved).score_block(np.arange(data.n_users, dtype=np.int32))
    expected = model.score_block(np.arange(data.n_users, dtype=np.int32))[:, order]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_partial_fit(new, data, describe):
    model = new()
    if not model.can.partial_fit:
        with pytest.raises(UnsupportedError, match="Popular"):
            model.partial_fit(data)
        return
    model.partial_fit(data)
    more = Interactions.from_arrays([7, 1, 1], ["item 01", "a new item", "item 02"], [5, 5, 4], [500, 501, 502])
    model.partial_fit(describe(more))
    assert model.users.ids.tolist() == [*data.users.ids, 1]
    assert model.items.ids.tolist() == [*data.items.ids, "a new item"]
    assert model.item_counts.sum() == len(data) + 3
    assert "a new item" not in model.recommend(1, k=100).items
    assert np.isfinite(model.recommend(k=100).scores[:, 0]).all()


# ---------------------------------------------------------------------------------------- parameters
def test_parameters_round_trip(new, name):
    model = new()
    params = model.get_params()
    assert type(model)(**params).get_params() == params
    assert model.clone().get_params() == params
    assert eval(repr(model), {name: type(model)}).get_params() == params
    with pytest.raises(ParameterError, match="no parameter 'nonsense'"):
        model.set_params(nonsense=1)
    with pytest.raises(TypeError):
        type(model)(1)


def test_parameters_are_checked_when_fitted(new, data):
    model = new()
    for parameter in model.get_params():
        if any(parameter in getattr(base, "checks", {}) for base in type(model).__mro__):
            broken = new().set_params(**{parameter: object()})
            with pytest.raises(ParameterError, match=f"{type(model).__name__}: {parameter} must be"):
                broken.fit(data)


def test_every_verb_needs_a_fitted_model(new):
    model = new()
    calls = {"recommend": (7,), "predict": (7, "a"), "similar_items": ("a",), "similar_users": (7,),
             "explain": (7, "a"), "score_block": (np.zeros(1, np.int32),), "save": ("nowhere",)}
    for verb, arguments in calls.items():
        with pytest.raises(NotFittedError, match=rf"{type(model).__name__}\.{verb}"):
            getattr(model, verb)(*arguments)


def test_can_is_honest(model, name):
    can = model.can
    assert can.explain or not can.explain_exact
    assert (model.require(name).scorer.item_vectors() is not None) == can.embeddings
    assert (name in models_that("fold_in")) == can.fold_in


# -------------------------------------------------------------------------------------------- saving
@pytest.mark.parametrize("mmap", [False, True])
def test_saved_and_loaded_gives_the_same_bits(model, data, tmp_path, mmap):
    path = tmp_path / "model.recsys"
    model.save(path)
    loaded = loading.load(path, mmap=mmap)
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    assert same(loaded.recommend(k=30), model.recommend(k=30))
    users, items = data.users.ids[data.user], data.items.ids[data.item]
    assert loaded.predict(users, items).tobytes() == model.predict(users, items).tobytes()
    if model.can.fold_in:
        history = {"history": ["item 01", "item 02"], "values": [4, 5]}
        assert same(loaded.recommend(**history), model.recommend(**history))
    if model.can.explain:
        assert loaded.explain(7, "item 05") == model.explain(7, "item 05")
    loaded.save(tmp_path / "again.recsys")
    assert (tmp_path / "again.recsys").read_bytes() == path.read_bytes()


def test_saved_without_seen_items(model, data, tmp_path):
    path = tmp_path / "model.recsys"
    if model.needs_histories:
        with pytest.raises(UnsupportedError, match="seen=True"):
            model.save(path, seen=False)
        assert not path.exists()
        return
    model.save(path, seen=False)
    assert not [key for key in loading.manifest(path)["members"] if "seen" in key]
    loaded = loading.load(path)
    told = "pass (a )?history" if model.can.fold_in else "pass filter_seen=False"
    error = (UnsupportedError, told) if 7 in loaded.users else (UnknownIdError, "Unknown ids: 7")
    with pytest.raises(error[0], match=error[1]):
        loaded.recommend(7)
    if model.can.fold_in:
        history = {"history": ["item 01", "item 02"], "values": [4, 5]}
        assert same(loaded.recommend(**history), model.recommend(**history))

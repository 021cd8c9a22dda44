"""Ids and histories in any container mean the same, or are refused with a sentence."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

import minidl
from recsys.data import Interactions, asked
from recsys.errors import DataError, ParameterError, RecsysError
from recsys.models.linear.ease import EASE
from recsys.models.neighbours.implicit import ItemKNN
from recsys.models.sequential.markov import Markov
from tests.recsys.data.test_given import Column, Frame

TEXTS = Interactions.from_arrays([1, 1, 2, 2, 3, 3, 3], list("ababcbd"), [5, 4, 3, 5, 4, 1, 2])
NUMBERS = Interactions.from_arrays(list("xxyyzzz"), [0, 1, 0, 1, 2, 1, 3], [5, 4, 3, 5, 4, 1, 2])


def series(values):
    made = [Column(values)]
    try:
        import pandas as pd
        made += [pd.Series(values, index=range(5, 5 + len(values))), pd.Index(values),
                 pd.Series(values, dtype="category")]
        made += [pd.Series(values).convert_dtypes()]
    except ImportError:
        pass
    try:
        import polars as pl
        made.append(pl.Series(values))
    except ImportError:
        pass
    return made


def containers(values):
    """The same ids in order, in every container that keeps one."""
    return [list(values), tuple(values), np.array(values), np.array(values, object), iter(list(values)),
            (value for value in values), dict.fromkeys(values).keys(), *series(values),
            *([minidl.tensor(values)] if not isinstance(values[0], str) else []),
            [np.array(value) for value in values], list(np.array(values))]


@pytest.mark.parametrize("values", [["c", "a", "b"], [3, 0, 2]], ids=["texts", "numbers"])
def test_all_containers_of_ids_mean_the_same(values):
    for container in containers(values):
        found, single = asked.ids("m.recommend", "items", container)
        assert (found.tolist(), single) == (values, False), type(container)
    for container in containers(values):
        found = asked.histories("m", container)
        assert (found.ids.tolist(), found.single, found.lengths.tolist()) == (values, True, [3]), type(container)
    for container in (set(values), frozenset(values)):
        assert asked.ids("m.recommend", "items", container)[0].tolist() == sorted(values)
    for one in (values[0], np.array(values)[0], np.array(values[0])):
        found, single = asked.ids("m.recommend", "users", one)
        assert single
        assert found.tolist() == values[:1]


@drawn(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_several_histories_in_any_containers(lists, random):
    wrap = [list, tuple, iter, lambda one: np.array(one, np.int64), Column, lambda one: (x for x in one)]
    outer = random.choice([list, tuple, iter])
    found = asked.histories("m", outer([random.choice(wrap)(one) for one in lists]),
                            [[float(x) for x in one] for one in lists])
    assert found.ids.tolist() == [x for one in lists for x in one] == found.values.tolist()
    assert found.lengths.tolist() == list(map(len, lists))
    assert not found.single


def test_rows_of_an_array_are_histories():
    found = asked.histories("m", np.arange(6).reshape(2, 3))
    assert found.ids.tolist() == list(range(6))
    assert found.lengths.tolist() == [3, 3]
    assert not found.single
    assert asked.histories("m", np.zeros((0, 3), int)).lengths.tolist() == []
    assert asked.histories("m", np.zeros((2, 0), int)).lengths.tolist() == [0, 0]
    nested = np.empty(2, object)
    nested[:] = [["a"], ["b", "a"]]  # what groupby(...).agg(list) gives
    assert asked.histories("m", Column(nested)).lengths.tolist() == [1, 2]


def test_a_dict_is_a_history_with_values():
    model = EASE().fit(TEXTS)
    one, same = (model.recommend(history=h, values=v) for h, v in (({"a": 5, "b": 2}, None), (["a", "b"], [5, 2])))
    assert one.single
    assert one.to_records() == same.to_records()
    several = asked.histories("m", [{"a": 5}, {"b": 2, "c": 1}])
    assert several.values.tolist() == [5, 2, 1]
    assert several.lengths.tolist() == [1, 2]
    assert not several.single


def test_a_set_is_a_history_where_order_does_not_matter():
    assert EASE().fit(TEXTS).recommend(history={"b", "a"}).to_records() == \
        EASE().fit(TEXTS).recommend(history=["a", "b"]).to_records()
    for model in (Markov(), ItemKNN(recent=2)):
        with pytest.raises(ParameterError, match="history is a set, which has no order, and order matters here; pass a"
                                                 " list in time order"):
            model.fit(TEXTS).recommend(history={"b", "a"})


def test_empty_things_are_empty():
    for empty in ([], (), set(), np.zeros(0), iter(()), {}, Column([]), np.zeros(0, str)):
        found = asked.histories("m", empty, ordered=False)
        assert found.single
        assert found.lengths.tolist() == [0]
    assert asked.histories("m", [[], []]).lengths.tolist() == [0, 0]
    assert EASE().fit(TEXTS).recommend(users=[]).items.shape[0] == 0
    assert EASE().fit(TEXTS).recommend(1, exclude=[]).items.size


REFUSED = [
    (lambda m: m.recommend(history="a"), r"history must be a sequence of item ids, not the string 'a'"),
    (lambda m: m.recommend(history=7), r"history must be a sequence of item ids, not 7"),
    (lambda m: m.recommend(history=np.array(7)), r"history must be a sequence"),
    (lambda m: m.recommend(history=[None]), r"EASE: history, position 0: None is missing"),
    (lambda m: m.recommend(history=["a", None]), r"EASE: history, position 1: None is missing"),
    (lambda m: m.recommend(history=[["a"], ["b", None]]), r"EASE: history 1, position 1: None is missing"),
    (lambda m: m.recommend(history=["a", ["b"]]), r"holds both ids and histories \(entry 1 is a list of 1, entry 0"),
    (lambda m: m.recommend(history=[[["a"]]]), r"history 0 must hold ids, and entry 0 is a list of 1; pass"),
    (lambda m: m.recommend(history=np.zeros((1, 1, 1))), r"array of shape \(1, 1, 1\)"),
    (lambda m: m.recommend(history=["a", 1]), r"position 1: 1 is an integer; ids must be all integers or all strings"),
    (lambda m: m.recommend(history=[["a"], [1]]), r"history 1, position 0: 1 is an integer"),
    (lambda m: m.recommend(history=[np.array(["a"]), np.array([1])]), r"history 1, position 0: 1 is an integer"),
    (lambda m: m.recommend(history={1: ["a"], 2: ["b"]}), r"a dict of sequences; .* pass list\(d\.values\(\)\)"),
    (lambda m: m.recommend(history={"a": 5}, values=[5]), r"a dict as history brings its own values"),
    (lambda m: m.recommend(history=[{"a": 5}, ["b"]]), r"a dict as history brings its own values"),
    (lambda m: m.recommend(history={"a": None}), r"values of a history must be finite numbers: EASE: values, position"),
    (lambda m: m.recommend(history=["a"], values=[None]), r"must be finite numbers: EASE: values, position 0"),
    (lambda m: m.recommend(history=["a"], values=["x"]), r"EASE: values, position 0: 'x' is not a number"),
    (lambda m: m.recommend(history=["a"], values=5), r"values must be a sequence like history, not 5"),
    (lambda m: m.recommend(history=["a"], values={"a": 5}), r"values must be a sequence like history"),
    (lambda m: m.recommend(history=["a", "b"], values={5, 4}), r"values must be a sequence like history"),
    (lambda m: m.recommend(history=["a", "b"], values=[1]), r"values must have the same lengths"),
    (lambda m: m.recommend(history=[["a"], ["b"]], values=[1, 2, 3]), r"values must have the same lengths"),
    (lambda m: m.recommend(1, values=[5]), r"EASE\.recommend: values are those of a history"),
    (lambda m: m.recommend(history=Frame({"item": ["a"]})), r"history is a Frame; pass one column of it"),
    (lambda m: m.recommend(history=TEXTS), r"history must be a sequence of item ids"),
    (lambda m: m.recommend(history=np.ma.array([1, 2], mask=[0, 1])), r"history has masked entries; .*compressed"),
    (lambda m: m.recommend(Frame({"user": [1]})), r"EASE\.recommend: users is a Frame; pass one column of it"),
    (lambda m: m.recommend({1: 2}), r"EASE\.recommend: users is a dict of 1; pass a list of ids"),
    (lambda m: m.recommend([[1, 2]]), r"users must hold ids, and entry 0 is a list of 2"),
    (lambda m: m.recommend(np.array([[1, 2]])), r"users has shape \(1, 2\); pass one dimension"),
    (lambda m: m.recommend([1, None]), r"EASE\.recommend: users, position 1: None is missing"),
    (lambda m: m.recommend([1, "a"]), r"users, position 1: 'a' is a string; ids must be all integers or all strings"),
    (lambda m: m.recommend(True), r"users is True, which is no id"),
    (lambda m: m.recommend(1, items=np.array([True, False])), r"items is a mask; .*model\.items\.ids\[mask\]"),
    (lambda m: m.recommend(1, exclude={"a": 1}), r"the keys of exclude, such as 'a', are of another kind"),
    (lambda m: m.recommend(1, exclude=["a", None]), r"exclude, position 1: None is missing"),
    (lambda m: m.similar_items({"a": 1}), r"EASE\.similar_items: items is a dict"),
    (lambda m: m.similar_items(None), r"EASE\.similar_items: items is None, which is no id"),
    (lambda m: m.explain(1, ["a", "b"]), r"EASE\.explain takes one id as item, not a list of 2"),
    (lambda m: m.explain(1, "a", values=[1]), r"EASE\.explain: values are those of a history"),
    (lambda m: m.explain(None, "a"), r"EASE\.explain: user_or_history is None"),
    (lambda m: m.title(["a", "b"]), r"EASE\.title takes one id as item, not a list of 2"),
]


@pytest.mark.parametrize(("call", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_none_is_refused_with_a_sentence(call, sentence):
    with pytest.raises((ParameterError, DataError), match=sentence):
        call(EASE().fit(TEXTS))


@pytest.mark.parametrize("values", [["c", "a"], [3, 0]], ids=["texts", "numbers"])
def test_all_verbs_take_all_containers(values):
    model = EASE().fit(TEXTS if isinstance(values[0], str) else NUMBERS)
    users = model.users.ids[:2].tolist()
    best = model.recommend(users, items=values).to_records()
    left = model.recommend(users, exclude=values).to_records()
    like, answer = model.similar_items(values).to_records(), model.recommend(history=values).to_records()
    why = model.explain(values, model.items.ids[1])
    for i, who in zip(range(len(containers(values))), containers(users) * 2, strict=False):
        def same(i=i):
            return containers(values)[i]

        assert model.recommend(who, items=same()).to_records() == best
        assert model.recommend(users, exclude=same()).to_records() == left
        assert model.recommend(history=same()).to_records() == answer
        assert model.similar_items(same()).to_records() == like
        assert model.explain(same(), model.items.ids[1]) == why
    assert model.recommend(set(users), items=set(values)).users.tolist() == sorted(users)


@drawn(st.recursive(st.none() | st.booleans() | st.integers(-2, 9) | st.floats(width=16) | st.text("ab", max_size=2),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner,
                                                                                max_size=2), max_leaves=6))
def test_nothing_gets_through_without_an_answer_or_a_sentence(anything):
    model = _EASE
    for call in (lambda: model.recommend(history=anything, on_unknown="skip"),
                 lambda: model.recommend(anything, on_unknown="fallback"),
                 lambda: model.recommend(history=["a"], values=anything),
                 lambda: model.recommend(1, exclude=anything, on_unknown="skip"),
                 lambda: model.predict(anything, "a", on_unknown="skip"), lambda: model.explain(anything, "a"),
                 lambda: model.similar_items(anything), lambda: model.title(anything)):
        with suppress(RecsysError):
            call()


_EASE = EASE().fit(TEXTS)

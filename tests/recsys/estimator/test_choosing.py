"""What lists may hold: filters for everybody and for each user, against lists made one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.errors import DataError, UnknownIdError
from recsys.models import ItemKNN, Popular

USERS, ITEMS = [10, 20, 30], list("abcdefg")
DATA = Interactions.from_arrays([10, 10, 20, 20, 30, 30, 10, 20], list("abbccdef"), user_ids=None)
MODELS = [Popular().fit(DATA), ItemKNN().fit(DATA)]
KNOWN = DATA.items.ids.tolist()
some = st.lists(st.sampled_from(KNOWN), max_size=4)
filters = st.one_of(st.none(), some, st.dictionaries(st.sampled_from(USERS), some, max_size=3))


def own(given, user):
    return given.get(user) if isinstance(given, dict) else given


@given(items=filters, exclude=filters, keep=st.booleans(), which=st.integers(0, 1), k=st.integers(1, 7))
def test_each_user_gets_what_may_be_listed(items, exclude, keep, which, k):
    model = MODELS[which]
    whole = model.recommend(USERS, k=len(KNOWN), filter_seen=keep)
    found = model.recommend(USERS, k=k, items=items, exclude=exclude, filter_seen=keep)
    for user, every, one in zip(USERS, whole, found, strict=True):
        wanted, banned = own(items, user), own(exclude, user)
        expected = [item for item in every.items.tolist()
                    if (wanted is None or item in wanted) and (banned is None or item not in banned)]
        assert one.items.tolist() == expected[:k]


def test_histories_are_numbered():
    model = MODELS[1]
    found = model.recommend(history=[["a"], ["a"]], k=9, exclude={1: ["b", "e"]})
    assert set(found[0].items) - set(found[1].items) == {"b", "e"}


def test_what_cannot_be_meant_is_refused():
    for verb in ("items", "exclude"):
        with pytest.raises(DataError, match=f"the keys of {verb}, such as '10', are of another kind than the users"):
            MODELS[0].recommend([10], **{verb: {"10": ["a"]}})
        with pytest.raises(UnknownIdError, match="nothing"):
            MODELS[0].recommend([10], **{verb: {10: ["nothing"]}})
        with pytest.raises(DataError):
            MODELS[0].recommend([10], **{verb: {10: [5]}}, on_unknown="skip")
    assert MODELS[0].recommend([10], items={10: ["nothing", "d"]}, on_unknown="skip")[0].items.tolist() == ["d"]
    assert len(MODELS[0].recommend([10], exclude={99: ["a"]}).items[0]) > 0  # of somebody who is not asked about
    assert np.all(MODELS[0].recommend([10, 20], items={10: []}).counts == [0, 3])

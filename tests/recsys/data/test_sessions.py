"""Sessions: every beginning is shown, what comes next is asked, and training knows nothing of either."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.data.sessions import split_sessions
from recsys.errors import DataError, ParameterError

clicks = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=6), min_size=4, max_size=12)


def interactions(sessions, first=100, times=False):
    """Sessions of item numbers, named from `first` on."""
    user = [first + number for number, session in enumerate(sessions) for _ in session]
    item = [item for session in sessions for item in session]
    return Interactions.from_arrays(user, item, times=np.arange(len(user)) if times else None)


def asked(split, part, history):
    """What a split shows and asks, in words: [(name, items shown, target)]."""
    rows = history.csr
    return [(str(part.users.ids[user]), part.items.ids[rows.row(user)[0]].tolist(), int(part.items.ids[item]))
            for user, item in zip(part.user, part.item, strict=True)]


def expected(sessions, numbers, known):
    found = []
    for number in numbers:
        session = [item for item in sessions[number] if item in known]
        found += [(f"{100 + number}:{k}", session[:k], session[k]) for k in range(1, len(session))]
    return found


@given(clicks, st.sampled_from([0, 0.25, 0.5]), st.booleans())
def test_every_beginning_is_shown_and_the_next_click_asked(sessions, valid_share, times):
    n = len(sessions)
    n_test, n_valid = n - round(0.75 * n), round(valid_share * n)
    known = {item for session in sessions[:n - n_test - n_valid] for item in session}
    wanted = expected(sessions, range(n - n_test, n), known)
    data = interactions(sessions, times=times)
    if not wanted:
        with pytest.raises(DataError, match="no session to test has two clicks"):
            split_sessions(data, test_share=0.25, valid_share=valid_share)
        return
    split = split_sessions(data, test_share=0.25, valid_share=valid_share)
    assert asked(split, split.test, split.test_history) == wanted
    to_validate = expected(sessions, range(n - n_test - n_valid, n - n_test), known)
    assert (split.valid is None) == (not to_validate)
    if to_validate:
        assert asked(split, split.valid, split.valid_history) == to_validate
        validating = sessions[n - n_test - n_valid:n - n_test]
        whole = [[item for item in session if item in known] for session in validating]
        rows = split.known().csr
        learned = [split.train.items.ids[rows.row(row)[0]].tolist() for row in np.flatnonzero(rows.counts)]
        given = [session for session in sessions[:n - n_test - n_valid] if session]
        assert learned == given + [session for session in whole if len(session) > 1]
    trained = [(str(split.train.users.ids[user]), int(split.train.items.ids[item]))
               for user, item in zip(split.train.user, split.train.item, strict=True)]
    assert trained == [(str(100 + number), item) for number in range(n - n_test - n_valid) for item in sessions[number]]


def test_later_is_by_the_first_click():
    data = Interactions.from_arrays([1, 1, 2, 2, 3, 3], [0, 1, 1, 0, 0, 1], times=[50, 51, 10, 99, 20, 21])
    split = split_sessions(data, test_share=0.3, valid_share=0)
    assert split.test.users.ids[split.test.user].tolist() == ["1:1"]


def test_sessions_that_are_given_apart():
    train, test = interactions([[0, 1, 2], [2, 1]]), interactions([[1, 9, 2], [9, 0]], first=200)
    split = split_sessions(train, test, valid_share=0)
    assert asked(split, split.test, split.test_history) == [("200:1", [1], 2)]  # training knows no item 9
    assert len(split.train) == 5
    assert "1 to test" in split.card["split"]


def test_sessions_to_validate_may_be_given_apart_too():
    train = interactions([[0, 1, 2], [2, 1]])
    test, valid = interactions([[1, 9, 2], [9, 0]], first=200), interactions([[2, 0, 7], [1]], first=300)
    split = split_sessions(train, test, valid)
    assert asked(split, split.valid, split.valid_history) == [("300:1", [2], 0)]
    assert len(split.train) == 5
    assert len(split.known()) == 7
    assert split.card["clicks left out"].startswith("2 of the validation, 3 of the test: ")


@pytest.mark.parametrize("shares", [(-0.1, 0.1), (0.5, 0.5), (0.1, -0.5)])
def test_shares_out_of_range_are_refused(shares):
    with pytest.raises(ParameterError, match="below 1 together; got"):
        split_sessions(interactions([[0, 1]] * 4), test_share=shares[0], valid_share=shares[1])


def test_sessions_of_one_name_are_refused():
    data = Interactions.from_arrays([1, 1, 2, 2, 3, 3], list("ababab"), times=range(6))
    with pytest.raises(DataError, match="test and others have one name, 3:1 for one; name them differently"):
        split_sessions(data, data, valid_share=0.34)

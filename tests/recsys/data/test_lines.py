"""Files whose lines are users with their items, or sessions of clicks."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import datasets
from recsys.data import Interactions
from recsys.data.lines import places, read_lines
from recsys.errors import DataError, ParameterError

LISTS = st.lists(st.lists(st.integers(-9, 10**12), min_size=1, max_size=5), min_size=1, max_size=6)


def rows(data):
    return list(zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True))


@given(LISTS)
def test_a_line_is_a_user_and_their_items(tmp_path_factory, lists):
    path = tmp_path_factory.mktemp("lines") / "train.txt"
    path.write_text("".join(" ".join(map(str, [user, *items])) + "\n" for user, items in enumerate(lists)))
    data = read_lines(path, "users")
    assert rows(data) == [(user, item) for user, items in enumerate(lists) for item in items]
    assert (data.time, data.name) == (None, "train.txt")


@given(LISTS)
def test_a_line_is_a_session_in_order(tmp_path_factory, lists):
    path = tmp_path_factory.mktemp("lines") / "clicks.txt.gz"
    with gzip.open(path, "wt") as file:
        file.write("\n\n".join("\t".join(map(str, items)) for items in lists))
    data = read_lines(path, "sessions")
    assert data.items.ids[data.item].tolist() == [item for items in lists for item in items]
    assert data.time.tolist() == [place for items in lists for place in range(len(items))]
    names = data.users.ids[data.user]
    assert len(np.unique(names)) == len(lists)
    assert np.all(names[1:] >= names[:-1])  # so that numbers of sessions are in the order of the lines
    assert {name.partition(":")[0] for name in names.tolist()} == {"clicks"}


@pytest.mark.parametrize("lines", ["users", "sessions"])
@pytest.mark.parametrize("mark", [",", ";", "|"])
def test_a_table_is_not_taken_for_words(tmp_path, lines, mark):
    (tmp_path / "log.csv").write_text(f"user{mark}item\n1{mark}7\n2{mark}8\n")
    with pytest.raises(DataError, match=r"log\.csv: no line holds two words .* is 'user.item'; leave lines= out"):
        read_lines(tmp_path / "log.csv", lines)


@given(st.lists(st.integers(0, 4), max_size=30))
def test_places_count_within_groups(group):
    expected = [group[:i].count(one) for i, one in enumerate(group)]
    assert places(np.array(group, np.int64)).tolist() == expected


def test_users_without_items_have_no_rows(tmp_path):
    (tmp_path / "some.txt").write_text("7 1 2\n8\n9 1\n")
    assert rows(datasets.load(tmp_path / "some.txt", lines="users")) == [(7, 1), (7, 2), (9, 1)]


def test_what_is_wrong_is_said(tmp_path):
    path = tmp_path / "some.txt"
    path.write_text("7 1 2 3\n8 1\n")
    with pytest.raises(DataError, match="say lines='users' or lines='sessions'"):
        Interactions.from_csv(path)
    with pytest.raises(ParameterError, match=r"lines must be one of 'users', 'sessions', got 'rows'\."):
        datasets.load(path, lines="rows")
    with pytest.raises(ParameterError, match="has no columns; leave out header=, users="):
        datasets.load(path, lines="users", users=0, header=True)
    path.write_text("\n")
    with pytest.raises(DataError, match=r"some\.txt is empty"):
        read_lines(path, "users")

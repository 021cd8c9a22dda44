"""Whether the first line names the columns: found, said or asked for, never guessed in silence."""

import pytest

from recsys.data import Interactions
from recsys.errors import DataError, ParameterError

BELOW = "ann,alien\nbob,brazil\nann,brazil\nbob,alien\n"
NAMES = ["customer_id,product_name", "userID,Rcuisine", "Client Name,Song Title", '"user name","item name"']


@pytest.mark.parametrize("names", NAMES)
def test_unknown_names_above_texts_are_names(tmp_path, names):
    path = tmp_path / "log.csv"
    path.write_text(f"{names}\n{BELOW}")
    data = Interactions.from_csv(path, users=0, items=1)
    assert data.users.ids.tolist() == ["ann", "bob"]
    assert data.items.ids.tolist() == ["alien", "brazil"]
    assert not any("first line" in note for note in data.notes)


def test_names_that_no_row_repeats_are_taken_and_said(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(f"kunde,ware\n{BELOW}")
    data = Interactions.from_csv(path, users=0, items=1)
    assert len(data) == 4
    assert data.notes[0].startswith("log.csv: took the first line, 'kunde', 'ware', as names of the columns")
    assert len(Interactions.from_csv(path, header=False)) == 5


def test_rows_that_occur_again_are_rows(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(BELOW)
    data = Interactions.from_csv(path)
    assert len(data) == 4
    assert data.notes == ("log.csv: no line of names; took column 0 as users, 1 as items.",)


@pytest.mark.parametrize("text", ["ann,alien\nbob,brazil\n", "ann,alien\n"])
def test_what_cannot_be_known_is_refused(tmp_path, text):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"log\.csv: cannot tell whether the first line, 'ann', 'alien', names the"):
        Interactions.from_csv(path)
    assert Interactions.from_csv(path, header=False).users.ids[0] == "ann"


def test_a_word_that_occurs_again_is_no_name(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("name,alien\nann,brazil\nname,brazil\nx,y\n")
    assert len(Interactions.from_csv(path)) == 4
    path.write_text("user name,item name\nann,brazil\nuser name,brazil\n")
    with pytest.raises(DataError, match="cannot tell"):
        Interactions.from_csv(path)


def test_names_and_nothing_else(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("customer_id,product_name\n")
    with pytest.raises(DataError, match=r"has a header .* but no rows below it"):
        Interactions.from_csv(path)


def test_a_missing_value_in_the_first_row_is_no_name(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("ann,alien,NA\nbob,brazil,4\nann,brazil,3\n")
    data = Interactions.from_csv(path, drop_missing=True)
    assert len(data) == 2
    assert data.value.tolist() == [4, 3]
    assert any("dropped 1 of 3 rows (1 without values)" in note for note in data.notes)


def test_dates_tell_rows_from_names(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("wer,was,wann\nann,alien,2020-01-01\nbob,brazil,2020-01-02\n")
    assert len(Interactions.from_csv(path, users=0, items=1, values=None, times=2)) == 2
    path.write_text("ann,alien,2020-01-01\nbob,brazil,2020-01-02\n")
    data = Interactions.from_csv(path)
    assert data.time.tolist() == [1577836800, 1577923200]
    assert data.value is None


def test_a_column_named_by_text_implies_names(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("wer,was\nann,alien\nbob,brazil\n")
    assert len(Interactions.from_csv(path, users="wer", items="was")) == 2
    with pytest.raises(ParameterError, match="named by text, and header=False"):
        Interactions.from_csv(path, users="wer", items="was", header=False)


def test_several_columns_that_fit_are_named(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,rating,date,timestamp\n1,2,3,2020-01-01,5\n")
    data = Interactions.from_csv(path)
    assert data.notes == ("log.csv: took the column 'date' for the times; 'timestamp' could be meant, too "
                          "(times= says which).",)

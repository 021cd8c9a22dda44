"""Files about users and items: matched by id in both directions, typed by column, and counted."""

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.data.side import add_features, add_friends, add_texts, add_titles
from recsys.errors import DataError, ParameterError


@pytest.fixture
def data():
    return Interactions.from_arrays([1, 2, 3, 1], [7, 8, 9, 8])


@pytest.fixture
def write(tmp_path):
    def write(text, name="side.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_titles(data, write):
    more = add_titles(data, write("movieId,title,year\n8,Brazil,1985\n7,Alien,1979\n55,Casablanca,1942\n"))
    assert more.item_features.titles.tolist() == ["Alien", "Brazil", ""]
    assert more.notes == ("side.csv: describes 2 of 3 items; 1 of its ids are not among them.",)
    assert more.fingerprint() == data.fingerprint()
    plain = add_titles(data, write("7|Alien\n8|Brazil\n9|Casablanca\n"), header=False)
    assert plain.item_features.titles.tolist() == ["Alien", "Brazil", "Casablanca"]
    twice = add_titles(data, write("id,title\n7,Alien\n7,Alien\n8,Brazil\n8,Bresil\n"))
    assert twice.item_features.titles.tolist() == ["Alien", "Brazil", ""]
    assert "side.csv: 1 ids have more than one title; the first counts." in twice.notes


def test_blank_texts_are_counted_and_refused_where_there_is_nothing_else(data, write):
    some = add_texts(data, write("id,plot\n7,In space\n8,\n9,  \n"))
    assert some.item_features.text.tolist() == ["In space", "", ""]
    assert some.notes[0] == "side.csv: 2 of the items that it describes have a blank text."
    for add, column in ((add_texts, "plot"), (add_titles, "title")):
        with pytest.raises(DataError, match=rf"side\.csv: no item of the data has a {add.__name__[4:-1]} that is not "
                                            "blank; name another file"):
            add(data, write(f"id,{column}\n7,\n8,NA\n9, \n55,In Morocco\n"))


def test_ids_are_matched_in_the_kind_of_the_data(data, write):
    texts = Interactions.from_arrays(["a", "a"], ["7", "007"])
    more = add_titles(texts, write("id,title\n7,Alien\n8,Brazil\n"))
    assert more.item_features.titles[more.items.encode("7")].tolist() == ["Alien"]
    with pytest.raises(DataError, match=r"side\.csv: its ids are text, such as 'x7', those of the data integers, such"):
        add_titles(data, write("id,title\nx7,Alien\n8,Brazil\n"))
    with pytest.raises(DataError, match=r"none of its ids \(70, 80, \.\.\.\) is one of the data's items \(7, 8"):
        add_titles(data, write("id,title\n70,Alien\n80,Brazil\n"))
    with pytest.raises(DataError, match=r"no column looks like the titles; columns are \['id', 'a', 'b'\]"):
        add_titles(data, write("id,a,b\n70,Alien,1\n80,Brazil,2\n"))


def test_features_by_kind(data, write):
    path = write("item_id,year,genre,country,title,description,out\n"
                 "9,1942,drama|war,USA,Casablanca,In Morocco,1942-11-26\n"
                 "7,NA,horror,UK,Alien,In space,1979-05-25\n"
                 ",1,x,x,x,x,1979-05-25\n")
    features = add_features(data, path).item_features
    np.testing.assert_array_equal(features.attributes["year"], [np.nan, np.nan, 1942])
    assert features.attributes["country"].tolist() == ["UK", "", "USA"]
    np.testing.assert_array_equal(features.attributes["out"], [296438400, np.nan, -855187200])
    assert features.titles.tolist() == ["Alien", "", "Casablanca"]
    assert features.text.tolist() == ["In space", "", "In Morocco"]
    assert features.genre_names.tolist() == ["drama", "horror", "war"]
    assert features.genres.toarray().tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]
    notes = add_features(data, path).notes
    assert notes[0] == "side.csv: 1 rows without an id are left out."
    assert notes[1] == ("side.csv, column 'year': took 'NA' as missing, and so all words for that (1 rows); na=() "
                        "keeps them.")
    assert notes[2] == ("side.csv: took year as numbers; genre as labels; country as categories; title as titles; "
                        "description as text; out as dates (seconds since 1970).")
    assert notes[3] == "side.csv: describes 2 of 3 items."
    again = add_features(add_features(data, path), path)
    assert "side.csv: replaced year, country, out, genres, titles, text." in [
        note.replace("titles, text, genres", "genres, titles, text") for note in again.notes]


def test_a_label_a_row(data, write):
    features = add_features(data, write("id,tag\n7,space\n7,horror\n9,war\n7,space\n")).item_features
    assert features.genre_names.tolist() == ["horror", "space", "war"]
    assert features.genres.toarray().tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    with pytest.raises(DataError, match=r"side\.csv: 1 rows repeat an id, 7 for one; leave one row for each"):
        add_features(data, write("id,tag,year\n7,space,1\n7,horror,2\n"))


def test_features_of_users_from_json_lines(data, write):
    path = write('{"user": 1, "age": 30, "likes": ["tea", "art"]}\n{"user": 2, "age": null}\n', "people.jsonl")
    more = add_features(data, path, to="users")
    np.testing.assert_array_equal(more.user_features.attributes["age"], [30, np.nan, np.nan])
    assert more.user_features.genre_names.tolist() == ["art", "tea"]
    assert more.user_features.genres.toarray().tolist() == [[1, 1], [0, 0], [0, 0]]
    with pytest.raises(ParameterError, match="to must be 'items' or 'users'"):
        add_features(data, path, to="people")


def test_texts(data, write):
    more = add_texts(data, write('id,year,plot\n7,1979,"In space, nobody"\n8,1985,"A ""form"""\n'))
    assert more.item_features.text.tolist() == ["In space, nobody", 'A "form"', ""]


def test_friends(data, write):
    more = add_friends(data, write("1 2 1\n2 1 1\n1 2 1\n3 3 1\n1 99 1\n"))
    assert more.social.toarray().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert more.notes[-1] == ("side.csv: 2 links (left out: 1 with users that the data does not have, 1 of a user with "
                              "himself, 1 repeated); 1 of 3 users have none.")
    with pytest.raises(DataError, match=r"none of its ids \(70, 80, \.\.\.\) is one of the data's users"):
        add_friends(data, write("user,friend\n70,80\n80,70\n"))
    with pytest.raises(DataError, match="none of its 2 links is between two different users"):
        add_friends(data, write("user,friend\n1,70\n2,2\n"))


def test_parquet(data, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "items.parquet"
    duckdb.sql("select * from (values (7, 'Alien', ['space', 'horror'], 1979), (8, 'Brazil', [], null)) "
               't(item, title, tags, "year")').write_parquet(str(path))
    features = add_features(data, path).item_features
    assert features.titles.tolist() == ["Alien", "Brazil", ""]
    assert features.genres.toarray().tolist() == [[1, 1], [0, 0], [0, 0]]
    np.testing.assert_array_equal(features.attributes["year"], [1979, np.nan, np.nan])


def test_real_files(shared_data):
    books = Interactions.from_csv(shared_data / "goodbooks-10k-v1" / "ratings.csv.gz")
    more = add_titles(books, shared_data / "goodbooks-10k-v1" / "books.csv.gz")
    assert more.item_features.titles[more.items.encode(1)].tolist() == ["The Hunger Games (The Hunger Games, #1)"]
    assert more.notes[0].startswith("books.csv.gz: took the ids of the column 'id', which has 10,000 of the data's 10")


@pytest.mark.parametrize(("add", "field"), [(add_titles, "titles"), (add_texts, "text"), (add_features, "text"),
                                            (add_features, "titles")])
def test_words_for_nothing_are_no_titles_and_no_texts(data, write, add, field):
    name = {"titles": "title", "text": "plot"}[field]
    path = write(f"item,{name}\n7,NULL\n8,n/a\n9,Brazil\n10,\n")
    more = add(data, path)
    assert getattr(more.item_features, field).tolist() == ["", "", "Brazil"]
    assert more.notes[0] == (f"side.csv, column '{name}': took 'NULL' as missing, and so all words for that (2 rows); "
                             "na=() keeps them.")
    assert getattr(add(data, path, na=()).item_features, field).tolist() == ["NULL", "n/a", "Brazil"]


@pytest.mark.parametrize("text", ["item,title\n,Alien\nNA,Brazil\n", '{"item": null, "title": "Alien"}\n'])
@pytest.mark.parametrize("add", [add_titles, add_features, add_texts])
def test_a_file_without_any_id(data, write, add, text):
    with pytest.raises(DataError, match=r"side\.csv: no row has an id in the column 'item', which was taken for that"):
        add(data, write(text))
    with pytest.raises(DataError, match=r"side\.csv: no row has two ids"):
        add_friends(data, write("user,friend\n1,\nNA,2\n"))


def test_a_file_of_nothing_but_ids(data, write):
    with pytest.raises(DataError, match=r"side\.csv: there is no column beside the ids"):
        add_features(data, write("item\n7\n8\n"))


def test_labels_in_several_rows_are_divided_as_in_one(data, write):
    for text in ("id,tag\n7,a| b|\n7,|c\n9,NULL\n", '{"id": 7, "tag": ["a", "b"]}\n{"id": 7, "tag": ["c"]}\n'):
        features = add_features(data, write(text)).item_features
        assert features.genre_names.tolist() == ["a", "b", "c"]
        assert features.genres.toarray().tolist() == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("text", ["item;price\n7;1,5\n8;2\n", "item,price\n7,1.5\n8,2\n", 'item,price\n7,"1,5"\n8,2\n',
                                  '{"item": 7, "price": 1.5}\n{"item": 8, "price": 2}\n'])
def test_decimal_commas(data, write, text):
    assert add_features(data, write(text), decimal=",").item_features.attributes["price"].tolist()[:2] == [1.5, 2]


@pytest.mark.parametrize("text", ["item,size\n7,1{}\n", '{{"item": 7, "size": 1{}}}\n'])
def test_features_beyond_all_bounds_are_refused(data, write, text):
    with pytest.raises(DataError, match="too large"):
        add_features(data, write(text.format("0" * 400)))


@pytest.mark.parametrize("words", ["NA", ("NA", None), None, 5])
def test_words_for_nothing_are_words(data, write, words):
    path = write("item,title\n7,Alien\n")
    for read in (lambda: add_titles(data, path, na=words), lambda: Interactions.from_csv(path, na=words)):
        with pytest.raises(ParameterError, match="na must be a sequence of words"):
            read()
    with pytest.raises(ParameterError, match="there is no option 'delimeter'; there are delimiter, header,"):
        add_titles(data, path, delimeter=";")


def test_a_frame_says_the_same_as_its_file(data, write):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({
        "movie_id": [8, 7, 55], "title": ["Brazil", None, "Casablanca"], "year": [1985, 1979, 1942],
        "made": pandas.to_datetime(["1985-02-20", "1979-05-25", None]), "genres": ["a|b", "c", ""]})
    path = write(frame.to_csv(index=False))
    for add in (add_titles, add_features):
        there, here = add(data, path), add(data, frame)
        assert [note.replace("side.csv", "the frame") for note in there.notes] == list(here.notes)
        assert here.item_features.titles.tolist() == there.item_features.titles.tolist() == ["", "Brazil", ""]
        assert here.item_features.attributes.keys() == there.item_features.attributes.keys()
        for name, values in there.item_features.attributes.items():
            assert np.array_equal(values, here.item_features.attributes[name], equal_nan=values.dtype.kind == "f")
    links = pandas.DataFrame({"a": [1, 2], "b": [2, 3]})
    assert add_friends(data, links).social.nnz == 2


def test_what_is_no_table_is_refused(data):
    with pytest.raises(DataError, match="is a dict of 1; pass the path of a file, or a pandas or polars frame"):
        add_titles(data, {7: "Alien"})
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ParameterError, match="the frame: there is no option 'header'; there is na"):
        add_titles(data, pandas.DataFrame({"id": [7], "title": ["Alien"]}), header=True)

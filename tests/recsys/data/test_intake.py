"""Reading: what is written is read back, what is malformed is named by file, column and line."""

import csv
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.data.readers import read_ragged, read_table
from recsys.errors import DataError

ids = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 20))
values = st.floats(width=32, allow_nan=False, allow_infinity=False)
moments = st.integers(-(2**40), 2**40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@given(st.data(), st.sampled_from([".csv", ".csv.gz"]))
def test_csv_round_trip(folder, data, ending):
    text = data.draw(st.booleans())
    rows = data.draw(st.lists(st.tuples(*[ids if text else numbers] * 2, values, moments), min_size=1, max_size=8))
    user, item, value, time = (list(column) for column in zip(*rows, strict=True))
    written = Interactions.from_arrays(user, item, value, time)
    path = folder / f"table{ending}"
    written.to_csv(path)
    read = Interactions.from_csv(path, delimiter=",", id_type=str if text else None)
    assert read.users.ids[read.user].tolist() == user
    assert read.items.ids[read.item].tolist() == item
    np.testing.assert_array_equal(read.value, written.value)
    np.testing.assert_array_equal(read.time, written.time)
    assert read.fingerprint() == written.fingerprint()
    assert read.name == "table"


@given(st.lists(st.lists(ids, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from([",", ";", "\t", "|"]))
def test_tables_equal_the_csv_module(folder, rows, delimiter):
    path = folder / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    table = read_table(path, delimiter, header=False)
    assert [table.fields(i) for i in range(len(table))] == rows
    assert [table.texts(j).tolist() for j in range(3)] == [list(c) for c in zip(*rows, strict=True)]
    assert [table.strings(j).tolist() for j in range(3)] == [list(c) for c in zip(*rows, strict=True)]


@given(st.lists(st.floats(allow_nan=False) | st.decimals(-1000, 1000, places=3).map(float), min_size=1, max_size=8))
def test_floats_are_read_to_the_last_bit(folder, column):
    path = folder / "floats.txt"
    path.write_text("".join(f"{x!r}\tx\n" for x in column))
    np.testing.assert_array_equal(read_table(path, "\t", header=False).floats(0), column)


@given(st.lists(st.lists(st.integers(-5, 10**12), min_size=1, max_size=5), min_size=1, max_size=6), st.booleans())
def test_ragged_words(folder, lines, windows):
    path = folder / "ragged.txt"
    path.write_bytes(("\r\n" if windows else "\n").join(" ".join(map(str, line)) for line in lines).encode())
    words = read_ragged(path)
    assert words.ids(0).tolist() == [x for line in lines for x in line]
    assert words.lines.tolist() == [n for n, line in enumerate(lines, 1) for _ in line]


LAYOUTS = {
    "u.data": "196\t242\t3\t881250949\n186\t302\t4\t891717742\n",
    "ratings.dat": "196::242::3::881250949\n186::302::4::891717742\n",
    "ratings.csv": "userId,movieId,rating,timestamp\n196,242,3.0,881250949\n186,302,4.0,891717742\n",
    "windows.csv": "\ufeffuserId,movieId,rating,timestamp\r\n196,242,3,881250949\r\n\r\n186,302,4,891717742\r\n",
    "mac.txt": "196 242 3 881250949\r186 302 4 891717742",
    "blanks.txt": "  196  242 3 881250949 \n186 302  4 891717742\n",
    "quoted.csv": '"user_id";"item_id";"rating";"timestamp"\n"196";"242";"3";"881250949"\n186;302;4;891717742\n',
    "swapped.csv": "timestamp,rating,item,user\n881250949,3,242,196\n891717742,4,302,186\n",
    "atomic.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
                    "196\t242\t3\t881250949\n186\t302\t4\t891717742\n",
    "floats.csv": "userId,movieId,rating,timestamp\n196.0,242,3,881250949.5\n186,302,4,891717742.0\n",
    "dates.csv": "user,item,rating,date\n196,242,3,1997-12-04 15:55:49\n186,302,4,1998-04-04T19:22:22Z\n",
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_layouts_are_recognised(tmp_path, name, packed):
    path = tmp_path / (name + ".gz" * packed)
    raw = LAYOUTS[name].encode()
    path.write_bytes(gzip.compress(raw) if packed else raw)
    data = Interactions.from_csv(path)
    assert data.users.ids[data.user].tolist() == [196, 186]
    assert data.items.ids[data.item].tolist() == [242, 302]
    assert data.value.tolist() == [3, 4]
    assert data.time.tolist() == [881250949, 891717742]


def test_columns_by_name_and_number(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("who,what,when,how\nann,007,5,1.5\nbob,7,6,2\n")
    data = Interactions.from_csv(path, users="who", items="what", values="how", times="when")
    assert data.items.ids.tolist() == ["007", "7"]
    assert data.value.tolist() == [1.5, 2]
    plain = Interactions.from_csv(path, users=0, items=1, values=None, times=None, header=True, id_type=str)
    assert plain.value is None
    assert plain.time is None
    assert plain.name == "log"


BAD = {
    "empty": ("", {}, r"bad\.csv is empty"),
    "only a header": ("user,item\n", {}, r"has a header .* but no rows"),
    "ragged": ("1,2,3\n\n4,5\n", {}, r"bad\.csv, line 3: 2 fields where line 1 has 3 \(delimiter ','"),
    "ragged and quoted": ('user,item\n"a\nb",5\n"c",1,2\n', {}, r"bad\.csv, line 4: 3 fields where line 1 has 2"),
    "open quote": ('user,item\n1,2\n"3,4\n', {}, r"bad\.csv, line 3: .*check the quotes"),
    "fraction": ("user,item\n1,2\n1.5,3\n", {}, r"column 'user', line 3: the id '1\.5' is not a whole number"),
    "missing": ("user,item\n1,2\n,3\n", {}, r"column 'user', line 3: the id is missing \(1 such rows\)"),
    "missing float": ("user,item\n1.0,2\nnan,3\n", {}, r"column 'user', line 3: the id is missing"),
    "huge": ("user,item\n1,9223372036854775808\n", {}, r"column 'item', line 2: .* is beyond the 64-bit.*id_type=str"),
    "text among integers": ("user,item\n1,2\nx,3\n", {"id_type": int}, r"line 3: the id 'x' is not a whole number"),
    "nan": ("user,item,rating\n1,2,3\n1,3,nan\n", {}, r"column 'rating', line 3: the value is missing \('nan' means that; 1 such"),
    "infinite": ("1,2,3\n1,3,-inf\n", {}, r"column 2, line 2: the value -inf is not a finite"),
    "no number": ("user,item,rating\n1,2,3\n1,3,good\n", {}, r"column 'rating', line 3: 'good' is not a number"),
    "no value": ("user,item,rating\n1,2,3\n1,3,\n", {}, r"column 'rating', line 3: the value is missing"),
    "no time": ("user,item,rating,time\n1,2,3,4\n1,3,4,\n", {}, r"column 'time', line 3: the time is missing"),
    "no date": ("user,item,date\n1,2,2020-01-01\n1,3,soon\n", {}, r"column 'date', line 3: 'soon' is neither"),
    "no such column": ("user,item\n1,2\n", {"items": "film"}, r"no column 'film'; columns are \['user', 'item'\]"),
    "no such number": ("1,2\n1,2\n", {"items": 5}, r"no column number 5 .*2 columns and no header"),
    "unrecognised": ("who,what\n1,2\n", {}, r"no column looks like the users; columns are \['who', 'what'\]; pass us"),
    "one column": ("1\n2\n", {}, r"no column looks like the items; there is 1 column"),
    "many columns": ("1,2,3,4,5\n", {}, r"5 columns without names; say which is which"),
    "twice": ("user,item,item\n1,2,3\n", {"items": "item"}, r"more than one column 'item'"),
    "binary": ("1,2\n\0,3\n", {}, r"line 2: a NUL byte; this is not a text file"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_files_are_explained(tmp_path, case):
    text, options, message = BAD[case]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        Interactions.from_csv(path, **options)


def test_undecodable_bytes_and_encodings(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("user,item\n1,a\n2,café\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.csv, line 3: byte 0xe9 is not utf-8; pass encoding='latin-1'"):
        Interactions.from_csv(path)
    assert "café" in Interactions.from_csv(path, encoding="latin-1").items
    path.write_bytes("user,item\n1,a\n2,café\n".encode("utf-16"))
    assert "café" in Interactions.from_csv(path, encoding="utf-16").items


def test_packed_or_not(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(b"user,item\n1,2\n")
    with pytest.raises(DataError, match=r"a\.csv\.gz is named \.gz but is not a gzip file"):
        Interactions.from_csv(path)
    path.write_bytes(gzip.compress(b"user,item\n1,2\n" * 50)[:-9])
    with pytest.raises(DataError, match=r"a\.csv\.gz is a damaged gzip file"):
        Interactions.from_csv(path)
    bare = tmp_path / "a.csv"
    bare.write_bytes(gzip.compress(b"user,item\n1,2\n"))
    with pytest.raises(DataError, match=r"a\.csv is gzipped but not named \.gz"):
        Interactions.from_csv(bare)
    with pytest.raises(DataError, match="is a folder"):
        Interactions.from_csv(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        Interactions.from_csv(tmp_path / "none.csv")


class Frame:
    """What pandas and polars have in common."""

    def __init__(self, **columns):
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name):
        column = np.array(self._columns[name], object)
        return type("Series", (), {"to_numpy": lambda self: column})()


def test_frames_and_records():
    expected = Interactions.from_arrays(["a", "b"], [7, 8], [1, 2.5], [5, 6])
    frame = Frame(time=[5, 6], userId=["a", "b"], item=[7, 8], rating=[1, 2.5])
    assert Interactions.from_dataframe(frame).fingerprint() == expected.fingerprint()
    assert Interactions.from_dataframe(frame, users=1, items="item").fingerprint() == expected.fingerprint()
    dicts = ({"user": u, "item": i, "rating": v, "time": t}
             for u, i, v, t in [("a", 7, 1, 5), ("b", 8, 2.5, 6)])
    assert Interactions.from_records(dicts).fingerprint() == expected.fingerprint()
    tuples = [("a", 7, 1, 5), ("b", 8, 2.5, 6)]
    assert Interactions.from_records(tuples).fingerprint() == expected.fingerprint()
    assert Interactions.from_records([(5, "a", 7)], users=1, items=2, values=None, times=0).time.tolist() == [5]
    with pytest.raises(DataError, match=r"record 1 \(\{'user': 2\}\) has no field 'item'"):
        Interactions.from_records([{"user": 1, "item": 2}, {"user": 2}])
    with pytest.raises(DataError, match="there are no records"):
        Interactions.from_records([])
    with pytest.raises(DataError, match=r"the frame: there is no column 'film'; columns are \['time'"):
        Interactions.from_dataframe(frame, items="film")
    with pytest.raises(DataError, match="a list has no columns"):
        Interactions.from_dataframe([1])
    with pytest.raises(DataError, match=r"column 'item', row 1: None is missing"):
        Interactions.from_dataframe(Frame(user=[1, 2], item=["a", None]))


def test_real_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user": ["a", "b"], "item": [1, 2], "rating": [1.0, 2.0],
                              "time": pandas.to_datetime(["2020-01-01", "2020-01-02"])})
    data = Interactions.from_dataframe(frame)
    assert data.time.tolist() == [1577836800, 1577923200]
    with pytest.raises(DataError, match=r"column 'item', row 1: nan is missing"):
        Interactions.from_dataframe(frame.assign(item=[1, None]))

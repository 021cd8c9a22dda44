"""Reading: what is written is read back, what is malformed is named by file, column and line."""

import csv
import gzip
import io
import os
import sys
import threading
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import datasets
from recsys.data import IdMap, Interactions
from recsys.data.held import Held, read_parquet
from recsys.data.readers import read_ragged, read_table
from recsys.errors import DataError, ParameterError

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
nasty = st.sampled_from(
    ["NA", "null", "None", "-", "?", "nan", "007", "7", "7.0", "+7", "-0", "1E5", "100000", "12e3", "1_000", "٣", "inf",
     "9223372036854775807", "99999999999999999999", " a", "a ", "a,b", "a;b", "a::b", 'say "so"', "a\nb", "a\r\nb",
     "\r", '"', "2020-01-01", "user", "item", "\ufeff", " ", "\t"])
ids = words | nasty
numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 20), st.sampled_from([-(2**63), 2**63 - 1, 0, -1]))
values = st.floats(width=32, allow_nan=False, allow_infinity=False)
moments = st.integers(-(2**40), 2**40) | st.sampled_from([0, 20111209, 881250949, 881250949000, 881250949 * 10**9])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@given(st.data(), st.sampled_from([".csv", ".csv.gz"]))
def test_csv_round_trip_with_defaults(folder, data, ending):
    kinds = [data.draw(st.sampled_from([ids, numbers])) for _ in range(2)]
    rows = data.draw(st.lists(st.tuples(*kinds, values, moments), min_size=1, max_size=8))
    user, item, value, time = (list(column) for column in zip(*rows, strict=True))
    value = value if data.draw(st.booleans()) else None
    written = Interactions.from_arrays(user, item, value, time if data.draw(st.booleans()) else None)
    path = folder / f"table{ending}"
    written.to_csv(path)
    read = Interactions.from_csv(path)
    assert read.users.ids[read.user].tolist() == user
    assert read.items.ids[read.item].tolist() == item
    for column in ("value", "time"):
        np.testing.assert_array_equal(getattr(read, column), getattr(written, column))
    assert read.fingerprint() == written.fingerprint()
    assert read.name == "table"
    again = folder / f"again{ending}"
    read.to_csv(again)
    assert again.read_bytes() == path.read_bytes()


@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=5))
def test_what_is_written_other_tools_read(folder, rows):
    written = Interactions.from_arrays(*zip(*rows, strict=True))
    written.to_csv(folder / "other.csv")
    with (folder / "other.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["user", "item"], *map(list, rows)]


@given(st.lists(st.lists(words, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(",;\t|"))
def test_tables_equal_the_csv_module(folder, rows, delimiter):
    path = folder / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    table = read_table(path, delimiter, header=False)
    assert [table.fields(i) for i in range(len(table))] == rows
    assert [table.texts(j).tolist() for j in range(3)] == [list(c) for c in zip(*rows, strict=True)]
    assert [table.strings(j).tolist() for j in range(3)] == [list(c) for c in zip(*rows, strict=True)]


@given(st.text('",\n\ra ', min_size=1, max_size=14))
def test_any_quotes_are_read_as_the_csv_module_reads_them(folder, text):
    path = folder / "quotes.csv"
    path.write_bytes(text.encode())
    try:
        expected = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error:
        expected = []
    if '"' not in text or not text.strip() or len({len(row) for row in expected}) != 1:
        return  # no quotes, nothing, wrong quotes, rows of several lengths
    table = read_table(path, ",", header=False)
    assert [table.fields(i) for i in range(len(table))] == expected


@given(st.text('",\na', min_size=1, max_size=14).filter(lambda text: text.count('"') % 2))
def test_wrong_quotes_are_refused(folder, text):
    path = folder / "quotes.csv"
    path.write_bytes(text.encode())
    try:
        list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        with pytest.raises(DataError, match="check the quotes there"):
            read_table(path, ",", header=False)


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
    "nan": ("user,item,rating\n1,2,3\n1,3,nan\n", {}, r"column 'rating', line 3: the value is missing \('nan' means"),
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


MARKED = {"utf-8-sig": "", "utf-16": "", "utf-32": "", "utf-16-be": "\ufeff", "utf-32-be": "\ufeff"}


@pytest.mark.parametrize("encoding", MARKED)
def test_byte_order_marks_say_the_encoding(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes((MARKED[encoding] + "user,item\n1,a\n2,café\n").encode(encoding))
    data = Interactions.from_csv(path)
    assert data.items.ids.tolist() == ["a", "café"]
    assert data.users.ids.tolist() == [1, 2]


def test_utf_16_without_a_mark_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("user,item\n1,a\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"a NUL byte.*looks like UTF-16 .*encoding='utf-16-le'"):
        Interactions.from_csv(path)
    assert len(Interactions.from_csv(path, encoding="utf-16-le")) == 1


def _zipped(name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, "user,item\n1,2\n")
    return stream.getvalue()


OTHERS = {
    "zip": (_zipped("a.csv"), r"a\.csv is a zip archive, not delimited text; unpack it"),
    "xlsx": (_zipped("xl/workbook.xml"), r"an Excel workbook \(\.xlsx\).*save its sheet as CSV"),
    "xls": (b"\xd0\xcf\x11\xe0" + bytes(20), r"an Excel workbook \(\.xls\)"),
    "parquet": (b"PAR1" + bytes(20) + b"PAR1", r"a Parquet file.*Interactions\.from_file"),
    "jsonl": (b'{"user": 1, "item": 2}\n{"user": 2, "item": 2}\n', r"JSON lines.*Interactions\.from_file"),
    "json": (b'[\n{"user": 1, "item": 2}]', r"is JSON, but not one record a line; write it as JSON lines"),
    "pretty json": (b'{\n"user": [1], "item": [2]}', r"is JSON, but not one record a line"),
    "json lists": (b'[1, 2]\n[1, 3]\n', r"is JSON, but not one record a line"),
    "xz": (b"\xfd7zXZ\0" + bytes(9), "packed with xz.*unxz"),
    "npy": (b"\x93NUMPY" + bytes(9), r"a NumPy array.*from_arrays"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_formats_are_called_by_name(tmp_path, case):
    raw, message = OTHERS[case]
    path = tmp_path / "a.csv"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=message):
        Interactions.from_csv(path)


@pytest.mark.parametrize("packed", [False, True])
def test_pipes_and_standard_input(tmp_path, monkeypatch, packed):
    text = b"user,item\n1,2\n3,4\n"
    raw = gzip.compress(text) if packed else text
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(raw,))
    writer.start()
    assert len(datasets.load(pipe)) == 2
    writer.join()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert len(datasets.load("-")) == 2


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
    with pytest.raises(DataError, match=r"column 'item', row 1: the id is missing"):
        Interactions.from_dataframe(Frame(user=[1, 2], item=["a", None]))


def test_real_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user": ["a", "b"], "item": [1, 2], "rating": [1.0, 2.0],
                              "time": pandas.to_datetime(["2020-01-01", "2020-01-02"])})
    data = Interactions.from_dataframe(frame)
    assert data.time.tolist() == [1577836800, 1577923200]
    with pytest.raises(DataError, match=r"column 'item', row 1: the id is missing"):
        Interactions.from_dataframe(frame.assign(item=[1, None]))


# ---- what is missing, and which kind ids have
WORDS = ["NA", "n/a", "NULL", "null", "None", "nan", "NaN", "-", "?", "", " ", "<NA>", r"\N"]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("others", [("12", "13"), ("ann", "bob")])
def test_missing_ids_are_nobody(tmp_path, word, others):
    path = tmp_path / "log.csv"
    path.write_text(f"user,item\n{others[0]},1\n{word},2\n{others[1]},3\n{word},4\n")
    with pytest.raises(DataError, match=r"log\.csv, column 'user', line 3: the id is missing .*2 such rows.*drop_m"):
        Interactions.from_csv(path)
    data = Interactions.from_csv(path, drop_missing=True)
    assert [str(id) for id in data.users.ids.tolist()] == list(others)
    assert data.users.integers == (others[0] == "12")
    assert data.notes == ("log.csv: dropped 2 of 4 rows (2 without users).",)
    if word.strip():
        assert word in Interactions.from_csv(path, na=()).users
        with pytest.raises(DataError, match="the id is missing"):
            Interactions.from_csv(path, na=(word.lower(), "nobody"))
    else:
        with pytest.raises(DataError, match="the id is missing"):
            Interactions.from_csv(path, na=())


def test_a_user_called_none_can_be(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\nNone,NA\nann,x\n")
    assert Interactions.from_csv(path, na=()).users.ids.tolist() == ["None", "ann"]
    path.write_text('user,item\n"None","NA"\n"ann","x"\n')
    data = Interactions.from_csv(path)
    assert data.users.ids.tolist() == ["None", "ann"]
    assert data.notes[0] == ("log.csv, column 'user': took 'None', since it stands in quotes, as an id, not as a "
                             "missing one (1 rows).")
    with pytest.raises(ParameterError, match="na must be a sequence of words"):
        Interactions.from_csv(path, na="None")


def test_all_rows_lack_something(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n1,NA\nNA,2\n")
    with pytest.raises(DataError, match=r"every row lacks something \(1 without users, 1 without items\)"):
        Interactions.from_csv(path, drop_missing=True)


KINDS = {
    "exponents": ("12000 12E3", ["12000", "12E3"]),
    "zeros": ("007 7", ["007", "7"]),
    "plus": ("5 +5", ["+5", "5"]),
    "underscore": ("1000 1_000", ["1000", "1_000"]),
    "other digits": ("3 ٣", ["3", "٣"]),
    "minus nothing": ("0 -0", ["-0", "0"]),
    "floats": ("12.0 13.0", [12, 13]),
    "some floats": ("12.0 13", [12, 13]),
    "integers": ("-5 12 9223372036854775807", [-5, 12, 9223372036854775807]),
}


@pytest.mark.parametrize("case", KINDS)
def test_integers_are_plain_integers(tmp_path, case):
    written, expected = KINDS[case]
    path = tmp_path / "log.csv"
    path.write_text("user,item\n" + "".join(f"1,{id}\n" for id in written.split()))
    assert Interactions.from_csv(path).items.ids.tolist() == expected
    assert Interactions.from_csv(path, id_type=str).items.ids.tolist() == sorted(written.split())


def test_two_spellings_of_an_integer_do_not_merge(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n1,12\n1,12.0\n")
    with pytest.raises(DataError, match=r"column 'item': '12\.0' is written in other ways, too; pass id_type=int"):
        Interactions.from_csv(path)
    assert Interactions.from_csv(path, id_type=int).items.ids.tolist() == [12]
    assert Interactions.from_csv(path, id_type=str).items.ids.tolist() == ["12", "12.0"]


def test_text_among_integers_is_said(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\n1,2\n2,3\n3,12E3\n")
    assert Interactions.from_csv(path).notes == (
        "log.csv, column 'item': the ids are text, since 1 of 3 are no plain integers ('12E3' in line 4).",)
    path.write_text("user,item\n1, a\n2,a\n")
    data = Interactions.from_csv(path)
    assert data.items.ids.tolist() == ["a"]
    assert data.notes == ("log.csv, column 'item': took the blanks around 1 ids away; in quotes they would stay.",)


def test_decimal_commas(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user;item;rating\n1;2;3,5\n1;3;4\n1;4;-0,25\n")
    with pytest.raises(DataError, match=r"column 'rating', line 2: '3,5' is not a number; decimal=',' reads it"):
        Interactions.from_csv(path)
    assert Interactions.from_csv(path, decimal=",").value.tolist() == [3.5, 4, -0.25]
    path.write_text("user;item;rating\n1;2;1.234,5\n")
    with pytest.raises(DataError, match=r"'1\.234,5' is not a number"):
        Interactions.from_csv(path, decimal=",")
    with pytest.raises(ParameterError, match="decimal must be"):
        Interactions.from_csv(path, decimal="'")
    with pytest.raises(DataError, match="cannot be both the delimiter and the decimal"):
        Interactions.from_csv(path, decimal=",", delimiter=",")


@pytest.mark.parametrize("number", ["1_000", "٣", "1,000", "0x10", "1e", "--1"])
def test_what_is_no_number_in_files(tmp_path, number):
    path = tmp_path / "log.csv"
    path.write_text(f"user;item;rating\n1;2;{number}\n")
    with pytest.raises(DataError, match="is not a number"):
        Interactions.from_csv(path)


# ---- events, returns
def test_event_weights(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,event\n1,2,view\n1,3,buy\n2,2,view\n2,3,refund\n")
    assert "all kinds of events in the column 'event' count alike" in Interactions.from_csv(path).notes[0]
    with pytest.raises(DataError, match=r"column 'event': no weight is given for 'refund' \(1 rows\)"):
        Interactions.from_csv(path, event_weights={"view": 1, "buy": 5})
    data = Interactions.from_csv(path, event_weights={"view": 1, "buy": 5, "refund": None, "cart": 2})
    assert data.value.tolist() == [1, 5, 1]
    assert data.notes == ("log.csv, column 'event': no row has the event 'cart'.",
                          "log.csv, column 'event': dropped 1 of 4 rows ('refund' 1).")
    assert Interactions.from_csv(path, event_weights={"buy": 5, "*": 0.5}).value.tolist() == [0.5, 5, 0.5, 0.5]
    for options, message in [({"event_weights": {"buy": "much", "*": 1}}, "must be numbers"),
                             ({"events": "event"}, "need event_weights="),
                             ({"event_weights": {"*": 1}, "values": "event"}, "give one of them"),
                             ({"event_weight": 1}, "no option 'event_weight'")]:
        with pytest.raises(ParameterError, match=message):
            Interactions.from_csv(path, **options)
    with pytest.raises(DataError, match="every event is dropped"):
        Interactions.from_csv(path, event_weights={"*": None})
    path.write_text("user,item\n1,2\n")
    with pytest.raises(DataError, match="no column looks like the events"):
        Interactions.from_csv(path, event_weights={"view": 1})


def test_returned_goods(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,quantity\n1,2,3\n1,2,-1\n2,2,1\n2,2,-1\n3,2,2\n3,3,0\n")
    assert len(Interactions.from_csv(path)) == 6
    dropped = Interactions.from_csv(path, negative="drop")
    assert dropped.value.tolist() == [3, 1, 2, 0]
    assert dropped.notes == ("log: dropped 2 of 6 rows with a negative value.",)
    less = Interactions.from_csv(path, negative="subtract")
    assert less.users.ids[less.user].tolist() == [1, 3]
    assert less.value.tolist() == [2, 2]
    assert less.notes == ("log: subtracted 2 negative values: of 4 different (user, item) pairs, 2 come to nothing or "
                          "less and were dropped.",)
    assert less.fingerprint() == Interactions.from_csv(path).clean("sum", negative="subtract").fingerprint()
    with pytest.raises(ParameterError, match="negative must be one of"):
        Interactions.from_csv(path, negative="no")


# ---- columns that have types
@pytest.mark.parametrize("options", [{"delimiter": ";"}, {"decimal": ","}, {"header": False}])
@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
def test_what_is_about_text_is_refused_for_typed_columns(tmp_path, name, options):
    path = tmp_path / name
    path.write_text('{"user": 1, "item": 7}\n')
    if name.endswith("parquet"):
        duckdb = pytest.importorskip("duckdb")
        duckdb.sql('select 1 "user", 7 item').write_parquet(str(path))
    with pytest.raises(ParameterError, match=f"{name}: the file is Parquet or JSON.*leave {next(iter(options))}"):
        Interactions.from_file(path, **options)
    Interactions.from_file(path, header=True)


def test_json_lines_in_another_encoding(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes('{"user": 1, "item": "café"}\n'.encode("latin-1"))
    with pytest.raises(DataError, match=r"log\.jsonl.*utf-8"):
        Interactions.from_file(path)
    assert Interactions.from_file(path, encoding="latin-1").items.ids.tolist() == ["café"]


def test_json_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"user": "ann", "item": 7, "time": "2020-01-01T00:00:00+01:00"}\n\n{"item": 8, "user": null}\n')
    with pytest.raises(DataError, match=r"log\.jsonl, column 'user', line 3: the id is missing \(1 such rows\); leave"):
        Interactions.from_file(path)
    data = Interactions.from_file(path, drop_missing=True)
    assert data.time.tolist() == [1577833200]
    assert data.notes == ("log.jsonl: dropped 1 of 2 rows (1 without users, 1 without times).",)
    path.write_text('{"user": 1, "item": 7}\n[1]\n')
    with pytest.raises(DataError, match="line 2: this is no record"):
        Interactions.from_file(path)
    path.write_text('{"user": 1, "item": 7}\n{"user": \n')
    with pytest.raises(DataError, match="line 2: this is not JSON"):
        Interactions.from_file(path)


def test_words_for_nothing_in_frames():
    frame = Frame(user=["a", "nan"], item=[1, 2])
    with pytest.raises(DataError, match=r"column 'user', row 1: the id is missing \('nan' means that; 1 such rows\)"):
        Interactions.from_dataframe(frame)
    assert len(Interactions.from_dataframe(frame, drop_missing=True)) == 1
    assert "nan" in Interactions.from_dataframe(frame, na=()).users


def test_parquet(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "log.parquet"
    duckdb.sql("select * from (values ('ann', 7, 1.5, timestamp '2020-01-01'), (null, 8, 2, timestamp '2020-01-02')) "
               "t(user_id, item_id, rating, \"time\")").write_parquet(str(path))
    with pytest.raises(DataError, match=r"log\.parquet, column 'user_id', row 1: the id is missing"):
        Interactions.from_file(path)
    data = Interactions.from_file(path, drop_missing=True)
    assert data.users.ids.tolist() == ["ann"]
    assert data.items.ids.tolist() == [7]
    assert data.value.tolist() == [1.5]
    assert data.time.tolist() == [1577836800]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + bytes(30) + b"PAR1")
    with pytest.raises(DataError, match=r"bad\.parquet cannot be read as Parquet"):
        Interactions.from_file(tmp_path / "bad.parquet")


def test_notes_stay_with_the_data(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("1,2\n1,3\n")
    data = Interactions.from_csv(path)
    assert repr(data).endswith(", 1 note)")
    assert data.take([0]).compact().notes == data.notes
    assert data.describe()["notes"] == list(data.notes)
    assert data.fingerprint() == Interactions.from_arrays([1, 1], [2, 3]).fingerprint()


# ---- what is told or refused rather than guessed

def test_mixed_kinds_of_ids_in_records(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"user": 1, "item": "a"}\n{"user": "1", "item": "b"}\n')
    with pytest.raises(DataError, match=r"line 2: '1' is a string; .* all strings; id_type=str takes them as strings"):
        Interactions.from_file(path)
    assert Interactions.from_file(path, id_type=str).users.ids.tolist() == ["1"]
    path.write_text('{"user": {"id": 1}, "item": "a"}\n{"user": 2, "item": "b"}\n')
    for kind in (None, str):
        with pytest.raises(DataError, match=r"line 1: \{'id': 1\} is a dict"):
            Interactions.from_file(path, id_type=kind)
    path.write_text('{"user": "99999999999999999999", "item": "a"}\n')
    with pytest.raises(DataError, match=r"line 1: the id '9{20}' is not a whole number of 64 bits"):
        Interactions.from_file(path, users="user", items="item", id_type=int)


def test_commas_in_numbers(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('user,item,value\n1,2,"1,200"\n1,3,"3"\n')
    with pytest.raises(DataError, match=r"'1,200' is not a number; remove the commas, if they divide thousands"):
        Interactions.from_csv(path)
    path.write_text('user,item,value\n1,2,"1,25"\n1,3,"3"\n')
    with pytest.raises(DataError, match=r"'1,25' is not a number; decimal=',' reads it"):
        Interactions.from_csv(path)
    assert Interactions.from_csv(path, decimal=",").value.tolist() == [1.25, 3]


def test_values_are_real_numbers():
    for values in (np.array([1j, 2]), np.array(["2020-01-01", "2020-01-02"], "datetime64[D]")):
        with pytest.raises(DataError, match="values must be numbers, got"):
            Interactions.from_arrays([1, 2], [1, 2], values)


def test_bytes_that_are_no_text():
    with pytest.raises(DataError, match=r"b'\\xff' is not text in utf-8"):
        Interactions.from_arrays(np.array([b"a", b"\xff"]), [1, 2])


@pytest.mark.parametrize("name", ["log.parquet", "log.JSONL", "-", "log.xlsx"])
def test_csv_is_not_written_under_another_format_s_name(tmp_path, name):
    with pytest.raises(ParameterError, match="what is written is CSV"):
        Interactions.from_arrays([1], [2]).to_csv(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_empty_frame_has_no_events_to_weigh():
    frame = Frame(user=np.zeros(0, int), item=np.zeros(0, int), event=np.zeros(0, str))
    assert len(Interactions.from_dataframe(frame, event_weights={"view": 1})) == 0


# ---- damage, and names that mean something elsewhere

@pytest.fixture
def parquet(tmp_path):
    """The bytes of a Parquet file."""
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "made.parquet"
    duckdb.sql("select 'u' || range % 100 as user_id, range % 37 as item_id from range(5000)").write_parquet(str(path))
    return path.read_bytes()


def test_damaged_parquet_is_one_sentence(tmp_path, parquet):
    path = tmp_path / "log.parquet"
    rng = np.random.default_rng(0)
    refused = 0
    for start in range(4, len(parquet) - 400, 150):
        damaged = bytearray(parquet)
        damaged[start:start + 150] = rng.bytes(150)
        path.write_bytes(damaged)
        try:
            Interactions.from_file(path)
        except DataError as error:
            refused += "log.parquet" in str(error)
    assert refused
    for cut in (len(parquet) // 2, -1):
        path.write_bytes(parquet[:cut])
        for read in (Interactions.from_file, Interactions.from_csv):
            with pytest.raises(DataError, match=r"log\.parquet is a Parquet file that breaks off"):
                read(path)


def test_parquet_is_read_from_plain_files_alone(tmp_path, parquet):
    (tmp_path / "log.parquet.gz").write_bytes(gzip.compress(parquet))
    with pytest.raises(DataError, match=r"log\.parquet\.gz: Parquet is read from a file alone, .*; unpack it"):
        Interactions.from_file(tmp_path / "log.parquet.gz")


@pytest.mark.parametrize("name", ["a*b", "a?b", "[ab]", "a[b", "{a,b}", "year=2020/a", "it's", "a]b%20"])
def test_names_of_parquet_files_are_no_patterns(tmp_path, parquet, name):
    duckdb = pytest.importorskip("duckdb")
    for other in ("acb", "a", "b"):
        duckdb.sql("select 1 user_id, 2 item_id").write_parquet(str(tmp_path / f"{other}.parquet"))
    path = tmp_path / f"{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(parquet)
    assert len(Interactions.from_file(path)) == 5000
    assert read_parquet(path).names == ["user_id", "item_id"]


def test_uuids_in_parquet_are_texts(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    name, path = "c104c1cc-7d99-479b-a3f7-a15525a1e617", tmp_path / "log.parquet"
    duckdb.sql(f"select '{name}'::uuid user_id, 7 item_id").write_parquet(str(path))
    assert Interactions.from_file(path).users.ids.tolist() == [name]


def test_columns_are_fetched_once():
    fetched = []
    held = Held({"a": lambda: fetched.append(1) or np.arange(3)}, "x", np.arange(3))
    assert held.take([0, 2]).array("a").tolist() == [0, 2]
    assert held.array(0).tolist() == [0, 1, 2]
    assert len(fetched) == 1


@pytest.mark.parametrize(("field", "says"), [
    ("[" * 10**5 + "]" * 10**5, "line 2: lists or records lie too deep in each other"),
    ("1" * 5000, "line 2: a whole number has thousands of digits; write it as a string"),
    ("1" + "0" * 400, "line 2: a whole number of more than 300 digits is too large"),
    ("[1", "line 2: this is not JSON"),
])
def test_json_beyond_all_bounds_is_one_sentence(tmp_path, field, says):
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"user": 1, "item": 7, "rating": 1}}\n{{"user": 1, "item": 8, "rating": {field}}}\n')
    with pytest.raises(DataError, match=says):
        Interactions.from_file(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", ['[{"user": 1, "item": 2}, {"user": 2, "item": 2}]', '[\n[1, 2]]', '["a", "b"]',
                                  "[1]\n", "[]", "[" * 10**5 + "]" * 10**5, '{\n"user": 1}'])
def test_json_documents_are_called_so_in_any_encoding(tmp_path, text, encoding):
    path = tmp_path / "log.json"
    path.write_bytes(text.encode(encoding))
    for read in (Interactions.from_file, Interactions.from_csv):
        with pytest.raises(DataError, match=r"log\.json is JSON, but not one record a line"):
            read(path)
    path.write_bytes('{"user": 1, "item": 2}\n{"user": 2, "item": 2}\n'.encode(encoding))
    assert len(Interactions.from_file(path)) == 2


def test_names_in_brackets_are_names(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("[UserId],[ItemId],[Rating]\nann,x,5\nbob,y,4\n")
    for read in (Interactions.from_file, Interactions.from_csv):
        assert read(path).value.tolist() == [5, 4]
        assert read(path).users.ids.tolist() == ["ann", "bob"]


@pytest.mark.parametrize("text", ["1_000", "٣", "0x10", "1 0", ""])
def test_numbers_in_texts_are_in_plain_digits(text):
    with pytest.raises(DataError, match="is not a number"):
        Interactions.from_arrays([1, 2], [1, 2], ["3.5", text])
    with pytest.raises(DataError, match=r"not a whole number of 64 bits|the id is missing"):
        Interactions.from_records([{"user": text, "item": "1"}], id_type=int)
    with pytest.raises(ParameterError, match="is not a whole number"):
        IdMap([1000, 3, 16]).parse([text])
    assert Interactions.from_records([{"user": " -7", "item": "+1"}], id_type=int).users.ids.tolist() == [-7]


def test_a_weight_is_a_number():
    for weight in (float("nan"), float("inf"), "much"):
        with pytest.raises((ParameterError, DataError), match=r"must be numbers|not a finite"):
            Interactions.from_records([{"user": 1, "item": 2, "event": "view"}], event_weights={"view": weight})

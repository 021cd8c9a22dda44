"""Times become seconds: units by their size or as asked, dates in any zone, and no guess at days and months."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.data.columns import as_times, as_values
from recsys.data.notes import unsaid
from recsys.data.times import UNITS, guess_unit, in_seconds, parse_dates
from recsys.errors import DataError, ParameterError

since_1980 = st.integers(315_532_800, 4_102_444_799)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
zones = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def where(i):
    return f"a.csv, column 'time', line {i + 2}"


@given(st.lists(since_1980, min_size=1, max_size=6), st.sampled_from(list(UNITS)), st.integers(0, 999))
def test_units_are_told_by_their_size(seconds, unit, fraction):
    size = UNITS[unit]
    times = np.array(seconds) * size + fraction % size
    said = []
    assert guess_unit(times) == unit
    assert in_seconds(times, None, where, said.append).tolist() == seconds
    assert len(said) == (unit != "s")
    assert in_seconds(times, unit, where, unsaid).tolist() == seconds
    assert in_seconds(times, "s", where, unsaid).tolist() == times.tolist()


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_numbers_that_only_order_stay(places):
    said = []
    assert in_seconds(np.array(places), None, where, said.append).tolist() == places
    assert not said


def test_mixed_units_are_refused():
    times = np.array([881250949000, 881250949, 881250950000])
    with pytest.raises(DataError, match=r"line 3: the time 881250949 looks like seconds since 1970 \(1 such rows\)"):
        in_seconds(times, None, where, unsaid)


def test_days_as_numbers():
    said = []
    assert in_seconds(np.array([20111209, 20200229]), None, where, said.append).tolist() == [1323388800, 1582934400]
    assert in_seconds(np.array([20111209125000]), None, where, said.append).tolist() == [1323435000]
    assert "as dates" in said[0]
    assert in_seconds(np.array([20111309]), None, where, unsaid).tolist() == [20111309]  # no month 13


@given(st.lists(st.tuples(moments, zones), min_size=1, max_size=5), st.sampled_from(["T", " "]))
def test_dates_with_and_without_zones(given_moments, between):
    aware = [moment.replace(microsecond=0, tzinfo=zone) for moment, zone in given_moments]
    expected = [int((m if m.tzinfo else m.replace(tzinfo=UTC)).timestamp()) for m in aware]
    texts = np.array([m.isoformat(between) for m in aware])
    assert parse_dates(texts, None, where, unsaid).tolist() == expected


@pytest.mark.parametrize(("text", "seconds"), [
    ("2011-12-09", 1323388800), ("2011/12/9 8:05", 1323417900), ("2011.12.09", 1323388800), ("20111209", 1323388800),
    ("20111209T125000Z", 1323435000), ("2011-12-09T12:50:00.999999Z", 1323435000), ("2011-12", 1322697600),
    ("2011-12-09 12:50 UTC", 1323435000), ("2011-12-09T13:50+0100", 1323435000), ("1969-12-31T23:59:59.5", -1),
])
def test_spellings(text, seconds):
    assert parse_dates(np.array([text]), None, where, unsaid).tolist() == [seconds]


def test_days_and_months_are_not_guessed():
    with pytest.raises(DataError, match=r"'01/02/2024' may have the day or the month first; pass "
                                        r"date_format='%d/%m/%Y' or date_format='%m/%d/%Y'"):
        parse_dates(np.array(["01/02/2024"]), None, where, unsaid)
    with pytest.raises(DataError, match=r"pass date_format='%d\.%m\.%Y %H:%M', which fits all of them"):
        parse_dates(np.array(["01.02.2024 10:00", "13.02.2024 10:00"]), None, where, unsaid)
    assert parse_dates(np.array(["13/02/2024"]), "%d/%m/%Y", where, unsaid).tolist() == [1707782400]
    with pytest.raises(DataError, match=r"line 3: '13/13/2024' is not a date of the form '%d/%m/%Y'"):
        parse_dates(np.array(["13/02/2024", "13/13/2024"]), "%d/%m/%Y", where, unsaid)


def test_a_file_of_milliseconds(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,time\n1,2,881250949123\n2,2,881250950000\n")
    data = Interactions.from_csv(path)
    assert data.time.tolist() == [881250949, 881250950]
    assert data.notes[0].startswith("log.csv, column 'time': took the times as milliseconds since 1970")
    assert Interactions.from_csv(path, time_unit="s").time.tolist() == [881250949123, 881250950000]
    again = tmp_path / "again.csv"
    Interactions.from_csv(path, time_unit="s").to_csv(again)
    assert Interactions.from_csv(again).time.tolist() == [881250949123, 881250950000]
    records = [{"user": 1, "item": 2, "time": 881250949123}]
    assert Interactions.from_records(records).time.tolist() == [881250949]
    with pytest.raises(ParameterError, match="time_unit must be one of s, ms, us, ns"):
        Interactions.from_csv(path, time_unit="minutes")


def test_three_columns_without_names_may_end_in_times(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("1\t2\t881250949\n2\t2\t881250950\n")
    data = Interactions.from_csv(path)
    assert data.value is None
    assert data.time.tolist() == [881250949, 881250950]
    assert "2 as times" in data.notes[0]


@pytest.mark.parametrize("times", [[1.5e9, 1.6e9, 1.6e12], [1.6e12, 1.5e9], [1.5e9, 1.6e15]])
def test_seconds_among_other_units_are_refused(times):
    with pytest.raises(DataError, match=r"looks like \w+seconds since 1970 \(1 such rows\), others like"):
        in_seconds(np.array(times), None, where, unsaid)
    assert in_seconds(np.array(times), "s", where, unsaid).tolist() == times


@pytest.mark.parametrize(("fields", "count"), [
    ("10.5 11.0 12.25", 2), ("10 11 12", 0), ("10.0 11.0 12.0", 0),
    ("2020-01-01T00:00:00.5 2020-01-01T00:00:00.000 2020-01-01T00:00:01", 1),
])
def test_lost_fractions_of_seconds_are_told(tmp_path, fields, count):
    path = tmp_path / "log.csv"
    path.write_text("user,item,time\n" + "".join(f"1,{i},{field}\n" for i, field in enumerate(fields.split())))
    data = Interactions.from_csv(path)
    expected = f"log.csv, column 'time': rounded {count} times down to whole seconds"
    assert [note.partition(";")[0] for note in data.notes] == ([expected] if count else [])
    if "T" in fields:
        frame = {"user": [1], "item": [2], "time": np.array(fields.split()[0], "datetime64[ms]")}
        assert "rounded 1 times" in Interactions.from_records([frame | {"user": 1, "item": 2}]).notes[0]


def test_fractions_are_no_dates_in_digits():
    assert guess_unit(np.array([20111209.5, 20111210.0])) == "s"
    assert guess_unit(np.array([20111209.0, 20111210.0])) == "date"


@pytest.mark.parametrize("odd", [5, 5.0, np.int64(5), 881250949])
@pytest.mark.parametrize("date", ["2020-01-01", datetime(2020, 1, 1, tzinfo=UTC), np.datetime64("2020-01-01")])
def test_numbers_among_dates_are_refused(odd, date):
    for times in ([date, odd, date], [odd, date, None]):
        with pytest.raises(DataError, match=r"row [01]: the time .* is a number and .* is none \(1 of 3 rows hold num"):
            as_times(np.array(times, object), 3, lambda i: f"times, row {i}")


def test_texts_and_moments_are_both_dates():
    times = np.array(["2020/1/1 00:00", datetime(2020, 1, 1, 1, tzinfo=UTC), np.datetime64("2020-01-02")], object)
    assert as_times(times, 3, where).tolist() == [1577836800, 1577840400, 1577923200]
    for strange in (True, b"2020-01-01", [2020]):
        held = np.empty(1, object)
        held[0] = strange
        with pytest.raises(DataError, match="is neither a number nor a date"):
            as_times(held, 1, where)


@pytest.mark.parametrize("kind", [np.int64, np.float64, object, str])
@given(moments=st.lists(st.dates(datetime(1000, 1, 1).date()), min_size=1, max_size=5),
       format=st.sampled_from(["%Y%m%d", "%d%m%Y", "%m%d%Y"]))
def test_a_format_reads_numbers_that_lost_their_zeros(kind, moments, format):
    numbers = np.array([int(moment.strftime(format)) for moment in moments], kind)
    days = np.array(moments, "datetime64[D]").astype("datetime64[s]").astype(int)
    assert as_times(numbers, len(numbers), where, format=format).tolist() == days.tolist()


def test_a_format_refuses_fractions():
    with pytest.raises(DataError, match=r"the time 20240131\.5 is no whole number, so no date in date_format="):
        as_times(np.array([20240131.0, 20240131.5]), 2, where, format="%Y%m%d")


@pytest.mark.parametrize("huge", [10**30, -(10**30), 10**400])
def test_times_and_values_beyond_all_bounds_are_refused(huge):
    for read in (as_times, as_values):
        if huge == 10**400 or read is as_times:
            with pytest.raises(DataError, match=r"beyond 64-bit|too large"):
                read([1, huge], 2, where)
        with pytest.raises(DataError, match=r"too large|finite"):
            read([1, None, 10**400], 3, where)

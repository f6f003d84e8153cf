"""Times that are not what they look like: numbers that are dates, clocks, dates in two columns."""

import logging
import re

import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.measurements import read_measurements
from node_experiments.chapters.irregular_series.user_tables.table_columns import find_columns
from node_experiments.chapters.irregular_series.user_tables.table_format import (
    Columns,
    TableFormat,
)
from node_experiments.chapters.irregular_series.user_tables.training_table import (
    read_training_table,
)
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.data.table_file import TableFile
from node_experiments.errors import DataError


def warnings_of(tmp_path, caplog, head, rows, **settings):
    """What is said of twelve series with these rows, each after the name of its series."""
    lines = [f"p{n:02d},{row.format(n=n, x=70 + n * n % 7 + k * k % 5)}"
             for n in range(12) for k, row in enumerate(rows)]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join([head, *lines, ""]))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        config = CSVConfig(path=str(tmp_path / "t.csv"), **settings)
        _, columns, seen = read_training_table(read_user_table(config), config)
    return [record.getMessage() for record in caplog.records], columns, seen


def of_times(tmp_path, caplog, times, **settings):
    return warnings_of(
        tmp_path, caplog, "series,time,hr", [f"{time},{{x}}" for time in times], **settings
    )


@pytest.mark.parametrize(
    ("times", "form"),
    [
        ([f"202403{d}{h:02d}" for d in (30, 31) for h in range(24)], "%Y%m%d%H"),
        (["2024033023", "2024033100"], "%Y%m%d%H"),
        (["202403302300", "202403310000"], "%Y%m%d%H%M"),
    ],
)
def test_numbers_that_can_only_be_dates_are_rejected(tmp_path, caplog, times, form):
    with pytest.raises(DataError, match=f"looks like a date; set dataset.time_format='{form}'"):
        of_times(tmp_path, caplog, times)
    _, _, seen = of_times(tmp_path, caplog, times, time_format=form)
    assert seen.times.max() == 3600 * (len(times) - 1)


@pytest.mark.parametrize(
    ("times", "apart", "form"),
    [
        (["202311", "202312", "202401", "202402"], 89, "'%Y%m'"),
        (["2023364", "2023365", "2024001", "2024002"], 636, "'%Y%j'"),
        (["240130", "240131", "240201", "240202"], 70, "'%y%m%d'"),
        (["0930", "0945", "1000", "1015"], 55, "'%H%M'"),
        (["930", "945", "1000", "1015"], 55, "'%H%M'"),
        (["1030", "1100", "1130", "1200"], 70, "'%H%M'"),
        (["0958", "0959", "1000"], 41, "'%H%M'"),
        (["93000", "93017", "93034", "93051", "93108"], 57, "'%H%M%S'"),
        (["9.44", "9.51", "9.58", "10.05"], 0.47, "with a colon, such as 09:45"),
        (["1990.10", "1990.11", "1990.12", "1991.01"], 0.89, "write dates, such as 2024-03"),
        (["202450", "202451", "202452", "202501"], 49, "write the first day of each week"),
        (["20193", "20194", "20201", "20202"], 7, "write the first day of each quarter"),
        (["2019.3", "2019.4", "2020.1", "2020.2"], 0.7, "write the first day of each quarter"),
        (["2403310939", "2403310948", "2403310957", "2403311006"], 49, "'%y%m%d%H%M'"),
        (["240331093000", "240331093100", "240331093200"], 100, "'%y%m%d%H%M%S'"),
        # Irregular, of 2019 and 2020.
        (["201902", "201905", "201910", "202001", "202007"], 91, "'%Y%m'"),
        (["2019290", "2019330", "2019361", "2020002", "2020017", "2020030"], 641, "'%Y%j'"),
        ([f"{h}{m:02d}" for h in range(8, 16) for m in (3, 21, 38, 57)], 46, "'%H%M'"),
    ],
)
def test_numbers_that_are_likely_dates_are_said(tmp_path, caplog, times, apart, form):
    said, _, _ = of_times(tmp_path, caplog, times)
    (line,) = (each for each in said if "are read as numbers" in each)
    assert f"read as numbers that are {apart} apart" in line
    assert form in line
    if "%" in form:
        said, columns, _ = of_times(tmp_path, caplog, times, time_format=form.strip("'"))
        assert not [each for each in said if "are read as numbers" in each]
        assert columns.time_kind == ("clock" if form.startswith("'%H") else "date")


@pytest.mark.parametrize(
    ("times", "remedy"),
    [
        (["310324", "010424", "020424"], "set dataset.time_format='%d%m%y'"),
        (["033124", "040124", "040224"], "set dataset.time_format='%m%d%y'"),
        (["97", "98", "99", "00", "01"], "set dataset.time_format='%y'"),
        (["1229", "1230", "1231", "0101"], "write dates with their year"),
    ],
)
def test_numbers_in_the_order_of_dates_are_said(tmp_path, caplog, times, remedy):
    said, columns, _ = of_times(tmp_path, caplog, times)
    (line,) = (each for each in said if "is read as a number like the others" in each)
    assert remedy in line
    assert columns.time_kind == "number"
    if "%" in remedy:
        form = remedy.split("'")[1]
        said, _, seen = of_times(tmp_path, caplog, times, time_format=form)
        assert not said
        first = seen.times[: len(times)]
        assert (first[1:] > first[:-1]).all()


@pytest.mark.parametrize(
    ("times", "form"),
    [
        (["31032024", "01042024", "02042024"], "%d%m%Y"),
        (["03312024", "04012024", "04022024"], "%m%d%Y"),
        (["20240331093000000", "20240331093017000"], "%Y%m%d%H%M%S%f"),
    ],
)
@pytest.mark.parametrize("as_numbers", [False, True])
def test_dates_of_eight_digits_in_other_orders(tmp_path, caplog, times, form, as_numbers):
    if as_numbers:  # as programs write them that took them for numbers
        times = [time.lstrip("0") for time in times]
    with pytest.raises(DataError, match=f"looks like a date; set dataset.time_format='{form}'"):
        of_times(tmp_path, caplog, times)
    _, _, seen = of_times(tmp_path, caplog, times, time_format=form)
    days = 17 / 86400 if "%f" in form else 1
    assert seen.times[1] == pytest.approx(86400 * days)


@pytest.mark.parametrize(
    ("times", "form", "seconds"),
    [
        (["07:39:16 AM", "08:39:16 PM"], "%I:%M:%S %p", 13 * 3600),
        (["18.00.00", "18.01.00"], "%H.%M.%S", 60),
        (["07:13", "08:14"], "%M:%S", 61),
        (["93000", "93017"], "%H%M%S", 17),
    ],
)
def test_a_format_without_a_date_is_of_times_of_day(tmp_path, caplog, times, form, seconds):
    said, columns, seen = of_times(tmp_path, caplog, times, time_format=form)
    assert not said
    assert columns.time_kind == "clock"
    assert seen.times[1] == seconds
    # Beside a column of dates, they are rejected as hh:mm is.
    rows = [f"2024-03-{day},{time},{{x}}" for day in (30, 31) for time in times]
    with pytest.raises(DataError, match=r"'time' holds times of day, and 'date' dates"):
        warnings_of(tmp_path, caplog, "series,date,time,hr", rows, time_format=form)
    said, _, _ = of_times(tmp_path, caplog, times[::-1], time_format=form)
    assert "the time of day falls within series" in said[0]


def test_dates_without_a_year_are_said(tmp_path, caplog):
    said, _, _ = of_times(tmp_path, caplog, ["29.12. 10:00", "02.01. 10:00"],
                          time_format="%d.%m. %H:%M")  # fmt: skip
    assert "has no year, and all dates are read as those of 1900" in said[0]


@pytest.mark.parametrize(
    ("times", "form", "hours"),
    [
        (["20241", "20242", "202410"], "%Y%m", [0, 31 * 24, 274 * 24]),
        (["20241", "202431", "2024100"], "%Y%j", [0, 30 * 24, 99 * 24]),
        (["202403315", "2024033110"], "%Y%m%d%H", [0, 5]),
    ],
)
def test_numbers_that_end_without_a_zero(tmp_path, caplog, times, form, hours):
    _, _, seen = of_times(tmp_path, caplog, times, time_format=form)
    assert (seen.times[: len(times)] / 3600).tolist() == hours


def test_hours_with_an_offset(tmp_path, caplog):
    times = ["2024-03-31T14+02:00", "2024-03-31T15+02:00", "2024-03-31T16+02"]
    _, columns, seen = of_times(tmp_path, caplog, times)
    assert columns.time_kind == "zoned"
    assert seen.times[:3].tolist() == [0, 3600, 7200]
    _, columns, _ = of_times(tmp_path, caplog, ["00:30+01:00"], time_format="%H:%M%z")
    assert columns.time_kind == "zoned"


def test_the_hour_that_comes_twice_in_autumn_is_said(tmp_path, caplog):
    day = "2024-10-27 "
    night = [day + time for time in ("01:40", "02:10:03", "02:40:05", "02:10:09", "03:10:12")]
    said, _, _ = of_times(tmp_path, caplog, night)
    assert "line 5: the time falls by at most an hour within series 'p00'" in said[0]
    assert "if clocks were set back here, write dates with their offset" in said[0]
    said, _, _ = of_times(tmp_path, caplog, sorted(night))
    assert not said
    said, _, _ = of_times(tmp_path, caplog, night[::-1])  # rows in any order
    assert not said
    jitter = ["2024-06-16 10:00:05", "2024-06-16 10:00:03", "2024-06-16 10:01:00"]
    for times in (jitter, [time.replace("06-16 10", "10-27 02") for time in jitter]):
        said, _, _ = of_times(tmp_path, caplog, times)
        assert not said


@pytest.mark.parametrize("hour", ["14-00", "14 -10", "14-1030"])
def test_an_hour_before_a_sign_is_no_zone(tmp_path, caplog, hour):
    with pytest.raises(DataError, match=r"not read as a date; "):
        of_times(tmp_path, caplog, [f"2024-03-31 {hour}", "2024-03-31 15-10"])
    form = "%Y-%m-%d %H-%M"
    _, _, seen = of_times(tmp_path, caplog, ["2024-03-31 14-00", "2024-03-31 14-10"],
                          time_format=form)  # fmt: skip
    assert seen.times[1] == 600


def test_the_end_of_a_day_and_greenwich_time(tmp_path, caplog):
    _, _, seen = of_times(tmp_path, caplog, ["2024-03-31 23:00", "2024-03-31 24:00"])
    assert seen.times[1] == 3600
    _, columns, seen = of_times(tmp_path, caplog, ["2024-03-31T23:00Z", "2024-03-31 24:00 GMT"])
    assert columns.time_kind == "zoned"
    assert seen.times[1] == 3600


@pytest.mark.parametrize("as_text", [True, False])
def test_times_whose_digits_would_be_lost_are_rejected(as_text):
    times = [1711843200000000001, 1711843200000000101]
    frame = pd.DataFrame({"series": "a", "time": times, "hr": [1, 2]})
    frame = frame.astype({"time": str}) if as_text else frame
    with pytest.raises(DataError, match=r"1711843200000000001 is above 2\^53"):
        find_columns(TableFile.of(frame), TableFormat())


@pytest.mark.parametrize(
    ("time", "remedy"),
    [
        ("2024-03-31 01:05 PM", "set dataset.time_format='%Y-%m-%d %I:%M %p'"),
        ("2024-03-31 14.05.10", "set dataset.time_format='%Y-%m-%d %H.%M.%S'"),
        ("31-Mar-2024 02:05:00 PM", "set dataset.time_format='%d-%b-%Y %I:%M:%S %p'"),
        ("18.00.00", "set dataset.time_format='%H.%M.%S'"),
        ("14.05.10", "or '%H.%M.%S' (time of day)"),
        ("1:05.500", "set dataset.time_format='%M:%S.%f'"),
        ("2024-02-30", "there is no such day or time of day; correct it or remove the row"),
        ("2024-03-31T23:59:60Z", "there is no such day or time of day; correct it or remove"),
        ("2024-31-03", "set dataset.time_format='%Y-%d-%m' (or the like)"),
        ("2024-03-31 14:05 CEST", "write the offset from UTC in place of the name of the zone"),
        ("2024-03-31 14:05 Europe/Berlin", "write the offset from UTC in place of the name"),
        ("31. März 2024", "write the month as a number (2024-03-31)"),
        ("10 min", "write durations as numbers in one unit (90)"),
        ("5 SEC", "write durations as numbers in one unit (90)"),
        ("2024-03-31T14.05", "set dataset.time_format='%Y-%m-%dT%H.%M'"),
        ("2024-03-31 14-05", "set dataset.time_format='%Y-%m-%d %H-%M'"),
        ("31/03/2024 8h05", "='%d/%m/%Y %Hh%M'"),
        ("2024-03-31 08h05", "set dataset.time_format='%Y-%m-%d %Hh%M'"),
        ("8h05", "set dataset.time_format='%Hh%M'"),
        ("PT30M", "write durations as numbers in one unit (90)"),
    ],
)
def test_what_to_do_about_a_time_in_another_form(tmp_path, caplog, time, remedy):
    with pytest.raises(DataError, match=re.escape(remedy)):
        of_times(tmp_path, caplog, [time])
    if remedy.startswith("set"):  # what is advised reads the time
        form = remedy.split("'")[1]
        of_times(tmp_path, caplog, [time], time_format=form)


@pytest.mark.parametrize(
    "times",
    [
        [1711929600 + 3600 * n for n in range(48)],  # seconds since 1970, which have ten digits
        [4070908800 + 86400 * n for n in range(9)],
        [n * 15 for n in range(200)],
        [n * 50 for n in range(60)],  # none of which is a minute above 59
        [n * 100 for n in range(24)],
        [0, 7, 14, 28, 56, 112, 140, 200],
        [0, 15, 30, 45, 90, 120, 240, 1440],
        list(range(1950, 2021)),
        list(range(1, 60)),
        [45382 + n for n in range(40)],  # days of a spreadsheet
        [200001 + 7 * n for n in range(60)],
        [2023001 + 7 * n for n in range(80)],
        [240101 + 11 * n for n in range(60)],
        [0.5, 1.5, 2.5, 101.5],
        [1_012_000 + 10_000 * n for n in range(9)],  # milliseconds
        [10_012_000, 10_022_000],
    ],
)
def test_numbers_that_are_no_dates(tmp_path, caplog, times):
    said, columns, _ = of_times(tmp_path, caplog, times)
    assert not [each for each in said if "look like" in each]
    assert columns.time_kind == "number"


def test_minutes_and_seconds_that_continue_as_hours(tmp_path, caplog):
    said = r"line 2: 'time' is '58:30', and '1:00:10' at .*line 4; .*0:58:30 if .*58:30:00 if"
    with pytest.raises(DataError, match=said):
        of_times(tmp_path, caplog, ["58:30", "59:50", "1:00:10"])
    _, _, seen = of_times(tmp_path, caplog, ["0:58:30", "0:59:50", "1:00:10"])
    assert seen.times[:3].tolist() == [0, 80, 100]
    of_times(tmp_path, caplog, ["08:30", "09:50"])
    of_times(tmp_path, caplog, ["08:30:00", "09:50:00.5", "1 days 00:00:00"])
    table = TableFile.of(pd.DataFrame({"series": "a", "time": ["8:30", "9:30:00"], "hr": [1, 2]}))
    with pytest.raises(DataError, match="row 0: 'time' is '8:30'"):
        read_measurements(table, TableFormat(), Columns(("hr",), time_kind="clock"))


CLOCKS = ("08:00", "20:10", "09:15", "07:05")
HOURS = (8, 20, 9, 7)
DAYS = {
    "iso": ("2024-03-30", "2024-03-30", "2024-03-31", "2024-04-01"),
    "named": ("30-Mar-2024", "30-Mar-2024", "31-Mar-2024", "01-Apr-2024"),
    "weekday": ("Sa 30.03.", "Sa 30.03.", "So 31.03.", "Mo 01.04."),
    "digits": ("20240330", "20240330", "20240331", "20240401"),
}


@pytest.mark.parametrize("dates", DAYS)
@pytest.mark.parametrize("long", [False, True])
def test_dates_beside_times_of_day(tmp_path, caplog, dates, long):
    rows = [f"{d},{c},{{x}}" for d, c in zip(DAYS[dates], CLOCKS, strict=True)]
    head = "series,date,time,hr"
    if long:
        head = "series,date,time,variable,value"
        rows = [row.replace("{x}", f"{name},{{x}}") for name in ("K", "Na") for row in rows]
    with pytest.raises(DataError, match=r"'time' holds times of day, and 'date' .*value_columns$"):
        warnings_of(tmp_path, caplog, head, rows)
    # The way out, if the times are durations, which is not taken in silence.
    values = ["K", "Na"] if long else ["hr"]
    said, columns, _ = warnings_of(tmp_path, caplog, head, rows, value_columns=values)
    assert any("'time' holds times of day, and 'date' dates that change" in each for each in said)
    assert columns.features == tuple(values)


@pytest.mark.parametrize("dates", ["iso", "named", "weekday"])
def test_dates_beside_hours(tmp_path, caplog, dates):
    rows = [f"{d},{h},{{x}}" for d, h in zip(DAYS[dates], HOURS, strict=True)]
    with pytest.raises(DataError, match="'hour' falls within a series where 'date' changes; join"):
        warnings_of(tmp_path, caplog, "series,date,hour,hr", rows, time_column="hour")
    said, _, _ = warnings_of(
        tmp_path, caplog, "series,date,hour,hr", rows, time_column="hour", value_columns=["hr"]
    )
    assert any("'hour' falls within a series where 'date' changes" in each for each in said)


@pytest.mark.parametrize(
    ("names", "rows", "time"),
    [
        ("day,time", [(1, "08:00"), (1, "20:10"), (2, "09:15"), (3, "07:05")], "time"),
        ("day,time", [(1, "08:00"), (2, "09:00"), (3, "09:15"), (4, "09:30")], "time"),
        ("day,hour", [(1, 8), (1, 20), (2, 9), (3, 7)], "hour"),
        ("date,hour", [(20240330, 8), (20240330, 20), (20240331, 9), (20240401, 7)], "hour"),
        ("year,doy", [(2023, 364), (2023, 365), (2024, 1), (2024, 2)], "doy"),
        ("session,time", [(1, 0), (1, 1), (1, 2), (2, 0.5), (2, 1.5)], "time"),
        ("week,hour", [("KW 13/24", 8), ("KW 13/24", 20), ("KW 14/24", 7)], "hour"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_days_that_are_numbers(tmp_path, caplog, names, rows, time, named):
    lines = [f"{day},{of_day},{{x}}" for day, of_day in rows]
    settings = {"value_columns": ["hr"]} if named else {}
    said, _, _ = warnings_of(
        tmp_path, caplog, f"series,{names},hr", lines, time_column=time, **settings
    )
    other = names.partition(",")[0]
    (line,) = (each for each in said if "join them in one column" in each)
    assert repr(other) in line
    assert repr(time) in line


@pytest.mark.parametrize(
    ("head", "rows", "time"),
    [
        # Sorted: the date is told once more.
        ("series,date,time,hr", [f"2024-03-3{n // 5},{n * 5},{{x}}" for n in range(8)], "time"),
        # From the last to the first.
        ("series,day,time,hr", [f"{9 - n},{70 - 8 * n},{{x}}" for n in range(8)], "time"),
        ("series,left,time,hr", [f"{n},{70 - 8 * n},{{x}}" for n in range(8)], "time"),
        # Unsorted, with columns that rise, are of words, or are of few numbers.
        ("series,n,time,hr", [f"{n},{n * 5 % 8},{{x}}" for n in range(8)], "time"),
        ("series,ward,time,hr", [f"w{n // 3},{n * 5 % 8},{{x}}" for n in range(8)], "time"),
        ("series,level,time,hr", [f"{n // 3},{n * 5 % 8},{{x}}" for n in range(8)], "time"),
        # By variable, with its unit.
        (
            "series,unit,time,variable,value",
            [f"{unit},{n},{name},{{x}}" for unit, name in (("m 1/s", "K"), ("m 2/s", "Na"))
             for n in range(4)],
            "time",
        ),
        ("series,note,time,hr", [f"seen {n},{8 + n}:00,{{x}}" for n in range(8)], "time"),
        ("series,beats,time,hr", [f"{60 + n % 3},{8 + n}:00,{{x}}" for n in range(8)], "time"),
    ],
)  # fmt: skip
def test_columns_that_are_no_dates(tmp_path, caplog, head, rows, time):
    said, _, _ = warnings_of(tmp_path, caplog, head, rows, time_column=time)
    assert not [each for each in said if "join them in one column" in each]


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        (["24-03-30", "24-03-31", "24-04-01"], "set dataset.time_format='%y-%m-%d'$"),
        (["24/03/30 8:00", "24/03/31 8:00"], "set dataset.time_format='%y/%m/%d %H:%M'$"),
        (["98.12.30", "98.12.31", "99.01.01"], r"set dataset.time_format='%y\.%m\.%d'$"),
        (["30-03-24", "31-03-24", "01-04-24"], "='%d-%m-%y'$"),
        (["30.03.24", "31.03.24", "01.04.24"], r"='%d\.%m\.%y'$"),
        (["10-11-12", "11-11-12"], r"='%d-%m-%y' \(day first\) or '%m-%d-%y' \(month first\)$"),
        (
            ["01-02-03", "02-03-04", "03-04-05"],
            r"='%d-%m-%y' \(day first\) or '%m-%d-%y' \(month first\) or '%y-%m-%d' \(year f",
        ),
        (["22-02-22", "23-03-23"], r"='%d-%m-%y' \(year last\) or '%y-%m-%d' \(year first\)$"),
    ],
)
def test_the_year_is_the_number_that_hardly_changes(tmp_path, caplog, dates, said):
    with pytest.raises(DataError, match=said) as error:
        of_times(tmp_path, caplog, dates)
    form = re.search("time_format='(.*?)'", str(error.value))[1]
    lines, _, seen = of_times(tmp_path, caplog, dates, time_format=form)  # as it was told
    assert not [each for each in lines if "is the year" in each]
    if len(dates) > 2 and "or" not in said:
        assert seen.times[1] == 86400


def test_a_format_that_takes_the_year_for_a_day_is_said(tmp_path, caplog):
    said, _, _ = of_times(tmp_path, caplog, ["24-03-30", "24-03-31", "24-04-01"],
                          time_format="%d-%m-%y")  # fmt: skip
    assert any("24-03-30 is a day of 2030, and the first number hardly changes" in x for x in said)


LATER = {
    "number": ([0.5, 1.5], "numbers: write them so, the time since some start in the same unit"),
    "date": (["2024-03-30", "2024-03-31"], r"dates: write them so \(2024-03-31 14:05\)"),
    "zoned": (["2024-03-30 08:00Z", "2024-03-31 08:00Z"], r"dates with a zone: write them so"),
    "clock": (["08:00", "09:30"], r"times of day: write them so \(14:05\)"),
}


@pytest.mark.parametrize("trained", LATER)
@pytest.mark.parametrize("later", ["number", "date", "german", "typed", "clock"])
@pytest.mark.parametrize("is_frame", [False, True])
def test_times_of_another_kind_than_those_of_training(trained, later, is_frame):
    kinds = {name: times for name, (times, _) in LATER.items()}
    kinds["german"] = ["30.03.2024", "31.03.2024"]
    kinds["typed"] = pd.to_datetime(kinds["date"])
    is_date = {trained, later} <= {"date", "zoned", "german", "typed"}
    if trained == later or is_date:
        return
    times = kinds[later] if later == "typed" or is_frame else list(map(str, kinds[later]))
    frame = pd.DataFrame({"series": ["a", "a"], "time": times, "hr": [1.0, 2.0]})
    table = TableFile.of(frame) if is_frame else TableFile.of(frame, "later.csv")
    columns = Columns(("hr",), time_kind=trained)
    with pytest.raises(DataError, match=LATER[trained][1]) as error:
        read_measurements(table, TableFormat(), columns)
    assert "ISO 8601" not in str(error.value)
    assert "dataset." not in str(error.value)


@pytest.mark.parametrize("times", [[20240330, 20240331], ["2024033023", "2024033100"]])
@pytest.mark.parametrize("is_frame", [False, True])
def test_dates_as_numbers_after_a_training_on_numbers(times, is_frame):
    frame = pd.DataFrame({"series": ["a", "a"], "time": times, "hr": [1.0, 2.0]})
    table = TableFile.of(frame) if is_frame else TableFile.of(frame, "later.csv")
    with pytest.raises(DataError, match="looks like a date; the model was trained on times that"):
        read_measurements(table, TableFormat(), Columns(("hr",)))


def test_a_frame_is_mended_with_pandas():
    frame = pd.DataFrame({"series": ["a", "a"], "time": ["30.03.2024", "31.03.2024"], "hr": 1.0})
    for times in (frame["time"], ["day 1", "day 2"]):
        table = TableFile.of(frame.assign(time=times))
        with pytest.raises(DataError, match=r"use pandas\.to_datetime with format='%d") as error:
            read_measurements(table, TableFormat(), Columns(("hr",), time_kind="date"))
        assert "dataset." not in str(error.value)
    with pytest.raises(DataError, match=r"rename\(columns=") as error:
        read_measurements(TableFile.of(frame.rename(columns={"series": "pid"})), TableFormat(),
                          Columns(("hr",), time_kind="date"))  # fmt: skip
    assert "dataset." not in str(error.value)


def test_the_whole_reading_of_a_file_of_hours(tmp_path):
    """Midnight is an hour after eleven."""
    rows = [f"{n},202403{d}{h:02d},{h + n}" for n in range(12) for d in (30, 31) for h in (22, 23)]
    (tmp_path / "t.csv").write_text("\n".join(["series,time,x", *rows, ""]))
    settings = CSVConfig(path=str(tmp_path / "t.csv"), time_format="%Y%m%d%H")
    schema, _, series = csv_data(settings).source
    assert schema.time_scale == 25 * 3600
    assert series.times[:4].tolist() == pytest.approx([0, 1 / 25, 24 / 25, 1])
    columns = find_columns(read_user_table(settings), TableFormat(time_format="%Y%m%d%H"))
    assert columns.time_kind == "date"


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        (["07:13", "07:15"], "from 07:13:00 to 07:15:00; 2 times over 0.03333 h in each"),
        (["0:07:13", "26:00:01"], "from 00:07:13 to 26:00:01; 2 times over 25.88 h in each"),
        (["2024-03-04 00:00", "2024-03-04 12:00", "2024-03-05"],
         "from 2024-03-04 00:00:00 to 2024-03-05 00:00:00; 3 times over 24 h in each"),
        (["2024-03-04T00:00+02:00", "2024-03-04T12:00+02:00"],
         "from 2024-03-03 22:00:00 UTC to 2024-03-04 10:00:00 UTC; 2 times over 12 h in each"),
        (["-1.5", "3"], "from -1.5 to 3; 2 times over 4.5 in each"),
    ],
)  # fmt: skip
def test_the_log_shows_what_was_read(tmp_path, caplog, times, shown):
    with caplog.at_level(logging.INFO):
        rows = [f"p{n},{time},{70 + n}" for n in range(12) for time in times]
        (tmp_path / "t.csv").write_text("\n".join(["series,time,hr", *rows, ""]))
        config = CSVConfig(path=str(tmp_path / "t.csv"))
        read_training_table(read_user_table(config), config)
    assert f"12 series, {shown} (medians); hr from 70 to 81" in caplog.text


QUARTERS = [(year, quarter) for year in range(2018, 2022) for quarter in (1, 2, 3, 4)]


@pytest.mark.parametrize("form", ["{}-{}", "{}/0{}", "{} {}", "{}0{}"])
def test_quarters_that_are_read_as_months_are_said(tmp_path, caplog, form):
    settings = {} if form != "{}0{}" else {"time_format": "%Y%m"}
    times = [form.format(*quarter) for quarter in QUARTERS]
    said, _, _ = of_times(tmp_path, caplog, times, **settings)
    (line,) = (each for each in said if "January to April" in each)
    assert "write the first day of each" in line
    whole = [f"{year}-{month:02d}" for year in (2018, 2019, 2020) for month in range(1, 13)]
    said, _, _ = of_times(tmp_path, caplog, whole)
    assert not said


@pytest.mark.parametrize(
    "cell", ["2019Q3", "2019-Q3", "Q3/2019", "3q2019", "3Q19", "2019:3", "2019:Q3", "FY2019-H1"]
)
def test_quarters_that_cannot_be_read_are_recognised(tmp_path, caplog, cell):
    with pytest.raises(DataError, match="write the first day of each week, month or quarter"):
        of_times(tmp_path, caplog, [cell])


def test_years_and_months_with_a_colon_are_said_to_be_read_as_durations(tmp_path, caplog):
    said, _, _ = of_times(tmp_path, caplog, ["1999:11", "1999:12", "2000:01"])
    assert "the time 1999:11 is read as hours and minutes; if it is a year" in said[0]
    said, _, _ = of_times(tmp_path, caplog, ["1999:10", "1999:30", "1999:50"])
    assert not said


def test_years_of_two_digits_in_a_later_century_are_said(tmp_path, caplog):
    years = range(1960, 1980)
    times = [f"1/{month}/{year % 100}" for year in years for month in (1, 7)]
    said, _, _ = of_times(tmp_path, caplog, times, time_format="%d/%m/%y")
    (line,) = said
    assert "1/7/68 is a day of 2068" in line
    assert "if it is of 1968, write years with four digits" in line
    said, _, _ = of_times(tmp_path, caplog, times[20:], time_format="%d/%m/%y")
    assert not said
    now = pd.Timestamp.now()
    for years, expected in ((-3, False), (0, False), (4, True), (15, True)):
        last = now.year + years
        days = pd.date_range(f"{last - 2}-02-03", f"{last}-12-31", freq="13D")
        times = days.strftime("%d.%m.%y").tolist()
        said, _, _ = of_times(tmp_path, caplog, times, time_format="%d.%m.%y")
        assert any(f"if it is of {last - 100}" in line for line in said) == expected


def test_clocks_set_back_are_noticed_in_a_table_sorted_by_variable(tmp_path, caplog):
    utc = pd.date_range("2024-10-26 21:00", periods=8, freq="37min", tz="UTC")
    rows = [
        (local, name)
        for name, shift in (("flow", 0), ("level", 5))
        for local in (utc + pd.Timedelta(minutes=shift)).tz_convert("Europe/Berlin")
    ]
    lines = [f"p{n:02d},{t:%Y-%m-%d %H:%M},{name},{60 + n + k % 5}"
             for n in range(12) for k, (t, name) in enumerate(rows)]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["series,time,variable,value", *lines, ""]))
    config = CSVConfig(path=str(tmp_path / "t.csv"))
    with caplog.at_level(logging.WARNING):
        read_training_table(read_user_table(config), config)
    assert "if clocks were set back here" in caplog.text


def test_quarters_of_a_later_table_are_said_to_be_read_as_months(caplog):
    frame = pd.DataFrame({"series": "a", "time": [f"{y}-{q}" for y, q in QUARTERS], "hr": 1.0})
    form = TableFormat()
    read_measurements(TableFile.of(frame), form, Columns(("hr",), time_kind="date"))
    assert "read as the months January to April" in caplog.text

"""Atlantic storms: geometry in closed form, windows of small tables, what is rejected."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from node_experiments.chapters.irregular_series.shipped import StormsConfig, storm_map, storms
from node_experiments.chapters.irregular_series.shipped.storm_forecast import StormForecast
from node_experiments.chapters.irregular_series.shipped.storm_geometry import (
    Place,
    displaced,
    displacement,
    great_circle,
)
from node_experiments.chapters.irregular_series.shipped.storm_regression import StormRegression
from node_experiments.chapters.irregular_series.shipped.storms import (
    read_fixes,
    storms_data,
    windows_of,
)
from node_experiments.config import ConfigError
from node_experiments.data.table_file import read_table
from node_experiments.errors import DataError

HEADER = "name,year,month,day,hour,lat,long,status,wind,pressure\n"
QUARTER = math.pi / 2 * 6371.0


def place(latitude, longitude):
    return Place(torch.tensor(latitude).double(), torch.tensor(longitude).double())


def moving(name="Ana", year=2001, fixes=24, east=0.5, north=0.0, wind=40):
    """A storm that moves along a parallel or a meridian, a fix every six hours."""
    days = [(f"{1 + i // 4}", f"{6 * (i % 4)}") for i in range(fixes)]
    return "".join(
        f"{name},{year},8,{day},{hour},{10 + i * north:.2f},{-40 + i * east:.2f},s,{wind},990\n"
        for i, (day, hour) in enumerate(days)
    )


def table(tmp_path, *rows):
    path = tmp_path / "storms.csv"
    path.write_text(HEADER + "".join(rows))
    return read_table(path)


def test_great_circles_have_known_lengths():
    pole, equator = place(90.0, 0.0), place(0.0, 77.0)
    assert float(great_circle(pole, equator)) == pytest.approx(QUARTER)
    assert float(great_circle(place(0.0, 170.0), place(0.0, -100.0))) == pytest.approx(QUARTER)
    assert float(great_circle(place(12.0, 5.0), place(12.0, 5.0))) == 0


def test_displacements_along_a_meridian_and_the_equator():
    east, north = displacement(place(10.0, -40.0), place(19.0, -40.0))
    assert float(east) == pytest.approx(0, abs=1e-6)
    assert float(north) == pytest.approx(QUARTER / 10)
    east, north = displacement(place(0.0, 179.0), place(0.0, -172.0))
    assert (float(east), float(north)) == pytest.approx((QUARTER / 10, 0), abs=1e-6)


def test_a_displacement_is_undone():
    generator = torch.Generator().manual_seed(0)
    start, end = (
        Place(
            140 * torch.rand(50, generator=generator).double() - 70,
            360 * torch.rand(50, generator=generator).double() - 180,
        )
        for _ in range(2)
    )
    back = displaced(start, *displacement(start, end))
    assert float(great_circle(back, end).max()) < 1e-3


def test_a_storm_that_keeps_its_motion_does_not_depart_from_persistence(tmp_path):
    (storm,) = read_fixes(table(tmp_path, moving(north=0.5, east=0.0)))
    series, names = windows_of([storm], every=24.0)
    assert names == ["Ana 2001"] * len(series)
    # 24 fixes last 138 h: forecasts are due at 48, 72, 96 and 120 h.
    assert len(series) == 4
    first = series.take(torch.tensor([0]))
    assert torch.allclose(first.times[:9], torch.arange(9) / 20)
    now = first.times == 0.4
    departure = first.values[:, :2][~now]
    assert float(departure.abs().max()) < 1e-3
    assert not first.feature_mask[now][0, :2].any()
    # Half a degree of a meridian in six hours.
    assert float(first.values[3, 7]) == pytest.approx(QUARTER / 90 / 12, rel=1e-5)


def test_errors_of_persistence_are_those_of_a_turn(tmp_path):
    turned = moving(fixes=9, north=0.5, east=0.0)
    after = "".join(
        f"Ana,2001,8,{3 + (6 * k) // 24},{(6 * k) % 24},14,{-40 + 0.5 * k:.2f},s,{40 + k},990\n"
        for k in range(1, 13)
    )
    data = data_of(tmp_path, turned + after)
    batch = data.test.data.select(torch.tensor([0]))
    none = -data.scaling.shift / data.scaling.scale
    errors = data.measures(none.expand_as(batch.target.values), batch)
    # It would be at 15 degrees north after 12 hours, and is a degree of longitude to the east.
    expected = great_circle(place(15.0, -40.0), place(14.0, -39.0))
    assert float(errors["persistence_error_12h"][0]) == pytest.approx(float(expected), rel=1e-4)
    assert errors["track_error_12h"].tolist() == pytest.approx(
        errors["persistence_error_12h"].tolist(), abs=0.05
    )
    assert errors["same_wind_error_12h"][0] == pytest.approx(2, abs=1e-3)
    exact = data.measures(batch.target.values, batch)
    assert max(float(exact[f"track_error_{h}h"].max()) for h in (12, 24, 36, 48, 72)) < 0.05


def random_storms(count, generator):
    """Windows with one fix after 24 hours, which the state at the time of the forecast decides."""
    place = [(10 + 20 * random(count, generator)), (-80 + 40 * random(count, generator))]
    motion = [20 * random(count, generator) - 10 for _ in range(2)]
    wind = 30 + 100 * random(count, generator)
    return place, motion, wind


def random(count, generator):
    return torch.rand(count, 1, generator=generator, dtype=torch.float64)


class Windows(StormForecast):
    """Windows whose last fix is given, with one fix 24 hours later."""

    def __init__(self, place, motion, wind):
        self.here, self.motion, self.wind_now = Place(*place), motion, wind
        self.lead = torch.full_like(wind, 24.0)
        self.there = torch.ones_like(wind, dtype=torch.bool)
        east = 0.2 * place[0] - 0.1 * motion[0] + 0.01 * place[0] * motion[1]
        north = 0.05 * (place[1] + 60) + 1e-4 * wind.square()
        self.wind_truth = wind + 3 - 0.2 * wind
        self.truth = self.place_of(slice(None), east, north, self.lead)
        self.values = torch.stack([east, north], -1)


def test_a_regression_finds_the_rule_that_storms_follow():
    generator = torch.Generator().manual_seed(0)
    fitted = StormRegression.fit(Windows(*random_storms(100, generator)))
    assert list(fitted.coefficients) == [24]
    new = Windows(*random_storms(50, generator))
    place, wind = fitted.forecast(new, 24)
    assert float(great_circle(place, new.truth).max()) < 1e-3
    torch.testing.assert_close(wind, new.wind_truth)


def test_too_few_storms_have_no_regression(tmp_path):
    few = Windows(*random_storms(20, torch.Generator().manual_seed(0)))
    assert StormRegression.fit(few).coefficients == {}
    data = data_of(tmp_path, moving("Zoe"))
    batch = data.test.data.select(torch.tensor([0]))
    errors = data.measures(batch.target.values, batch)
    assert {name.rpartition("_")[0] for name in errors} == {
        "track_error", "persistence_error", "wind_error", "same_wind_error"
    }  # fmt: skip


def test_the_regression_beats_persistence_on_the_included_storms():
    """The Atlantic's climatology: most storms turn north and then east."""
    data = storms_data(StormsConfig())
    windows = data.test.data
    batch = windows.select(torch.arange(len(windows)))
    errors = data.measures(batch.target.values, batch)
    for hours in (24, 72):
        regression, persistence = (
            float(errors[f"{rule}_error_{hours}h"].mean())
            for rule in ("regression", "persistence")
        )
        assert regression < 0.95 * persistence


def data_of(tmp_path, tested):
    rows = [moving(year=year) for year in (2001, 2002, 2013)]
    path = tmp_path / "storms.csv"
    path.write_text(HEADER + "".join(rows) + tested.replace("2001", "2018"))
    return storms_data(StormsConfig(path=str(path), batch_size=2))


def test_parts_are_cut_by_the_year_in_which_a_storm_began(tmp_path):
    data = data_of(tmp_path, moving("Zoe"))
    assert set(data.source) == {"Zoe 2018"}
    assert len(data.train.data) == 2 * len(data.test.data)


def test_a_storm_of_one_fix_is_left_out_and_named(tmp_path, caplog):
    found = read_fixes(table(tmp_path, moving(), moving("Lone", fixes=1)))
    assert [storm.name for storm in found] == ["Ana 2001"]
    assert "single fix are left out, since they have no motion: Lone 2001" in caplog.text


def test_a_name_is_used_again_in_another_season_and_a_storm_may_see_the_new_year(tmp_path):
    late = "".join(
        f"Zeta,{year},{month},{day},0,20,-40,storm,40,990\n"
        for year, month, day in ((2005, 12, 30), (2005, 12, 31), (2006, 1, 1), (2006, 1, 2))
    )
    found = read_fixes(table(tmp_path, late, moving("Zeta", 2020)))
    assert [(storm.name, len(storm)) for storm in found] == [("Zeta 2005", 4), ("Zeta 2020", 24)]


def test_the_first_of_two_fixes_in_an_hour_counts(tmp_path):
    again = moving(fixes=5) + "Ana,2001,8,1,6,33,-20,storm,90,950\n"
    (storm,) = read_fixes(table(tmp_path, again))
    assert len(storm) == 5
    assert float(storm.wind.max()) == 40


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Ana,2001,8,30,0,95,-40,storm,40,990\n", "line 26: 'lat' must be from -90 to 90"),
        ("Ana,2001,8,30,0,10,-400,storm,40,990\n", "'long' must be from -180 to 180"),
        ("Ana,2001,8,30,0,10,,storm,40,990\n", "'long' must be from -180 to 180; found ''"),
        ("Ana,2001,8,,0,10,-40,storm,40,990\n", "line 26: 'day' must be a number"),
        ("Ana,2001,2,30,0,10,-40,storm,40,990\n", "are not a valid date"),
        ("Ana,2001,8,30,0,ten,-40,storm,40,990\n", "'lat' is 'ten', which is not a number"),
    ],
)
def test_a_bad_cell_is_named_with_its_line(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read_fixes(table(tmp_path, moving(), row))


def test_a_missing_column_and_missing_years_are_named(tmp_path):
    path = tmp_path / "storms.csv"
    path.write_text("name,year\nAna,2001\n")
    with pytest.raises(DataError, match=r"month. is not there; .*table of storms needs name"):
        storms_data(StormsConfig(path=str(path)))
    path.write_text(HEADER + moving())
    with pytest.raises(DataError, match="years of the validation part"):
        storms_data(StormsConfig(path=str(path)))


def test_the_map_shows_windows_with_all_regular_fixes(tmp_path):
    batch, names = storm_map.select_windows(data_of(tmp_path, moving(fixes=21)))
    assert names == ["Ana 2018"]
    assert batch.target.mask.sum(1).tolist() == [12]


def test_a_landfall_does_not_replace_a_regular_fix_on_the_map(tmp_path):
    # The fix at the lead time of 54 hours is missing, and there is one at 50.
    data = data_of(tmp_path, moving(fixes=21).replace(",8,5,6,", ",8,5,2,"))
    assert int(data.test.data.target.lengths.max()) == 12
    assert storm_map.select_windows(data) == (None, [])


def test_without_such_a_window_there_is_no_map(tmp_path, monkeypatch):
    monkeypatch.setattr(storm_map, "errors_before", lambda model, data: ([0.0], [0.0]))
    data = data_of(tmp_path, moving(fixes=16))
    trainer = SimpleNamespace(model=torch.nn.Identity(), data=data)
    assert storm_map.storm_figures(trainer) == {}


def test_a_forecast_starts_at_the_last_fix():
    with pytest.raises(ConfigError, match="starts at the last fix"):
        StormsConfig(observed_fraction=0.5)


def test_the_shipped_storms_are_those_of_noaa():
    found = read_fixes(storms.shipped_table("storms.csv.gz"))
    assert len(found) == 654
    # 24 fixes share the hour of another.
    assert sum(map(len, found)) == 19537 - 24
    assert (found[0].name, found[-1].name) == ("Amy 1975", "Nicole 2022")


def test_the_coast_is_that_of_the_atlantic():
    rows = storm_map.shipped_table("coast.csv.gz").rows.astype(float)
    assert rows["longitude"].between(-115, 15).all()
    assert rows["latitude"].between(-5, 72).all()
    closed = rows.groupby("ring")[["longitude", "latitude"]].agg(["first", "last"])
    assert (closed.xs("first", axis=1, level=1) == closed.xs("last", axis=1, level=1)).all(
        axis=None
    )

"""Births of storms: halves of seasons, the mean season in closed form, what is rejected."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate

from node_experiments.chapters.irregular_series.shipped import StormBirthsConfig
from node_experiments.chapters.irregular_series.shipped.storm_births import (
    MONTHS,
    MeanSeason,
    births_of,
    split_births,
    storm_births_data,
)
from node_experiments.chapters.irregular_series.shipped.storms import read_fixes
from node_experiments.chapters.latent_ode.poisson_elbo import constant_rate_log_likelihood
from node_experiments.data.table_file import read_table
from node_experiments.errors import DataError

HEADER = "name,year,month,day,hour,lat,long,status,wind,pressure\n"
YEARS = (2010, 2011, 2013, 2017)


def born(name, year, month, day=1, hour=0):
    """A storm of two fixes."""
    return "".join(
        f"{name},{year},{month},{day},{hour + later},10,-40,s,40,990\n" for later in (0, 6)
    )


def written(tmp_path, *rows):
    path = tmp_path / "storms.csv"
    path.write_text(HEADER + "".join(rows))
    return path


def seasons(tmp_path, births=6):
    """The same births in a season of each part, and in one more of training."""
    return written(
        tmp_path,
        *(born(f"{year}-{n}", year, 6 + n // 2, 1 + 9 * (n % 2)) for year in YEARS
          for n in range(births)),
    )  # fmt: skip


def test_a_year_has_twelve_equal_months(tmp_path):
    path = written(
        tmp_path, born("a", 2015, 1), born("b", 2015, 7, 2, 12), born("c", 2016, 7, 2),
        born("d", 2015, 12, 31, 12),
    )  # fmt: skip
    births = births_of(read_fixes(read_table(path)))
    assert births[2015].tolist() == pytest.approx([0, 6, 12 * 364.5 / 365])
    assert births[2016].tolist() == pytest.approx([6])


def test_each_birth_is_in_one_half(tmp_path):
    data = storm_births_data(StormBirthsConfig(path=str(seasons(tmp_path)), batch_size=2))
    batch = data.train.data
    assert len(batch) == 2 * 25
    assert batch.label[:4].tolist() == [2010, 2011, 2010, 2011]
    assert (batch.observed.mask.sum(1) + batch.held_out.mask.sum(1)).tolist() == [6] * 50
    exact = torch.tensor([MONTHS * day / 365 for day in (151, 160, 181, 190, 212, 221)])
    for row in range(0, 50, 7):
        halves = (batch.observed, batch.held_out)
        times = torch.cat([half.times[row][half.mask[row]] for half in halves]).sort().values
        later = times - exact
        assert float(later.min()) >= -1e-5
        assert float(later.max()) < MONTHS * 6 / 8760


def test_halves_are_fair_and_independent():
    """Of a Poisson process with 12 births: 6 in each half, variance 6, no correlation."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.full((4000,), 12.0), generator=generator).clamp(min=2)
    births = [MONTHS * torch.rand(int(n), generator=generator).double() for n in counts]
    first, second = (half.mask.sum(1).double() for half in split_births(births, generator))
    for half in (first, second):
        assert abs(float(half.mean()) - 6) < 0.15  # standard error 0.04
        assert abs(float(half.var()) - 6) < 0.6
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.06


def test_the_mean_season_is_a_density_that_nothing_is_impossible_under():
    season = MeanSeason(
        [torch.tensor([6.0, 7.0, 8.0, 9.0]).double(), torch.tensor([8.0]).double()]
    )
    assert season.births == 2.5

    def density(t):
        return float(season.density(torch.tensor([[t]], dtype=torch.float64)))

    total, _ = integrate.quad(density, 0, MONTHS, limit=200)
    assert total == pytest.approx(1, abs=1e-6)
    assert density(0.1) >= 1 / 12 / 6 * 0.999
    assert density(8.0) > density(5.0)


def test_rules_are_likelihoods_of_the_other_half(tmp_path):
    path = written(
        tmp_path,
        *(born(f"{year}-{n}", year, 8, 1 + n) for year in YEARS for n in range(4)),
    )
    data = storm_births_data(StormBirthsConfig(path=str(path), batch_size=2))
    batch, season = data.test.data, MeanSeason([births_of(read_fixes(read_table(path)))[y]
                                                for y in YEARS[:2]])  # fmt: skip
    for row in range(5):
        held_out = batch.held_out.times[row][batch.held_out.mask[row]]
        shape = float(season.density(held_out).log().sum())
        seen = int(batch.observed.mask[row].sum())
        found = {name: float(each[row]) for name, each in batch.held_out_log_likelihood.items()}
        assert found["mean_season"] == pytest.approx(
            shape + len(held_out) * math.log(2) - 2, rel=1e-5
        )
        scaled = shape + len(held_out) * math.log(seen) - seen
        assert found["scaled_season"] == pytest.approx(scaled, rel=1e-5)


def test_shipped_storms_have_a_season():
    """Nine births of ten are from June to November: far better than a constant rate."""
    data = storm_births_data(StormBirthsConfig())
    batch = data.test.data
    assert data.names == ("2017", "2018", "2019", "2020", "2021", "2022")
    assert len(data.train.data) == 38 * 25
    constant = constant_rate_log_likelihood(
        batch.observed.mask.sum(1), batch.held_out.mask.sum(1), MONTHS
    )
    better = batch.held_out_log_likelihood["scaled_season"] - constant
    assert float(better.mean()) > 4
    assert batch.select(torch.tensor([3])).label.tolist() == [2020]


def test_a_season_of_one_birth_is_left_out(tmp_path, caplog):
    path = seasons(tmp_path)
    with path.open("a") as file:
        file.write(born("alone", 2009, 8))
    data = storm_births_data(StormBirthsConfig(path=str(path), batch_size=2))
    assert 2009 not in data.train.data.label
    assert "left out, since they cannot be cut in two: 2009" in caplog.text


def test_a_part_without_seasons_is_named(tmp_path):
    path = seasons(tmp_path)
    with pytest.raises(DataError, match="no season of two storms from 2018 to 2021"):
        storm_births_data(
            StormBirthsConfig(path=str(path), batch_size=2, last_training_year=2012 + 5)
        )


def test_equal_first_fixes_are_told_apart(tmp_path):
    path = written(tmp_path, *(born(f"{year}-{n}", year, 8) for year in YEARS for n in range(8)))
    data = storm_births_data(StormBirthsConfig(path=str(path), batch_size=2))
    observed = data.train.data.observed
    assert bool((observed.times.diff(dim=1)[observed.mask[:, 1:]] > 0).all())

"""What is seen, what should be predicted, and how series of unequal lengths come together."""

import threading
from dataclasses import replace

import pytest
import torch

from node_experiments.chapters.irregular_series.batches import ForecastBatches, Forecasts
from node_experiments.chapters.irregular_series.forecast_data import forecast_data
from node_experiments.chapters.irregular_series.settings import ForecastingConfig
from node_experiments.chapters.irregular_series.time_unit import TimeUnit
from node_experiments.config import ConfigError
from node_experiments.data.ragged import RaggedSeries, ragged
from node_experiments.data.scaling import Scaling
from node_experiments.data.splits import group_split, ordered_split, random_split
from node_experiments.data.time_series import TimeSeries
from node_experiments.errors import DataError

LENGTHS = torch.tensor([3, 1, 4])
TIMES = torch.tensor([0.0, 1.0, 3.0, 2.0, 0.5, 1.0, 1.5, 2.5])
VALUES = torch.arange(16.0).view(8, 2)
MASK = torch.ones(8, 2, dtype=torch.bool)
MASK[4, 1] = False
LABEL = torch.tensor([2, 0, 1])


def series(label_per="series"):
    label = LABEL if label_per == "series" else torch.arange(8)
    return ragged(TIMES, VALUES, LENGTHS, MASK, label, label_per)


def many(count=400, longest=2000):
    lengths = torch.randint(7, longest, (count,), generator=torch.Generator().manual_seed(0))
    times = torch.cat([torch.arange(n) for n in lengths.tolist()])
    return ragged(times, times.unsqueeze(1).double(), lengths)


def test_padding_repeats_the_last_time_and_hides_values():
    batch = series().pad(torch.tensor([0, 1]))
    assert batch.times.tolist() == [[0, 1, 3], [2, 2, 2]]
    assert batch.mask.tolist() == [[True] * 3, [True, False, False]]
    assert batch.values[1, 1:].abs().sum() == 0
    assert not batch.complete
    assert not batch.feature_mask[1, 1:].any()


def test_a_batch_is_as_long_as_its_longest_series_only():
    assert series().pad(torch.tensor([1])).values.shape == (1, 1, 2)
    assert series().pad(torch.tensor([1])).complete


def test_features_are_missing_one_by_one():
    batch = series().pad(torch.tensor([2]))
    assert batch.feature_mask[0].tolist() == [[True, False], [True, True]] + [[True, True]] * 2
    assert batch.values[0, 0].tolist() == [8, 0]
    moved = batch.to(torch.device("cpu")).select(torch.tensor([0, 0]))
    assert moved.feature_mask.shape == (2, 4, 2)


def test_taking_series_takes_their_points_and_labels():
    taken = series("time").take(torch.tensor([2, 0]))
    assert taken.times.tolist() == [0.5, 1.0, 1.5, 2.5, 0.0, 1.0, 3.0]
    assert taken.label.tolist() == [4, 5, 6, 7, 0, 1, 2]
    assert series().take(torch.tensor([2, 0])).label.tolist() == [1, 2]


def test_labels_of_points_are_padded_with_none():
    labels = series("time").labels(torch.tensor([1, 2]))
    assert labels.tolist() == [[3, -1, -1, -1], [4, 5, 6, 7]]


def test_points_are_drawn_without_replacement_and_stay_in_order():
    data = many(50, 100)
    drawn = data.draw(data.lengths // 2, torch.Generator().manual_seed(1))
    assert torch.equal(drawn.lengths, data.lengths // 2)
    inside = drawn.series_of_point.diff() == 0
    assert bool((drawn.times.diff()[inside] > 0).all())
    # Every place is as likely as another.
    share = float((drawn.times * 2 < data.lengths[drawn.series_of_point]).float().mean())
    assert abs(share - 0.5) < 0.05


def test_interpolation_sees_a_fraction_and_says_all():
    data = many(30, 60)
    task = Forecasts(data, "interpolation", observed_fraction=0.3)
    expected = (data.lengths * 0.3 + 1e-9).long()
    assert torch.equal(task.observed.lengths, expected.clamp(min=1))
    batch = task.select(torch.arange(30))
    assert torch.equal(batch.target.mask.sum(1), data.lengths)


def test_what_is_seen_depends_on_the_epoch_alone():
    def seen(epoch):
        batches = ForecastBatches(
            Forecasts(many(8, 60), "interpolation", 0.3), 4, shuffle=True, redraw=True
        )
        batches.epoch = epoch
        return torch.cat([batch.observed.times.flatten() for batch in batches])

    assert torch.equal(seen(3), seen(3))
    assert seen(3).shape != seen(4).shape or not torch.equal(seen(3), seen(4))


def test_what_is_seen_of_one_part_says_nothing_of_another():
    """The same series as training, validation and test."""
    same = many(8, 60)
    settings = ForecastingConfig(task="interpolation", observed_fraction=0.3, batch_size=8)
    data = forecast_data((same, same, same), settings, seed=2)
    seen = [part.data.observed.times.tolist() for part in (data.train, data.validation, data.test)]
    assert len({tuple(times) for times in seen}) == 3
    again = forecast_data((same, same, same), settings, seed=2)
    assert again.test.data.observed.times.tolist() == seen[2]


def test_what_was_drawn_beforehand_is_what_would_be_drawn_now():
    def seen(epochs):
        batches = ForecastBatches(Forecasts(many(8, 60), "interpolation", 0.3), 4, redraw=True)
        found = {}
        for epoch in epochs:
            batches.epoch = epoch
            found[epoch] = torch.cat([batch.observed.times.flatten() for batch in batches])
        return found

    # One after the other, as prepared; and others than were prepared, as after a resume.
    in_order, jumping = seen([0, 1, 2, 3]), seen([2, 0, 3, 1])
    assert all(torch.equal(in_order[epoch], jumping[epoch]) for epoch in in_order)


def test_the_next_epoch_is_drawn_while_this_one_is_trained_on(monkeypatch):
    drawn, data = [], many(8, 60)
    original = RaggedSeries.draw

    def watched(self, counts, generator):
        if self is data:  # and not what another test has still to draw
            drawn.append(threading.current_thread() is threading.main_thread())
        return original(self, counts, generator)

    monkeypatch.setattr(RaggedSeries, "draw", watched)
    batches = ForecastBatches(Forecasts(data, "interpolation", 0.3), 4, redraw=True)
    for batches.epoch in range(4):
        list(batches)
    batches.data.draw(4)
    # The first epoch when it begins, all others beside the one before.
    assert drawn == [True, False, False, False, False]


def test_extrapolation_says_what_comes_after_and_leaves_out_what_has_no_before():
    batch = Forecasts(series(), "extrapolation", cut=1.0).select(torch.arange(2))
    assert batch.observed.times.tolist() == [[0, 1], [0.5, 1]]
    assert batch.target.times.tolist() == [[3, 3], [1.5, 2.5]]
    assert batch.label.tolist() == [2, 1]
    with pytest.raises(DataError, match="no series has points on both sides of 9"):
        Forecasts(series(), "extrapolation", cut=9.0)


def test_random_cuts_are_uniform_in_time_and_drawn_again_in_every_epoch():
    # Most points lie early, so that cuts at a random point would be early as well.
    times = torch.linspace(0, 1, 41).pow(3).repeat(500)
    data = ragged(times, times.unsqueeze(1), torch.full((500,), 41))
    batches = ForecastBatches(Forecasts(data, "extrapolation"), 500, redraw=True)

    def last_seen(epoch):
        batches.epoch = epoch
        (batch,) = batches
        lengths = batch.observed.mask.sum(1)
        assert torch.equal(lengths + batch.target.mask.sum(1), data.lengths)
        last = batch.observed.times.gather(1, lengths.unsqueeze(1) - 1).squeeze(1)
        assert bool((last < batch.target.times[:, 0]).all())
        return last

    first = last_seen(0)
    # The point before a uniform cut is, on average, half a gap before it.
    gaps = times[:41].diff()
    expected = 0.5 - 0.5 * float((gaps * gaps).sum())
    assert abs(float(first.mean()) - expected) < 3 * 0.29 / 500**0.5
    assert not torch.equal(last_seen(1), first)
    assert torch.equal(last_seen(0), first)


def test_random_cuts_leave_a_point_on_both_sides():
    # The two times are neighbours among the numbers of float32.
    close = torch.tensor([1e6, 1e6 + 0.0625])
    data = ragged(close.repeat(200), torch.zeros(400, 1), torch.full((200,), 2))
    task = Forecasts(data, "extrapolation")
    assert task.observed.lengths.tolist() == task.target.lengths.tolist() == [1] * 200
    alone = Forecasts(series(), "extrapolation")
    assert alone.kept.tolist() == [0, 2]
    assert len(alone) == 2
    with pytest.raises(DataError, match=r"no series has two points, and dataset\.random_cuts"):
        Forecasts(series().take(torch.tensor([1])), "extrapolation")


def test_only_training_series_are_cut_at_random(caplog):
    parts = (many(40, 60), many(8, 60), series())
    settings = ForecastingConfig(task="extrapolation", random_cuts=True, batch_size=8)
    data = forecast_data(parts, settings, extrapolate_from=0.01)
    cuts = {float(batch.observed.times[i, batch.observed.mask[i]].max())
            for batch in data.train for i in range(len(batch))}  # fmt: skip
    assert len(cuts) > 20
    for part in (data.validation, data.test):
        (batch,) = part
        assert float(batch.observed.times.max()) <= data.cut < float(batch.target.times.min())
    forecast_data((series(), many(8, 60), many(8, 60)), replace(settings, batch_size=2))
    assert "1 of 3 training series have a single point, and are left out" in caplog.text
    with pytest.raises(
        ConfigError, match=r"random_cuts=True must be false, unless dataset\.task="
    ):
        ForecastingConfig(task="interpolation", random_cuts=True)


def test_a_common_grid_is_kept_once():
    grid = ragged(torch.arange(5).repeat(3), torch.ones(15, 1), torch.full((3,), 5))
    batch = Forecasts(grid, "interpolation", 0.4).select(torch.arange(3))
    assert batch.target.times.shape == (1, 5)
    assert batch.target.complete
    assert batch.observed.times.shape == (3, 2)


def test_series_of_7_to_2000_observations_are_hardly_padded():
    data = many()

    def padded_share(batches):
        places = sum(batch.target.mask.numel() for batch in batches)
        return 1 - batches.passes * len(data.times) / places

    task = Forecasts(data, "interpolation")
    assert padded_share(ForecastBatches(task, 20, shuffle=True)) < 0.12
    assert padded_share(ForecastBatches(task, 20)) < 0.05
    # Without sorting, half of the work would go to padding.
    unsorted = ForecastBatches(task, 20, shuffle=True)
    unsorted.lengths = None
    assert padded_share(unsorted) > 0.4


def test_each_series_comes_once_a_pass():
    data = many(90, 40)
    task = Forecasts(data, "interpolation")
    for batches in (ForecastBatches(task, 8, shuffle=True, passes=2), ForecastBatches(task, 8)):
        found = torch.cat([batch.target.mask.sum(1) for batch in batches])
        repeated = data.lengths.repeat(batches.passes)
        assert torch.equal(found.sort().values, repeated.sort().values)
        assert len(list(batches)) == len(batches)


def test_batches_of_few_series_differ_from_epoch_to_epoch():
    batches = ForecastBatches(Forecasts(many(64, 40), "interpolation"), 16, shuffle=True)

    def groups(epoch):
        batches.epoch = epoch
        return {tuple(batch.target.mask.sum(1).sort().values.tolist()) for batch in batches}

    assert groups(0) == groups(0)
    assert groups(0) != groups(1)


def test_scaling_reads_observed_values_only():
    scaled = Scaling.fit(series(), "standard")(series())
    seen = scaled.values[MASK[:, 1], 1]
    torch.testing.assert_close(seen.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(seen.std(correction=0), torch.tensor(1.0))
    assert scaled.values[4, 1] == 0
    minmax = Scaling.fit(series(), "minmax")(series()).values[:, 0]
    assert (float(minmax.min()), float(minmax.max())) == (0, 1)


@pytest.mark.parametrize("how", ["none", "standard", "minmax", "official_code"])
def test_a_scaling_can_be_undone(how):
    whole = ragged(TIMES, VALUES + 4, LENGTHS)
    scaling = Scaling.fit(whole, how)
    torch.testing.assert_close(scaling.undo(scaling(whole).values), whole.values)


def test_official_scaling_divides_by_the_maximum():
    shifted = ragged(TIMES, VALUES + 4, LENGTHS)
    scaled = Scaling.fit(shifted, "official_code")(shifted)
    torch.testing.assert_close(scaled.values, (VALUES - VALUES[0]) / (VALUES[-1] + 4))


def test_a_single_series_cannot_be_split():
    with pytest.raises(DataError, match="found 1; cut a long one into parts"):
        random_split(1, 0, 0)


def test_splits_are_disjoint_and_complete():
    for split in (ordered_split(50, 5), random_split(50, 5, 42)):
        assert [len(part) for part in split] == [35, 5, 10]
        assert torch.equal(torch.cat(tuple(split)).sort().values, torch.arange(50))


def test_the_random_split_is_that_of_scikit_learn():
    # train_test_split(range(10), train_size=0.8, random_state=42, shuffle=True)
    split = random_split(10, 0, 42)
    assert split.train.tolist() == [5, 0, 7, 2, 9, 4, 3, 6]
    assert split.test.tolist() == [8, 1]


def test_no_group_is_in_two_parts():
    groups = [name for name in "ABCDE" for _ in range(7)]
    split = group_split(groups, 3, 42)
    sets = [{groups[i] for i in part.tolist()} for part in split]
    assert [len(names) for names in sets] == [3, 1, 1]
    assert not sets[0] & sets[1] | sets[0] & sets[2] | sets[1] & sets[2]
    with pytest.raises(DataError, match="too few to hold out"):
        group_split(["A", "A"], 0, 42)


BAD = {
    "no points": ((TIMES, VALUES, torch.tensor([3, 0, 5])), "series 1 has no observation"),
    "falling": ((TIMES.flip(0), VALUES, LENGTHS), "series 0 has 1.5 after 2.5"),
    "not finite": ((TIMES, VALUES / 0, LENGTHS), "series 0 has a number that is not finite"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_series_are_rejected(arguments, message):
    with pytest.raises(DataError, match=message):
        ragged(*arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_size": 5}, "train_size=5 is more than the 3 series"),
        ({"test_size": 5}, "test_size=5 is more than the 3 series"),
        ({"batch_size": 5}, "batch_size=5 is more than the 3 training series"),
    ],
)
def test_sizes_that_do_not_fit(settings, message):
    empty = series().take(torch.arange(0))
    with pytest.raises(DataError, match=message):
        forecast_data((series(), empty, series()), ForecastingConfig(**settings))


def test_times_and_gaps_of_the_data():
    empty = series().take(torch.arange(0))
    data = forecast_data((series(), empty, series()), ForecastingConfig(batch_size=2))
    assert data.span == (0.0, 3.0)
    assert data.mean_gap == pytest.approx((3 + 2) / (2 + 3))
    assert data.validation is None


def test_times_that_are_divided_have_another_unit():
    empty = series().take(torch.arange(0))
    parts, settings = (series(), empty, series()), ForecastingConfig(batch_size=2)
    assert forecast_data(parts, settings, time_unit=TimeUnit("h")).time_unit.name == "h"
    divided = forecast_data(
        parts, settings, normalise_times_per_batch=True, time_unit=TimeUnit("h")
    )
    assert divided.time_unit.name == "fraction of the batch's last"


def test_a_feature_mask_hides_values_and_may_say_what_is_observed():
    mask = torch.tensor([[[True, False], [False, False]]])
    values = torch.tensor([[[1.0, torch.nan], [torch.inf, 2.0]]])
    checked = TimeSeries.validated(torch.tensor([[0.0, 1.0]]), values, feature_mask=mask)
    assert checked.mask.tolist() == [[True, False]]
    assert checked.values.tolist() == [[[1, 0], [0, 0]]]
    packed = checked.packed()
    assert packed.feature_mask.tolist() == [[[True, False]]]
    assert packed.observed_features.tolist() == [[[True, False]]]
    with pytest.raises(DataError, match="feature mask"):
        TimeSeries.validated(torch.tensor([[0.0, 1.0]]), values, feature_mask=mask[..., :1])


def test_without_a_feature_mask_all_features_of_an_observed_time_are():
    mask = torch.tensor([[True, False]])
    checked = TimeSeries.validated(torch.tensor([[0.0, 1.0]]), torch.ones(1, 2, 3), mask)
    assert checked.observed_features.tolist() == [[[True] * 3, [False] * 3]]


def test_a_hidden_time_hides_its_features():
    shown = torch.ones(1, 2, 3, dtype=torch.bool)
    series = TimeSeries.validated(torch.tensor([[0.0, 1.0]]), torch.ones(1, 2, 3), None, shown)
    hidden = replace(series, mask=torch.tensor([[True, False]]), complete=False)
    assert hidden.observed_features.tolist() == [[[True] * 3, [False] * 3]]

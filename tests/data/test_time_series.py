"""What a time series may be, and what is rejected."""

import pytest
import torch

from node_experiments.chapters.latent_ode.chapter import SpiralsConfig
from node_experiments.chapters.latent_ode.spirals import spiral_data
from node_experiments.data.time_series import TimeSeries
from node_experiments.errors import DataError

TIMES = torch.tensor([[0.0, 1.0, 2.0, 4.0], [0.5, 1.5, 2.5, 3.0]])
VALUES = torch.arange(16.0).view(2, 4, 2)
MASK = torch.tensor([[True, False, True, True], [False, True, False, False]])


def changed(tensor, place, value):
    tensor = tensor.clone()
    tensor[place] = value
    return tensor


BAD = {
    "a mask that hides everything": ((TIMES, VALUES, torch.zeros_like(MASK)), "sample 0"),
    "no observation in a sample": ((TIMES, VALUES, changed(MASK, (1, 1), False)), "sample 1"),
    "unsorted times": ((changed(TIMES, (0, 2), -1.0), VALUES, MASK), "at place 2 after 0.0"),
    "repeated times": ((changed(TIMES, (0, 3), 2.0), VALUES, MASK), "2.0 at place 3 after 2.0"),
    "NaN in values": ((TIMES, changed(VALUES, (0, 2, 1), torch.nan), MASK), "place 2 is nan"),
    "infinite time": ((changed(TIMES, (0, 3), torch.inf), VALUES, MASK), "a time"),
    "shapes": ((TIMES[:, :3], VALUES, MASK), "found (2, 3), (2, 4, 2)"),
    "mask of numbers": ((TIMES, VALUES, MASK.float()), "boolean mask"),
    "no times at all": ((TIMES[:, :0], VALUES[:, :0], MASK[:, :0]), "found (2, 0)"),
}


@pytest.mark.parametrize(("series", "message"), BAD.values(), ids=BAD.keys())
def test_bad_series_are_rejected_in_one_line(series, message):
    with pytest.raises(DataError) as raised:
        TimeSeries.validated(*series)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_the_mask_hides_may_be_anything():
    times = changed(TIMES, (0, 1), torch.nan)
    values = changed(VALUES, (0, 1), torch.nan)
    series = TimeSeries.validated(times, values, MASK)
    assert not series.complete
    assert series.values[0, 1].tolist() == [0, 0]


def test_packing_moves_observations_to_the_front():
    packed = TimeSeries.validated(TIMES, VALUES, MASK).packed()
    assert packed.mask.tolist() == [[True, True, True], [True, False, False]]
    assert packed.times.tolist() == [[0.0, 2.0, 4.0], [1.5, 1.5, 1.5]]
    assert torch.equal(packed.values[0], VALUES[0, [0, 2, 3]])
    assert torch.equal(packed.values[1, 0], VALUES[1, 1])


def test_a_shared_axis_is_packed_for_each_sample():
    packed = TimeSeries.validated(TIMES[:1], VALUES, MASK).packed()
    assert packed.times.tolist() == [[0.0, 2.0, 4.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"observations": 101}, "more than the dataset.window=100"),
        ({"window": 600, "future": 600}, "raise that"),
        ({"last_start": 950}, "the highest is 900"),
        ({"batch_size": 2000}, "more than the 1000 training series"),
    ],
)
def test_numbers_that_do_not_fit(settings, message):
    with pytest.raises(DataError, match=message):
        spiral_data(SpiralsConfig(**settings))

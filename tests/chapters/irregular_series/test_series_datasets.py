"""The generated and the shipped sets of irregular series."""

import gzip
import hashlib

import pytest
import torch

from node_experiments.chapters.irregular_series import hopper, japanese_vowels
from node_experiments.chapters.irregular_series.hopper import hopper_data, load_hopper
from node_experiments.chapters.irregular_series.japanese_vowels import (
    japanese_vowels_data,
    parse_ts,
    shipped,
)
from node_experiments.chapters.irregular_series.periodic import periodic_curves, periodic_data
from node_experiments.chapters.irregular_series.settings import (
    HopperConfig,
    JapaneseVowelsConfig,
    PeriodicConfig,
)
from node_experiments.chapters.irregular_series.time_unit import TimeUnit
from node_experiments.data.cache import cached
from node_experiments.errors import DataError


def curves(variant, noise=0.0, count=200):
    generator = torch.Generator().manual_seed(0)
    series = periodic_curves(variant, count, 100, 5.0, noise, generator)
    return series.times.view(count, 100), series.values.view(count, 100)


@pytest.mark.parametrize(
    ("variant", "low", "high"), [("paper", 0.5, 1), ("official_code", 0.4, 0.8)]
)
def test_periodic_is_a_sinusoid_of_the_right_frequencies(variant, low, high):
    times, values = (x.double() for x in curves(variant))
    # The best sinusoid on a fine grid of frequencies, by least squares.
    grid = torch.linspace(0.3, 1.1, 161, dtype=torch.float64)
    angle = 2 * torch.pi * grid.view(-1, 1, 1) * times
    basis = torch.stack([angle.sin(), angle.cos(), torch.ones_like(angle)], -1)
    right = values.unsqueeze(-1).expand(161, -1, -1, 1)
    solution = torch.linalg.lstsq(basis, right).solution
    residual = (basis @ solution - right).square().sum((-1, -2))
    best = residual.argmin(0)
    frequency = grid[best]
    assert float(residual.gather(0, best.unsqueeze(0)).max()) < 0.2
    assert float(frequency.min()) >= low - 0.005
    assert float(frequency.max()) <= high + 0.005
    assert float(frequency.std()) == pytest.approx((high - low) / 12**0.5, rel=0.15)
    start = solution[best, torch.arange(200), 2, 0]
    assert float(start.mean()) == pytest.approx(1, abs=0.03)
    assert float(start.std()) == pytest.approx(0.1, rel=0.25)


def test_only_the_official_code_shares_its_times():
    times, _ = curves("official_code")
    assert bool((times == times[0]).all())
    assert times[0, 0] == 0
    times, _ = curves("paper")
    assert not bool((times[0] == times[1]).any())


def test_the_noise_of_the_official_code_is_never_negative():
    clean, noisy = curves("official_code")[1], curves("official_code", 0.5)[1]
    noise = noisy - clean
    assert bool((noise[:, 0] == 0).all())
    assert 0 <= float(noise.min()) < float(noise.max()) <= 0.5
    assert float(noise[:, 1:].mean()) == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize("variant", ["paper", "official_code"])
def test_the_published_errors_are_of_values_between_0_and_1(variant):
    # The published RNN-VAE, which cannot tell series apart, has an error of 0.0730 to 0.0735 with
    # any fraction of points: the variance of the values, once they are scaled.
    data = periodic_data(PeriodicConfig(variant=variant))
    values = torch.cat([batch.target.values for batch in data.test])
    assert float(values.var()) == pytest.approx(0.073, abs=0.002)
    unscaled = periodic_data(PeriodicConfig(variant=variant, scaling="none"))
    values = torch.cat([batch.target.values for batch in unscaled.test])
    assert float(values.var()) == pytest.approx(0.5, abs=0.02)


def test_periodic_data_sees_as_many_points_as_asked():
    data = periodic_data(PeriodicConfig(trajectories=100, observed_points=30, validation_size=10))
    assert [len(part.data) for part in (data.train, data.validation, data.test)] == [70, 10, 20]
    batch = next(iter(data.test))
    assert batch.observed.values.shape == (20, 30, 1)
    assert batch.target.values.shape == (20, 100, 1)
    assert data.features == ("value",)


@pytest.fixture(scope="module")
def hopper_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("hopper")
    load_hopper(root, 20)
    return root


def test_hopper_falls_without_control(hopper_root):
    states = load_hopper(hopper_root, 20)
    assert states.shape == (20, 200, 14)
    first = states[:, 0]
    assert float(first[:, :2].min()) >= 0
    assert float(first[:, :2].max()) <= 0.5
    assert float(first[:, 2:7].abs().max()) <= 2
    assert float(first[:, 7:].abs().max()) <= 5
    # The height of a free fall changes at the rate of the vertical velocity.
    speed = states[:, :20, 8]
    change = states[:, 1:21, 1] - states[:, :20, 1]
    step = float((change * speed).sum() / speed.square().sum())
    assert step == pytest.approx(0.005, rel=0.05)


def test_a_small_set_of_hoppers_is_the_beginning_of_a_large_one(hopper_root):
    assert torch.equal(hopper.generate_hopper(3), load_hopper(hopper_root, 20)[:3])


def test_hopper_windows_and_their_scaling(hopper_root):
    sizes = {"trajectories": 20, "root": str(hopper_root), "validation_size": 0, "batch_size": 8}
    data = hopper_data(HopperConfig(observed_fraction=0.1, **sizes))
    batch = next(iter(data.train))
    assert batch.observed.values.shape == (8, 10, 14)
    assert batch.target.times.shape == (1, 100)
    assert data.span == pytest.approx((0, 0.495))
    assert (len(data.features), data.time_unit) == (14, TimeUnit("s"))
    # Unscaled again, the heights of the free fall change at the rate of the vertical velocity.
    test = data.scaling.undo(next(iter(data.test)).target.values)
    change, speed = test[:, 1:, 1] - test[:, :-1, 1], test[:, :-1, 8]
    assert float((change * speed).sum() / speed.square().sum()) == pytest.approx(0.005, rel=0.1)
    windows = torch.cat([b.target.values for b in data.train])
    assert float(windows.amin((0, 1)).abs().max()) == 0
    tests = next(iter(data.test)).target.values
    assert float(tests.min()) < 0  # beyond what the training series show
    leaking = hopper_data(HopperConfig(variant="official_code", **sizes))
    assert float(next(iter(leaking.test)).target.values.min()) >= 0


def test_hopper_extrapolates_from_the_first_part(hopper_root):
    settings = {
        "trajectories": 20,
        "root": str(hopper_root),
        "validation_size": 0,
        "batch_size": 8,
    }
    settings |= {"task": "extrapolation", "observed_fraction": 1.0}
    for share, seen in ((0.5, 100), (0.33, 66)):  # paper, official code
        batch = next(iter(hopper_data(HopperConfig(extrapolate_from=share, **settings)).test))
        assert batch.observed.values.shape == (4, seen, 14)
        assert batch.target.values.shape == (4, 200 - seen, 14)
        assert bool((batch.target.times.min() > batch.observed.times.max()).all())


def test_a_damaged_cache_is_named(tmp_path):
    path = tmp_path / "made.pt"
    made = cached(path, lambda: {"x": torch.ones(3)})
    assert torch.equal(cached(path, lambda: {})["x"], made["x"])
    whole = path.read_bytes()
    for content in (
        whole[:-200],
        whole[:200],
        whole.replace(b"\x00\x00\x80\x3f", b"\x00\x00\x00@", 1),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"made\.pt is damaged .* delete it"):
            cached(path, lambda: {})


def test_nothing_is_left_behind_when_making_fails(tmp_path):
    def fail():
        raise DataError("no")

    with pytest.raises(DataError):
        cached(tmp_path / "made.pt", fail)
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        cached(tmp_path / "file" / "made.pt", lambda: {"x": torch.ones(1)})


def test_hopper_without_mujoco(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mujoco", None)
    with pytest.raises(DataError, match=r'pip install "node-experiments\[mujoco\]"'):
        hopper.generate_hopper(1)


def test_japanese_vowels_are_the_published_utterances():
    train, classes = shipped("JapaneseVowels_TRAIN.ts.gz")
    test, _ = shipped("JapaneseVowels_TEST.ts.gz")
    assert classes == [str(i) for i in range(1, 10)]
    assert torch.bincount(train.label).tolist() == [30] * 9
    assert torch.bincount(test.label).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert (train.dim, int(train.lengths.min()), int(train.lengths.max())) == (12, 7, 26)
    assert (int(test.lengths.min()), int(test.lengths.max())) == (7, 29)
    assert train.values[0].tolist()[:2] == pytest.approx([1.860936, -0.207383])


@pytest.mark.parametrize("dropped", [0.0, 0.3, 0.5, 0.7])
def test_frames_are_dropped_for_good(dropped):
    data = japanese_vowels_data(
        JapaneseVowelsConfig(dropped=dropped, task="classification", validation_size=54)
    )
    whole = shipped("JapaneseVowels_TEST.ts.gz")[0]
    target = data.test.data.target
    assert torch.equal(target.lengths, ((1 - dropped) * whole.lengths).round().long())
    assert data.test.data.observed is target
    assert (data.classes, data.label_per, data.dim) == (9, "series", 12)
    assert (data.features[0], data.features[-1]) == ("LPC cepstrum 1", "LPC cepstrum 12")
    assert data.time_unit == TimeUnit("frames", 28)
    assert [len(part.data) for part in (data.train, data.validation, data.test)] == [216, 54, 370]


def test_what_is_dropped_depends_on_the_seed():
    def times(seed):
        return japanese_vowels_data(
            JapaneseVowelsConfig(dropped=0.5, task="classification"), seed=seed
        ).test.data.target.times

    assert torch.equal(times(0), times(0))
    assert not torch.equal(times(0), times(1))


def test_what_is_shipped_is_checked(tmp_path, monkeypatch):
    name = "JapaneseVowels_TEST.ts.gz"
    content = (japanese_vowels.PACKED / name).read_bytes()
    sums = (japanese_vowels.PACKED / "SHA256SUMS").read_text()
    assert f"{hashlib.sha256(content).hexdigest()}  {name}" in sums
    (tmp_path / "SHA256SUMS").write_text(sums)
    monkeypatch.setattr(japanese_vowels, "PACKED", tmp_path)
    with pytest.raises(DataError, match="is missing"):
        shipped(name)
    (tmp_path / name).write_bytes(gzip.compress(gzip.decompress(content)[:-500]))
    with pytest.raises(DataError, match="truncated or altered"):
        shipped(name)


HEAD = "@dimensions 2\n@classLabel true a b\n@data\n"
BAD_TS = {
    "unknown class": (HEAD + "1,2:3,4:c\n", "f, line 4: the class 'c' is none of a, b"),
    "channels": (HEAD + "1,2:a\n", "f, line 4: 1 channels; @dimensions says 2"),
    "unequal": (HEAD + "1,2:3:a\n", "f, line 4: the channels have unequal lengths"),
    "no number": (HEAD + "1,2:3,x:a\n", "f, line 4: could not convert string to float: 'x'"),
    "cut off": (HEAD, "f has no series"),
    "no header": ("1,2:3,4:a\n", "f, line 1: a header line begins with @"),
    "no classes": ("@dimensions 2\n@data\n1:2:a\n", "f, line 2: @data begins"),
}


@pytest.mark.parametrize(("text", "message"), BAD_TS.values(), ids=BAD_TS.keys())
def test_bad_ts_files_are_rejected(text, message):
    with pytest.raises(DataError) as raised:
        parse_ts(text, "f")
    assert message in str(raised.value)

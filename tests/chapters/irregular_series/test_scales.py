"""Scales are learned from training series alone: these have mean 0 and variance 1, others not."""

import pytest
import torch

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.human_activity import human_activity_data
from node_experiments.chapters.irregular_series.japanese_vowels import japanese_vowels_data
from node_experiments.chapters.irregular_series.settings import (
    CSVConfig,
    HumanActivityConfig,
    JapaneseVowelsConfig,
)
from node_experiments.data.scaling import Scaling

from .test_human_activity import recording
from .test_human_activity import write as write_recordings


def human_activity(folder):
    lines = [
        text
        for person, name in enumerate("ABCDE")
        for text in recording(f"{name}01", 80 + 5 * person)
    ]
    write_recordings(folder, lines)
    settings = HumanActivityConfig(
        root=str(folder), validation_size=0, batch_size=2, scaling="standard"
    )
    return human_activity_data(settings)


def japanese_vowels(folder):
    return japanese_vowels_data(JapaneseVowelsConfig(scaling="standard"))


def csv(folder):
    rows = [f"p{n},{t},{n * n + t}" for n in range(20) for t in range(5)]
    (folder / "series.csv").write_text("\n".join(["series,time,x", *rows]) + "\n")
    path = str(folder / "series.csv")
    return csv_data(CSVConfig(path=path, task="interpolation", validation_size=2))


def moments(batches):
    """Mean and variance of all observed values of each feature."""
    series = batches.data.target
    values = series.values.double()
    mask = series.feature_mask
    mask = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    count = mask.sum(0)
    mean = (values * mask).sum(0) / count
    return mean, ((values - mean) ** 2 * mask).sum(0) / count


@pytest.mark.parametrize("load", [human_activity, japanese_vowels, csv])
def test_training_values_alone_have_mean_0_and_variance_1(load, tmp_path):
    data = load(tmp_path)
    mean, variance = moments(data.train)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-4)
    torch.testing.assert_close(variance, torch.ones_like(mean), rtol=1e-3, atol=0)
    mean, variance = moments(data.test)
    assert max(float(mean.abs().max()), float((variance - 1).abs().max())) > 0.02


@pytest.mark.parametrize("how", ["standard", "minmax", "official_code"])
def test_a_feature_that_never_changes_keeps_its_scale(how):
    """Also one whose mean is not itself, by rounding."""
    values = torch.tensor([[0.1, 0.0], [0.1, 0.0], [0.1, 0.0]], dtype=torch.float64)
    assert float(values[:, 0].sum() / 3) != 0.1
    fitted = Scaling.fit_values(values, torch.ones_like(values, dtype=torch.bool), how)
    expected = [0.1, 1.0] if how == "official_code" else [1.0, 1.0]  # (x - min) / max
    assert fitted.scale.tolist() == expected
    assert fitted.shift.tolist() == pytest.approx([0.1, 0.0])


def test_a_dose_that_was_always_the_same_in_training(tmp_path):
    rows = [f"p{n},{t},{n * n + t},0.1" for n in range(20) for t in range(3)]
    (tmp_path / "series.csv").write_text("\n".join(["series,time,x,dose", *rows]) + "\n")
    data = csv_data(CSVConfig(path=str(tmp_path / "series.csv"), task="interpolation"))
    assert float(data.train.data.target.values[:, 1].abs().max()) < 1e-9
    assert data.scaling.scale[1] == 1

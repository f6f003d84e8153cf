"""Metrics of classes against values computed by hand, rare and missing classes, class weights."""

import math

import pytest
import torch

from node_experiments.chapters.irregular_series.forecast_data import balanced_weights
from node_experiments.chapters.irregular_series.metrics import (
    average_precision,
    classification_metrics,
    cross_entropy,
    roc_auc,
)
from node_experiments.data.splits import stratified_split


@pytest.mark.parametrize(
    ("scores", "positive", "precision"),
    [
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.8333333333),  # 1/2 * 1 + 1/2 * 2/3
        ([0.9, 0.8, 0.1], [1, 1, 0], 1.0),
        ([0.9, 0.8, 0.1], [0, 0, 1], 1 / 3),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.25),  # ties are found together
        ([0.7, 0.5, 0.5, 0.2], [1, 1, 0, 1], 1 / 3 + 2 / 9 + 1 / 4),
    ],
)
def test_average_precision(scores, positive, precision):
    found = average_precision(torch.tensor(scores), torch.tensor(positive).bool())
    assert found == pytest.approx(precision)


def test_average_precision_of_nobody_is_undefined():
    assert math.isnan(average_precision(torch.rand(3), torch.zeros(3).bool()))
    assert average_precision(torch.rand(3), torch.ones(3).bool()) == 1.0


def test_several_classes_each_against_the_rest():
    logits = torch.randn(60, 3)
    label = torch.randint(3, (60,))
    found = classification_metrics(logits, label)
    shares = logits.softmax(-1)
    for name, measure in (("auc", roc_auc), ("average_precision", average_precision)):
        each = [measure(shares[:, c], label == c) for c in range(3)]
        assert found[name] == pytest.approx(sum(each) / 3)


def test_a_class_that_is_missing_has_no_part_in_the_mean():
    logits, label = torch.randn(40, 3), torch.randint(2, (40,))
    found = classification_metrics(logits, label)
    shares = logits.softmax(-1)
    each = [roc_auc(shares[:, c], label == c) for c in range(2)]
    assert found["auc"] == pytest.approx(sum(each) / 2)
    only = classification_metrics(torch.randn(5, 2), torch.zeros(5).long())
    assert set(only) == {"accuracy"}


def test_weights_make_classes_count_alike():
    logits, label = torch.randn(12, 2), torch.tensor([0] * 9 + [1] * 3)
    weights = torch.tensor(balanced_weights([9, 3]))
    torch.testing.assert_close(weights, torch.tensor([12 / 18, 12 / 6]))
    each = [cross_entropy(logits[label == c], label[label == c]) for c in range(2)]
    torch.testing.assert_close(cross_entropy(logits, label, weights), sum(each) / 2)
    unknown = torch.cat([label, torch.tensor([-1])])
    more = torch.cat([logits, torch.randn(1, 2)])
    torch.testing.assert_close(cross_entropy(more, unknown, weights), sum(each) / 2)
    assert float(cross_entropy(more[-1:], unknown[-1:], weights)) == 0


@pytest.mark.parametrize("rare", [10, 11, 20, 37])
def test_every_part_has_its_share_of_each_class(rare):
    classes = ["rare"] * rare + ["often"] * (200 - rare)
    split = stratified_split(classes, 20, seed=3)
    assert sorted(torch.cat(split).tolist()) == list(range(200))
    assert [len(part) for part in split] == [140, 20, 40]
    for part in split:
        found = sum(classes[i] == "rare" for i in part.tolist())
        assert abs(found - rare * len(part) / 200) <= 1
    assert stratified_split(classes, 20, seed=4).test.tolist() != split.test.tolist()

"""Means of metrics over steps."""

import pytest
import torch

from node_experiments.training.losses import Means
from tests.training.test_loop import Regression, accumulating


def test_every_sample_counts_the_same_in_a_mean_over_batches_of_several_sizes():
    means = Means()
    for samples, loss in ((20, 1.0), (20, 1.0), (8, 4.0)):
        means.add({"loss": torch.tensor(loss)}, samples)
    assert means.read() == {"loss": (40 * 1.0 + 8 * 4.0) / 48}


def test_a_metric_of_some_batches_is_a_mean_over_these():
    means = Means()
    means.add({"loss": torch.tensor(1.0)}, 10)
    means.add({"loss": torch.tensor(1.0), "forecast": torch.tensor(3.0)}, 4)
    means.add({"forecast": torch.tensor(6.0)}, 2)
    assert means.read() == {"loss": 1.0, "forecast": 4.0}


class OnlySome(Regression):
    """A metric that batches of four samples alone have."""

    def loss(self, model, batch, step):
        loss, metrics = super().loss(model, batch, step)
        return loss, metrics | ({"rare": torch.tensor(3.0)} if len(batch[0]) == 4 else {})


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_the_loop_does_not_dilute_it_whether_it_accumulates_or_not(accumulate):
    trainer = accumulating([4, 2, 2, 4], accumulate, epochs=1, task=OnlySome())
    trainer.fit()
    assert trainer.history[-1]["rare/train"] == 3.0
    assert {window["rare/train"] for window in trainer.windows if "rare/train" in window} == {3.0}


def test_processes_without_a_metric_do_not_count_in_its_mean():
    class Two:
        """Another process that had no forecast."""

        def gather(self, own):
            return [own, {"loss": (6.0, 2)}]

    means = Means()
    means.add({"loss": torch.tensor(1.0), "forecast": torch.tensor(5.0)}, 2)
    assert means.read(Two()) == {"loss": 2.0, "forecast": 5.0}


def test_means_of_an_older_checkpoint_go_on():
    means = Means.of_state({"sums": {"loss": torch.tensor(8.0)}, "count": 4})
    means.add({"loss": torch.tensor(4.0)}, 4)
    assert means.read() == {"loss": 3.0}
    assert Means.of_state(vars(means)) == means
    assert Means.of_state({"sums": {}, "count": 0}).read() == {}

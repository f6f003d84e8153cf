"""Means of metrics over steps."""

import torch

from node_experiments.training.losses import Means


def test_every_sample_counts_the_same_in_a_mean_over_batches_of_several_sizes():
    means = Means()
    for samples, loss in ((20, 1.0), (20, 1.0), (8, 4.0)):
        means.add({"loss": torch.tensor(loss)}, samples)
    assert means.read() == {"loss": (40 * 1.0 + 8 * 4.0) / 48}

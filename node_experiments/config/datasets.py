"""Settings of the datasets, by the name that a configuration gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .checks import require

__all__ = ["DATASETS", "ImagesConfig"]


@dataclass
class ImagesConfig:
    """A dataset of labelled images."""

    GROUP: ClassVar[str] = "dataset"

    name: str = "mnist"  # mnist | fashion_mnist | cifar10
    root: str | None = None  # folder of the data; a cache folder of the user when null
    batch_size: int = 128  # training images a batch
    eval_batch_size: int = 1000  # images a batch of an evaluation
    train_size: int | None = None  # training images to use; all that remain when null
    validation_size: int = 0  # images taken from the training set to choose a checkpoint by
    test_size: int | None = None  # test images to use; all when null
    augment: bool = True  # random crop after padding by 4 pixels
    flip: bool = False  # mirror half of the images
    standardize: bool = False  # zero mean and unit variance a channel; else pixels in [0, 1]
    drop_last: bool = True  # leave out the last, smaller batch of an epoch

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, self, "batch_size", "at least 1")
        require(self.eval_batch_size >= 1, self, "eval_batch_size", "at least 1")
        require(self.train_size is None or self.train_size >= 1, self, "train_size", "at least 1")
        require(self.test_size is None or self.test_size >= 1, self, "test_size", "at least 1")
        require(self.validation_size >= 0, self, "validation_size", "at least 0")


DATASETS = {"mnist": ImagesConfig, "fashion_mnist": ImagesConfig, "cifar10": ImagesConfig}

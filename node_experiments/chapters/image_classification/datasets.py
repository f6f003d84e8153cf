"""Loading of image datasets by name, as batches."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ...data import cache_folder
from ...errors import DataError
from ...files import user_path
from ..chapter import resolve
from .batches import (
    EvaluationBatches,
    ImageData,
    ImageSet,
    Standardize,
    TrainingBatches,
    split_images,
)
from .chapter import ImagesConfig

__all__ = ["IMAGE_DATASETS", "image_data"]

# Name -> module and function; a separate module for MNIST, which ships and needs no download.
IMAGE_DATASETS = {
    "mnist": "mnist:load_mnist",
    "fashion_mnist": "downloads:load_fashion_mnist",
    "cifar10": "downloads:load_cifar10",
}


def image_data(
    settings: ImagesConfig, seed: int = 0, device: torch.device | None = None
) -> ImageData:
    """Load a dataset and split it into training, validation and test batches.

    Args:
        seed: Seed of the split, the order and the augmentation.
        device: The device that keeps the images.

    Raises:
        DataError: Data are missing or damaged, or the sizes do not fit.
    """
    root, test_size = settings.root, settings.test_size
    folder = cache_folder() if root is None else user_path(root)
    load = resolve(f"{__package__}.{IMAGE_DATASETS[settings.name]}")
    published_train, published_test = load(folder)
    train_set, test_set = as_image_set(published_train), as_image_set(published_test)
    if test_size is not None:
        if test_size > len(test_set):
            raise DataError(
                f"dataset.test_size={test_size} is more than the {len(test_set)} test images"
            )
        test_set = test_set.subset(torch.arange(test_size))
    train_set, validation_set = split_images(
        train_set, settings.train_size, settings.validation_size, seed
    )
    if device is not None:
        train_set, test_set = train_set.to(device), test_set.to(device)
        validation_set = None if validation_set is None else validation_set.to(device)
    images = train_set.images
    scaling = (
        Standardize.fit(images) if settings.standardize else Standardize.unit_interval(images)
    )
    channels, height, width = images.shape[1:]
    return ImageData(
        train=TrainingBatches(train_set, scaling, settings, seed),
        validation=(
            None
            if validation_set is None
            else EvaluationBatches(validation_set, scaling, settings.eval_batch_size)
        ),
        test=EvaluationBatches(test_set, scaling, settings.eval_batch_size),
        image_shape=(channels, height, width),
        classes=10,
    )


class LabelledImages(Protocol):
    """The interface of torchvision's image datasets."""

    data: ArrayLike
    targets: Tensor | list[int]


def as_image_set(dataset: LabelledImages) -> ImageSet:
    """The arrays of a torchvision dataset, channels first."""
    images = torch.as_tensor(np.asarray(dataset.data))
    labels = torch.as_tensor(dataset.targets)
    images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2)
    return ImageSet(images.contiguous(), labels.long())

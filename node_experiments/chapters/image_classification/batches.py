"""Labelled images in memory, batched by tensor operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.seeded_batches import epoch_generator
from ...errors import DataError
from .augmentation import random_affine, random_crop
from .chapter import ImagesConfig

__all__ = ["EvaluationBatches", "ImageData", "ImageSet", "TrainingBatches", "split_images"]


@dataclass
class ImageSet:
    """Images `(image, channel, height, width)` as uint8, with their labels `(image,)`."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> ImageSet:
        """The images with these indices, in the order of the indices."""
        return ImageSet(self.images[indices], self.labels[indices])

    def to(self, device: torch.device) -> ImageSet:
        """The same set on another device."""
        return ImageSet(self.images.to(device), self.labels.to(device))


@dataclass
class Standardize:
    """Map uint8 pixels to floats: to [0, 1], or to zero mean and unit variance per channel."""

    mean: Tensor
    std: Tensor

    @classmethod
    def unit_interval(cls, images: Tensor) -> Standardize:
        """Scaling by 1/255 only, as in the official example."""
        shape = (1, images.shape[1], 1, 1)
        return cls(
            torch.zeros(shape, device=images.device),
            torch.full(shape, 255.0, device=images.device),
        )

    @classmethod
    def fit(cls, images: Tensor) -> Standardize:
        """Standardisation by the mean and standard deviation of each channel of these images."""
        pixels = images.double()
        axes = (0, 2, 3)
        mean, std = pixels.mean(axes, keepdim=True), pixels.std(axes, keepdim=True)
        return cls(mean.float(), std.float())

    def __call__(self, images: Tensor) -> Tensor:
        return (images.float() - self.mean) / self.std


class TrainingBatches:
    """Shuffled and augmented batches; the order of epoch n depends on the seed and n alone.

    Args:
        data: The training images.
        settings: Batch size and augmentation.
        seed: Seed of the order and the augmentation.

    Raises:
        DataError: The batch is larger than the data.
    """

    def __init__(
        self,
        data: ImageSet,
        standardize: Standardize,
        settings: ImagesConfig,
        seed: int = 0,
    ) -> None:
        if settings.batch_size > len(data):
            raise DataError(
                f"dataset.batch_size={settings.batch_size} is more than the {len(data)} training "
                "images; lower it, or raise dataset.train_size"
            )
        self.data, self.standardize = data, standardize
        self.settings, self.seed = settings, seed
        self.epoch = 0

    def __len__(self) -> int:
        full, rest = divmod(len(self.data), self.settings.batch_size)
        return full + (1 if rest and not self.settings.drop_last else 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        settings = self.settings
        affine = (settings.rotation, settings.scale, settings.shear)
        generator = epoch_generator(self.seed, self.epoch)
        order = torch.randperm(len(self.data), generator=generator)
        for indices in order.split(settings.batch_size)[: len(self)]:
            indices = indices.to(self.data.images.device)
            images, labels = self.data.images[indices], self.data.labels[indices]
            if settings.augment:
                images = random_crop(images, generator, settings.padding, settings.padding_mode)
            if settings.flip:
                mirrored = torch.rand(len(images), generator=generator) < 0.5
                images[mirrored] = images[mirrored].flip(-1)
            if any(affine):
                images = random_affine(images, generator, *affine)
            yield self.standardize(images), labels


class EvaluationBatches:
    """All images in order, without augmentation."""

    def __init__(self, data: ImageSet, standardize: Standardize, batch_size: int) -> None:
        self.data, self.standardize, self.batch_size = data, standardize, batch_size

    def __len__(self) -> int:
        return -(-len(self.data) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        pieces = zip(
            self.data.images.split(self.batch_size),
            self.data.labels.split(self.batch_size),
            strict=True,
        )
        for images, labels in pieces:
            yield self.standardize(images), labels


@dataclass
class ImageData:
    """Training, validation and test batches of a classification experiment.

    Attributes:
        image_shape: Channels, height and width.
    """

    train: TrainingBatches
    validation: EvaluationBatches | None
    test: EvaluationBatches
    image_shape: tuple[int, int, int]
    classes: int


def split_images(
    data: ImageSet, train_size: int | None, validation_size: int, seed: int
) -> tuple[ImageSet, ImageSet | None]:
    """Draw disjoint training and validation sets from the published training set.

    Raises:
        DataError: More images are requested than there are.
    """
    available = len(data) - validation_size
    size = available if train_size is None else train_size
    if size > available or available < 1:
        raise DataError(
            f"dataset.train_size={train_size} and dataset.validation_size={validation_size} ask "
            f"for more than the {len(data)} training images"
        )
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    validation = data.subset(order[:validation_size]) if validation_size else None
    return data.subset(order[validation_size : validation_size + size]), validation

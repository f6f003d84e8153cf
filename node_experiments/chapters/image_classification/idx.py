"""The IDX format of MNIST's files (LeCun), plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...errors import DataError

__all__ = ["FILES", "LabelledImages", "read_idx", "read_images", "read_set"]

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
UNSIGNED_BYTES = 8


@dataclass
class LabelledImages:
    """Images and labels, with the attribute names of torchvision's datasets.

    Attributes:
        data: Shape `(image, height, width)`, uint8.
        targets: Shape `(image,)`.
    """

    data: Tensor
    targets: Tensor


def read_images(folders: list[Path]) -> tuple[LabelledImages, LabelledImages] | None:
    """Training and test set from the first folder that holds all four files; None if none does.

    Raises:
        DataError: A file is damaged, or images and labels do not belong together.
    """
    for folder in folders:
        if all(place(folder, name) for names in FILES.values() for name in names):
            return read_set(folder, *FILES["train"]), read_set(folder, *FILES["test"])
    return None


def place(folder: Path, name: str) -> Path | None:
    """The path of the file with this name, plain or gzipped; None if there is none."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def read_set(folder: Path, images_name: str, labels_name: str) -> LabelledImages:
    """Read images and as many labels from two existing files.

    Raises:
        DataError: A file is damaged, or the two do not belong together.
    """
    images, labels = (
        read_idx(place(folder, name) or folder / name) for name in (images_name, labels_name)
    )
    if images.dim() != 3 or labels.dim() != 1 or len(images) != len(labels):
        raise DataError(
            f"the files in {folder} do not belong together: images of shape {tuple(images.shape)} "
            f"and labels of shape {tuple(labels.shape)}; put the published four there"
        )
    return LabelledImages(images, labels)


def read_idx(path: Path) -> Tensor:
    """Read the array in an IDX file, as uint8.

    Raises:
        DataError: The file cannot be read, is truncated, or is of another format.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read or unpacked ({error}); get it again") from error
    if len(content) < 4 or content[:3] != bytes((0, 0, UNSIGNED_BYTES)):
        raise DataError(f"{path} is not an IDX file of bytes, as MNIST's are; get it again")
    dimensions = content[3]
    header = 4 + 4 * dimensions
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4)]
    if len(content) != header + math.prod(shape):
        raise DataError(
            f"{path} is truncated or altered: {len(content) - header} bytes of data, and its "
            f"header says {' x '.join(map(str, shape))}; get it again"
        )
    return torch.frombuffer(bytearray(content[header:]), dtype=torch.uint8).view(shape)

"""Image datasets that torchvision downloads from their publishers, unless they exist locally."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torchvision import datasets

from ...errors import DataError, first_line
from .idx import LabelledImages, read_images

__all__ = ["load_cifar10", "load_fashion_mnist"]

D = TypeVar("D", datasets.FashionMNIST, datasets.CIFAR10)


def load_fashion_mnist(
    root: Path,
) -> tuple[datasets.FashionMNIST | LabelledImages, datasets.FashionMNIST | LabelledImages]:
    """Training and test set of Fashion-MNIST (Xiao et al. 2017).

    The four files may exist already, plain or gzipped: in `root`, in `fashion-mnist` below it as
    in Debian's package, or where torchvision puts them.

    Raises:
        DataError: The files are damaged, or are missing and could not be downloaded.
    """
    raw = root / "FashionMNIST" / "raw"
    if found := read_images([root, root / "fashion-mnist", raw]):
        return found
    wanted = f"the four files train-images-idx3-ubyte.gz etc. (plain or gzipped) into {root}"
    train = _load(datasets.FashionMNIST, root, True, wanted)
    return train, _load(datasets.FashionMNIST, root, False, wanted)


def load_cifar10(root: Path) -> tuple[datasets.CIFAR10, datasets.CIFAR10]:
    """Training and test set of CIFAR-10 (Krizhevsky 2009).

    Raises:
        DataError: The files are missing and could not be downloaded.
    """
    wanted = f"cifar-10-python.tar.gz into {root}"
    train = _load(datasets.CIFAR10, root, True, wanted)
    return train, _load(datasets.CIFAR10, root, False, wanted)


def _load(dataset: type[D], root: Path, train: bool, wanted: str) -> D:
    try:
        root.mkdir(parents=True, exist_ok=True)
        return dataset(str(root), train=train, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{dataset.__name__} is not in {root} and could not be downloaded "
            f"({first_line(error)}); put {wanted}, or set dataset.root to where they are"
        ) from error

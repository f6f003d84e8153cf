"""Class probabilities of a user's images, or of those of the test set."""

from __future__ import annotations

import logging
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ...config import ConfigError
from ...errors import DataError
from ...figures.style import new_figure, style
from ..prediction import Inputs, Prediction, Request
from .batches import EvaluationBatches, ImageSet
from .idx import read_idx

__all__ = ["CLASSES", "class_names", "predict_images", "read_user_images"]

log = logging.getLogger(__name__)

CLASSES = {
    "fashion_mnist": (
        "t-shirt", "trouser", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ),
    "cifar10": (
        "airplane", "automobile", "bird", "cat", "deer",
        "dog", "frog", "horse", "ship", "truck",
    ),
}  # fmt: skip
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
ROWS, COLUMNS = 2, 8  # of the figure


def class_names(dataset: str, classes: int) -> tuple[str, ...]:
    """Names of the classes, in the order of the logits; digits are named by their number."""
    return CLASSES.get(dataset) or tuple(map(str, range(classes)))


def predict_images(trained: Any, request: Request) -> Prediction:
    """Predict a row for each image: its name, its likeliest class, the probability of each class.

    Images of the test set are named by their numbers, and have a column `label`.

    Raises:
        DataError: The images cannot be read, or are not of the model's shape.
        ConfigError: Times or latent trajectories are requested, which images do not have.
    """
    if request.times is not None or request.latent:
        raise ConfigError("images have no times and no latent trajectory; give images alone")
    data, test = trained.data, trained.data.test
    names = class_names(trained.config.dataset.name, data.classes)
    labels = None
    if request.inputs is None:
        images, labels = test.data.images, test.data.labels
        titles = list(map(str, range(len(images))))
    else:
        images, titles = read_user_images(request.inputs, data.image_shape)
        warn_if_inverted(images, test.data.images)
        images = images.to(trained.device)
    batches = EvaluationBatches(
        ImageSet(images, torch.zeros(len(images), dtype=torch.long)),
        test.standardize,
        test.batch_size,
    )
    logits = torch.cat([trained.model(x).float() for x, _ in batches])
    probabilities = logits.softmax(1).cpu().numpy()
    table = pd.DataFrame({"image": titles})
    if labels is not None:
        table["label"] = [names[label] for label in labels.tolist()]
    table["predicted"] = [names[place] for place in probabilities.argmax(1)]
    for place, name in enumerate(names):
        table[f"probability of {name}"] = probabilities[:, place]
    first = images[: ROWS * COLUMNS].cpu().numpy()
    return Prediction(table, f"{len(table)} images", lambda: classes_figure(first, table))


def warn_if_inverted(images: Tensor, known: Tensor) -> None:
    """Warn if grey images would have the brightness of the data only if they were inverted.

    Args:
        images: The user's images, uint8.
        known: Images of the test set.
    """
    given, usual = float(images.float().mean()), float(known.float().mean())
    if images.shape[1] == 1 and abs(given - usual) > 2 * abs(255 - given - usual) + 25:
        log.warning(
            "the mean pixel of these images is %.0f, that of the test images %.0f; if yours are "
            "dark on light and those are light on dark, or the reverse, invert yours",
            given,
            usual,
        )


def read_user_images(inputs: Inputs, shape: tuple[int, int, int]) -> tuple[Tensor, list[str]]:
    """Read a user's images as uint8, `(image, channel, height, width)`, and their names.

    Args:
        inputs: A folder of image files, one image file, an .npz or .npy file or an array of shape
            `(image, height, width)`, with a channel axis last or second if the model reads
            colours, or an IDX file such as MNIST's, plain or gzipped. Pixels are from 0 to 255,
            or floats from 0 to 1.
        shape: Channels, height and width that the model reads.

    Raises:
        DataError: There are none, or they are of another shape.
    """
    if not isinstance(inputs, np.ndarray | Path):
        raise DataError(
            f"images are expected here, and this is a {type(inputs).__name__}; give an array or "
            "path"
        )
    if isinstance(inputs, np.ndarray):
        return from_array(inputs, shape, "the array"), list(map(str, range(len(inputs))))
    if not inputs.exists():
        raise DataError(f"{inputs} is missing; predict.images must name a folder or a file")
    if inputs.is_dir() or inputs.suffix.lower() in SUFFIXES:
        return from_files(inputs, shape)
    is_numpy = inputs.suffix in (".npz", ".npy")
    array = load_array(inputs) if is_numpy else read_idx(inputs).numpy()
    return from_array(array, shape, str(inputs)), list(map(str, range(len(array))))


def load_array(path: Path) -> np.ndarray:
    """The array of an .npy file, or the one array of images in an .npz file."""
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            several = [name for name in loaded.files if loaded[name].ndim >= 3]
            if len(several) != 1:
                raise DataError(
                    f"{path} holds {len(several)} arrays of images among "
                    f"{', '.join(loaded.files)}; keep one, of shape (image, height, width)"
                )
            found: np.ndarray = loaded[several[0]]
            return found
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is not a readable file of numpy arrays ({error})") from error


def from_array(array: np.ndarray, shape: tuple[int, int, int], source: str) -> Tensor:
    """Convert an array of images to uint8, with its axes in the model's order."""
    channels, height, width = shape
    if array.ndim == 3 and channels == 1:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1:] == (height, width, channels):
        array = np.moveaxis(array, -1, 1)
    if array.ndim != 4 or array.shape[1:] != shape or not len(array):
        wanted = (height, width) if channels == 1 else (height, width, channels)
        raise DataError(
            f"{source} is of shape {array.shape}; the model reads images of shape "
            f"({', '.join(['image', *map(str, wanted)])})"
        )
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise DataError(
                f"{source} holds floats from {array.min():.4g} to {array.max():.4g}; pixels are "
                "integers from 0 to 255, or floats from 0 to 1"
            )
        array = np.round(array * 255)
    elif array.dtype.kind == "b":
        array = array * np.uint8(255)
    elif array.dtype.kind in "iu" and array.max() == 1:
        raise DataError(
            f"{source} holds no integers but 0 and 1; pixels are from 0 to 255: multiply them by "
            "255, or make them bool"
        )
    elif array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
        raise DataError(f"{source} is of {array.dtype}; pixels are integers from 0 to 255")
    return torch.from_numpy(np.ascontiguousarray(array.astype(np.uint8)))


def from_files(path: Path, shape: tuple[int, int, int]) -> tuple[Tensor, list[str]]:
    """Read the image files of a folder in the order of their names, or a single image file."""
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{path} holds no image file ({', '.join(SUFFIXES)})")
    channels, height, width = shape
    arrays = []
    for file in files:
        try:
            with Image.open(file) as image:
                check_convertible(image, file)
                pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{file} is not a readable image ({error})") from error
        if pixels.shape[:2] != (height, width):
            raise DataError(
                f"{file} has {pixels.shape[1]} x {pixels.shape[0]} pixels, the model reads "
                f"{width} x {height}; cut and scale it to that"
            )
        arrays.append(pixels[None] if channels == 1 else np.moveaxis(pixels, -1, 0))
    return torch.from_numpy(np.stack(arrays)), [file.name for file in files]


def check_convertible(image: Image.Image, file: Path) -> None:
    """Check that conversion to 8 bits per channel does not change the picture.

    Raises:
        DataError: The image has more bits, several frames, or transparent pixels.
    """
    lost = None
    if image.mode[0] in "IF":
        lost = "pixels of 16 bits or more, or floats; save it with 8 bits per channel"
    elif getattr(image, "n_frames", 1) > 1:
        lost = f"{getattr(image, 'n_frames', 1)} frames; save each as an image"
    elif image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        lost = "transparent pixels, which have no colour; save it on a background"
    if lost is not None:
        raise DataError(f"{file} has {lost}")


def classes_figure(images: np.ndarray, table: pd.DataFrame) -> Figure:
    """The first images, each with its likeliest class and its probability."""
    rows = -(-len(images) // COLUMNS)
    with style():
        figure = new_figure(width=COLUMNS * 1.1, height=rows * 1.35 + 0.2)
        for place, axis in enumerate(figure.subplots(rows, COLUMNS, squeeze=False).ravel()):
            axis.axis("off")
            if place >= len(images):
                continue
            picture = images[place].transpose(1, 2, 0)
            axis.imshow(picture.squeeze(), cmap="gray_r" if picture.shape[-1] == 1 else None)
            name = table["predicted"].iloc[place]
            probability = table[f"probability of {name}"].iloc[place]
            axis.set_title(f"{name}: {probability:.0%}", fontsize=9)
    return figure

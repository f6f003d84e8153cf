"""MNIST, which ships with the package: unpacked once, verified, and read."""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from operator import methodcaller
from pathlib import Path

from ...data.shipped_files import shipped_file
from ...errors import DataError
from ...files import write_atomically
from .idx import FILES, LabelledImages, read_set

__all__ = ["load_mnist", "unpack_mnist"]

PACKED = Path(__file__).parent / "mnist_files"

# Published checksums of the unpacked files.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def load_mnist(root: Path) -> tuple[LabelledImages, LabelledImages]:
    """Training and test set, unpacked below `root` if they are not there yet.

    Raises:
        DataError: A file is damaged, or a folder cannot be written.
    """
    return _read(unpack_mnist(root))


@lru_cache(maxsize=1)
def _read(folder: Path) -> tuple[LabelledImages, LabelledImages]:
    """Read the verified files once; the jobs of a sweep share the images, which never change."""
    return read_set(folder, *FILES["train"]), read_set(folder, *FILES["test"])


def unpack_mnist(root: Path) -> Path:
    """Unpack the shipped files into `root`/MNIST/raw, verify them all, and return that folder.

    Several processes may do this at once: each file is written under another name and renamed.

    Raises:
        DataError: A file is damaged, or a folder cannot be written.
    """
    folder = root / "MNIST" / "raw"
    for name, md5 in MD5.items():
        target = folder / name
        if target.exists():
            written = target.stat()
            found = _checksum(target, written.st_size, written.st_mtime_ns)
            if found != md5:
                raise DataError(
                    f"{target} is damaged: its md5 is {found}, that of MNIST is {md5}; "
                    "delete it and it is unpacked again from the package"
                )
            continue
        content = gzip.decompress(shipped_file(PACKED, f"{name}.gz").read_bytes())
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(target, methodcaller("write", content))
        except OSError as error:
            raise DataError(
                f"cannot unpack MNIST into {folder}: {error.strerror}; "
                "set dataset.root to a folder that can be written"
            ) from error
    return folder


@lru_cache
def _checksum(path: Path, size: int, modified: int) -> str:
    """MD5 of a file, cached until it changes, since the jobs of a sweep read the same files."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()

"""MNIST: shipped with the package, unpacked once, checked, and read by torchvision."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

from torchvision import datasets

from ...errors import DataError
from ...runs.files import write_atomically

__all__ = ["load_mnist", "unpack_mnist"]

PACKED = Path(__file__).parent / "mnist_files"

# Of the unpacked files, as published.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def load_mnist(root: Path) -> tuple[datasets.MNIST, datasets.MNIST]:
    """Training and test set, unpacked below `root` when they are not there yet.

    Raises:
        DataError: A file that is damaged, or a folder that cannot be written.
    """
    unpack_mnist(root)
    return _read(root)


@lru_cache(maxsize=1)
def _read(root: Path) -> tuple[datasets.MNIST, datasets.MNIST]:
    """What was checked, and is never changed; the jobs of a sweep take the same images."""
    return datasets.MNIST(str(root), train=True), datasets.MNIST(str(root), train=False)


def unpack_mnist(root: Path) -> None:
    """Unpack the shipped files into `root`/MNIST/raw and check all of them.

    Several processes may do this at once: each file is written to a separate name and renamed.

    Raises:
        DataError: A file that is damaged, or a folder that cannot be written.
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
        content = _packed_content(name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(target, partial(_write, content))
        except OSError as error:
            raise DataError(
                f"cannot unpack MNIST into {folder}: {error.strerror}; "
                "set dataset.root to a folder that can be written"
            ) from error


@lru_cache
def _checksum(path: Path, size: int, modified: int) -> str:
    """Of a file as it is now; the jobs of a sweep read the same files."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _packed_content(name: str) -> bytes:
    packed = PACKED / f"{name}.gz"
    try:
        content = gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{packed} is missing; install node-experiments again") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{packed} is truncated or altered; install it again ({error})") from error
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != MD5[name]:
        raise DataError(f"{packed} is altered: its hash is not MNIST's; install it again")
    return content


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)

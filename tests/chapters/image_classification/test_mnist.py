import errno
import gzip
import hashlib
import shutil

import pytest
import torch

from node_experiments.chapters.image_classification import mnist
from node_experiments.chapters.image_classification.chapter import ImagesConfig
from node_experiments.chapters.image_classification.datasets import as_image_set, image_data
from node_experiments.data.cache import cache_folder
from node_experiments.errors import DataError


def test_shipped_data_is_mnist():
    train, test = mnist.load_mnist(cache_folder())
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(train.targets).tolist() == counts
    assert len(test.targets) == 10_000
    pixels = as_image_set(train).images.double() / 255
    assert float(pixels.mean()) == pytest.approx(0.1307, abs=5e-5)
    assert float(pixels.std()) == pytest.approx(0.3081, abs=5e-5)


def test_hashes_of_the_shipped_files():
    for line in (mnist.PACKED / "SHA256SUMS").read_text().splitlines():
        expected, name = line.split()
        assert hashlib.sha256((mnist.PACKED / name).read_bytes()).hexdigest() == expected


def test_several_processes_unpack_at_once(tmp_path, fork_server):
    unpack = f"from pathlib import Path; mnist.unpack_mnist(Path({str(tmp_path)!r}))"
    before = f"from {mnist.__package__} import mnist; {unpack}"
    processes = [fork_server.start("--version", folder=tmp_path, before=before) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    raw = tmp_path / "MNIST" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == sorted(mnist.MD5)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-1] + b"x"])
def test_damaged_cache_is_rejected(tmp_path, damage):
    for _ in range(2):  # it was whole when this process last looked
        mnist.unpack_mnist(tmp_path)
    file = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte is damaged"):
        mnist.unpack_mnist(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        (b"\x1f\x8b\x08cut", "truncated or altered"),
        (gzip.compress(b"other", mtime=0), "altered"),
    ],
)
def test_damaged_package_is_rejected(tmp_path, monkeypatch, content, message):
    name = "t10k-labels-idx1-ubyte"
    shutil.copy(mnist.PACKED / "SHA256SUMS", tmp_path)
    monkeypatch.setattr(mnist, "PACKED", tmp_path)
    monkeypatch.setattr(mnist, "MD5", {name: mnist.MD5[name]})
    if content is not None:
        (tmp_path / f"{name}.gz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        mnist.unpack_mnist(tmp_path / "root")
    assert not list((tmp_path / "root").rglob("*-ubyte*"))


def test_missing_file_is_unpacked_again(tmp_path):
    mnist.unpack_mnist(tmp_path)
    file = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    file.unlink()
    mnist.unpack_mnist(tmp_path)
    assert file.exists()


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for _ in range(2):
        with pytest.raises(DataError, match=r"No space left on device; set dataset\.root"):
            mnist.unpack_mnist(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_root_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match=r"set dataset\.root"):
        mnist.unpack_mnist(tmp_path / "taken")


def test_splits_are_disjoint_and_sized():
    data = image_data(
        ImagesConfig(name="mnist", batch_size=10, train_size=50, validation_size=20, test_size=30)
    )
    assert len(data.train) == 5
    assert len(data.train.data) == 50
    assert len(data.validation.data) == 20
    assert len(data.test.data) == 30
    train = {image.numpy().tobytes() for image in data.train.data.images}
    assert not train & {image.numpy().tobytes() for image in data.validation.data.images}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"train_size": 60_001}, "more than the 60000"),
        ({"train_size": 60_000, "validation_size": 1}, "more than the 60000"),
        ({"test_size": 10_001}, "more than the 10000"),
        ({"train_size": 10, "batch_size": 11}, "more than the 10 training images"),
    ],
)
def test_sizes_that_do_not_fit(sizes, message):
    with pytest.raises(DataError, match=message):
        image_data(ImagesConfig(name="mnist", **sizes))

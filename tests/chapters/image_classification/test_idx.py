"""MNIST's file format: plain or packed, wherever the four files lie, and damaged."""

import gzip

import pytest
import torch

from node_experiments.chapters.image_classification import downloads
from node_experiments.chapters.image_classification.idx import FILES, read_idx
from node_experiments.errors import DataError


def idx(array):
    header = bytes((0, 0, 8, array.dim()))
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + bytes(array.flatten())


def arrays(count):
    images = torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8)
    return images, torch.arange(count, dtype=torch.uint8) % 10


def write(folder, packed, sizes=(48, 24)):
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for names, count in zip(FILES.values(), sizes, strict=True):
        written.append(arrays(count))
        for name, array in zip(names, written[-1], strict=True):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return written


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["", "fashion-mnist", "FashionMNIST/raw"])
def test_files_are_taken_where_they_lie(tmp_path, packed, place):
    written = write(tmp_path / place, packed)
    before = sorted(tmp_path.rglob("*"))
    for found, (images, labels) in zip(
        downloads.load_fashion_mnist(tmp_path), written, strict=True
    ):
        assert torch.equal(found.data, images)
        assert torch.equal(found.targets, labels)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written beside them"


@pytest.mark.parametrize("packed", [True, False])
def test_an_experiment_runs_on_them(node_run, tiny, tmp_path, packed):
    write(tmp_path / "data", packed)
    result = node_run(
        "experiment=mnist_odenet", "model.channels=8", "dataset=fashion_mnist",
        f"dataset.root={tmp_path / 'data'}", *tiny,
    )  # fmt: skip
    assert result.code == 0, result.err
    assert result.folders[0].parent.name == "fashion_mnist_odenet"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "truncated or altered"),
        (lambda content: b"\x01" + content[1:], "not an IDX file"),
        (lambda content: b"", "not an IDX file"),
    ],
)
def test_damaged_files(node_run, tiny, tmp_path, change, message):
    write(tmp_path / "data", packed=False)
    path = tmp_path / "data" / FILES["train"][0]
    path.write_bytes(change(path.read_bytes()))
    result = node_run(
        "experiment=mnist_mlp", "dataset=fashion_mnist", f"dataset.root={tmp_path / 'data'}", *tiny
    )
    assert result.code == 2
    assert message in result.err
    assert str(path) in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_damaged_packed_file(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(idx(torch.zeros(9, dtype=torch.uint8)))[:-6])
    with pytest.raises(DataError, match="cannot be read or unpacked"):
        read_idx(path)


def test_images_without_their_labels(tmp_path):
    write(tmp_path, packed=False)
    (tmp_path / FILES["test"][1]).write_bytes(idx(torch.zeros(7, dtype=torch.uint8)))
    with pytest.raises(DataError, match="do not belong together") as raised:
        downloads.load_fashion_mnist(tmp_path)
    assert "\n" not in str(raised.value)

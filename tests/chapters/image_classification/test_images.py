import pytest
import torch

from node_experiments.chapters.image_classification import downloads
from node_experiments.chapters.image_classification.augmentation import random_affine, random_crop
from node_experiments.chapters.image_classification.batches import (
    EvaluationBatches,
    ImageSet,
    Standardize,
    TrainingBatches,
)
from node_experiments.chapters.image_classification.chapter import ImagesConfig
from node_experiments.errors import DataError


def some_images(count=23, channels=1):
    images = torch.randint(1, 256, (count, channels, 28, 28), dtype=torch.uint8)
    return ImageSet(images, torch.arange(count))


def batches(data, seed=0, **settings):
    scaling = Standardize.unit_interval(data.images)
    return TrainingBatches(data, scaling, ImagesConfig(**settings), seed)


def test_epoch_covers_the_data_once():
    data = some_images()
    loader = batches(data, batch_size=5, drop_last=False)
    labels = torch.cat([labels for _, labels in loader])
    assert len(loader) == 5
    assert sorted(labels.tolist()) == list(range(23))
    loader = batches(data, batch_size=5, drop_last=True)
    assert len(loader) == 4
    assert [len(labels) for _, labels in loader] == [5] * 4


def test_order_depends_on_seed_and_epoch_alone():
    data = some_images()

    def labels(seed, epoch):
        loader = batches(data, batch_size=23, seed=seed)
        loader.epoch = epoch
        return next(iter(loader))[1].tolist()

    assert labels(0, 3) == labels(0, 3)
    assert labels(0, 3) != labels(0, 4)
    assert labels(0, 3) != labels(1, 3)


@pytest.mark.parametrize(
    ("channels", "padding", "mode"), [(1, 4, "zeros"), (3, 4, "zeros"), (3, 2, "reflect")]
)
def test_crop_cuts_each_image_at_its_own_offset(channels, padding, mode):
    images = some_images(50, channels).images
    cropped = random_crop(images, torch.Generator().manual_seed(0), padding, mode)
    assert cropped.shape == images.shape
    as_torch = {"zeros": "constant", "reflect": "reflect"}[mode]
    padded = torch.nn.functional.pad(images.float(), (padding,) * 4, as_torch).byte()
    offsets = set()
    for image, found in zip(padded, cropped, strict=True):
        matches = [
            (i, j)
            for i in range(2 * padding + 1)
            for j in range(2 * padding + 1)
            if torch.equal(image[:, i : i + 28, j : j + 28], found)
        ]
        assert len(matches) == 1
        offsets.add(matches[0])
    assert len(offsets) > 4 * padding


def test_affine_changes():
    """A quarter turn is the turned image; no change is the image; each sample has its own."""
    images = some_images(6, channels=3).images

    def changed(rotation, scale, shear):
        return random_affine(images, torch.Generator().manual_seed(0), rotation, scale, shear)

    torch.testing.assert_close(changed(0.0, 0.0, 0.0), images.float(), rtol=0, atol=1e-2)
    angles = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))[0] * 2 - 1
    turned = changed(90.0 / float(angles[0]), 0.0, 0.0)[0]
    torch.testing.assert_close(turned, images[0].rot90(1, (1, 2)).float(), rtol=0, atol=0.5)
    same = images[:1].expand(6, -1, -1, -1)
    different = random_affine(same, torch.Generator().manual_seed(0), 10.0, 0.1, 0.1)
    assert different.shape == same.shape
    assert len({float(image.sum()) for image in different}) == 6
    data = ImageSet(images, torch.arange(6))
    loader = batches(data, batch_size=6, augment=False, rotation=10.0)
    found, _ = next(iter(loader))
    assert found.dtype == torch.float32
    assert float(found.max()) <= 1
    again, _ = next(iter(loader))
    assert torch.equal(found, again)


def test_pixels_are_scaled():
    data = some_images()
    images, _ = next(iter(batches(data, batch_size=23, augment=False)))
    assert images.dtype == torch.float32
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    standardized = Standardize.fit(data.images)(data.images)
    assert float(standardized.mean()) == pytest.approx(0, abs=1e-4)
    assert float(standardized.std()) == pytest.approx(1, abs=1e-4)


def test_an_evaluation_sees_every_image_as_it_is():
    data = some_images(23, channels=3)
    scaling = Standardize.fit(data.images)
    evaluation = EvaluationBatches(data, scaling, 10)
    assert [len(labels) for _, labels in evaluation] == [10, 10, 3]
    images, labels = (torch.cat(parts) for parts in zip(*evaluation, strict=True))
    assert torch.equal(images, scaling(data.images))
    assert torch.equal(labels, data.labels)


def test_flip_mirrors_about_half():
    data = some_images(200)
    images, labels = next(iter(batches(data, batch_size=200, augment=False, flip=True)))
    original = data.images[labels].float() / 255
    mirrored = sum(
        not torch.equal(a, b) and torch.equal(a, b.flip(-1))
        for a, b in zip(images, original, strict=True)
    )
    assert 60 < mirrored < 140


@pytest.mark.parametrize(
    ("load", "dataset"),
    [(downloads.load_fashion_mnist, "FashionMNIST"), (downloads.load_cifar10, "CIFAR10")],
)
def test_offline_download_says_where_to_put_the_files(tmp_path, monkeypatch, load, dataset):
    def offline(*args, **kwargs):
        raise RuntimeError("Error downloading\nname resolution failed")

    monkeypatch.setattr(getattr(downloads.datasets, dataset), "download", offline)
    with pytest.raises(DataError, match=f"{dataset} is not in .* put .*{tmp_path}") as raised:
        load(tmp_path)
    assert "\n" not in str(raised.value)

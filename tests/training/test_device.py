"""The device of that name, and what is set for the whole process."""

import pytest
import torch

from node_experiments.training.device import DeviceError, prepare_process, select_device


def test_subnormal_numbers_are_zero_in_a_run():
    try:
        prepare_process(seed=0, threads=None, deterministic=False)
        assert float(torch.full((4,), 1e-30).mul(1e-12).sum()) == 0
    finally:
        torch.set_flush_denormal(False)


@pytest.fixture
def two_gpus_and_mps(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


@pytest.mark.usefixtures("two_gpus_and_mps")
def test_a_device_with_an_index():
    for name in ("cuda:0", "cuda:1", "mps:0"):
        assert select_device(name) == torch.device(name)
    assert select_device("cpu:0") == torch.device("cpu")


@pytest.mark.usefixtures("two_gpus_and_mps")
@pytest.mark.parametrize(
    ("name", "available"),
    [
        *((f"cuda{end}", "cuda:0 to cuda:1") for end in (":2", ":x", ":", ":-1", ":01", ":0:1")),
        *((f"{kind}{end}", kind) for kind in ("cpu", "mps") for end in (":1", ":x", ":")),
    ],
)
def test_an_index_that_no_device_has(name, available):
    with pytest.raises(DeviceError) as error:
        select_device(name)
    message = f"trainer.device={name} is not available here; available: {available}"
    assert str(error.value) == message


def test_an_index_of_a_kind_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda:0", "cuda:x"):
        with pytest.raises(DeviceError, match=rf"{name} is not available here; available: .*cpu"):
            select_device(name)


def test_a_cpu_has_its_index_without_other_devices(monkeypatch):
    """Not compared with the number of GPUs, which is 0 here."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert select_device("cpu:0") == torch.device("cpu")

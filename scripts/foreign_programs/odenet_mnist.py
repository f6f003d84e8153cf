"""torchdiffeq's MNIST example on 256 random images: `odenet_mnist.py <example> <adjoint>`."""

import runpy
import sys
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor

example, adjoint = sys.argv[1:]


class RandomImages(torch.utils.data.Dataset):
    """As many images as two batches have, without a download."""

    def __init__(self, transform: Callable[[Any], Any]):
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (256, 1, 28, 28), generator=generator, dtype=torch.uint8)
        self.images, self.transform = list(pixels), transform
        self.labels = torch.randint(0, 10, (256,), generator=generator).tolist()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = torchvision.transforms.functional.to_pil_image(self.images[index])
        return self.transform(image), self.labels[index]


class PrintedCrossEntropy(torch.nn.CrossEntropyLoss):
    """The loss of the example, which prints accuracies only."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        loss = super().forward(input, target)
        print(f"loss {float(loss.detach()):.6f}")
        return loss


torchvision.datasets.MNIST = lambda *args, **kwargs: RandomImages(transform=kwargs["transform"])
torch.nn.CrossEntropyLoss = PrintedCrossEntropy
torch.manual_seed(0)
sys.argv = [example, "--nepochs", "1", "--adjoint", adjoint, "--data_aug", "False"]
sys.argv += ["--test_batch_size", "256"]
runpy.run_path(example, run_name="__main__")

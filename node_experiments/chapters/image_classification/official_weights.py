"""Loading of weights of the official MNIST example (`odenet_mnist.py`) into our ODE-Net.

The official network is one flat sequence: stem 0 to 6, ODE block 7, head 8 to 12. Its layers map
to ours as follows; the time channel comes first in its joint weights:

| official                            | ours                                              |
| ----------------------------------- | ------------------------------------------------- |
| `0` ... `6`                         | `0.0` ... `0.6`                                   |
| `7.odefunc.norm*.*`                 | `1.vector_field.norm*.*`                          |
| `7.odefunc.conv*._layer.weight`     | `1.vector_field.conv*.time_weight` and `.weight`  |
| `7.odefunc.conv*._layer.bias`       | `1.vector_field.conv*.bias`                       |
| `8` ... `12`                        | `2.0` ... `2.4`                                   |
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

__all__ = ["load_official_odenet"]


def load_official_odenet(model: nn.Module, official: Mapping[str, Tensor]) -> None:
    """Load a state dict of the official example, with the convolutional stem.

    Args:
        model: An `odenet` with `stem="conv"`.
        official: The state dict.

    Raises:
        RuntimeError: Keys or shapes do not fit.
    """
    state: dict[str, Tensor] = {}
    for key, value in official.items():
        position, _, rest = key.partition(".")
        index = int(position)
        if index == 7:
            name = rest.removeprefix("odefunc.").replace("._layer", "")
            if name.startswith("conv") and name.endswith("weight"):
                layer = name.removesuffix(".weight")
                state[f"1.vector_field.{layer}.time_weight"] = value[:, :1]
                state[f"1.vector_field.{layer}.weight"] = value[:, 1:]
            else:
                state[f"1.vector_field.{name}"] = value
        elif index < 7:
            state[f"0.{index}.{rest}"] = value
        else:
            state[f"2.{index - 8}.{rest}"] = value
    model.load_state_dict(state)

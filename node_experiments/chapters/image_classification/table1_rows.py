"""The rows of Table 1: the settings of the runs that belong in them, and the paper's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ...config import RegularizerConfig

__all__ = ["ROWS", "Row", "row_of"]


@dataclass(frozen=True)
class Row:
    """The row of one network.

    Attributes:
        settings: The settings that a run must have to belong in this row.
        growth: Name of its measurement among those of `growth`.
        paper: Test error in percent, parameters, memory and time as the paper prints them.
    """

    label: str
    experiment: str
    settings: dict[str, Any] = field(hash=False)
    growth: str | None = None
    paper: tuple[str, str, str, str] | None = None


CONV = {"model.stem": "conv", "model.channels": 64}
SIX = {**CONV, "model.name": "resnet", "model.blocks": 6, "model.shared": False}
PLAIN = {"model.augment": 0} | {
    f"regularizer.{entry.name}": entry.default for entry in fields(RegularizerConfig)
}
ODE = {
    **CONV, **PLAIN, "model.name": "odenet", "solver.method": "dopri5", "solver.rtol": 1e-3,
}  # fmt: skip
ROWS = (
    Row(
        "MLP, 300 hidden units",
        "mnist_mlp",
        {"model.name": "mlp", "model.hidden": 300},
        paper=("1.60 (LeCun et al. 1998)", "0.24 M", "-", "-"),
    ),
    Row("stem and head alone", "mnist_stem_only", {**CONV, "model.name": "stem_only"}),
    Row("ResNet, 1 block", "mnist_resnet_1block", {**SIX, "model.blocks": 1}),
    Row("ResNet, 6 blocks", "mnist_resnet", SIX, "resnet", ("0.41", "0.60 M", "O(L)", "O(L)")),
    Row(
        "RK-Net, dopri5, backprop",
        "mnist_rknet",
        {**ODE, "gradient.name": "backprop"},
        "backprop",
        ("0.47", "0.22 M", "O(L̃)", "O(L̃)"),
    ),
    Row(
        "ODE-Net, dopri5, adjoint",
        "mnist_odenet",
        {**ODE, "gradient.name": "adjoint"},
        "adjoint",
        ("0.42", "0.22 M", "O(1)", "O(L̃)"),
    ),
)


def row_of(run: Mapping[str, Any]) -> Row | None:
    """The row of a run; settings that an older run lacks count as matching."""
    for row in ROWS:
        if all(run.get(f"config.{name}", value) == value for name, value in row.settings.items()):
            return row
    return None

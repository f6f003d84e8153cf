"""Names of the gallery: what continuous depth does that layers cannot."""

from __future__ import annotations

from ..chapter import Chapter, Dataset, Model, Task
from .settings import (
    FluidControlConfig,
    SmokeConfig,
)

__all__ = ["CHAPTER"]

HERE = "node_experiments.chapters.gallery"

CHAPTER = Chapter(
    name="gallery",
    datasets={
        "smoke": Dataset(SmokeConfig, f"{HERE}.smoke:smoke_data", "smoke", recipe="smoke"),
    },
    models={
        "fluid_control": Model(
            FluidControlConfig,
            f"{HERE}.fluid_control:fluid_control",
            {"smoke": "fluid_control"},
        ),
    },
    tasks={
        "fluid_control": Task(
            f"{HERE}.fluid_target:fluid_target",
            f"{HERE}.fluid_figures:fluid_figures",
            f"{HERE}.fluid_figures:fluid_callbacks",
        ),
    },
)

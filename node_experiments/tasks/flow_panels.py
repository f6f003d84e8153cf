"""What pictures of a flow are made of, as arrays: densities and samples on the way from noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .flow_grid import log_density_on, square_grid

__all__ = ["UNTILS", "flow_panels"]

UNTILS = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)  # of the way, as in Figure 5


def flow_panels(
    model: Any, data: Any, untils: Sequence[float] = UNTILS, points: int = 100, samples: int = 2000
) -> dict[str, NDArray]:
    """Arrays in half precision, small enough to be kept with a run.

    Returns:
        `half_width` of the square that is shown; `untils`; `densities (until, points, points)`,
        rows along the second coordinate; `samples (until, sample, 2)`; and of what the flow is
        fitted to, `target (points, points)`, a density, or `test (sample, 2)`, points.
    """
    model.eval()
    with torch.no_grad():
        first = next(iter(data.test))
        grid = square_grid(data.half_width, points).to(first)
        noise = torch.randn(samples, model.dim, generator=torch.Generator().manual_seed(0))
        densities = [
            log_density_on(lambda x, u=until: model.log_prob(x, u), grid).exp()
            for until in untils
        ]
        found = {
            "densities": torch.stack(densities),
            "samples": model.path(noise.to(first), untils),
        }
        if hasattr(data, "log_density"):
            found["target"] = data.log_density(grid).exp()
        else:
            found["test"] = first[:samples]
    arrays: dict[str, NDArray] = {
        name: value.clamp(-6e4, 6e4).cpu().numpy().astype(np.float16)
        for name, value in found.items()
    }
    return arrays | {"half_width": np.array(data.half_width), "untils": np.array(untils)}

"""Data flow of a latent ODE (Chen et al. 2018, Figure 6), drawn from a trained model."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from ...data.time_series import SeriesBatch
from ...figures.style import COLORS, TRUTH, new_figure

__all__ = ["data_flow_figure"]

ENCODER = "0.35"
# Different from the colours of the data.
LATENT = [COLORS[name] for name in ("green", "red", "purple", "sky", "black")]


def data_flow_figure(model: Any, one: SeriesBatch) -> Figure:
    """Figure of the path from observations to q(z0), by the ODE to any time, and to decoded data.

    Args:
        model: A `LatentODE`.
        one: Batch of a single series.
    """
    assert one.future is not None
    mean, log_variance = model.encode(one.observed)
    times = torch.cat([one.window.times, one.future.times], 1)
    zs = model.trajectory(mean, times)[0]
    decoded = model.decoder(zs)
    clean = torch.cat([one.window.clean, one.future.clean], 1)[0]
    seen = one.observed.mask[0]
    observed_times = one.observed.times[0][seen].tolist()
    observed_values = one.observed.values[0][seen]
    t, end = times[0].tolist(), float(one.window.times.max())
    before = -0.03 * t[-1]  # the arrow to z0, left of all that is drawn

    figure = new_figure(height=5.6)
    data, latent, output = figure.subplots(3, 1, sharex=True)
    colors = list(COLORS.values())
    for k in range(observed_values.shape[1]):
        data.plot(observed_times, observed_values[:, k].tolist(), "o", ms=4, color=colors[k],
                  label=f"$x_{k + 1}$ observed")  # fmt: skip
        output.plot(t, clean[:, k].tolist(), color=TRUTH, lw=4, alpha=0.7,
                    label="true curve" if k == 0 else None)  # fmt: skip
        output.plot(t, decoded[:, k].tolist(), color=colors[k], label=f"$\\hat x_{k + 1}$")
    data.set_ylabel("data $x(t)$\n(data units)")
    top = float(observed_values.max()) + 0.25 * float(
        observed_values.max() - observed_values.min()
    )
    data.annotate(
        "", xy=(before, top), xytext=(observed_times[-1], top), annotation_clip=False,
        arrowprops={"arrowstyle": "-|>", "color": ENCODER, "lw": 2},
    )  # fmt: skip
    data.set_ylim(top=top + 0.35 * (top - float(observed_values.min())))
    data.text(end / 2, top, "recognition RNN reads backwards in time", color=ENCODER,
              ha="center", va="bottom")  # fmt: skip
    std = (log_variance[0] / 2).exp()
    for k in range(zs.shape[1]):
        color = LATENT[k % len(LATENT)]
        latent.plot(t, zs[:, k].tolist(), color=color, label=f"$z_{k + 1}$")
        latent.errorbar(0, float(mean[0, k]), 2 * float(std[k]), color=color, fmt="o", ms=5,
                        capsize=3, lw=1.5)  # fmt: skip
    latent.set_ylabel("latent state\n$z(t)$")
    latent.text(
        0.04 * t[-1], 1.02,
        "$q(z_0 \\mid x)$ with two standard deviations, then ODESolve$(z_0, f, 0, t)$",
        transform=latent.get_xaxis_transform(), va="bottom",
    )  # fmt: skip
    output.set_ylabel("decoded $\\hat x(t)$\n(data units)")
    output.set_xlabel("time t (units of the model)")
    for axis in (data, latent, output):
        axis.axvspan(end, t[-1], color=COLORS["orange"], alpha=0.1, lw=0)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    output.text(end, output.get_ylim()[0], " extrapolation", color=COLORS["red"], va="bottom")
    down = ConnectionPatch(
        (before, top), (before, float(mean[0].mean())), "data", "data", axesA=data, axesB=latent,
        arrowstyle="-|>", color=ENCODER, lw=2,
    )  # fmt: skip
    figure.add_artist(down)
    output.set_xlim(2 * before, t[-1] - before)
    figure.suptitle("latent ODE: from observations to a latent state, along the ODE, to any time")
    return figure

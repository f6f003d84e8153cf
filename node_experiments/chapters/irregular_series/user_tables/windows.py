"""Windows in time that cut a long series into several separate ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from ....data.splits import TRAIN_FRACTION, Split
from .measurements import Measurements

__all__ = ["latest_window", "training_windows", "windows"]

log = logging.getLogger(__name__)

OVERLAP = 4  # training windows start at every quarter of a window's length


def windows(seen: Measurements, length: float) -> Measurements:
    """Cut each series into windows, from its last observation backwards so that the last is full.

    Args:
        length: Length of a window in the unit of `seen.times`.

    Returns:
        The windows that hold a value, the earliest of a series first, with names such as
        `pump [3]`. Times are relative to the first observation of the window.
    """
    found = []
    for series in range(len(seen)):
        slots = _slots(seen, series, length)
        rows = [_rows(seen, series, slots, start) for start in _starts(slots)]
        found += [(series, some) for some in rows if _has_value(seen, some)]
    _warn_of_left_out(seen, found)
    return _select(seen, found, _names(seen, found))


def training_windows(seen: Measurements, length: float) -> tuple[Measurements, Split]:
    """Split the windows of each series: the last fifth test, and a fifth of those before validate.

    The others train, together with overlapping ones in between, since a series has few windows. No
    observation is in two parts.

    Args:
        length: Length of a window in the unit of `seen.times`.
    """
    found: list[tuple[int, np.ndarray]] = []
    parts: list[int] = []
    for series in range(len(seen)):
        slots = _slots(seen, series, length)
        starts = _starts(slots)
        rest = round(TRAIN_FRACTION * len(starts))
        train = rest - round(rest / 5)
        last = int(starts[train - 1]) if train else -1
        cut = [np.arange(last + 1), starts[train:rest], starts[rest:]]
        for part, of_part in enumerate(cut):
            rows = [_rows(seen, series, slots, start) for start in of_part]
            found += [(series, some) for some in rows if _has_value(seen, some)]
            parts += [part] * (len(found) - len(parts))
    _warn_of_left_out(seen, found)
    part_of = torch.tensor(parts)
    split = Split(*((part_of == part).nonzero().flatten() for part in range(3)))
    return _select(seen, found, _names(seen, found)), split


def latest_window(seen: Measurements, length: float) -> Measurements:
    """The observations of each series within `length` of its last one, and rows after that.

    A model that was trained on windows predicts from them. Series keep their names.
    """
    found = []
    for series in range(len(seen)):
        first, end = seen.offsets[series], seen.offsets[series + 1]
        rows = np.arange(first, end)
        last = rows[np.isfinite(seen.values[rows]).any(axis=1)][-1]
        found.append((series, rows[seen.times[rows] >= seen.times[last] - length]))
    return _select(seen, found, seen.names)


def _slots(seen: Measurements, series: int, length: float) -> np.ndarray:
    """The index of each row's quarter of a window; those of the first window are 0 to 3."""
    times = seen.times[seen.offsets[series] : seen.offsets[series + 1]]
    back = np.floor((times[-1] - times) * OVERLAP / length).astype(np.int64)
    return OVERLAP * (back.max() // OVERLAP + 1) - 1 - back


def _starts(slots: np.ndarray) -> np.ndarray:
    """The first quarter of each window that holds an observation."""
    return OVERLAP * np.unique(slots // OVERLAP)


def _rows(seen: Measurements, series: int, slots: np.ndarray, start: int) -> np.ndarray:
    """The rows of a series in the window that begins with quarter `start`."""
    return seen.offsets[series] + np.arange(*np.searchsorted(slots, [start, start + OVERLAP]))


def _has_value(seen: Measurements, rows: np.ndarray) -> bool:
    """Whether any of the rows, which may be none, has a value and not a label alone."""
    return bool(np.isfinite(seen.values[rows]).any())


def _warn_of_left_out(seen: Measurements, found: Sequence[tuple[int, np.ndarray]]) -> None:
    """Warn of rows in windows without any value, whose labels are lost."""
    kept = np.zeros(len(seen.times), dtype=bool)
    for _, rows in found:
        kept[rows] = True
    if not kept.all():
        log.warning(
            "%d of %d rows are in windows without any value, and are left out, also their labels; "
            "longer windows (dataset.window) hold more values",
            int((~kept).sum()),
            len(kept),
        )


def _names(seen: Measurements, found: Sequence[tuple[int, np.ndarray]]) -> list[str]:
    of = np.array([series for series, _ in found])
    places = np.arange(len(of)) - np.searchsorted(of, of)
    return [f"{seen.names[i]} [{k + 1}]" for i, k in zip(of, places, strict=True)]


def _select(
    seen: Measurements, found: Sequence[tuple[int, np.ndarray]], names: Sequence[str]
) -> Measurements:
    """Measurements in which the given rows form separate series, in the order given."""
    of = np.array([series for series, _ in found])
    rows = np.concatenate([some for _, some in found])
    lengths = [len(some) for _, some in found]
    first = seen.times[[some[0] for _, some in found]]
    dated = np.issubdtype(seen.origins.dtype, np.integer)
    per_series = len(seen.labels) == len(seen)
    return Measurements(
        names=list(names),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        times=seen.times[rows] - np.repeat(first, lengths),
        origins=seen.origins[of] + (np.round(first * 1e9).astype(np.int64) if dated else first),
        values=seen.values[rows],
        static=seen.static[of],
        labels=[seen.labels[i] for i in (of if per_series else rows)],
        where=lambda row: seen.where(int(rows[row])),
    )

"""Names, units and scales that a model learned from a user's table, kept in its checkpoint.

A schema is fitted once, on the training series. It then converts every later table to the model's
inputs, and the model's outputs back to the user's names and units.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....config.checks import first_names
from ....data.ragged import RaggedSeries, ragged
from ....data.scaling import Scaling
from ....data.table_file import TableFile
from ....errors import DataError
from .measurements import Measurements, read_measurements
from .series_times import SeriesTimes
from .table_format import Columns, TableFormat

__all__ = ["SeriesSchema"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeriesSchema:
    """Conversion of a table to scaled series, and back.

    Attributes:
        form: Format of the user's tables.
        columns: Features in the order of the model, and the other columns of the table.
        classes: Names of the classes in the order of the logits; None without labels.
        time_origin: Where time is 0. `series`: at the first observation of each series. `file`: at
            that of the training file, `first`.
        first: First time of the training file: a number, or the nanoseconds of a date.
        time_scale: The model's time 1 in units of the table; in seconds for dates.
        shift, scale: Scaling of each feature: the model reads `(value - shift) / scale`.
        static_shift, static_scale: Likewise for each static number or indicator.
        constants: The only value of each feature, then of each static number or indicator, in the
            training series; None if it has several or none. Empty in earlier checkpoints.
    """

    form: TableFormat
    columns: Columns
    classes: tuple[str, ...] | None
    time_origin: str
    first: int | float
    time_scale: float
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    static_shift: tuple[float, ...] = ()
    static_scale: tuple[float, ...] = ()
    constants: tuple[float | None, ...] = ()

    @classmethod
    def fit(
        cls,
        seen: Measurements,
        form: TableFormat,
        columns: Columns,
        training: Sequence[int] | None = None,
        *,
        scaling: str = "standard",
        time_origin: str = "series",
        time_scale: float | None = None,
    ) -> SeriesSchema:
        """Learn names, units and scales.

        Args:
            seen: The measurements in the training file.
            training: Indices of the training series, in the order of their names; all if None.
            scaling: As in `Scaling.fit_values`.
            time_origin: `series` or `file`.
            time_scale: Time that becomes 1; the length of the longest training series if None.
        """
        chosen = np.arange(len(seen)) if training is None else np.asarray(training)
        rows = np.isin(np.repeat(np.arange(len(seen)), np.diff(seen.offsets)), chosen)
        values = torch.from_numpy(seen.values[rows])
        scaled = Scaling.fit_values(values.nan_to_num(), ~values.isnan(), scaling)
        seen_once = (~values.isnan()).any(0).tolist()
        pairs = zip(columns.features, seen_once, strict=True)
        never = [name for name, ever in pairs if not ever]
        if never:
            log.warning("no training series has a value of %s", first_names(never))
        _check_spread(values, scaled, columns.features)
        static = torch.from_numpy(seen.static[chosen])
        of_static = Scaling.fit_values(static.nan_to_num(), ~static.isnan(), "standard")
        classes = None
        if form.label_column is not None:
            classes = tuple(sorted(set(seen.labels) - {""}, key=_class_order))
        first = seen.origins.min().item()
        schema = cls(
            form, columns, classes, time_origin, first, 1.0,
            tuple(scaled.shift.tolist()), tuple(scaled.scale.tolist()),
            tuple(of_static.shift.tolist()), tuple(of_static.scale.tolist()),
            (*_constants(values), *_constants(static)),
        )  # fmt: skip
        if time_scale is None:
            longest = float(schema.times.elapsed(seen)[rows].max())
            time_scale = longest if longest > 0 else 1.0
        return replace(schema, time_scale=float(time_scale))

    @property
    def value_scaling(self) -> Scaling:
        """Shift and scale of the features, in double precision."""
        shift, scale = (torch.tensor(x, dtype=torch.float64) for x in (self.shift, self.scale))
        return Scaling(shift, scale)

    @property
    def times(self) -> SeriesTimes:
        """Conversion of times between the table and the model."""
        return SeriesTimes(
            self.form, self.columns.time_kind, self.time_origin, self.first, self.time_scale
        )

    def read(self, table: TableFile) -> Measurements:
        """Read the measurements of a table by the learned names of its columns.

        Raises:
            DataError: As in `read_measurements`.
        """
        return read_measurements(table, self.form, self.columns)

    def series(self, seen: Measurements, need_labels: bool = False) -> RaggedSeries:
        """Scale the series for the model.

        Args:
            need_labels: Reject a series without a label; with `label_per=time`, warn instead of
                the number of rows without one, which are read but not scored.

        Raises:
            DataError: A class that did not occur in training, a missing label, or successive
                times that are equal in single precision.
        """
        values = torch.from_numpy(seen.values)
        mask = ~values.isnan()
        of_values = self.value_scaling
        scaled = ((values - of_values.shift) / of_values.scale).masked_fill(~mask, 0)
        times = torch.from_numpy(self.times.model_times(seen))
        self._check(seen, scaled, times)
        return ragged(
            times,
            scaled,
            torch.from_numpy(np.diff(seen.offsets)),
            None if bool(mask.all()) else mask,
            self._label_numbers(seen, need_labels),
            None if self.classes is None else self.form.label_per,
            self.static(seen),
        )

    def static(self, seen: Measurements) -> Tensor | None:
        """Scaled static numbers, then indicators of known ones, shape `(series, 2 * static)`."""
        if not self.static_shift:
            return None
        values = torch.from_numpy(seen.static)
        known = ~values.isnan()
        shift, scale = (
            torch.tensor(x, dtype=torch.float64) for x in (self.static_shift, self.static_scale)
        )
        scaled = ((values - shift) / scale).masked_fill(~known, 0)
        return torch.cat([scaled, known.double()], 1).float()

    def _check(self, seen: Measurements, values: Tensor, times: Tensor) -> None:
        single = times.float()
        number = torch.from_numpy(np.repeat(np.arange(len(seen)), np.diff(seen.offsets)))
        same = (single.diff() <= 0) & (number.diff() == 0)
        if bool(same.any()):
            row = int(same.nonzero()[0]) + 1
            remedy = (
                "set dataset.time_origin=series"
                if self.time_origin == "file"
                else "cut series that are as long as "
                f"{self.time_scale / self.columns.duration_unit:g}"
                f"{' h' if self.times.in_seconds else ''}, which is time 1"
            )
            raise DataError(
                f"{seen.where(row)}: this time of series {seen.names[int(number[row])]!r} and the "
                f"one before are equal in single precision; {remedy}, or leave out one of "
                "the two rows"
            )
        large = ~values.float().isfinite().all(1)
        if bool(large.any()):
            row = int(large.nonzero()[0])
            raise DataError(f"{seen.where(row)}: a value is too large for single precision")

    def _label_numbers(self, seen: Measurements, need: bool) -> Tensor | None:
        if self.classes is None:
            return None
        by_time = self.form.label_per == "time"
        places = {name: place for place, name in enumerate(self.classes)} | {"": -1}
        if need and by_time and (without := seen.labels.count("")):
            log.warning(
                "%d of %d rows have no label in %r: they are read, but not scored",
                without,
                len(seen.labels),
                self.form.label_column,
            )
        for i, label in enumerate(seen.labels):
            if label in places and not (need and label == "" and not by_time):
                continue
            where = seen.where(i if by_time else int(seen.offsets[i]))
            if label == "":
                raise DataError(
                    f"{where}: series {seen.names[i]!r} has no label in "
                    f"{self.form.label_column!r}; write one, or remove it"
                )
            raise DataError(
                f"{where}: the class {label!r} was not there when the model was trained, on "
                f"{', '.join(self.classes)}"
            )
        return torch.tensor([places[label] for label in seen.labels])

    def names(self) -> dict[str, list[str]]:
        """Names of the features, static columns and classes, in the order of the model."""
        static = [
            f"{name}={value}" if value else name
            for name in self.form.static_columns
            for value in self.columns.categories.get(name, ("",))
        ]
        classes = list(self.classes or ())
        return {
            "features": list(self.columns.features),
            "static columns": static,
            "classes": classes,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> SeriesSchema:
        """Restore a schema from the values that `to_dict` returned."""

        def tuples(value: Any) -> Any:
            return tuple(value) if isinstance(value, list) else value

        form = TableFormat(**{key: tuples(value) for key, value in plain["form"].items()})
        columns = {key: tuples(value) for key, value in plain["columns"].items()}
        columns["categories"] = {k: tuple(v) for k, v in columns["categories"].items()}
        rest = {k: tuples(v) for k, v in plain.items() if k not in ("form", "columns")}
        return cls(form, Columns(**columns), **rest)


def _constants(values: Tensor) -> list[float | None]:
    """The only value of each column; None if it has several, or none but NaN."""
    found = [column[~column.isnan()].unique().tolist() for column in values.T]
    return [each[0] if len(each) == 1 else None for each in found]


def _check_spread(values: Tensor, scaled: Scaling, features: Sequence[str]) -> None:
    """Reject values whose spread cannot be squared in double precision: all would become equal.

    Raises:
        DataError: Names the feature and its range.
    """
    known = ~values.isnan()
    low = values.masked_fill(~known, torch.inf).amin(0)
    high = values.masked_fill(~known, -torch.inf).amax(0)
    finite = scaled.shift.isfinite() & scaled.scale.isfinite()
    lost = (high > low) & (~finite | (high - low < 1e-150))
    if bool(lost.any()):
        place = int(lost.nonzero()[0])
        raise DataError(
            f"the values of {features[place]!r} are from {float(low[place]):g} to "
            f"{float(high[place]):g}, which cannot be scaled in double precision; write them in "
            "another unit"
        )


def _class_order(name: str) -> tuple[int, float, str]:
    """Sort key that puts numbers before words, each in their natural order."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name

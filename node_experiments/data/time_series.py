"""Series observed at irregular times, with a mask and a separate time axis for each sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from ..errors import DataError
from .seeded_batches import epoch_generator

__all__ = ["Points", "SeriesBatch", "SeriesBatches", "TimeSeries"]


@dataclass
class TimeSeries:
    """Observations of a batch of series.

    Attributes:
        times: Shape `(batch, time)`, or `(1, time)` when all samples share one axis.
        values: Shape `(batch, time, dim)`.
        mask: True where there is an observation of any feature, shape `(batch, time)`.
        complete: Whether the mask is True everywhere.
        feature_mask: True where this feature was observed, shape `(batch, time, dim)`; None if
            all features were observed at every observed time.
        static: Constant features of each series, such as age, `(batch, static)`; or None.
    """

    times: Tensor
    values: Tensor
    mask: Tensor
    complete: bool
    feature_mask: Tensor | None = None
    static: Tensor | None = None

    @classmethod
    def validated(
        cls,
        times: Tensor,
        values: Tensor,
        mask: Tensor | None = None,
        feature_mask: Tensor | None = None,
    ) -> TimeSeries:
        """Make validated series; masked values, including NaN, become 0.

        Args:
            mask: When None, all times, or those at which `feature_mask` has a feature.

        Raises:
            DataError: Shapes that do not fit, a sample without observations, observed times that
                do not increase strictly, or numbers that are not finite.
        """
        if mask is None and feature_mask is not None:
            mask = feature_mask.any(-1)
        if mask is None:
            mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        check_shapes(times, values, mask, feature_mask)
        counts = mask.sum(1)
        if bool((counts == 0).any()):
            empty = int((counts == 0).nonzero()[0])
            raise DataError(
                f"sample {empty} of the time series has no observation (its mask hides all of "
                f"its {mask.shape[1]} times); leave it out, or give it at least one"
            )
        own_times = times.expand(len(values), -1)
        reject(~torch.isfinite(own_times) & mask, own_times, "a time", "remove it or mask it")
        observed = mask.unsqueeze(-1)
        if feature_mask is not None:
            feature_mask = feature_mask & observed
            observed = feature_mask
        values = values.masked_fill(~observed, 0)
        worst = values.abs().sum(-1)
        reject(~torch.isfinite(worst) & mask, worst, "a value", "remove it or mask it")
        # Each observed time is compared with the latest one observed before it.
        seen = own_times.masked_fill(~mask, -torch.inf).cummax(1).values
        falling = mask[:, 1:] & (own_times[:, 1:] <= seen[:, :-1])
        if bool(falling.any()):
            sample, i = (int(index) for index in falling.nonzero()[0])
            raise DataError(
                f"the times of a series must rise strictly; sample {sample} has "
                f"{float(own_times[sample, i + 1])} at place {i + 1} after "
                f"{float(seen[sample, i])}; sort its times and join repeated ones"
            )
        return cls(times, values, mask, bool(mask.all()), feature_mask)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def observed_features(self) -> Tensor:
        """True where a value was observed, shape `(batch, time, dim)`; read-only."""
        observed = self.mask.unsqueeze(-1).expand_as(self.values)
        return observed if self.feature_mask is None else self.feature_mask & observed

    def select(self, indices: Tensor) -> TimeSeries:
        """The samples with the given indices, in this order."""
        times = self.times if len(self.times) == 1 else self.times[indices]
        features = None if self.feature_mask is None else self.feature_mask[indices]
        static = None if self.static is None else self.static[indices]
        return TimeSeries(
            times, self.values[indices], self.mask[indices], self.complete, features, static
        )

    def to(self, device: torch.device) -> TimeSeries:
        """The same series on another device."""
        return TimeSeries(
            self.times.to(device),
            self.values.to(device),
            self.mask.to(device),
            self.complete,
            None if self.feature_mask is None else self.feature_mask.to(device),
            None if self.static is None else self.static.to(device),
        )

    def packed(self) -> TimeSeries:
        """The observations of each sample moved to the front, in their order."""
        if self.complete:
            return self
        longest = int(self.mask.sum(1).max())
        order = (~self.mask).to(torch.uint8).argsort(dim=1, stable=True)[:, :longest]
        times = self.times.expand(len(self), -1).gather(1, order)
        places = order.unsqueeze(-1).expand(-1, -1, self.values.shape[-1])
        values, features = self.values.gather(1, places), self.feature_mask
        features = None if features is None else features.gather(1, places)
        mask = self.mask.gather(1, order)
        # Masked entries repeat the last time, so that times never decrease.
        times = times.masked_fill(~mask, -torch.inf).cummax(1).values
        return TimeSeries(times, values, mask, bool(mask.all()), features, self.static)


def check_shapes(
    times: Tensor, values: Tensor, mask: Tensor, feature_mask: Tensor | None = None
) -> None:
    """Check that the shapes are those of one batch of series."""
    if feature_mask is not None and (
        feature_mask.shape != values.shape or feature_mask.dtype != torch.bool
    ):
        raise DataError(
            "the feature mask of a time series is boolean and has the shape of its values, "
            f"{tuple(values.shape)}; found {tuple(feature_mask.shape)} of {feature_mask.dtype}"
        )
    fits = (
        values.dim() == 3
        and values.shape[1] > 0
        and mask.shape == values.shape[:2]
        and mask.dtype == torch.bool
        and times.shape in (values.shape[:2], (1, values.shape[1]))
    )
    if not fits:
        raise DataError(
            "a time series has times (batch, time) or (1, time), values (batch, time, dim) and a "
            f"boolean mask (batch, time); found {tuple(times.shape)}, {tuple(values.shape)} and "
            f"{tuple(mask.shape)} of {mask.dtype}"
        )


def reject(bad: Tensor, numbers: Tensor, what: str, remedy: str) -> None:
    """Raise an error for the first entry that is marked as bad, if any."""
    if bool(bad.any()):
        sample, i = (int(index) for index in bad.nonzero()[0])
        raise DataError(
            f"{what} of the time series is not finite: sample {sample}, place {i} is "
            f"{float(numbers[sample, i])}; {remedy}"
        )


@dataclass
class Points:
    """Targets of a forecast.

    Attributes:
        times: Shape `(1, time)` or `(batch, time)`.
        clean, noisy: Values without and with noise, shape `(batch, time, dim)`.
    """

    times: Tensor
    clean: Tensor
    noisy: Tensor

    def select(self, indices: Tensor) -> Points:
        """The samples with the given indices, in this order."""
        times = self.times if len(self.times) == 1 else self.times[indices]
        return Points(times, self.clean[indices], self.noisy[indices])

    def to(self, device: torch.device) -> Points:
        """The same points on another device."""
        return Points(self.times.to(device), self.clean.to(device), self.noisy.to(device))


@dataclass
class SeriesBatch:
    """Observations, and what a model should predict from them.

    Attributes:
        observed: The observations that a model sees.
        window: All points of the time range that was observed.
        future: The points beyond it; None where nothing is forecast.
        label: Class of each sample, shape `(batch,)`; no model sees it.
    """

    observed: TimeSeries
    window: Points
    future: Points | None
    label: Tensor

    def __len__(self) -> int:
        return len(self.label)

    @property
    def device(self) -> torch.device:
        """Device of the samples."""
        return self.label.device

    def select(self, indices: Tensor) -> SeriesBatch:
        """The samples with the given indices, in this order."""
        return SeriesBatch(
            self.observed.select(indices),
            self.window.select(indices),
            None if self.future is None else self.future.select(indices),
            self.label[indices],
        )

    def to(self, device: torch.device) -> SeriesBatch:
        """The same batch on another device."""
        return SeriesBatch(
            self.observed.to(device),
            self.window.to(device),
            None if self.future is None else self.future.to(device),
            self.label.to(device),
        )


B = TypeVar("B")
Out = TypeVar("Out", covariant=True)

BUCKET = 20  # batches, at most, whose series are sorted by length together


class Samples(Protocol[Out]):
    """Series of which batches are selected."""

    @property
    def device(self) -> torch.device:
        """Device of the samples."""

    def __len__(self) -> int: ...

    def select(self, indices: Tensor) -> Out:
        """The samples with the given indices, in this order."""


class SeriesBatches(Generic[B]):
    """Batches of series; the order of shuffled ones depends on the seed and the epoch alone.

    Args:
        data: All samples.
        batch_size: Samples per batch; the last batch may be smaller.
        shuffle: Draw a new order in every pass.
        passes: Passes over the data that make one epoch.
        seed: Seed of the order.
        lengths: Number of observations of each sample, shape `(sample,)`. If given, samples of
            similar length share a batch, so that there is little padding. Without `shuffle` all
            samples are sorted by length. With it, random groups of `BUCKET` batches, or of half
            of all batches if there are few, are sorted, so that each epoch has other batches.

    Raises:
        DataError: A shuffled batch would be larger than the data.
    """

    def __init__(
        self,
        data: Samples[B],
        batch_size: int,
        shuffle: bool = False,
        passes: int = 1,
        seed: int = 0,
        lengths: Tensor | None = None,
    ) -> None:
        if shuffle and batch_size > len(data):
            raise DataError(
                f"dataset.batch_size={batch_size} is more than the {len(data)} training series; "
                "lower it, or raise dataset.train_size"
            )
        self.data, self.batch_size = data, batch_size
        self.shuffle, self.passes, self.seed = shuffle, passes, seed
        self.lengths = lengths
        self.epoch = 0

    def __len__(self) -> int:
        return self.passes * -(-len(self.data) // self.batch_size)

    def __iter__(self) -> Iterator[B]:
        generator = epoch_generator(self.seed, self.epoch)
        for _ in range(self.passes):
            for indices in self._cut(generator):
                yield self.data.select(indices.to(self.data.device))

    def order(self) -> Tensor:
        """The indices of the samples in the order of the first pass of this epoch."""
        return torch.cat([*self._cut(epoch_generator(self.seed, self.epoch))])

    def _cut(self, generator: torch.Generator) -> Sequence[Tensor]:
        """The indices of each batch of one pass."""
        size, lengths = len(self.data), self.lengths
        order = torch.randperm(size, generator=generator) if self.shuffle else torch.arange(size)
        if lengths is None:
            return order.split(self.batch_size)
        batches_each = min(BUCKET, max(1, -(-size // self.batch_size) // 2))
        bucket = batches_each * self.batch_size if self.shuffle else size
        by_length = [part[lengths[part].argsort(stable=True)] for part in order.split(bucket)]
        batches = torch.cat(by_length).split(self.batch_size)
        if not self.shuffle:
            return batches
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

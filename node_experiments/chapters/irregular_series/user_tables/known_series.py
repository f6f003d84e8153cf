"""Recognition of series that a model was trained or validated on in another file."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

from .measurements import Measurements

__all__ = ["series_keys", "warn_of_known_series"]

log = logging.getLogger(__name__)

FIRST = 5  # rows of a series by which it is recognised, also after rows have been added to it


def series_keys(seen: Measurements) -> list[str]:
    """A short hash of the name and the first rows of each series."""
    keys = []
    for i, name in enumerate(seen.names):
        first = int(seen.offsets[i])
        rows = slice(first, min(first + FIRST, int(seen.offsets[i + 1])))
        content = seen.times[rows].tobytes() + seen.values[rows].tobytes()
        keys.append(hashlib.sha256(name.encode() + content).hexdigest()[:12])
    return keys


def warn_of_known_series(source: str, seen: Measurements, known: Iterable[str]) -> None:
    """Warn about series to test on that a model has been fitted to.

    Args:
        source: Name of the table, for the message.
        known: Keys of the series that the model was trained or validated on.
    """
    again = sum(key in set(known) for key in series_keys(seen))
    if again:
        log.warning(
            "%s: %d of %d series were also in the training or validation part of the file that "
            "the model was trained on, so errors are lower than those of new series; evaluate the "
            "training file itself, of which only the test series are used, or remove them",
            source,
            again,
            len(seen),
        )

"""Warnings about numbers that may stand for missing values, such as -999; they are kept."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

import numpy as np

from .shell_settings import setting_of_list
from .table_cells import shortest_text

__all__ = ["is_known", "warn_of_codes"]

log = logging.getLogger(__name__)

# Codes that programs and instruments are known to write; others must be repeated to count.
KNOWN = re.compile(
    r"-?(9{2,}(\.9+)?|7{3,}|8{3,}|1e[23]\d)|-999\.25|-?32768|32767|65535|2147483647|-2147483648"
    r"|9\.969\d*e36"
)
SPREAD = 2  # distance of a code from all other values, in multiples of their range
REPEATED = 2  # fewest occurrences of a code that is not a known one
DISTINCT = 10  # fewest distinct other values that show their range
MAX_UNKNOWN_CODES = 3  # most codes that are not known ones: more are values in another unit
OUTER = 20  # distinct numbers at each end, among which known codes are sought
ZEROS = (0.02, 0.5)  # suspicious fraction of zeros: fewer are too rare, more are real values


def warn_of_codes(source: str, columns: Iterable[tuple[str, np.ndarray]], zeros: bool) -> None:
    """Warn about numbers that are far from all others of their column.

    Args:
        source: Name of the table, for the message.
        columns: Name and values of each column.
        zeros: Whether 0 may be such a number too.
    """
    for name, values in columns:
        if codes := codes_in(values):
            shown = [shortest_text(code) for code in codes]
            # A number that is no well-known code may be a value of another column.
            markers = [
                text if is_known(code) else f"{name}:{text}"
                for code, text in zip(codes, shown, strict=True)
            ]
            log.warning(
                "%s: %r is %s in some rows, far from all other values; if it means that nothing "
                "was observed, set dataset.missing=[%s]",
                source,
                name,
                " and ".join(shown),
                ",".join(map(repr, markers)),
            )
        if fraction := fraction_of_isolated_zeros(values) if zeros else 0.0:
            log.warning(
                "%s: %.0f %% of the values of %r are 0, far from all others; if they mean that "
                "nothing was observed, leave these cells empty, or set %s",
                source,
                100 * fraction,
                name,
                setting_of_list("missing", [f"{name}:0"]),
            )


def is_known(number: float) -> bool:
    """Whether a number is a well-known code for a missing value.

    >>> [is_known(x) for x in (-99.9, 999.0, -8888.0, 1e20, 99.0, 9.0, 88.0, 98.9)]
    [True, True, True, True, True, False, False, False]
    """
    text = shortest_text(number).replace("e+", "e")
    return KNOWN.fullmatch(text) is not None


def codes_in(values: np.ndarray) -> list[float]:
    """Numbers such as -999 that are further from all others than these from each other, sorted.

    A number that is not a well-known code counts only if it is repeated, among many distinct
    numbers. Codes do not mask each other: the others are the middle half of the distinct numbers
    that are not well-known codes, and all numbers that no wide gap separates from it. Zeros are
    left to `fraction_of_isolated_zeros`.

    >>> codes_in(np.array([*range(20, 40), -999.0, 9999.0]))
    [-999.0, 9999.0]
    >>> codes_in(np.array([*range(20, 40), 85.0, 85.0, -127.0, -127.0]))
    [-127.0, 85.0]
    >>> codes_in(np.array([*range(20, 40), 60.0, 85.0]))
    []
    """
    numbers, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    usual = np.zeros(len(numbers), dtype=bool)
    for place in {*range(len(numbers))[:OUTER], *range(len(numbers))[-OUTER:]}:
        usual[place] = is_known(numbers[place])
    others = numbers[~usual]
    if len(others) == 0:
        others, usual = numbers, np.zeros(len(numbers), dtype=bool)
    if len(others) == 0:
        return []
    low, high = main_range(others)
    size = high - low
    apart = np.maximum(low - numbers, numbers - high)
    far = apart > np.maximum(SPREAD * size, np.abs(numbers) / 2)
    # A repeated negative code is rarely a value, so a distance of one range is enough.
    near = (counts >= REPEATED) & (numbers < 0) & (apart > np.maximum(size, -numbers / 2))
    unusual = far & ~usual & (numbers != 0)
    if unusual.sum() > MAX_UNKNOWN_CODES or len(others) < DISTINCT:
        unusual[:] = False
    return [float(x) for x in numbers[(usual & (far | near)) | (unusual & (counts >= REPEATED))]]


def main_range(numbers: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest number that no wide gap separates from the middle half.

    Args:
        numbers: Distinct numbers, sorted.
    """
    first, last, gaps = len(numbers) // 4, len(numbers) - 1 - len(numbers) // 4, np.diff(numbers)
    before = None
    while before != (first, last):
        before = first, last
        wide = np.flatnonzero(gaps > SPREAD * (numbers[last] - numbers[first]))
        first = max(wide[wide < first] + 1, default=0)
        last = min(wide[wide >= last], default=len(numbers) - 1)
    return float(numbers[first]), float(numbers[last])


def fraction_of_isolated_zeros(values: np.ndarray) -> float:
    """Fraction of zeros if they lie apart from the other values, as for a pulse; else 0.

    >>> pulse = np.array([0.0, 61, 0, 64, 66, 70, 0, 71, 75, 80, 82, 90, 95, 97, 99])
    >>> fraction_of_isolated_zeros(pulse)
    0.2
    >>> fraction_of_isolated_zeros(np.array([0.0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 9, 10]))  # counts
    0.0
    """
    values = np.abs(values[np.isfinite(values)])
    others = np.unique(values[values > 0])
    fraction = int((values == 0).sum()) / max(len(values), 1)
    if len(others) < 10 or not ZEROS[0] <= fraction <= ZEROS[1]:
        return 0.0
    apart = others[0] > max(np.median(others) / 4, 5 * np.median(np.diff(others)))
    return fraction if apart else 0.0

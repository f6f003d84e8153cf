"""Numbers that mean that nothing was observed, such as -999: said, never left out in silence."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

import numpy as np

__all__ = ["warn_of_codes"]

log = logging.getLogger(__name__)

# Those that programs and instruments are known for; others are so when they are repeated.
KNOWN = re.compile(
    r"-?(9{2,}(\.9+)?|7{3,}|8{3,}|1e[23]\d)|-999\.25|-?32768|32767|65535|2147483647|-2147483648"
    r"|9\.969\d*e36"
)
SPREAD = 2  # ranges of the other values, by which a code is apart from all of them
REPEATED = 2  # times that a number is there which is a code although none is known for it
DISTINCT = 10  # other values, from which on their range is known
MOST = 3  # numbers far from all others that are codes: more are values of another unit
OUTER = 20  # different numbers at each end, among which are those that are far from all others
ZEROS = (0.02, 0.5)  # of the values: fewer are seldom, and more are meant


def warn_of_codes(source: str, columns: Iterable[tuple[str, np.ndarray]], zeros: bool) -> None:
    """Warn of numbers that are far from all others of their column.

    Args:
        source: The table, for the message.
        columns: Names and values.
        zeros: Whether 0 may be such a number too.
    """
    for name, values in columns:
        if codes := codes_in(values):
            shown = [written(code) for code in codes]
            log.warning(
                "%s: %r is %s in some rows, far from all other values; if it means that nothing "
                "was observed, set dataset.missing=[%s]",
                source,
                name,
                " and ".join(shown),
                ",".join(map(repr, shown)),
            )
        if share := zeros_apart(values) if zeros else 0.0:
            log.warning(
                "%s: %.0f %% of the values of %r are 0, far from all others; if they mean that "
                "nothing was observed, leave these cells empty, or set dataset.missing=[0], which "
                "holds for the values of every feature",
                source,
                100 * share,
                name,
            )


def written(number: float) -> str:
    """A number as it is shortest written, with all its digits.

    >>> written(-999.0), written(2147483647.0), written(1e20), written(99.9)
    ('-999', '2147483647', '1e+20', '99.9')
    """
    return f"{number:.0f}" if number % 1 == 0 and abs(number) < 1e15 else repr(float(number))


def is_known(number: float) -> bool:
    """Whether a number is a usual code for nothing.

    >>> [is_known(x) for x in (-99.9, 999.0, -8888.0, 1e20, 99.0, 9.0, 88.0, 98.9)]
    [True, True, True, True, True, False, False, False]
    """
    text = written(number).replace("e+", "e")
    return KNOWN.fullmatch(text) is not None


def codes_in(values: np.ndarray) -> list[float]:
    """Numbers such as -999 that are further from all others than these from each other, sorted.

    One that is no usual code is so only where it is repeated, among many different numbers. Codes
    do not hide each other: the others are what is around the middle half of the different
    numbers without usual codes, and goes on from there without a wide gap. Zeros are left to
    `zeros_apart`.

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
    low, high = together(others)
    size = high - low
    apart = np.maximum(low - numbers, numbers - high)
    far = apart > np.maximum(SPREAD * size, np.abs(numbers) / 2)
    # A negative code is rarely a value where others are repeated, also next to a wide range.
    near = (counts >= REPEATED) & (numbers < 0) & (apart > np.maximum(size, -numbers / 2))
    unusual = far & ~usual & (numbers != 0)
    if unusual.sum() > MOST or len(others) < DISTINCT:
        unusual[:] = False
    return [float(x) for x in numbers[(usual & (far | near)) | (unusual & (counts >= REPEATED))]]


def together(numbers: np.ndarray) -> tuple[float, float]:
    """The least and the largest number that no wide gap parts from the middle half.

    Args:
        numbers: Different ones, sorted.
    """
    first, last, gaps = len(numbers) // 4, len(numbers) - 1 - len(numbers) // 4, np.diff(numbers)
    before = None
    while before != (first, last):
        before = first, last
        wide = np.flatnonzero(gaps > SPREAD * (numbers[last] - numbers[first]))
        first = max(wide[wide < first] + 1, default=0)
        last = min(wide[wide >= last], default=len(numbers) - 1)
    return float(numbers[first]), float(numbers[last])


def zeros_apart(values: np.ndarray) -> float:
    """The share of zeros if they lie apart from other values, as those of a pulse; else 0.

    >>> zeros_apart(np.array([0.0, 61, 0, 64, 66, 70, 0, 71, 75, 80, 82, 90, 95, 97, 99]))
    0.2
    >>> zeros_apart(np.array([0.0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 9, 10]))  # counts
    0.0
    """
    values = np.abs(values[np.isfinite(values)])
    others = np.unique(values[values > 0])
    share = int((values == 0).sum()) / max(len(values), 1)
    if len(others) < 10 or not ZEROS[0] <= share <= ZEROS[1]:
        return 0.0
    apart = others[0] > max(np.median(others) / 4, 5 * np.median(np.diff(others)))
    return share if apart else 0.0

"""Reading and validation of a user's table for training, without torch."""

from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd

from ....config.checks import first_names
from ....data.cell_text import text_of
from ....data.table_file import TableFile
from ....errors import DataError
from ..settings import CSVConfig
from .measurements import Measurements, read_measurements
from .missing_codes import is_known
from .shell_settings import setting_of_list
from .table_cells import has_words, number_of, shortest_text, words_for_unknown
from .table_columns import find_columns
from .table_format import Columns, TableFormat
from .table_guesses import rounded
from .table_summary import summary
from .table_warnings import warn_of_columns, warn_of_groups
from .user_table import read_user_table, table_format, user_files

__all__ = ["check_table", "read_training_table"]

log = logging.getLogger(__name__)

UNKNOWN = re.compile(r"(.*[\W_])?(un(known|k|scored|labell?ed|defined)|not scored)|.* \?", re.I)
LARGE = 10_000_000  # bytes, about half a million rows
FEW_SERIES, LONG_SERIES = 10, 50  # fewer series, of at least as many times, are rather cut


def check_table(settings: CSVConfig) -> None:
    """Check the user's file for errors before torch is imported.

    Warnings are suppressed, since they belong in the log of the training run, which reads the file
    again. Large files are not checked: reading them twice takes longer than importing torch.

    Raises:
        DataError: As in `read_user_table` and `read_training_table`.
    """
    if sum(path.stat().st_size for path in user_files(settings) if path.is_file()) > LARGE:
        return
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        read_training_table(read_user_table(settings), settings)
    finally:
        logging.disable(disabled)


def read_training_table(
    table: TableFile, settings: CSVConfig
) -> tuple[TableFormat, Columns, Measurements]:
    """The format, columns and measurements of a table to train on.

    Raises:
        DataError: As in `find_columns` and `read_measurements`, or there is nothing to learn from:
            no label column, a single class, nearly as many classes as labels, a single series, or
            windows that are too short.
    """
    form = table_format(settings)
    classifies = settings.task == "classification"
    if classifies and settings.label_column is None:
        reject_without_labels(table, form)
    columns = find_columns(table, form)
    seen = read_measurements(table, form, columns)
    log.info("%s: %s", table.source, summary(columns, seen))
    check_codes(table, form, columns)
    warn_of_columns(table, form, columns, seen)
    if settings.window is None and settings.group_column is None:
        warn_of_groups(table, form)
    if classifies:
        check_classes(table, form, seen)
    check_count(table, settings, seen)
    if settings.window is None:
        warn_of_few_long_series(table, columns, seen)
    check_window(table, settings, seen, columns)
    return form, columns, seen


def reject_without_labels(table: TableFile, form: TableFormat) -> None:
    """Raise because no label column is set, naming the columns that may hold labels."""
    others = [
        str(name)
        for name in table.rows.columns
        if name not in (form.series_column, form.time_column)
    ]
    words = [name for name in others if others.count(name) == 1 and has_words(table, name, form)]
    found = f"; columns of words are {', '.join(map(repr, words))}" if words else ""
    raise DataError(f"dataset.task=classification needs dataset.label_column=<column>{found}")


def check_codes(table: TableFile, form: TableFormat, columns: Columns) -> None:
    """Check that codes for missing values mean what they seem to.

    A code of one column (`pulse:0`) must name a feature, a static column or the label, unless it
    is the text of a cell. There is a warning if codes make labels or static properties unknown,
    except well-known codes such as -999: a code such as 0 may be meant for features alone.

    Raises:
        DataError: There is no such column.
    """
    named = {*columns.features, *form.static_columns, *filter(None, [form.label_column])}
    for code in form.missing:
        column, colon, number = code.rpartition(":")
        if colon and number_of(number) is not None and column not in named:
            cells = (text_of(table.rows.iloc[:, i]) for i in range(table.rows.shape[1]))
            if not any((each == code).any() for each in cells):
                raise DataError(
                    f"dataset.missing: {code!r} names no feature, static column or label; "
                    f"allowed: {first_names(sorted(named))}"
                )
    doubtful = [x for x in map(number_of, form.missing) if x is not None and not is_known(x)]
    labels = [form.label_column] if form.label_column in table.names else []
    for column in (*form.static_columns, *labels):
        numbers = pd.to_numeric(table.text(column), errors="coerce")
        found = numbers.isin(doubtful)
        if found.any():
            code = shortest_text(numbers[found].iloc[0])
            log.warning(
                "%s: dataset.missing=[%s] makes %r unknown in %d rows; if nothing was observed "
                "where one feature is %s, write dataset.missing=[<feature>:%s]",
                table.source,
                code,
                column,
                int(found.sum()),
                code,
                code,
            )


def check_count(table: TableFile, settings: CSVConfig, seen: Measurements) -> None:
    """Reject a single series that is not cut into windows: nothing would be left to test on."""
    if settings.window is None and len(seen) == 1:
        raise DataError(
            f"{table.source}: all rows are one series, and a model learns from several; cut it "
            "into windows with dataset.window=<length of one, in the unit of the time column, or "
            "in hours for dates>"
        )


def warn_of_codes_as_classes(table: TableFile, form: TableFormat, classes: list[str]) -> None:
    """Warn of classes that may mean that the class is unknown, such as -1 beside 0, 1 and 2."""
    numbers = [number_of(name) for name in classes]
    negative = [name for name, x in zip(classes, numbers, strict=True) if x is not None and x < 0]
    found = [name for name in classes if UNKNOWN.fullmatch(name)]
    found += negative if len(negative) == 1 and len(classes) > 2 else []
    for name in found:
        code = name if number_of(name) is None else f"{form.label_column}:{name}"
        log.warning(
            "%s: %r of %r is read as a class; if it means that the class is unknown, set %s",
            table.source,
            name,
            form.label_column,
            setting_of_list("missing", [*form.missing, code]),
        )


def warn_of_few_long_series(table: TableFile, columns: Columns, seen: Measurements) -> None:
    """Warn of a few long series, which are to be cut: a model learns from many series."""
    lengths = np.diff(seen.offsets)
    if len(seen) >= FEW_SERIES or np.median(lengths) < LONG_SERIES:
        return
    spans = seen.times[seen.offsets[1:] - 1] / columns.duration_unit
    log.warning(
        "%s: a model learns from many series, and there are %d, of %.0f times each (median); cut "
        "them into windows, such as dataset.window=%s (in the unit of the time column, or in "
        "hours for dates)",
        table.source,
        len(seen),
        np.median(lengths),
        rounded(float(np.median(spans)) / 10),
    )


def check_window(
    table: TableFile, settings: CSVConfig, seen: Measurements, columns: Columns
) -> None:
    """Reject windows so short that most would hold a single observation."""
    if settings.window is None:
        return
    starts = np.zeros(len(seen.times), dtype=bool)
    starts[seen.offsets[:-1]] = True
    gaps = np.diff(seen.times)[~starts[1:]] / columns.duration_unit
    if len(gaps) and settings.window < np.median(gaps):
        raise DataError(
            f"{table.source}: dataset.window={settings.window:g} is shorter than most times "
            f"between two observations of a series (their median is {np.median(gaps):.3g}); "
            "choose one that holds several"
        )


def check_classes(table: TableFile, form: TableFormat, seen: Measurements) -> None:
    """Reject labels from which nothing can be learned: one class, or nearly one per label."""
    labels = [label for label in seen.labels if label]
    classes = sorted(set(labels))
    what = "series" if form.label_per == "series" else "rows"
    if not classes:
        raise DataError(
            f"{table.source}: {form.label_column!r} has no label in any series that has values; "
            "write some, or name another column with dataset.label_column"
        )
    if len(classes) == 1:
        assert form.label_column is not None
        unknown = words_for_unknown(table.text(form.label_column), form)
        remedy = ""
        if form.missing:
            remedy = "; cells of dataset.missing have no class"
        if unknown:
            remedy = (
                f"; {', '.join(map(repr, unknown))} counts as unknown: if it is a class, write "
                "another word for it"
            )
        raise DataError(
            f"{table.source}: {form.label_column!r} has the one class {classes[0]!r}; to "
            f"classify, at least two are needed{remedy}"
        )
    warn_of_codes_as_classes(table, form, classes)
    if 2 * len(classes) > max(len(labels), 4):
        raise DataError(
            f"{table.source}: {form.label_column!r} has {len(classes)} different values in "
            f"{len(labels)} {what}, too many for classes; name another column with "
            "dataset.label_column, or write what they have in common"
        )

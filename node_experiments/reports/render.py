"""Tables as text: Markdown, CSV, LaTeX, JSON, HTML, and for the terminal."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from textwrap import wrap
from typing import Any

import pandas
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from .table import Cell, ReportTable

__all__ = ["FORMATS", "print_table", "table_html"]

UNBOUNDED = 10_000  # width at which every table fits


def all_tables(table: ReportTable) -> Iterator[ReportTable]:
    """Yield a table and its further tables."""
    yield table
    for other in table.more:
        yield from all_tables(other)


def to_markdown(table: ReportTable) -> str:
    """GitHub's Markdown: caption, table, and notes as a list."""
    parts = []
    for each in all_tables(table):
        rows = [
            [f"**{text}**" if is_bold(entry) else text for entry, text in row]
            for row in pairs(each)
        ]
        ruler = ["---:" if right else "---" for right in each.numeric()]
        lines = [markdown_line(row) for row in (each.headings, ruler, *rows)]
        notes = [f"- {note}" for note in each.notes]
        body = lines if rows or not notes else []
        parts += ["\n".join(part) for part in ([each.caption], body, notes) if any(part)]
    return "\n\n".join(parts) + "\n"


def markdown_line(entries: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(one_line(entry).replace("|", "\\|") for entry in entries) + " |"


def to_csv(table: ReportTable) -> str:
    """CSV in full precision, with spread and count in separate columns.

    Several tables stand below each other; their first column names the table of each row.
    """
    tables = [(each.title, each.numbers()) for each in all_tables(table)]
    if len(tables) == 1:
        frame = tables[0][1]
    else:
        for title, each in tables:
            each.insert(0, "table", title)
        frame = pandas.concat([each for _, each in tables], ignore_index=True)
    return frame.to_csv(index=False, lineterminator="\n")


def to_json(table: ReportTable) -> str:
    """JSON object that holds the rows as objects; further tables are under `more`."""

    def content(table: ReportTable) -> dict[str, Any]:
        rows = [
            {key: finite(value) for key, value in row.items()}
            for row in table.numbers().to_dict("records")
        ]
        found = {"title": table.title, "caption": table.caption, "rows": rows}
        more = [content(other) for other in table.more]
        return found | {"notes": list(table.notes), "more": more}

    return json.dumps(content(table), indent=2, ensure_ascii=False, default=str) + "\n"


def finite(value: Any) -> Any:
    """The value, or None for a number that JSON cannot represent."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_latex(table: ReportTable) -> str:
    """LaTeX tabulars for the package booktabs, with captions and notes as comments."""
    return "\n".join(latex(each) for each in all_tables(table))


def latex(table: ReportTable) -> str:
    """One LaTeX tabular."""
    columns = "".join("r" if right else "l" for right in table.numeric())
    rows = [
        [rf"\textbf{{{tex(text)}}}" if is_bold(entry) else tex(text) for entry, text in row]
        for row in pairs(table)
    ]
    lines = [
        *(f"% {one_line(table.caption)}" for _ in [0] if table.caption),
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(tex, table.headings)) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {one_line(note)}" for note in table.notes),
    ]
    return "\n".join(lines) + "\n"


TEX = {
    **{special: f"\\{special}" for special in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "‖": r"$\|$",
    "∞": r"$\infty$",
    "L̃": r"$\tilde{L}$",
}
POWER = re.compile(r"(L̃|L)\^(-?[\d.]+)")
SPECIAL = re.compile("|".join(map(re.escape, sorted(TEX, key=len, reverse=True))))


def tex(text: str) -> str:
    """Text for LaTeX, with powers of L as formulas."""
    parts = []
    end = 0
    for power in POWER.finditer(text):
        base = r"\tilde{L}" if power[1] == "L̃" else "L"
        parts += [special(text[end : power.start()]), f"${base}^{{{power[2]}}}$"]
        end = power.end()
    return one_line("".join([*parts, special(text[end:])]))


def special(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return SPECIAL.sub(lambda match: TEX[match[0]], text)


def to_html(table: ReportTable) -> str:
    """HTML of a table and its further tables, as a fragment of a page."""
    return "\n".join(table_html(each) for each in all_tables(table)) + "\n"


def table_html(table: ReportTable) -> str:
    """HTML of one table."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in table.headings)
    lines = [f"<p>{markup(table.caption)}</p>"] if table.caption else []
    lines.append(f"<table><thead><tr>{head}</tr></thead><tbody>")
    for row in pairs(table):
        texts = [text for _, text in row]
        cells = [
            f"<strong>{escape(text)}</strong>" if is_bold(entry) else escape(text)
            for entry, text in row
        ]
        failed = ' class="failed"' if {"diverged", "failed", "damaged"} & set(texts) else ""
        lines.append(f"<tr{failed}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    notes = "".join(f'<p class="note">{markup(note)}</p>' for note in table.notes)
    return "\n".join([*lines, f"</tbody></table>{notes}"])


def markup(text: str) -> str:
    """A sentence as HTML, with its Markdown for bold words and code converted."""
    found = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\*\*(.*?)\*\*", r"<strong>\1</strong>", found)


def print_table(console: Console, table: ReportTable) -> None:
    """Draw a table and its further tables on the terminal."""
    for place, each in enumerate(all_tables(table)):
        if place > 0:
            console.print()
        drawn = draw(each)
        unbounded = console.options.update_width(UNBOUNDED)
        if console.measure(drawn, options=unbounded).maximum > console.width:
            drawn = draw(each, narrow=True)
        console.print(Text(each.title, "table.title"))
        if drawn.rows or not each.notes:
            console.print(drawn)
        for sentence in filter(None, (each.caption, *each.notes)):
            console.print(Text(sentence.replace("**", "").replace("`", "")))


def draw(table: ReportTable, narrow: bool = False) -> RichTable:
    """A table for the terminal.

    Args:
        narrow: Break headings that are wider than their columns, and leave out margins and empty
            columns, so that fewer words are cut.
    """
    drawn = RichTable(padding=(0, 0 if narrow else 1))
    rows, right = table.texts(), table.numeric()
    places = []
    for place, heading in enumerate(table.headings):
        widest = max((len(row[place]) for row in rows), default=0)
        if narrow and not widest:
            continue
        places.append(place)
        lines = wrap(heading, max(1, widest), break_long_words=False) if narrow else [heading]
        # As Text, since in strings [...] is markup and :x: an emoji.
        drawn.add_column(
            Text("\n".join(lines)), overflow="fold", justify="right" if right[place] else "left"
        )
    for row in rows:
        drawn.add_row(*(Text(row[place]) for place in places))
    return drawn


def pairs(table: ReportTable) -> list[list[tuple[Any, str]]]:
    """The rows with each entry beside its text."""
    return [
        list(zip(entries, texts, strict=True))
        for entries, texts in zip(table.rows(), table.texts(), strict=True)
    ]


def is_bold(entry: Any) -> bool:
    """Whether an entry is set in bold."""
    return isinstance(entry, Cell) and entry.bold


def one_line(text: str) -> str:
    """Text without line breaks."""
    return " ".join(text.splitlines())


FORMATS: dict[str, Callable[[ReportTable], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "json": to_json,
    "html": to_html,
}

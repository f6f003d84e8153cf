"""Every table in every format, read back by what reads such files."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas
import pytest
from rich.console import Console

from node_experiments.cli.report import TABLES, main
from node_experiments.reports.render import FORMATS, print_table
from node_experiments.reports.table import Cell, Estimate, ReportTable
from tests.grids import always

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "outputs" / "reference"
PLACES = {
    "table1": "table1",
    "table2": "table2",
    "figure3": "figure3",
    "figure4": "figure4",
    "figure5": "figure5",
    "solver_transfer": "solver_transfer",
    "table3": "hopper_interpolation",
    "table3_extrapolation": "hopper_extrapolation",
    "periodic_interpolation": "periodic_interpolation",
    "periodic_extrapolation": "periodic_extrapolation",
    "japanese_vowels": "japanese_vowels",
    "table4": "physionet2012",
    "table5": "physionet2012",
    "auc": "physionet2012",
    "storms": "storms",
    "storm_births": "storm_births",
    "mimic_demo": "mimic_demo",
    "pbcseq": "pbcseq",
    "remifentanil": "remifentanil",
    "anode_mnist": "gallery/anode_mnist",
    "anode_spheres": "gallery/anode_spheres",
    "flow_matching": "gallery/flow_matching",
}
# A number that each table prints, in its first table.
KNOWN = {
    "table1": ("test error, %", 1.69),
    "table2": ("30/100", 0.1642),
    "figure3": ("dopri5: evaluations", 566),
    "figure4": ("K = M = 2", 0.7012),
    "figure5": ("test log-likelihood", -2.390),
    "solver_transfer": ("euler, 1 step", 2.45),
    "table3": ("10%", 2.454),
    "table3_extrapolation": ("10%", 7.259),
    "periodic_interpolation": ("10%", 6.081),
    "periodic_extrapolation": ("50%", 6.756),
    "japanese_vowels": ("0% dropped", 92.5),
    "table4": ("interpolation, published", 2.361),
    "table5": ("extrapolation, published", 2.231),
    "auc": ("AUC, published", 0.833),
    "storms": ("24 h", 272),
    "storm_births": ("nats per season", 5.40),
    "mimic_demo": ("all", 0.90),
    "pbcseq": ("MSE", 0.759),
    "remifentanil": ("RMS percentage error", 46.4),
    "anode_mnist": ("test accuracy", 0.8348),
    "anode_spheres": ("test loss", 0.0067),
    "flow_matching": ("below the truth", 0.0057),
}


def written(capsys, name, form):
    """What the command prints."""
    assert main(["--outputs", str(REFERENCE / PLACES[name]), "table", name, "--format", form]) == 0
    return capsys.readouterr().out


def some_tables(first, step):
    """All of them, of which every second or third runs always, in turn with other formats."""
    return always([*TABLES][first::step], TABLES)


def assert_known(name, values):
    _, number = KNOWN[name]
    digits = len(str(number).partition(".")[2])
    assert any(round(float(value), digits) == number for value in values), name


def test_every_table_is_known():
    assert set(PLACES) == set(TABLES) == set(KNOWN)


@pytest.mark.parametrize("name", some_tables(0, 2))
def test_csv_is_read_by_pandas(capsys, name):
    frame = pandas.read_csv(io.StringIO(written(capsys, name, "csv")))
    assert len(frame)
    assert not frame.columns.duplicated().any()
    values = pandas.to_numeric(frame[KNOWN[name][0]], errors="coerce").dropna()
    assert_known(name, values)


@pytest.mark.parametrize("name", some_tables(1, 2))
def test_json_holds_the_same_numbers(capsys, name):
    content = json.loads(written(capsys, name, "json"))
    assert content["title"]
    values = [row.get(KNOWN[name][0]) for row in content["rows"]]
    assert_known(name, [value for value in values if isinstance(value, int | float)])
    assert not re.search("NaN|Infinity", json.dumps(content))


@pytest.mark.parametrize("name", some_tables(0, 3))
def test_latex_has_whole_rows_and_closed_groups(capsys, name):
    text = written(capsys, name, "latex")
    tabulars = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", text, re.S)
    assert tabulars
    for columns, body in tabulars:
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 1
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1, row
            plain = re.sub(r"\\[&%$#_{}]", "", row)
            assert plain.count("{") == plain.count("}")
            assert plain.count("$") % 2 == 0
            outside = re.sub(r"\$[^$]*\$", "", plain)
            assert not re.search(r"[_^%#~<>±‖]", outside), row
    outside = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", text, flags=re.S)
    assert all(line.startswith("%") for line in outside.splitlines() if line.strip())


class Rows(HTMLParser):
    """The cells of each row, and whether all tags are closed."""

    def __init__(self):
        super().__init__()
        self.open, self.rows = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.mark.parametrize("name", some_tables(1, 3))
def test_html_is_closed_and_holds_the_cells(capsys, name):
    page = Rows()
    page.feed(written(capsys, name, "html"))
    assert not page.open
    markdown = written(capsys, name, "md")
    for row in page.rows:
        for cell in row:
            assert cell.replace("|", "\\|") in markdown


@pytest.mark.parametrize("name", some_tables(0, 3))
def test_markdown_rows_have_as_many_cells_as_their_header(capsys, name):
    for block in re.findall(r"(?:^\|.*\n)+", written(capsys, name, "md"), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.mark.parametrize("name", some_tables(2, 3))
def test_the_terminal_shows_it_without_markup(capsys, name):
    assert main(["--outputs", str(REFERENCE / PLACES[name]), name]) == 0
    out = capsys.readouterr().out
    assert "**" not in out
    assert "`" not in out


def test_a_narrow_terminal_cuts_no_word_that_fits():
    headings = ["job", "overrides", "status", "seconds per step", "evaluations forward", "reason"]
    rows = [["0", "solver.num_steps=4 solver=euler", "completed", 0.3654, 4, None]]
    table = ReportTable.of("a title that stays on one line", headings, rows)
    drawn = io.StringIO()
    print_table(Console(file=drawn, width=60), table)
    words = set(re.findall(r"[\w.=/]+", drawn.getvalue()))
    assert words >= {word for heading in headings[:-1] for word in heading.split()}
    assert words >= {"solver.num_steps=4", "solver=euler", "completed", "0.3654"}
    assert "reason" not in words  # nothing is in this column


def test_a_title_may_be_wider_than_its_table():
    drawn = io.StringIO()
    print_table(Console(file=drawn, width=60), ReportTable.of("title and more", ["n"], [[1]]))
    assert drawn.getvalue().startswith("title and more\n")


def odd_table():
    """A table of all kinds of entries, with everything that a format may trip over."""
    found = Estimate.of([0.1, 0.3])
    rows = [
        ["a|b & 50% of $x_1$ \\ {#} ~^<é>", found.cell(".2f", count=1), 1.5, None],
        ["[red]line\nbreak[/red]", Cell("1,234", {"": 1234}, bold=True), float("nan"), "=1+1"],
    ]
    headings = ["text", "L^2", "plain", 'comma, "quote"']
    return ReportTable.of("odd", headings, rows, caption="two\nlines", notes=["n"])


def test_special_characters_and_missing_values_survive():
    table = odd_table()
    drawn = io.StringIO()
    names = ReportTable.of(":x: [b]", ["a:100:", "[red]"], [[":on:", "[/b]"]], notes=["[i] :ok:"])
    print_table(Console(file=drawn, width=80), names)
    for text in (":x: [b]", "a:100:", "[red]", ":on:", "[/b]", "[i] :ok:"):
        assert text in drawn.getvalue()
    frame = pandas.read_csv(io.StringIO(FORMATS["csv"](table)))
    assert frame["text"][0] == "a|b & 50% of $x_1$ \\ {#} ~^<é>"
    assert frame["L^2"].tolist() == [pytest.approx(0.2), 1234]
    assert frame["L^2 count"][0] == 2
    assert frame["plain"].isna().tolist() == [False, True]
    rows = json.loads(FORMATS["json"](table))["rows"]
    assert (rows[1]["plain"], rows[1]["L^2"]) == (None, 1234)
    markdown = FORMATS["md"](table)
    assert {
        line.count("|") - line.count("\\|") for line in markdown.splitlines() if line[:1] == "|"
    } == {5}
    assert "**1,234**" in markdown
    latex = FORMATS["latex"](table)
    assert r"a|b \& 50\% of \$x\_1\$ \textbackslash{} \{\#\} \textasciitilde{}" in latex
    assert r"\textbf{1,234}" in latex
    assert "$L^{2}$" in latex
    page = Rows()
    page.feed(FORMATS["html"](table))
    assert page.rows[1][0] == "a|b & 50% of $x_1$ \\ {#} ~^<é>"
    console = Console(width=200, file=io.StringIO())
    print_table(console, table)
    assert "[red]line" in console.file.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_without_rows_can_be_written(form):
    text = FORMATS[form](ReportTable.of("none", ["a", "b"], []))
    assert text.endswith("\n")
    if form == "csv":
        assert pandas.read_csv(io.StringIO(text)).columns.tolist() == ["a", "b"]

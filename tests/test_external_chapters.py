"""A fault in a chapter of another package leaves out that chapter, in one line, and no other."""

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest

from node_experiments.chapters.chapter import Chapter, Dataset, Model, Optimizer, Schedule
from node_experiments.chapters.external import check_chapter
from node_experiments.config import ConfigError


@dataclass
class Settings:
    name: str = "mine"
    size: int = 1


@dataclass
class NoDefaults:
    name: str
    size: int


DATASET = Dataset(Settings, "mine:build", "points")
OTHER = Chapter("theirs", {"rings": DATASET}, tables={"shared": "theirs:table"})


@pytest.mark.parametrize(
    ("chapter", "said"),
    [
        (
            Chapter("mine", {"rings": DATASET}),
            "the chapter 'theirs' has datasets named 'ri",
        ),
        (
            Chapter("mine", tables={"shared": "a:b"}),
            "has tables named 'shared', too; rename",
        ),
        (Chapter("mine", {"mine": Settings}), "'mine' of its datasets is a type, not a Da"),
        (Chapter("mine", tables={"mine": print}), "'mine' of its tables is a builtin_function_or"),
        (
            Chapter("mine", {"mine": Dataset(dict, "", "x")}),
            "settings of 'mine' are not a da",
        ),
        (Chapter("mine", {"mine": Dataset(NoDefaults, "", "x")}), "'mine' have no valid defaults"),
        (
            Chapter("mine", models={"mine": Model(Settings, "", {}, used_settings=("sise",))}),
            "the settings of 'mine' have no 'sise', which is to be used",
        ),
        (
            Chapter("mine", configs="json/nowhere"),
            "names the configs 'json/nowhere', but",
        ),
        (Chapter("mine", configs="no_such_package/configs"), "but there is no such folder"),
        ("mine", "it is not a Chapter but a str"),
        (
            Chapter("mine", optimizers={"adam": Optimizer("mine:adam")}),
            "optimizer=adam is one of node_experiments; rename yours",
        ),
        (
            Chapter("mine", schedulers={"one_cycle": Schedule("mine:build")}),
            "scheduler=one_cycle is one of node_experiments; rename yours",
        ),
        (
            Chapter("mine", optimizers={"lion": Optimizer("mine:lion", ("lr", "beta3"))}),
            "the settings of 'lion' have no 'beta3', which is to be used; they have name, lr,",
        ),
        (
            Chapter("mine", schedulers={"sqrt": Schedule("mine:sqrt", ("lr",))}),
            "the settings of 'sqrt' have no 'lr', which is to be used; they have name, epochs,",
        ),
        (
            Chapter("mine", optimizers={"lion": "mine:lion"}),
            "'lion' of its optimizers is a str, not a",
        ),
    ],
)
def test_each_fault_is_named(chapter, said):
    with pytest.raises(ConfigError) as error:
        check_chapter(chapter, [OTHER])
    assert said in str(error.value)


def test_a_sound_chapter_passes():
    check_chapter(Chapter("mine", {"mine": DATASET}, tables={"mine": "a:b"}), [OTHER])


DECLARED = """\
    from dataclasses import dataclass
    from node_experiments.chapters.chapter import Chapter, Dataset
    @dataclass
    class Line:
        name: str = "{name}"
    CHAPTER = Chapter("{name}", {datasets}, tables={tables})
    """
MODULES = {
    "first": DECLARED.format(
        name="first", datasets='{"shared": Dataset(Line, "first:build", "x")}',
        tables='{"own": "first:fails", "list": "first:table"}',
    )
    + """
    def fails(runs):
        raise KeyError("dataset.angle")
    """,
    "second": DECLARED.format(
        name="second", datasets='{"shared": Dataset(Line, "second:build", "x")}',
        tables='{"other": "second:table"}',
    ),
    "third": 'raise ImportError("first line\\nsecond line")',
}  # fmt: skip


@pytest.fixture
def site(tmp_path):
    """A folder of installed packages, three chapters among them."""
    folder = tmp_path / "site"
    for name, text in MODULES.items():
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[node_experiments.chapters]\n{name} = {name}:CHAPTER\n"
        )
    return folder


def called(site, module, *words):
    return subprocess.run(
        [sys.executable, "-m", module, *words], capture_output=True, text=True, cwd=site,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
    )  # fmt: skip


@pytest.mark.parametrize("words", [("--help",), ("--list",), ("dataset=shared", "--cfg", "job")])
def test_every_command_works_without_the_chapters_at_fault(site, words):
    result = called(site, "node_experiments", *words)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if "left out" in line]
    assert lines == [
        "the chapter second is left out: the chapter 'first' has datasets named 'shared', too; "
        "rename one of them",
        "the chapter third is left out: ImportError: first line",
    ]
    assert "Traceback" not in result.stderr
    assert "second line" not in result.stderr


def test_reports_work_too_and_name_a_table_that_fails(site):
    (site / "outputs" / "run").mkdir(parents=True)
    (site / "outputs" / "run" / "run_info.json").write_text("{}")
    listed = called(site, "node_experiments.cli.report", "list")
    assert listed.returncode == 0, listed.stderr
    assert "outputs/run" in listed.stdout
    failed = called(site, "node_experiments.cli.report", "own")
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[-1] == (
        "node-report: table own (first:fails) failed: KeyError: 'dataset.angle'; "
        "HYDRA_FULL_ERROR=1 shows where"
    )
    assert "Traceback" not in failed.stderr

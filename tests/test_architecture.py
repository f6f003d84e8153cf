"""The plan of the house: imports go one way."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "node_experiments"
INNER = ("ode", "data", "models", "tasks", "training")
OUTER = {"cli", "config", "build", "run", "checkpoint_config", "tracking", "reports"}
OUTER |= {"job", "messages", "run_folder", "fit", "processes", "study"}
OUTER |= {"trained", "evaluate", "figure3"}


def imported(path):
    """Absolute names of all modules that a file imports, wherever in it."""
    package = ("node_experiments", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*base, *filter(None, [node.module])])
            yield from (
                ".".join([*base, *filter(None, [node.module]), a.name]) for a in node.names
            )


def files(folder):
    return sorted((PACKAGE / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", INNER)
def test_inner_rooms_do_not_know_the_outer_ones(folder):
    for path in files(folder):
        for name in imported(path):
            parts = name.split(".")
            assert parts[0] not in ("hydra", "omegaconf", "matplotlib"), f"{path}: {name}"
            if parts[0] == "node_experiments" and len(parts) > 1:
                assert parts[1] not in OUTER, f"{path}: {name}"


def test_ode_imports_nothing_of_ours():
    for path in files("ode"):
        for name in imported(path):
            if name.startswith("node_experiments"):
                assert name.startswith("node_experiments.ode"), f"{path}: {name}"


def test_models_import_only_ode_and_data_nothing():
    for path in files("models"):
        for name in imported(path):
            if name.startswith("node_experiments."):
                assert name.split(".")[1] in ("models", "ode", "errors"), f"{path}: {name}"
    for path in files("data"):
        for name in imported(path):
            if name.startswith("node_experiments."):
                assert name.split(".")[1] in ("data", "errors"), f"{path}: {name}"


def test_matplotlib_is_imported_in_figures_only():
    for path in sorted(PACKAGE.rglob("*.py")):
        if "figures" in path.relative_to(PACKAGE).parts[:1]:
            continue
        tree = ast.parse(path.read_text())
        guarded = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and id(node) not in guarded:
                assert not (node.module or "").startswith("matplotlib"), path

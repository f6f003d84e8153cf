"""Imports go one way: every package is known, none imports one above it, and there are no circles.

Looks at all imports, also those inside functions and under `TYPE_CHECKING`.
"""

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "node_experiments"

# The table of CONTRIBUTING.md: each package -> the packages that it imports.
MAY_IMPORT = {
    package: set(re.findall(r"`(\w+)`", listed))
    for package, listed in re.findall(
        r"^\| `(\w+)/` \|[^|]*\|([^|]*)\|$",
        (ROOT / "CONTRIBUTING.md").read_text(),
        re.MULTILINE,
    )
}
FILES = {
    "errors": set(), "files": set(), "version": set(), "__main__": {"cli"}, "__init__": {"runner"},
}  # fmt: skip
# Packages that only some files import.
ONLY_IN = {
    "hydra": {"cli", "runner"},
    "omegaconf": {"cli", "runner", "runs"},
    "matplotlib": {"figures", "chapters", "cli", "tracking", "runner"},
}


def name_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules():
    return {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports(name):
    """Absolute names of all modules that a module imports, wherever in it."""
    path = modules()[name]
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                found.add(inner if inner in modules() else source)
    return found - {name}


def room(name):
    """The package, or the file, directly below `node_experiments`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def inner(name):
    return [other for other in imports(name) if other.split(".")[0] == "node_experiments"]


def test_imports_go_one_way():
    table = {**MAY_IMPORT, **FILES}
    for name in modules():
        own = room(name)
        assert own in table, f"{name}: add its package to the table of CONTRIBUTING.md"
        wrong = {*map(room, inner(name))} - {own, "errors", "files", "version", *table[own]}
        assert not wrong, f"{name} imports {wrong}"


def test_the_table_of_contributing_is_in_order():
    """A package imports those above it, and every import that is listed is used."""
    above = []
    for package, listed in MAY_IMPORT.items():
        assert listed <= set(above), package
        used = {room(other) for name in modules() if room(name) == package
                for other in inner(name)}  # fmt: skip
        assert listed <= used, f"{package}: take {', '.join(listed - used)} out of its row"
        above.append(package)


def test_the_picture_of_the_data_flow_is_that_of_the_imports():
    """Each package calls the next one, up to the files of a run, which the last one reads."""
    (drawn,) = re.findall(r"^configs/ -> (.*)$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    packages = drawn.split(" -> ")
    assert set(packages) < set(MAY_IMPORT)
    files = packages.index("runs")
    for first, second in pairwise(packages[: files + 1]):
        assert second in MAY_IMPORT[first], f"{first} -> {second}"
    for first, second in pairwise(packages[files:]):
        assert first in MAY_IMPORT[second], f"{first} -> {second}"
    # The things that a chapter is drawn to be made of.
    (made_of,) = re.findall(
        r"datasets, models, tasks \(on ([\w, ]*)\), figures",
        (ROOT / "CONTRIBUTING.md").read_text(),
    )
    assert {*made_of.split(", "), "figures"} <= MAY_IMPORT["chapters"]


def test_what_comes_from_elsewhere_is_imported_where_it_belongs():
    for name in modules():
        tops = {other.split(".")[0] for other in imports(name)}
        wrong = [top for top in tops & set(ONLY_IN) if room(name) not in ONLY_IN[top]]
        assert not wrong, f"{name} imports {wrong}"


def test_models_and_tasks_know_no_configuration_tool_and_no_picture():
    for name in modules():
        if room(name) in ("ode", "nn", "data", "training", "chapters"):
            tops = {other.split(".")[0] for other in imports(name)}
            assert not tops & {"hydra", "omegaconf"}, name


def test_chapters_do_not_import_each_other():
    for name in modules():
        if room(name) == "chapters" and name.count(".") > 2:
            own = name.split(".")[2]
            for other in inner(name):
                if room(other) == "chapters" and other.count(".") > 2:
                    assert other.split(".")[2] == own, f"{name} imports {other}"


def circles():
    """Strongly connected sets of more than one module (Tarjan 1972)."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        on_stack.add(name)
        for other in inner(name):
            if other not in modules():
                continue
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in on_stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            part = []
            while not part or part[-1] != name:
                part.append(stack.pop())
                on_stack.discard(part[-1])
            if len(part) > 1:
                found.append(sorted(part))

    for name in modules():
        if name not in index:
            visit(name)
    return found


def test_there_are_no_circles():
    assert circles() == []

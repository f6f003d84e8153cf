"""What the README says is what the files say, and what it shows runs."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def load_script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_are_those_of_the_reference_runs():
    script = load_script("readme_results")
    (block,) = script.BLOCK.findall(README)
    assert block == script.table()


def test_gradients_are_those_of_the_benchmark():
    script = load_script("readme_gradients")
    (block,) = script.BLOCK.findall(README)
    assert block == script.table()


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if not target.startswith(("http", "#")):
            assert (ROOT / target).exists(), target


def test_the_python_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert "backward" in capsys.readouterr().out

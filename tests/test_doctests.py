"""The examples of the docstrings run."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WITH_EXAMPLES = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "node_experiments").rglob("*.py")
    if ">>> " in path.read_text()
)


def test_there_are_many():
    assert len(WITH_EXAMPLES) > 20


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_examples_of_docstrings_run(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = path.with_suffix("").parts
    module = importlib.import_module(".".join(names[:-1] if names[-1] == "__init__" else names))
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed, capsys.readouterr().out

"""The faults of `scripts/mutations.py` can still be made, and their tests are there."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "scripts"))

from mutation_check import file_of, missing_tests  # noqa: E402
from mutations import MUTATIONS  # noqa: E402


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_applies_once_and_has_its_tests(mutation):
    file = file_of(mutation, ROOT / "node_experiments")
    assert file is not None, f"no file holds exactly once: {mutation.old}"
    mutated = file.read_text().replace(mutation.old, mutation.new)
    compile(mutated, file, "exec")
    assert mutated != file.read_text()
    assert missing_tests(mutation, ROOT / "tests") == []


def test_mutations_have_names_of_their_own():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) == 84

import os
import sys

import pytest

from node_experiments.cli import main as cli

from ..conftest import TINY


@pytest.fixture(scope="package")
def sweep(tmp_path_factory):
    """Two runs that differ in a setting, one value of which is the default."""
    folder = tmp_path_factory.mktemp("sweep")
    before, arguments = os.getcwd(), sys.argv
    os.chdir(folder)
    sys.argv = [
        "node-run",
        "-m",
        "experiment=mnist_odenet",
        "model.channels=8",
        *TINY,
        "trainer.epochs=2",
        "trainer.accumulate=1,2",
    ]
    try:
        assert cli.main(sys.argv[1:]) == 0
    finally:
        os.chdir(before)
        sys.argv = arguments
    return [path.parent for path in sorted(folder.rglob("result.json"))]

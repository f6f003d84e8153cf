import os
import sys
from types import SimpleNamespace

import pytest
import torch

# Tests run side by side; threads of one would only disturb the others.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """Unpack data into a folder of the test session, not into the user's cache."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture
def node_run(request, monkeypatch, tmp_path, capsys):
    """Run the command line in this process, in an empty folder.

    Pictures take most of the time of a small run: only tests marked `figures` draw them.
    """
    from node_experiments.cli import main as cli
    from node_experiments.tracking.figures import Figures

    monkeypatch.chdir(tmp_path)
    if request.node.get_closest_marker("figures") is None:
        monkeypatch.setattr(Figures, "epoch_end", lambda self, trainer: None)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["node-run", *arguments])
        code = cli.main()
        out, err = capsys.readouterr()
        if "joblib" in sys.modules:
            # Its workers are kept, in the working folder of this test.
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(wait=True)
        folders = sorted(path.parent for path in tmp_path.rglob("result.json"))
        return SimpleNamespace(code=code, out=out, err=err, folders=folders)

    return call


# Small enough for a test, and still the whole way from images to result.json.
TINY = (
    "protocol=smoke",
    "trainer.threads=1",
    "dataset.train_size=32",
    "dataset.batch_size=16",
    "dataset.validation_size=16",
    "dataset.test_size=16",
)


@pytest.fixture
def tiny():
    return TINY

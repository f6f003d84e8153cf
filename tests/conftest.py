import copy
import gc
import os
import shutil
import sys
from functools import cache, partialmethod
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.fork_server import ForkServer

# Tests run side by side; threads of one would only disturb the others. Torch reads it when it is
# imported, which the process that hands out the tests has no need of.
os.environ["OMP_NUM_THREADS"] = "1"

# Nothing of what is imported and collected is garbage.
gc.disable()


def pytest_collection_finish():
    """Keep what was imported out of garbage collection, which is a fifth of the time else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(autouse=True)
def _seeded():
    import torch

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


@pytest.fixture(scope="session", autouse=True)
def _configurations_read_once():
    """Keep what Hydra reads and parses for every run, which would be a tenth of all the time.

    Hydra copies what it merges into a group, and changes what it merges into the whole.
    """
    import omegaconf
    from hydra._internal.config_repository import ConfigRepository

    from node_experiments.runner.compose import configs_folder

    paths = (f"file://{configs_folder()}", "pkg://hydra.conf")
    read, kept = ConfigRepository.load_config, {}

    def load_config(repository, config_path):
        sources = tuple((each.provider, each.path) for each in repository.get_sources())
        key = (sources, config_path)
        found = kept.get(key)
        if found is None:
            found = read(repository, config_path)
            if found is None or found.path not in paths:
                return found
            kept[key] = found
        copied = copy.copy(found)
        if "/" not in config_path or found.header["package"] is not None:
            copied.config = copy.deepcopy(found.config)
        return copied

    parse = cache(omegaconf.grammar_parser.parse)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigRepository, "load_config", load_config)
        patch.setattr(omegaconf.base, "parse", parse)
        patch.setattr(omegaconf._utils, "parse", parse)
        yield


def blank(figure, save, target, **options):
    """An empty file in place of a picture."""
    return target.touch() if isinstance(target, Path) else save(figure, target, **options)


def at_the_end(draw, figures, trainer):
    if trainer.is_last:
        draw(figures, trainer)


@pytest.fixture
def node_run(request, monkeypatch, tmp_path, capsys):
    """Run the command line in this process, in an empty folder.

    Pictures take most of the time of a small run: only tests marked `figures` draw them, and of a
    run those of its end; TensorBoard is given them for `figures(logged=True)` alone.
    """
    from matplotlib.figure import Figure

    from node_experiments.cli import main as cli
    from node_experiments.tracking.animation import Animation, Film
    from node_experiments.tracking.figures import Figures
    from node_experiments.tracking.tensorboard import TensorBoard

    monkeypatch.chdir(tmp_path)
    pictures = request.node.get_closest_marker("figures")
    if pictures is None or not pictures.kwargs.get("logged"):
        monkeypatch.setattr(TensorBoard, "figure", lambda self, name, figure, step: None)
    if pictures is None:
        for drawn in (Figures, Animation, Film):
            for event in {"fit_start", "epoch_end", "fit_end"} & set(vars(drawn)):
                monkeypatch.setattr(drawn, event, lambda self, trainer: None)
        monkeypatch.setattr(Figure, "savefig", partialmethod(blank, Figure.savefig))
    else:
        draw = Figures.epoch_end
        monkeypatch.setattr(
            Figures, "epoch_end", lambda self, trainer: at_the_end(draw, self, trainer)
        )

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["node-run", *arguments])
        code = cli.main(arguments)
        out, err = capsys.readouterr()
        if "joblib" in sys.modules:
            # Its workers are kept, in the working folder of this test.
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(wait=True)
        folders = sorted(path.parent for path in tmp_path.rglob("result.json"))
        return SimpleNamespace(code=code, out=out, err=err, folders=folders)

    return call


@pytest.fixture(scope="session")
def made():
    """The outputs of `made_once`, by what was asked for."""
    return {}


@pytest.fixture
def made_once(node_run, tmp_path, tmp_path_factory, made):
    """The directory of a run, which is a copy for those who ask for the same later."""

    def call(*arguments, code=0):
        outputs, kept = tmp_path / "outputs", made.get((arguments, code))
        if kept is None:
            result = node_run(*arguments)
            assert result.code == code, result.err
            made[arguments, code] = tmp_path_factory.mktemp("made") / "outputs"
            shutil.copytree(outputs, made[arguments, code])
        else:
            shutil.copytree(kept, outputs)
        (folder,) = [path.parent for path in outputs.rglob("result.json")]
        return folder

    return call


@pytest.fixture(scope="session")
def fork_server(_cache):
    """Where to start runs that are killed, or run side by side."""
    server = ForkServer()
    yield server
    server.close()


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

"""The dashboard in a real browser: it opens, and shows what a run wrote."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def dashboard(node_run, tiny, tmp_path):
    result = node_run("-m", "experiment=mnist_mlp", *tiny, "model.hidden=4", "seed=0,1")
    assert result.code == 0, result.err
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        "outputs",
        "--port",
        str(port),
    ]
    server = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 90
        while True:
            try:
                runs = urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs").read()
                if runs.count(b"seed=") == 2:
                    break
            except OSError:
                pass
            assert time.monotonic() < end, "TensorBoard did not start"
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def rendered(address, folder):
    """The document after its scripts ran."""
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={folder}", "--virtual-time-budget=20000", "--dump-dom", address,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed")
def test_layout_and_hyperparameters_open(dashboard, tmp_path):
    page = rendered(f"{dashboard}/#custom_scalars", tmp_path / "browser1")
    for text in ("learning", "solver", "cost", "function evaluations per solve"):
        assert text in page, text
    page = rendered(f"{dashboard}/#hparams", tmp_path / "browser2")
    assert "accuracy/test" in page
    assert "seed" in page

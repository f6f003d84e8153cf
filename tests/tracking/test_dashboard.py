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


PAGE = """<iframe id=frame src="ADDRESS" width=1400 height=1000></iframe><script>
const texts = node => [...node.childNodes].map(child =>
  child.nodeType === 3 ? child.textContent :
  ["STYLE", "SCRIPT"].includes(child.tagName) ? "" :
  child.tagName === "IFRAME" ? texts(child.contentDocument) :
  texts(child) + (child.shadowRoot ? texts(child.shadowRoot) : "")).join(" ");
setInterval(() => {
  document.title = texts(document.getElementById("frame").contentDocument);
}, 1000);
</script>"""


def rendered(address, folder):
    """All text that the dashboard shows, also inside its components' shadow roots."""
    folder.mkdir()
    page = folder / "page.html"
    page.write_text(PAGE.replace("ADDRESS", address))
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-web-security", "--disable-site-isolation-trials",
        f"--user-data-dir={folder}/profile", "--window-size=1500,1100",
        "--virtual-time-budget=30000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=180).stdout


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed")
def test_layout_and_hyperparameters_open(dashboard, tmp_path):
    page = rendered(f"{dashboard}/#custom_scalars", tmp_path / "layout")
    for text in ("learning", "solver", "cost", "function evaluations per solve"):
        assert text in page, text
    page = rendered(f"{dashboard}/#hparams", tmp_path / "hparams")
    for text in ("accuracy/test", "seed", "protocol"):
        assert text in page, text

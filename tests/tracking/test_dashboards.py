"""What TensorBoard shows of a sweep, in a real browser."""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

SECONDS = 60


def browser():
    """Path of a Chromium, which this package does not install."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    return found or pytest.skip(f"no browser is installed: none of {', '.join(names)} is there")


@contextmanager
def tensorboard(folder):
    """Its address, while it serves the runs of a folder."""
    command = [
        sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0",
        "--host", "127.0.0.1", "--load_fast", "false", "--reload_interval", "1",
    ]  # fmt: skip
    log = folder.parent / "tensorboard.log"
    with log.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        end = time.monotonic() + SECONDS
        while not (found := re.search(r"http://[\d.]+:\d+/", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield found[0]
    finally:
        server.terminate()
        server.wait()


def test_a_sweep_in_the_dashboards(sweep, tmp_path):
    api = pytest.importorskip("playwright.sync_api", reason="the extra `dev` is not installed")
    executable = browser()
    with tensorboard(sweep[0].parent) as address, api.sync_playwright() as playwright:
        # The sandbox of Chromium does not start for root, as whom containers run.
        chromium = playwright.chromium.launch(
            executable_path=executable, chromium_sandbox=os.getuid() != 0
        )
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(1000 * SECONDS)

        def see(text):
            # Texts of the page, also those inside its shadow roots.
            page.get_by_text(text, exact=True).first.wait_for()

        page.goto(f"{address}#custom_scalars")
        for title in ("learning", "solver", "cost", "function evaluations per solve", "loss"):
            see(title)
        page.screenshot(path=tmp_path / "custom_scalars.png")

        page.goto(f"{address}#hparams")
        page.reload()
        # What differs comes first, and the numbers that stand for a run.
        for title in ("trainer.accumulate", "Result/accuracy", "Result/loss", "Result/epoch"):
            see(title)
        for value in ("1.0000", "2.0000"):
            see(value)
        page.screenshot(path=tmp_path / "hparams.png")

        page.goto(f"{address}#images")
        page.reload()
        page.get_by_text("z_figures/training").first.wait_for()
        image = page.locator("img[src*='individualImage']").first
        image.wait_for()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        page.screenshot(path=tmp_path / "images.png")
        chromium.close()

"""Every reference result records its commit, versions, machine, command and learning curve."""

import json
import os
import re
import subprocess
from dataclasses import asdict
from pathlib import Path

import yaml

from node_experiments.chapters import datasets, models
from node_experiments.reports.html import page
from node_experiments.reports.records import ADDED_SETTINGS
from node_experiments.runs import load_runs

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "outputs" / "reference"


def known_commits():
    """Those that HEAD comes from; none without the whole history."""
    command = ["git", "-C", str(ROOT), "rev-list", "HEAD"]
    shallow = [*command[:3], "rev-parse", "--is-shallow-repository"]
    if subprocess.run(shallow, capture_output=True, text=True).stdout.strip() != "false":
        return None
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def runs():
    return {str(path.parent.relative_to(REFERENCE)): path.parent
            for path in REFERENCE.rglob("result.json")}  # fmt: skip


def test_runs_say_what_made_them():
    commits = known_commits()
    lost = set()
    for name, folder in runs().items():
        info = json.loads((folder / "run_info.json").read_text())
        assert info["command"][0] == "node-run", name
        assert {"torch", "numpy", "scipy"} <= set(info["packages"]), name
        assert info["cpu"], name
        assert info["platform"], name
        commit = info["git"]["commit"]
        assert re.fullmatch("[0-9a-f]{40}", commit), name
        if commits is not None and commit not in commits:
            lost.add(name)
    assert not lost


def test_older_runs_count_as_those_of_today():
    """A setting that a dataset or model was given later is known to the tables.

    Otherwise seeds trained before and after it would not be in one cell.
    """
    registered, unknown = {"dataset": datasets(), "model": models()}, set()
    for folder in runs().values():
        config = yaml.safe_load((folder / "config.yaml").read_text())
        for group, entries in registered.items():
            own = config.get(group)
            if own is None or own["name"] not in entries:
                continue
            for name, default in asdict(entries[own["name"]].settings()).items():
                if name not in own and default is not None:
                    unknown.add(f"{group}.{name}")
    assert not unknown - ADDED_SETTINGS.keys()


def test_runs_keep_their_course():
    without = {
        name
        for name, folder in runs().items()
        if not (folder / "metrics.jsonl").is_file()
        and json.loads((folder / "result.json").read_text())["mode"] == "train"
    }
    assert not without


def test_benchmarks_say_what_made_them():
    found = {
        str(path.relative_to(REFERENCE)): path.read_text()
        for path in REFERENCE.rglob("*.json")
        if path.name not in ("result.json", "run_info.json", "wrong.json", "figure3.json")
    }
    without = {
        name
        for name, text in found.items()
        # What a run measured has its run_info.json beside it.
        if '"commit"' not in text and not (REFERENCE / name).with_name("run_info.json").is_file()
    }
    assert not without


def test_the_page_of_all_runs_is_that_of_the_files(monkeypatch):
    """Write it again by

    node-report --outputs outputs/reference html --link-pictures --to outputs/reference/index.html
    """
    monkeypatch.chdir(ROOT)
    target = Path(os.path.relpath(REFERENCE / "index.html"))
    text = target.read_text()
    runs = load_runs(target.parent)
    assert len(text) < 4_000 * len(runs)  # mostly their settings, and no picture inside
    assert text == page(runs, target, embed=False)

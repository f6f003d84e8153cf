"""Signals outside of a training: the process ends at once, with one line and nothing half made."""

import os
import signal
import subprocess
import sys
import time

import pytest

from node_experiments.training.signals import LeaveAtOnce, stop_on_signals
from node_experiments.training.timing import Timing

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT)
MLP = ("experiment=mnist_mlp", "model.hidden=8", "trainer.threads=1")
LINE = "node-run: interrupted while nothing was training; run the same command again"


def test_a_signal_before_training_starts(tmp_path):
    """Inside imports, and inside of Hydra where it catches every exception."""
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores\n"
        "class Import:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == module:\n"
        "            try: signal.raise_signal(number)\n"
        "            except BaseException: print('caught', file=sys.stderr)\n"
        "from node_experiments.cli.main import main\n"
        "sys.meta_path.insert(0, Import())\n"
        "for module in ('hydra', 'hydra.core.plugins', 'torch', 'torch.nn'):\n"
        f"    for number in {[*map(int, SIGNALS)]}:\n"
        "        child = os.fork()\n"
        "        if child == 0: os._exit(main(['experiment=mnist_mlp', 'protocol=smoke']))\n"
        "        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "        print(code, file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = result.stderr.splitlines()
    assert lines[1::2] == 4 * ["144", "144", "144", "130"], result.stderr
    assert set(lines[::2]) == {LINE}
    assert not list(tmp_path.iterdir())


def started(folder, *words):
    command = [sys.executable, "-m", "node_experiments", *MLP, *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_has_its_exit_code(tmp_path, number, tiny):
    """At a few moments of one start, and twice, the second time close to the end."""
    for moment in (0.4, 0.8, 1.2, 1.6, 2.0, 2.4):
        run = started(tmp_path, *tiny, "trainer.epochs=3")
        time.sleep(moment)
        run.send_signal(number)
        time.sleep(0.1)
        if run.poll() is None and number == signal.SIGTERM:
            run.send_signal(number)
        out, err = run.communicate(timeout=120)
        code = 130 if number == signal.SIGINT else 144
        assert run.returncode == code or (run.returncode == 0 and "completed" in out), err
        assert "Traceback" not in err
        assert err in ("", f"{LINE}\n")
    for folder in tmp_path.glob("outputs/*/*"):
        assert (folder / "result.json").exists(), "nothing half made is left"


def test_a_signal_after_the_end_changes_nothing(tmp_path):
    """As while the process takes itself apart, which takes a while with torch."""
    script = (
        "import atexit, signal, sys\n"
        "from node_experiments.cli.main import main\n"
        "@atexit.register\n"
        "def again():\n"
        "    for number in (signal.SIGTERM, signal.SIGINT): signal.raise_signal(number)\n"
        "sys.argv = ['node-run', '--version']\n"
        "sys.exit(main())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("node_experiments ")


def test_handlers_are_as_before_where_the_process_goes_on(node_run):
    before = [signal.getsignal(number) for number in SIGNALS]
    assert node_run("--version").code == 0
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_when_the_code_is_decided_is_ignored(monkeypatch):
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    with stop_on_signals(request=LeaveAtOnce("")) as stop:
        LeaveAtOnce.decided = True
        signal.raise_signal(signal.SIGTERM)
        assert (stop.signum, left) == (None, [])
        LeaveAtOnce.decided = False
        signal.raise_signal(signal.SIGTERM)
        assert left == [144]
        LeaveAtOnce.jobs_elsewhere = True  # an exception reaches those who wait for the jobs
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    LeaveAtOnce.jobs_elsewhere = False


def test_a_signal_as_a_job_ends_ends_its_sweep(node_run, tiny, monkeypatch, tmp_path):
    """It came too late for the job, which is completed, and is not lost."""
    close = Timing.fit_end

    def fit_end(self, trainer):
        close(self, trainer)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Timing, "fit_end", fit_end)
    sweep = node_run("-m", *MLP, *tiny, "seed=0,1", "hydra.sweep.dir=sweep")
    assert sweep.code == 144
    assert [path.parent.name for path in tmp_path.rglob("result.json")] == ["0_seed=0"]
    single = node_run(*MLP, *tiny)
    assert single.code == 0

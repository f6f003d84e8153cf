"""Processes that run `node-run`, forked from one that has imported everything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

SERVER = """
import gc, json, os, signal, sys, traceback
import torch
import torch._dynamo  # as the first optimiser does, which takes longer than a small run
torch.set_num_threads(1)
from node_experiments.chapters.image_classification import mnist
from node_experiments.cli import application, main as cli
from node_experiments.data.cache import cache_folder
from node_experiments.runner import run
from node_experiments.tracking.figures import Figures
from node_experiments.tracking.tensorboard import TensorBoard
from node_experiments.training import checkpoints

mnist.load_mnist(cache_folder())
# What a run would import or find out first, which every fork would do again.
stdout, sys.stdout = sys.stdout, open(os.devnull, "w")
cli.main(["experiment=mnist_mlp", "protocol=smoke", "--cfg", "job"])
sys.stdout = stdout
# So small a run spends its time drawing, and would seldom be killed at anything else.
Figures.epoch_end = lambda figures, trainer: None

def kill_in(name, line):
    # At the n-th line that is executed to write this checkpoint; at 0, when it is written.
    write = checkpoints.write_atomically
    def watched(path, *arguments, **options):
        left = line
        def trace(frame, event, argument):
            nonlocal left
            if frame.f_code is not write.__code__:
                return None
            left -= event == "line"
            reached = left == 0 if line else event == "return"
            if reached:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace if path.name == name else None)
        write(path, *arguments, **options)
        sys.settrace(None)
    checkpoints.write_atomically = watched

def run(words, folder, out, place, before):
    code = 99
    try:
        os.chdir(folder)
        for stream in (1, 2):
            os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        if place:
            kill_in(*place)
        defined = {}
        exec(before, defined)
        code = cli.main(words)
        defined.get("after", int)()
    except Exception:
        code = 99
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)

gc.collect()
gc.freeze()
for line in sys.stdin:
    command, *given = json.loads(line)
    if command == "start":
        child = os.fork()
        if child == 0:
            run(*given)
        print(child, flush=True)
    else:
        print(os.waitstatus_to_exitcode(os.waitpid(*given, 0)[1]), flush=True)
"""


class Run:
    """A `node-run` that was started."""

    def __init__(self, server: ForkServer, process: int, output: Path) -> None:
        self.server, self.process, self.output = server, process, output

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.process, number)

    def wait(self) -> int:
        """Its exit code, that of a signal negative, when it has ended."""
        return self.server.ask("wait", self.process)


class ForkServer:
    """Starts runs; a fork needs no imports, which take longer than a small run."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def ask(self, *words: object) -> int:
        """The answer to a line."""
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(self, *words: str, folder: Path, kill_in: tuple[str, int] | None = None,
              before: str = "") -> Run:  # fmt: skip
        """Start `node-run` with these words in a folder, which will hold what it says.

        Args:
            before: Statements that the process executes first; the function `after`, if they
                define one, is called in the end.
        """
        output = folder / f".said_{time.monotonic_ns()}"
        process = self.ask("start", words, str(folder), str(output), kill_in, before)
        return Run(self, process, output)

    def run(self, *words: str, folder: Path, kill_after: float | None = None,
            kill_in: tuple[str, int] | None = None) -> tuple[int, float]:  # fmt: skip
        """Exit code of a run, and its seconds."""
        run = self.start(*words, folder=folder, kill_in=kill_in)
        started = time.perf_counter()
        if kill_after is not None:
            time.sleep(kill_after)
            run.send_signal(signal.SIGKILL)
        return run.wait(), time.perf_counter() - started

    def close(self) -> None:
        """End the process that runs are forked from."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

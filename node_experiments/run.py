"""One job: a run folder in, training or evaluation, a result out."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from . import build
from .config import ConfigError, RunConfig, to_yaml
from .data.errors import DataError
from .files import write_json
from .ode import SolveError
from .tracking.figures import Figures
from .tracking.progress import EpochLines, ProgressBar
from .tracking.records import MetricsFile, config_hash, run_info
from .tracking.tensorboard import TensorBoard
from .training.callbacks import Callback
from .training.checkpoints import CheckpointError, Checkpoints, load_checkpoint
from .training.device import DeviceError, describe_device, prepare_process, select_device
from .training.loop import Trainer, TrainingDiverged
from .training.memory import MemoryMeter, peak_bytes
from .training.solver_statistics import SolverStatistics, solve_statistics
from .training.timing import Timing

__all__ = ["run"]

log = logging.getLogger(__name__)

BAD_INPUT = (ConfigError, DataError, DeviceError, CheckpointError)


def run(
    config: RunConfig, folder: Path, choices: dict[str, Any], console: Console, live: bool
) -> dict[str, Any]:
    """Run one job and write everything that it leaves behind into its folder.

    Args:
        folder: The run folder, which exists.
        choices: What was chosen of each configuration group.
        live: Show a progress bar.

    Returns:
        What `result.json` holds, and `exit_code`: 0, 1 (failed), 2 (bad input) or 130
        (interrupted).
    """
    plain = asdict(config)
    started = time.perf_counter()
    result: dict[str, Any] = {
        "status": "failed",
        "reason": None,
        "name": config.name,
        "mode": config.mode,
        "choices": choices,
        "seed": config.seed,
        "protocol": config.protocol,
        "config_hash": config_hash(plain),
        "metrics": {},
        "best": None,
        "objective": None,
    }
    exit_code = 1
    with log_file(folder / "node-run.log"):
        try:
            (folder / "config.yaml").write_text(to_yaml(plain))
            prepare_process(config.seed, config.trainer.threads, config.trainer.deterministic)
            device = select_device(config.trainer.device)
            info = run_info(config.seed, describe_device(device))
            write_json(folder / "run_info.json", info)
            result["hardware"] = {key: info[key] for key in ("cpu", "device", "threads")}
            job = evaluate if config.mode == "eval" else train
            exit_code = job(config, plain, folder, result, console, live)
        except BAD_INPUT as error:
            result["reason"], exit_code = str(error), 2
            log.debug(traceback.format_exc())
        except (SolveError, TrainingDiverged) as error:
            result["reason"] = str(error)
            log.debug(traceback.format_exc())
        except Exception as error:
            result["reason"] = f"{type(error).__name__}: {error}"
            log.debug(traceback.format_exc())
        finally:
            result["seconds"] = {
                "total": time.perf_counter() - started,
                "per_step": result["metrics"].get("time/step_seconds"),
            }
            write_json(folder / "result.json", result)
    return result | {"exit_code": exit_code}


def train(
    config: RunConfig,
    plain: dict[str, Any],
    folder: Path,
    result: dict[str, Any],
    console: Console,
    live: bool,
) -> int:
    """Fit the model of the configuration; fills `result` and returns the exit code."""
    settings = config.trainer
    device = select_device(settings.device)
    data = build.build_data(config, device)
    model = build.build_model(config, data, device)
    task = build.build_task(config)
    optimizer = build.build_optimizer(config, model)
    scheduler = build.build_scheduler(config, optimizer, len(data.train))
    result["parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    log.info("%s: %d parameters on %s, in %s", config.name, result["parameters"], device, folder)

    checkpoints = Checkpoints(folder / "checkpoints", plain)
    tensorboard = TensorBoard(folder, hyperparameters(config, result["choices"]), task.metric)
    callbacks: list[Callback] = [
        SolverStatistics(),
        MemoryMeter(),
        Timing(),
        checkpoints,
        MetricsFile(folder),
        tensorboard,
        EpochLines(),
        Figures(folder / "figures", tensorboard, config.name, build.build_figures(task)),
        *build.build_animation(task, folder / "figures" / "training.gif"),
    ]
    if live and settings.progress and console.is_terminal:
        callbacks.append(ProgressBar(console))
    trainer = Trainer(
        task,
        model,
        optimizer,
        scheduler,
        data,
        callbacks,
        epochs=settings.epochs,
        device=device,
        precision=settings.precision,
        clip_norm=settings.clip_norm,
        log_every=settings.log_every,
    )
    try:
        trainer.fit()
        result["status"], exit_code = "completed", 0
    except KeyboardInterrupt:
        checkpoints.save(trainer, "last.pt")
        result["status"], exit_code = "interrupted", 130
        result["reason"] = f"interrupted in epoch {trainer.epoch + 1} of {trainer.epochs}"
    finally:
        tensorboard.close()
        summarize(trainer, result)
    return exit_code


def evaluate(
    config: RunConfig,
    plain: dict[str, Any],
    folder: Path,
    result: dict[str, Any],
    console: Console,
    live: bool,
) -> int:
    """Test metrics of the checkpoint that the configuration was made from."""
    assert config.checkpoint is not None
    device = select_device(config.trainer.device)
    checkpoint = load_checkpoint(Path(config.checkpoint), device)
    data = build.build_data(config, device)
    model = build.build_model(config, data, device)
    try:
        model.load_state_dict(checkpoint["model"])
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {config.checkpoint} are not those of model {config.model.name!r} "
            f"on {config.dataset.name}: {str(error).splitlines()[-1].strip()}"
        ) from error
    result["parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    task = build.build_task(config)
    trainer = Trainer(
        task,
        model,
        build.build_optimizer(config, model),
        build.build_scheduler(config, build.build_optimizer(config, model), 1),
        data,
        epochs=1,
        device=device,
        precision=config.trainer.precision,
    )
    values = trainer.evaluate(data.test)
    result["metrics"] = {f"{name}/test": value for name, value in values.items()}
    solves = solve_statistics(model)
    if solves:
        result["metrics"]["nfe/forward"] = solves[-1].forward.evaluations
    result["memory"] = {"peak_bytes": peak_bytes(device)}
    result["status"] = "completed"
    return 0


def summarize(trainer: Trainer, result: dict[str, Any]) -> None:
    """Final and best metrics, evaluations and memory of a training run."""
    final = trainer.history[-1] if trainer.history else {}
    result["metrics"] = final
    metric = f"{trainer.task.metric}/validation"
    if trainer.best is not None:
        at_best = next(row for row in trainer.history if row.get(metric) == trainer.best)
        result["best"] = {"by": metric, **at_best}
    at_best = result["best"] or final
    result["objective"] = at_best.get(metric, at_best.get(f"{trainer.task.metric}/test"))
    result["nfe"] = {way: final.get(f"nfe/{way}") for way in ("forward", "backward")}
    result["memory"] = {
        name: final.get(f"memory/{name}") for name in ("saved_bytes", "peak_bytes")
    }


def hyperparameters(config: RunConfig, choices: dict[str, Any]) -> dict[str, Any]:
    """The settings by which the dashboard compares runs."""
    return {
        **{group: str(choice) for group, choice in choices.items() if choice is not None},
        "seed": config.seed,
        "protocol": config.protocol,
        "epochs": config.trainer.epochs,
        "lr": config.optimizer.lr,
        "rtol": config.solver.rtol,
        "atol": config.solver.atol,
    }


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Everything that is logged also goes, with times and tracebacks, into this file."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    logger = logging.getLogger("node_experiments")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()

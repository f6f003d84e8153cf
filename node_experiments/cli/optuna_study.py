"""Resuming an Optuna search: the trials that its study, stored in a database, still lacks."""

from __future__ import annotations

import fcntl
import warnings
from pathlib import Path
from typing import IO, Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from ..runner.messages import console

__all__ = ["ContinuedStudy"]


class ContinuedStudy(Callback):
    """Hydra's callback around a sweep by Optuna.

    `hydra.sweeper.n_trials` becomes the number of trials that the study lacks. A trial that was
    cut short, which the database still holds for running, is given up and its settings are tried
    again first.

    Attributes:
        lock: Shared by the processes that work on studies in a database file, until they end.
    """

    lock: ClassVar[IO[str] | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look what the study has, if there is one."""
        sweeper = config.hydra.sweeper
        if not sweeper._target_.endswith("OptunaSweeper") or not isinstance(sweeper.storage, str):
            return
        from sqlalchemy.exc import SQLAlchemyError

        try:
            alone = self.claim(sweeper.storage)
            lacking = missing_trials(sweeper, list(config.hydra.overrides.task), alone)
        except (KeyError, OSError, SQLAlchemyError):
            return  # The sweeper begins the study, or says what is wrong with the database.
        finally:
            if self.lock is not None:
                fcntl.flock(self.lock, fcntl.LOCK_SH)
        with read_write(config.hydra):
            sweeper.n_trials = lacking
        if lacking == 0:
            console.print(f"the study {sweeper.study_name} is done; for more, raise its n_trials")
            Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Let go of the database."""
        self.release()

    def claim(self, storage: str) -> bool:
        """Whether no other process works in this database, as far as can be told.

        Only files tell: a trial that a database server holds for running may run anywhere.
        """
        from sqlalchemy.engine import make_url

        self.release()
        url = make_url(storage)
        if url.get_backend_name() != "sqlite" or not url.database:
            return False
        file = Path(url.database)
        file.parent.mkdir(parents=True, exist_ok=True)
        ContinuedStudy.lock = lock = file.with_name(f"{file.name}.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let other processes be alone with the database."""
        if self.lock is not None:
            self.lock.close()
        ContinuedStudy.lock = None


def missing_trials(sweeper: DictConfig, overrides: list[str], alone: bool) -> int:
    """How many of `n_trials` the study has not completed with the settings of this command line.

    Args:
        alone: What the study holds for running does not run.

    Raises:
        KeyError: There is no such study yet.
    """
    import optuna
    from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
    from optuna.exceptions import ExperimentalWarning
    from optuna.trial import TrialState

    study = optuna.load_study(sweeper.study_name, sweeper.storage)
    given = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
    _, fixed = create_params_from_overrides([*given, *overrides])
    missing = int(sweeper.n_trials)
    for trial in study.trials:
        same = trial.user_attrs == fixed
        if trial.state == TrialState.COMPLETE and same:
            missing -= 1
        elif trial.state == TrialState.RUNNING and alone:
            study.tell(trial.number, state=TrialState.FAIL)
            if same:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    study.enqueue_trial(trial.params)
    return max(0, missing)

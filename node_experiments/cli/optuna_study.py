"""Resuming an Optuna search: runs only the trials that its stored study still lacks."""

from __future__ import annotations

import fcntl
import warnings
from pathlib import Path
from typing import IO, Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from ..runner.messages import console

__all__ = ["ResumeStudy"]


class ResumeStudy(Callback):
    """Hydra callback that lets an Optuna sweep continue a stored study.

    `hydra.sweeper.n_trials` is replaced by the number of trials that the study lacks. A trial that
    was interrupted, which the database still lists as running, is marked as failed, and its
    settings are tried again first.

    Attributes:
        lock: File lock that is shared by all processes using a database file, until they end.
    """

    lock: ClassVar[IO[str] | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Reduce the number of trials by those that the study has completed, if it exists."""
        sweeper = config.hydra.sweeper
        if not sweeper._target_.endswith("OptunaSweeper") or not isinstance(sweeper.storage, str):
            return
        from sqlalchemy.exc import SQLAlchemyError

        try:
            alone = self.claim(sweeper.storage)
            lacking = missing_trials(sweeper, list(config.hydra.overrides.task), alone)
        except (KeyError, OSError, SQLAlchemyError):
            return  # The sweeper starts the study, or says what is wrong with the database.
        finally:
            if self.lock is not None:
                fcntl.flock(self.lock, fcntl.LOCK_SH)
        with read_write(config.hydra):
            sweeper.n_trials = lacking
        if lacking == 0:
            console.print(f"study {sweeper.study_name} is complete; for more, raise its n_trials")
            Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Release the lock on the database."""
        self.release()

    def claim(self, storage: str) -> bool:
        """Lock the database; return whether it is certain that no other process uses it.

        Only database files can be locked: a trial that a server lists as running may run anywhere.
        """
        from sqlalchemy.engine import make_url

        self.release()
        url = make_url(storage)
        if url.get_backend_name() != "sqlite" or not url.database:
            return False
        file = Path(url.database)
        file.parent.mkdir(parents=True, exist_ok=True)
        ResumeStudy.lock = lock = file.with_name(f"{file.name}.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Release the lock, so that another process can take it exclusively."""
        if self.lock is not None:
            self.lock.close()
        ResumeStudy.lock = None


def missing_trials(sweeper: DictConfig, overrides: list[str], alone: bool) -> int:
    """Number of the `n_trials` trials not yet completed with the settings of this command line.

    Args:
        alone: No other process uses the study: trials listed as running were interrupted.

    Raises:
        KeyError: The study does not exist yet.
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

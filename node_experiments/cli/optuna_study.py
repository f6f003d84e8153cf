"""Optuna searches: each has a separate study, and runs only the trials that the study lacks."""

from __future__ import annotations

import fcntl
import hashlib
import json
import warnings
from pathlib import Path
from typing import IO, Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from ..config import ConfigError
from ..config.run import NOT_HASHED, NOT_HASHED_OF_TRAINER
from ..runner.messages import show

__all__ = ["ResumeStudy", "check_study"]

# Settings that do not change what a trial computes: a search may continue with other values.
NOT_OF_A_TRIAL = {*NOT_HASHED, *(f"trainer.{name}" for name in NOT_HASHED_OF_TRAINER)}


class ResumeStudy(Callback):
    """Hydra callback that lets an Optuna sweep continue a stored study.

    A study without a name is named after the search. `hydra.sweeper.n_trials` is replaced by the
    number of trials that the study lacks. A trial that was interrupted, which the database still
    lists as running, is marked as failed, and its settings are tried again first.

    Attributes:
        lock: File lock that is shared by all processes using a database file, until they end.
    """

    lock: ClassVar[IO[str] | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Name the study; reduce the number of trials by those that it has completed, if any."""
        sweeper = config.hydra.sweeper
        if not is_stored(sweeper):
            return
        from sqlalchemy.exc import SQLAlchemyError

        overrides = list(config.hydra.overrides.task)
        if sweeper.study_name is None:
            with read_write(config.hydra):
                sweeper.study_name = name_of_search(config.name, sweeper, overrides)
        try:
            alone = self.claim(sweeper.storage)
            lacking = missing_trials(sweeper, alone)
        except (KeyError, OSError, SQLAlchemyError):
            return  # The sweeper starts the study, or says what is wrong with the database.
        finally:
            if self.lock is not None:
                fcntl.flock(self.lock, fcntl.LOCK_SH)
        with read_write(config.hydra):
            sweeper.n_trials = lacking
        if lacking == 0:
            show(f"study {sweeper.study_name} is complete; for more, raise its n_trials")
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


def is_stored(sweeper: DictConfig) -> bool:
    """Whether a sweep is an Optuna search with a database."""
    return sweeper._target_.endswith("OptunaSweeper") and isinstance(sweeper.storage, str)


def name_of_search(name: str, sweeper: DictConfig, overrides: list[str]) -> str:
    """Name of a study that only the same search has: the same settings, fixed and searched.

    Trials of another search would be ranked with its own, and its best one could be reported.
    """
    searched, fixed = searched_and_fixed(sweeper, overrides)
    text = json.dumps(
        [fixed, {key: str(values) for key, values in searched.items()}], sort_keys=True
    )
    direction = getattr(sweeper.direction, "name", sweeper.direction)
    return f"{name}_{direction}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def searched_and_fixed(
    sweeper: DictConfig, overrides: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that a search varies, with their distributions, and those that it fixes."""
    from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

    given = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
    searched, fixed = create_params_from_overrides([*given, *overrides])
    searched = {key: values for key, values in searched.items() if key not in fixed}
    return searched, relevant(fixed)


def relevant(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that change what a trial computes."""
    return {key: value for key, value in settings.items() if key not in NOT_OF_A_TRIAL}


def check_study(config: DictConfig) -> None:
    """Check that a study that the user has named, if it exists, is that of this search.

    This is not done by `ResumeStudy`, because Hydra turns errors of its callbacks into warnings.

    Raises:
        ConfigError: Its trials have other fixed settings, or search others.
    """
    sweeper = config.hydra.sweeper
    if not is_stored(sweeper) or sweeper.study_name is None:
        return
    import optuna
    from optuna.trial import TrialState
    from sqlalchemy.exc import SQLAlchemyError

    try:
        trials = optuna.load_study(sweeper.study_name, sweeper.storage).trials
    except (KeyError, OSError, SQLAlchemyError):
        return  # as in `ResumeStudy`
    searched, fixed = searched_and_fixed(sweeper, list(config.hydra.overrides.task))
    ours = fixed | dict.fromkeys(searched, "searched")
    for trial in trials:
        theirs = relevant(trial.user_attrs) | dict.fromkeys(trial.params, "searched")
        if trial.state == TrialState.COMPLETE and theirs != ours:
            differing = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
            key = differing[0]
            raise ConfigError(
                f"hydra.sweeper.study_name={sweeper.study_name} is the study of another search: "
                f"its trials have {key}={theirs.get(key, 'default')}, and this one has "
                f"{key}={ours.get(key, 'default')}; leave the name out, or give one that is new"
            )


def missing_trials(sweeper: DictConfig, alone: bool) -> int:
    """Number of the `n_trials` trials that the study has not completed yet.

    Args:
        alone: No other process uses the study: trials listed as running were interrupted.

    Raises:
        KeyError: The study does not exist yet.
    """
    import optuna
    from optuna.exceptions import ExperimentalWarning
    from optuna.trial import TrialState

    study = optuna.load_study(sweeper.study_name, sweeper.storage)
    missing = int(sweeper.n_trials)
    for trial in study.trials:
        if trial.state == TrialState.COMPLETE:
            missing -= 1
        elif trial.state == TrialState.RUNNING and alone:
            study.tell(trial.number, state=TrialState.FAIL)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.enqueue_trial(trial.params)
    return max(0, missing)

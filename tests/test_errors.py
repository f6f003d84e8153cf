"""Errors that the user can correct have one base, from which the exit code follows."""

import pytest

from node_experiments.config import ConfigError
from node_experiments.errors import DataError, UserError
from node_experiments.training.checkpoints import CheckpointError
from node_experiments.training.device import DeviceError


@pytest.mark.parametrize("error", [ConfigError, DataError, DeviceError, CheckpointError])
def test_what_the_user_can_correct_has_one_base(error):
    assert issubclass(error, UserError)
    assert error.exit_code == 2

"""Which runs compute the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["config_hash"]

# Settings that change where or how a run is shown and kept, and nothing of what it computes.
NOT_HASHED = ("outputs", "resume", "places")
NOT_HASHED_OF_TRAINER = ("progress", "checkpoint_minutes", "profile", "loggers")
OF_EVALUATION = ("mode", "checkpoint", "predict")


def config_hash(config: dict[str, Any]) -> str:
    """Twelve hexadecimal digits that are equal for runs that compute the same."""
    left_out = {*NOT_HASHED, *(OF_EVALUATION if config["mode"] == "train" else ())}
    relevant = {key: value for key, value in config.items() if key not in left_out}
    relevant["trainer"] = {
        key: value for key, value in config["trainer"].items() if key not in NOT_HASHED_OF_TRAINER
    }
    text = json.dumps(relevant, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]

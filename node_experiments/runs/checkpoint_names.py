"""Names that `checkpoint=` and `resume=` accept besides paths: `latest`, and shipped runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..config import ConfigError, nearest

__all__ = ["LATEST", "PRETRAINED", "latest_run", "pretrained_runs", "resolved_checkpoint"]

LATEST, PRETRAINED = "latest", "pretrained:"
FOLDER = Path(__file__).parent.parent / "pretrained"


def pretrained_runs() -> Mapping[str, Path]:
    """The run folders that ship with the package, by name."""
    return {path.parent.name: path.parent for path in sorted(FOLDER.glob("*/result.json"))}


def resolved_checkpoint(text: str, outputs: str | Path = "outputs") -> str:
    """The path that `latest` or `pretrained:<name>` stands for; any other text unchanged.

    Args:
        outputs: Directory that is searched for `latest`.

    Raises:
        ConfigError: No run has a checkpoint, or no checkpoint of this name ships with the package.
    """
    if text == LATEST and not Path(text).exists():
        return str(latest_run(Path(outputs)))
    if not text.startswith(PRETRAINED):
        return text
    name, known = text.removeprefix(PRETRAINED), pretrained_runs()
    if name not in known:
        raise ConfigError(
            f"checkpoint={text} does not ship with the package{nearest(name, known)}"
        )
    return str(known[name])


def latest_run(outputs: Path) -> Path:
    """The run folder whose checkpoint was written last.

    Raises:
        ConfigError: None below `outputs` has one.
    """
    found = []
    for file in outputs.rglob("checkpoints/*.pt"):
        with suppress(OSError):  # a broken link, or removed just now
            found.append((file.stat().st_mtime, file))
    if not found:
        shipped = ", ".join(f"{PRETRAINED}{name}" for name in pretrained_runs())
        raise ConfigError(
            f"{LATEST}: no run in {outputs} has a checkpoint; name a run folder, set "
            f"outputs=<directory>, or use one that ships: {shipped}"
        )
    return max(found)[1].parent.parent

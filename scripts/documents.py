"""The documents that hold generated blocks, and links between them."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "outputs" / "reference" / "README.md"
SOLVERS = ROOT / "node_experiments" / "ode" / "README.md"
PERFORMANCE = ROOT / "scripts" / "README.md"


def linked_from(document: Path, text: str) -> str:
    """A text whose links start at the root of the repository, as it stands in a document."""

    def relative(match: re.Match[str]) -> str:
        path, _, anchor = match[1].partition("#")
        target = Path(os.path.relpath(ROOT / path, document.parent)).as_posix()
        return f"]({target}{'#' if anchor else ''}{anchor})"

    return re.sub(r"\]\(((?!https?:|#)[^)]+)\)", relative, text)

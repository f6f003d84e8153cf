"""Writes Table 1 of the README from the reference runs.

python scripts/readme_results.py
"""

import re
from pathlib import Path

from node_experiments.reports.table1 import table1

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "outputs" / "reference" / "table1"
BLOCK = re.compile(r"<!-- results: table1 -->\n.*?<!-- /results -->", re.DOTALL)


def table() -> str:
    """The block of the README between its markers, from the files of the runs."""
    return f"<!-- results: table1 -->\n{table1(RUNS)}<!-- /results -->"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(BLOCK.sub(lambda match: table(), readme.read_text()))

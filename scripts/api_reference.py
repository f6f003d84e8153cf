"""Writes the API reference as pages of HTML.

python scripts/api_reference.py FOLDER
"""

import argparse
from importlib import import_module
from pathlib import Path

import pdoc

# Packages whose names are imported when they are first asked for; pdoc looks at what is there.
LAZY = ("node_experiments.ode", "node_experiments.ode.gradients", "node_experiments.runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    for name in LAZY:
        package = import_module(name)
        vars(package).update({each: getattr(package, each) for each in package.__all__})
    pdoc.pdoc("node_experiments.ode", "node_experiments", output_directory=asked.folder)


if __name__ == "__main__":
    main()

"""`python -m node_experiments` is `node-run`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())

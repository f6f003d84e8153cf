"""Run a program from fixed seeds: `seeded.py <program> [arguments]`."""

import random
import runpy
import sys
from pathlib import Path

import numpy as np
import torch

random.seed(0)
np.random.seed(0)  # noqa: NPY002
torch.manual_seed(0)
del sys.argv[0]
sys.path.insert(0, str(Path(sys.argv[0]).parent))  # as Python does for a program
runpy.run_path(sys.argv[0], run_name="__main__")

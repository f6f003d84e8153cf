# %% [markdown]
# # From a CSV file to forecasts
# One row for each observation, at irregular times; empty cells are missing. On the command line:
#
#     node-run dataset=csv --sample > patients.csv
#     node-run experiment=csv_latent_ode dataset.path=patients.csv
#     node-run mode=predict checkpoint=latest dataset.path=new_patients.csv
#
# Here the model that ships with the package, which was trained this way, forecasts in Python.

# %%
import io
import subprocess
import sys

import pandas

from node_experiments import load

command = [sys.executable, "-m", "node_experiments", "dataset=csv", "--sample", "new_patients"]
text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
table = pandas.read_csv(io.StringIO(text))
print(table.head())

# %% [markdown]
# Hours 30 and 36, of patients whose first 24 hours are known; `_q05` and `_q95` are the 90 % band.

# %%
run = load("pretrained:csv_latent_ode")
forecasts = run.predict(table, times=[30, 36])
print(forecasts.head())

"""Series of another file that a model was trained on are recognised when it is tested."""

import numpy as np
import pandas as pd
import pytest

TINY = ("protocol=smoke", "trainer.threads=1", "trainer.progress=false")


def pumps(count=20, seed=0, rows=40):
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        [(f"p{n:02d}", t, draw.normal()) for n in range(count) for t in range(rows)],
        columns=["series", "time", "flow"],
    )


@pytest.fixture(params=[(), ("dataset.window=6",)], ids=["whole", "windows"])
def settings(request):
    return request.param


@pytest.fixture
def run(node_run, tmp_path, settings):
    pumps().to_csv(tmp_path / "pumps.csv", index=False)
    done = node_run("experiment=csv_gru_d", "dataset.path=pumps.csv", *settings, *TINY)
    assert done.code == 0, done.err
    return done.folders[0]


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ("as it was", 0),
        ("one row less", True),
        ("more rows", True),
        ("other pumps", 0),
    ],
)
def test_series_that_were_trained_on_are_counted(node_run, tmp_path, run, settings, change, known):
    table = pumps()
    if change == "one row less":
        table = table.drop(index=table.index[-1])
    elif change == "more rows":
        table = pd.concat([table, pumps(seed=1).assign(time=lambda x: x["time"] + 40)])
    elif change == "other pumps":
        table = pumps(seed=2)
    table.to_csv(tmp_path / "later.csv", index=False)
    done = node_run("mode=eval", f"checkpoint={run}", "dataset.path=later.csv")
    assert done.code == 0, done.err
    # A fifth of the pumps is for testing; but with windows, each has some of all parts.
    expected = (20 if settings else 16) if known else 0
    count = f"later.csv: {expected} of 20 series were also in the training or validation part"
    assert (count in done.out) == bool(known)
    assert ("were also in the training" in done.out) == bool(known)

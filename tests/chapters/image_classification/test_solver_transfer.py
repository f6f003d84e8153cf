"""Trained with one solver, tested with others: a discretisation is told from an ODE."""

import json
import statistics

import pytest
import yaml

from node_experiments.chapters.image_classification.solver_transfer import solver_transfer
from node_experiments.cli.report import main
from node_experiments.reports.paired import paired_error
from tests.written import markdown

ORDERS = {"euler": 1, "midpoint": 2, "rk4": 4, "dopri5": 5}
STAGES = {"euler": 1, "midpoint": 2, "rk4": 4}


def solver(method, steps=None, rtol=1e-3):
    return {"method": method, "num_steps": steps, "step_size": None, "rtol": rtol, "atol": rtol}


def write(
    folder, trained, tested, error, status="completed", size=None, seed=0, known=True, rtol=1e-3,
    wrong=None, **settings,
):  # fmt: skip
    """The run folder of an evaluation; solvers are (method, steps)."""
    name = f"{trained}_{tested}_{seed}".translate(str.maketrans("", "", "'(), "))
    name += "".join([f"_{rtol}" * (rtol != 1e-3), *settings.values()])
    run = folder / name
    run.mkdir(parents=True)
    config = {"mode": "eval", "solver": solver(*tested, rtol), "dataset": {"test_size": size}}
    config |= settings
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    method, steps = tested
    origin = {"name": "net", "seed": seed, "config_hash": f"{trained}{seed}{settings}"}
    result = {"status": status, "name": "net", "reason": None}
    if known:
        result["trained"] = {**origin, "solver": solver(*trained)}
    if status == "completed":
        evaluations = 30 if steps is None else STAGES[method] * steps
        result["metrics"] = {"accuracy/test": 1 - error, "nfe/forward": evaluations}
        result["solver_order"] = ORDERS[method]
    else:
        result["reason"] = "the step size became\ntoo small | or so"
    if wrong is not None:
        (run / "wrong.json").write_text(json.dumps({"images": size, "wrong": list(wrong)}))
    (run / "result.json").write_text(json.dumps(result))
    return run


def lines(report, start):
    return [line for line in report.splitlines() if line.startswith(start)]


def test_a_discretisation_changes_under_finer_solvers(tmp_path):
    coarse, fine = ("euler", 1), ("dopri5", None)
    for tested, error in ((coarse, 0.02), (("euler", 2), 0.02), (("rk4", 8), 0.4)):
        write(tmp_path, coarse, tested, error)
    for tested, error in ((("euler", 1), 0.5), (("rk4", 8), 0.021), (fine, 0.02)):
        write(tmp_path, fine, tested, error)
    report = markdown(solver_transfer, tmp_path)
    (says,) = lines(report, "- euler, 1 step: ")
    assert says == (
        "- euler, 1 step: a discretisation; its error is 2.00 % with its own solver and 40.00 % "
        "with rk4, 8 steps: +38.00 ± 1.02 points (two standard errors, not paired: no wrong.json)."
    )
    (says,) = lines(report, "- dopri5, tolerance 0.001: ")
    assert "not known, for it was tested with no finer solver" in says
    assert lines(report, "| ") == [
        "| tested with | evaluations | dopri5, tolerance 0.001 | euler, 1 step |",
        "| --- | ---: | ---: | ---: |",
        "| euler, 1 step | 1 | 50.00 | **2.00** |",
        "| euler, 2 steps | 2 | - | 2.00 |",
        "| rk4, 8 steps | 32 | 2.10 | 40.00 |",
        "| dopri5, tolerance 0.001 | 30 | **2.00** | - |",
    ]


@pytest.mark.parametrize(
    ("error", "size", "kind"),
    [
        (0.022, None, "no change seen"),  # 0.2 points are 1 standard error of 10,000 images
        (0.030, None, "a discretisation"),
        (0.010, None, "a discretisation"),  # a change for the better is one too
        (0.030, 100, "no change seen"),  # 1 point is less than 1 standard error of 100 images
    ],
)
def test_changes_are_weighed_by_their_errors(tmp_path, error, size, kind):
    write(tmp_path, ("rk4", 1), ("rk4", 1), 0.02, size=size)
    write(tmp_path, ("rk4", 1), ("rk4", 4), error, size=size)
    write(tmp_path, ("rk4", 1), ("euler", 16), 0.9, size=size)  # not finer: of lower order
    (says,) = lines(markdown(solver_transfer, tmp_path), "- rk4")
    assert says.startswith(f"- rk4, 1 step: {kind}")


def test_without_its_own_solver_nothing_is_said(tmp_path):
    write(tmp_path, ("euler", 1), ("rk4", 4), 0.4)
    assert "not tested with its own solver" in markdown(solver_transfer, tmp_path)


def test_seeds_are_one_column(tmp_path):
    for seed, error in ((0, 0.02), (1, 0.03)):
        write(tmp_path, ("euler", 1), ("euler", 1), error, seed=seed)
    assert "| euler, 1 step | 1 | **2.50 ± 0.71** |" in markdown(solver_transfer, tmp_path)


@pytest.mark.parametrize(
    ("own", "tested", "is_finer"),
    [
        (("euler", 2), ("rk4", 1), False),  # of higher order, but with larger steps
        (("euler", 2), ("euler", 4), True),
        (("euler", 1), ("dopri5", None), True),
        (("dopri5", None), ("rk4", 100), False),  # no tolerance to compare
        (("dopri5", None), ("dopri5", None, 1e-5), True),
        (("dopri5", None), ("midpoint", None, 1e-5), True),  # of lower order, at a tighter one
        (("dopri5", None), ("dopri5", None, 1e-2), False),
    ],
)
def test_what_is_finer(tmp_path, own, tested, is_finer):
    write(tmp_path, own, own, 0.02)
    write(tmp_path, own, tested[:2], 0.5, rtol=(*tested, 1e-3)[2])
    says = "a discretisation" if is_finer else "tested with no finer solver"
    assert says in markdown(solver_transfer, tmp_path)


def test_the_finest_solver_decides(tmp_path):
    own = ("euler", 1)
    for tested, error in ((own, 0.02), (("euler", 16), 0.5), (("rk4", 8), 0.02)):
        write(tmp_path, own, tested, error)
    says = "no change seen of its error of 2.00 % with rk4, 8 steps"
    assert says in markdown(solver_transfer, tmp_path)


def test_networks_are_compared_with_themselves(tmp_path):
    """That the worse seed alone met the finer solver is no change."""
    own, fine = ("euler", 1), ("rk4", 8)
    write(tmp_path, own, own, 0.02, seed=0)
    write(tmp_path, own, own, 0.30, seed=1)
    write(tmp_path, own, fine, 0.30, seed=1)
    assert "no change seen of its error of 30.00 %" in markdown(solver_transfer, tmp_path)
    write(tmp_path, own, fine, 0.06, seed=0)
    (says,) = lines(markdown(solver_transfer, tmp_path), "- euler")
    assert "+2.00 ± " in says
    assert "the 2 networks +0.00 to +4.00" in says


@pytest.mark.parametrize(
    ("setting", "one", "other"),
    [
        ("protocol", "paper", "quick"),
        ("gradient", "adjoint", "backprop"),
        ("model", "odenet", "resnet"),
    ],
)
def test_networks_that_differ_in_more_than_the_seed_are_two_columns(tmp_path, setting, one, other):
    own = ("euler", 1)
    write(tmp_path, own, own, 0.02, **{setting: one})
    write(tmp_path, own, own, 0.04, **{setting: other})
    report = markdown(solver_transfer, tmp_path)
    assert f"| euler, 1 step, {setting}={one} | euler, 1 step, {setting}={other} |" in report
    assert "| **2.00** | **4.00** |" in report


@pytest.mark.parametrize("number", ["accuracy/test", "loss/test"])
def test_no_number_is_no_ode(tmp_path, number):
    own = ("euler", 1)
    write(tmp_path, own, own, 0.02)
    run = write(tmp_path, own, ("rk4", 8), 0.02)
    result = json.loads((run / "result.json").read_text())
    result["metrics"][number] = None
    (run / "result.json").write_text(json.dumps(result))
    report = markdown(solver_transfer, tmp_path)
    assert f"failed: its {number} is not a number" in report
    assert "no change seen" not in report


def test_the_same_images_are_compared_in_pairs(tmp_path):
    """20 of 1000 images wrong before, these and 10 more after: all changes are for the worse."""
    own, fine = ("euler", 1), ("rk4", 8)
    for paired, says in ((True, "a discretisation"), (False, "no change seen")):
        folder = tmp_path / str(paired)
        for tested, count in ((own, 20), (fine, 30)):
            wrong = range(count) if paired else None
            write(folder, own, tested, count / 1000, size=1000, wrong=wrong)
        report = markdown(solver_transfer, folder)
        assert says in lines(report, "- euler")[0]
        assert ("not paired" in lines(report, "- euler")[0]) != paired


def test_the_error_of_paired_changes():
    before, after = {0, 1, 2}, {2, 3, 4, 5, 6}
    changes = [-1, -1, 0, 1, 1, 1, 1] + [0] * 93
    expected = statistics.pstdev(changes) / 10
    assert paired_error([(before, after)], 100) == pytest.approx(expected)
    # Another network that changes on the same images adds no knowledge of images.
    assert paired_error([(before, after)] * 3, 100) == pytest.approx(expected)
    assert paired_error([(before, before)], 100) > 0


def test_with_nothing_to_count_reasons_are_listed(tmp_path):
    run = write(tmp_path, ("euler", 1), ("euler", 1), 0.02, known=False)
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "run_info.json").write_text("{}")
    (tmp_path / "lost" / "config.yaml").write_text("mode: eval\n")
    assert markdown(solver_transfer, tmp_path) == (
        "No run of mode=eval of a network that solves an ODE is here.\n\n"
        f"- Not counted: {run.name}, made before runs recorded what they were trained with; "
        "run it again.\n"
        "- Not counted: lost, unfinished.\n"
    )


def test_evaluations_of_other_models_than_classifiers_are_left_out(tmp_path):
    """`node-report solver_transfer --reference` reads the evaluations of forecasts, too."""
    write(tmp_path, ("euler", 1), ("euler", 1), 0.02)
    alone = markdown(solver_transfer, tmp_path)
    forecast = write(tmp_path, ("dopri5", None), ("dopri5", None), 0, seed=1)
    result = json.loads((forecast / "result.json").read_text())
    result["metrics"] = {"mse/test": 0.2, "nfe/forward": 30}
    (forecast / "result.json").write_text(json.dumps({**result, "metric": "mse"}))
    assert markdown(solver_transfer, tmp_path) == alone


def test_failed_runs_are_marked(tmp_path):
    write(tmp_path, ("euler", 1), ("euler", 1), 0.02)
    write(tmp_path, ("euler", 1), ("dopri5", None), 0, status="failed")
    write(tmp_path, ("euler", 1), ("midpoint", 3), 0, status="failed", known=False)
    job = {"job": 3, "overrides": "checkpoint=x,solver=rk4", "folder": "x", "reason": "no"}
    (tmp_path / "jobs.jsonl").write_text(json.dumps(job) + "\n")
    report = markdown(solver_transfer, tmp_path)
    failed = "failed: the step size became too small / or so"
    assert f"| dopri5, tolerance 0.001 | - | {failed} |" in report
    assert f"Not counted: euler1_midpoint3_0, {failed}." in report
    assert "Not counted: checkpoint=x,solver=rk4, failed: no." in report


def test_commands(tmp_path, capsys):
    write(tmp_path, ("euler", 1), ("euler", 1), 0.02)
    assert main(["--outputs", str(tmp_path), "solver_transfer", "--format", "md"]) == 0
    assert capsys.readouterr().out == markdown(solver_transfer, tmp_path)
    assert markdown(solver_transfer, tmp_path / "nowhere").startswith("No run of mode=eval")


def test_an_evaluation_leaves_what_the_table_needs(node_run, tiny, tmp_path):
    """From the command line, with run folders of a sweep, which have `=` in their names."""
    trained = node_run(
        "sweep=solver_transfer", "model.channels=8", "solver=euler", "solver.num_steps=1,2",
        "seed=0", "hydra.sweep.dir=trained", *tiny,
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert all("=" in folder.name for folder in trained.folders)
    folders = ",".join(f"trained/{folder.name}" for folder in trained.folders)
    tested = node_run(
        "-m", "mode=eval", f"checkpoint={folders}", "solver=euler,rk4", "solver.num_steps=2",
        "hydra.sweep.dir=tested",
    )  # fmt: skip
    assert tested.code == 0, tested.err
    report = markdown(solver_transfer, tmp_path)
    assert "| tested with | evaluations | euler, 1 step | euler, 2 steps |" in report
    for row in ("| euler, 2 steps | 2 | ", "| rk4, 2 steps | 8 | "):
        assert lines(report, row)
    assert "| - |" not in report
    assert "two standard errors)" in report, "paired, by the images that each got wrong"

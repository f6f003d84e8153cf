"""Regularisers from the command line: what is logged, and that evaluations do not see them."""

import json

import pytest

ODE_DEMO = ("experiment=ode_demo", "protocol=smoke", "trainer.threads=1")


def result(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("gradient", ["adjoint", "discrete"])
def test_a_regularised_run(node_run, gradient):
    """All integrals at once, also with the hooks that count saved bytes; then its evaluation."""
    run = node_run(
        *ODE_DEMO,
        f"gradient={gradient}",
        "regularizer=taylor",
        "regularizer.order=2",
        "regularizer.kinetic=0.01",
        "regularizer.jacobian=0.01",
    )
    assert run.code == 0, run.err
    (folder,) = run.folders
    trained = result(folder)
    assert trained["choices"]["regularizer"] == "taylor"
    for name in ("kinetic", "jacobian", "taylor"):
        assert trained["metrics"][f"regularizer/{name}"] > 0
    evaluated = node_run("mode=eval", f"checkpoint={folder}")
    assert evaluated.code == 0, evaluated.err
    (other,) = set(evaluated.folders) - {folder}
    assert result(other)["metrics"]["rmse/test"] == trained["metrics"]["rmse/test"]
    assert not any("regularizer" in name for name in result(other)["metrics"])


def test_the_gradient_is_compared_without_penalties_in_epochs_without_an_evaluation(node_run):
    run = node_run(
        *ODE_DEMO, "protocol=smoke", "regularizer=kinetic", "trainer.gradient_error=true",
        "trainer.epochs=4", "trainer.evaluate_every=2", "trainer.threads=1",
    )  # fmt: skip
    assert run.code == 0, run.err
    lines = (run.folders[0] / "metrics.jsonl").read_text().splitlines()
    assert all(json.loads(line)["gradient/error"] < 0.1 for line in lines)


@pytest.mark.thorough
def test_a_regularised_recurrence(node_run):
    """Solves between observations, whose gradient is compared with an exact one."""
    run = node_run(
        "experiment=periodic_ode_rnn",
        "protocol=smoke",
        "trainer.threads=1",
        "trainer.gradient_error=true",
        "trainer.limit_batches=1",
        "regularizer=kinetic_jacobian",
    )
    assert run.code == 0, run.err
    metrics = result(run.folders[0])["metrics"]
    assert metrics["regularizer/kinetic"] > 0
    assert metrics["regularizer/jacobian"] > 0
    assert 0 < metrics["gradient/error"] < 0.5
    assert metrics["nfe/forward"] > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("experiment=mnist_mlp", "regularizer=kinetic"), "solves no ODE"),
        ((*ODE_DEMO, "regularizer=kinetic", "solver.batching=independent"), "batching"),
        ((*ODE_DEMO, "regularizer=taylor", "trainer.compile=true"), "torch.compile cannot"),
        ((*ODE_DEMO, "regularizer.kinetic=-1"), "regularizer.kinetic=-1.0 must be"),
        ((*ODE_DEMO, "regularizer=taylor", "regularizer.order=1"), "from 2 to 6"),
        ((*ODE_DEMO, "regularizer=kinetik"), "kinetic"),
    ],
)
def test_what_cannot_be_regularised_is_rejected(node_run, arguments, message):
    run = node_run(*arguments, "protocol=smoke")
    assert run.code == 2
    assert message in run.err
    assert "Traceback" not in run.err

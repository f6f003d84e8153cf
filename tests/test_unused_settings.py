"""A setting of the command line that nothing reads is rejected in one line."""

import pytest
from torch import nn

from node_experiments.ode import Solver
from node_experiments.runner.unused_settings import may_solve

MLP = ("experiment=mnist_mlp", "model.hidden=8")
ODE = ("experiment=mnist_odenet", "model.channels=8")
SOLVES_NONE = "on model.name='mlp', which solves no ODE; leave out all of "


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            (*MLP, "optimizer=adam", "optimizer.momentum=0.5"),
            "optimizer.momentum=0.5 has no effect with optimizer=adam, which reads lr, "
            "weight_decay, beta1, beta2; leave it out",
        ),
        (
            (*MLP, "scheduler=none", "scheduler.factor=0.5"),
            "scheduler.factor=0.5 has no effect with scheduler=none, which reads none; leave it",
        ),
        (
            (*MLP, "scheduler=cosine", "scheduler.warmup=0.1"),
            "scheduler.warmup=0.1 has no effect with scheduler=cosine",
        ),
        ((*MLP, "solver.num_steps=7"), f"solver.num_steps=7 has no effect {SOLVES_NONE}"),
        ((*MLP, "gradient.checkpoints=4"), f"gradient.checkpoints=4 has no effect {SOLVES_NONE}"),
        (
            (*ODE, "gradient=backprop", "gradient.rtol=1e-9"),
            "gradient.rtol=1e-09 has no effect with gradient=backprop",
        ),
        (
            (*ODE, "gradient=backprop", "gradient.method=rk4"),
            "gradient.method=rk4 has no effect with gradient=backprop",
        ),
        (
            (*ODE, "gradient=adjoint", "gradient.checkpoints=3"),
            "gradient.checkpoints=3 has no effect with gradient=adjoint, which reads ",
        ),
        (
            (*ODE, "regularizer=kinetic", "regularizer.order=5"),
            "regularizer.order=5 has no effect without a weight regularizer.taylor; set one",
        ),
    ],
)
def test_it_is_named_with_the_choice_that_does_not_read_it(node_run, tiny, words, said, tmp_path):
    result = node_run(*words, *tiny)
    assert result.code == 2
    assert said in result.err
    assert result.err.count("\n") == 1
    assert not list(tmp_path.rglob("config.yaml"))


@pytest.mark.parametrize(
    "words",
    [
        (*MLP, "optimizer=adam", "optimizer.momentum=0.9"),  # the default
        (*MLP, "solver.rtol=1e-3"),
        (*MLP, "scheduler=step", "scheduler.factor=0.5"),
        (*ODE, "gradient=adjoint", "gradient.rtol=1e-2", "gradient.method=bosh3"),
        (*ODE, "gradient=checkpoint", "gradient.checkpoints=3"),
        (*ODE, "regularizer=taylor", "regularizer.order=2"),
    ],
)
def test_what_is_read_and_defaults_are_accepted(node_run, tiny, words):
    result = node_run(*words, *tiny)
    assert result.code == 0, result.err


def test_a_sweep_over_parts_may_give_all_of_them_a_setting(node_run, tiny):
    swept = node_run(
        "-m", *MLP, *tiny, "optimizer=adam,sgd", "optimizer.momentum=0.5", "scheduler=none"
    )
    assert swept.code == 0, swept.out
    both = node_run(
        "-m", "experiment=mnist_mlp,mnist_odenet", "solver=rk4", "solver.num_steps=2", *tiny
    )
    assert both.code == 0, both.out
    alone = node_run("-m", *MLP, *tiny, "optimizer=adam", "optimizer.momentum=0.5,0.6")
    assert alone.code == 1
    assert "optimizer.momentum=0.6 has no effect with optimizer=adam" in alone.err


def test_a_run_that_was_started_before_goes_on(node_run, tiny, monkeypatch):
    from node_experiments.runner import train

    words = (*MLP, *tiny, "solver.num_steps=7", "resume=auto")
    with monkeypatch.context() as patch:
        patch.setattr(train, "check_overrides_have_effect", lambda config, model: None)
        assert node_run(*words).code == 0
    assert node_run(*words).code == 0


def test_a_model_that_holds_a_solver_may_solve_with_it():
    class Own(nn.Module):
        def __init__(self, solver):
            super().__init__()
            self.inner = nn.Linear(1, 1)
            self.inner.how = solver

    assert may_solve(Own(Solver("dopri5")))
    assert not may_solve(Own(None))

"""Faults in a user's own configuration files are named with the file, in one line."""

import pytest

HEAD = "# @package _global_\ndefaults:\n  - override /dataset: mnist\n  - override /model: mlp\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trainer: {epoch: 3}", "trainer.epoch is not a setting; did you mean trainer.epochs"),
        ("model: {hiden: 3}", "model.hiden is not a setting; did you mean model.hidden?"),
        ("names: own", "names is not a setting; did you mean name"),
        ("solver:\n  rtoll: 1", "solver.rtoll is not a setting; did you mean solver.rtol"),
    ],
)
def test_a_misspelt_setting_is_named_with_its_file(node_run, tmp_path, text, said):
    file = tmp_path / "mine" / "experiment" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"{HEAD}{text}\n")
    result = node_run("--config-dir", "mine", "experiment=own")
    assert result.code == 2
    assert result.err.startswith(f"node-run: {file}: {said}")
    assert result.err.count("\n") == 1


def test_one_of_the_command_line_is_named_without_a_file(node_run, tmp_path):
    file = tmp_path / "mine" / "experiment" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"{HEAD}trainer: {{epochs: 3}}\n")
    result = node_run("--config-dir", "mine", "experiment=own", "+model.hiden=3")
    assert result.code == 2
    assert result.err.startswith("node-run: model.hiden is not a setting")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            "seed: [0,1]",
            "params.seed=[0,1] is one value, a list; for a job with each of its items",
        ),
        ("optimizer.lr: [0.1, 0.2]", "write optimizer.lr: 0.1,0.2"),
    ],
)
def test_a_list_in_the_file_of_a_sweep_is_not_several_values(node_run, tmp_path, params, said):
    file = tmp_path / "mine" / "sweep" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f"# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      {params}\n"
    )
    result = node_run("--config-dir", "mine", "experiment=mnist_mlp", "sweep=own")
    assert result.code == 2
    assert said in result.err
    assert result.err.count("\n") == 1
    assert not list(tmp_path.rglob("outputs"))


def test_a_list_for_a_setting_that_is_a_list_is_a_value(node_run, tmp_path, tiny):
    file = tmp_path / "mine" / "sweep" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
        "      trainer.loggers: [csv]\n      seed: 0,1\n"
    )
    words = ("experiment=mnist_mlp", "model.hidden=8", "sweep=own", *tiny)
    result = node_run("--config-dir", "mine", *words)
    assert result.code == 0, result.err
    assert len(result.folders) == 2

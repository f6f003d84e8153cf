"""mode=eval: a model rebuilt from its checkpoint alone."""

import json

import pytest
import torch


@pytest.fixture
def trained(made_once, tiny):
    return made_once("experiment=mnist_odenet", *tiny)


def content(folder):
    return json.loads((folder / "result.json").read_text())


def evaluate(node_run, trained, *arguments):
    result = node_run("mode=eval", f"checkpoint={trained}", *arguments)
    new = [folder for folder in result.folders if folder != trained]
    return result, new[-1] if new else None


def test_eval_repeats_the_test_metrics(node_run, trained):
    result, folder = evaluate(node_run, trained)
    assert result.code == 0, result.err
    best = content(trained)["best"]
    assert content(folder)["metrics"]["accuracy/test"] == best["accuracy/test"]
    assert content(folder)["metrics"]["loss/test"] == pytest.approx(best["loss/test"], rel=1e-6)
    assert folder.parent.name == "eval"
    assert "with the weights of epoch" in result.out


def test_solver_and_tolerances_may_be_overridden(node_run, trained):
    _, loose = evaluate(node_run, trained)
    _, tight = evaluate(node_run, trained, "solver.rtol=1e-6", "solver.atol=1e-6")
    assert content(tight)["metrics"]["nfe/forward"] > content(loose)["metrics"]["nfe/forward"]
    _, fixed = evaluate(node_run, trained, "solver=rk4", "solver.num_steps=3")
    assert content(fixed)["metrics"]["nfe/forward"] == 12
    _, more = evaluate(node_run, trained, "dataset.test_size=32", "trainer.device=cpu")
    assert content(more)["status"] == "completed"


def test_what_is_recorded_is_the_checkpoints_or_was_asked_for(node_run, trained):
    before = content(trained)
    _, folder = evaluate(node_run, trained)
    assert content(folder)["choices"] == before["choices"]
    assert content(folder)["seed"] == before["seed"]
    result, _ = evaluate(
        node_run, trained, "solver=rk4", "solver.num_steps=3", "seed=7", "name=again"
    )
    assert result.code == 0, result.err
    (folder,) = (folder for folder in result.folders if folder.parent.name == "again")
    assert content(folder)["choices"] == {**before["choices"], "solver": "rk4"}
    assert content(folder)["seed"] == 7
    assert content(folder)["name"] == "again"


@pytest.mark.parametrize("word", ["trainer.limit_batches=1", "trainer.epochs=3"])
@pytest.mark.parametrize("mode", ["eval", "predict"])
def test_settings_of_training_alone_are_rejected(node_run, trained, mode, word):
    result = node_run(f"mode={mode}", f"checkpoint={trained}", word)
    assert result.code == 2
    assert f"{word.partition('=')[0]} means nothing with mode={mode}" in result.err


def test_the_file_itself_may_be_given(node_run, trained):
    result, _ = evaluate(node_run, trained / "checkpoints" / "last.pt")
    assert result.code == 0, result.err


def test_its_directory_names_what_was_overridden(node_run, trained):
    _, plain = evaluate(node_run, trained)
    assert "=" not in plain.name
    _, changed = evaluate(node_run, trained, "solver.rtol=1e-5")
    assert changed.name.endswith("_rtol=1e-5")
    assert changed.name.count("=") == 1
    result, _ = evaluate(node_run, trained, "solver=euler,rk4", "solver.num_steps=2", "-m")
    assert result.code == 0, result.err
    assert {f.name for f in result.folders} > {"0_solver=euler", "1_solver=rk4"}


@pytest.mark.parametrize("override", ["model=resnet", "optimizer.lr=1", "gradient=backprop"])
def test_what_the_checkpoint_determines_may_not(node_run, trained, override):
    result, _ = evaluate(node_run, trained, override)
    assert result.code == 2
    assert "changeable: solver, dataset, trainer" in result.err


def test_missing_truncated_and_foreign_checkpoints(node_run, trained, tmp_path):
    result, _ = evaluate(node_run, tmp_path / "nowhere")
    assert result.code == 2
    assert "is missing" in result.err

    whole = (trained / "checkpoints" / "best.pt").read_bytes()
    damaged = tmp_path / "damaged.pt"
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        damaged.write_bytes(whole[:size])
        result, _ = evaluate(node_run, damaged)
        assert result.code == 2, size
        assert "damaged, or holds more than tensors" in result.err
        assert "orch" not in result.err.replace(str(tmp_path), "")

    foreign = tmp_path / "foreign.pt"
    torch.save({"weights": torch.zeros(3)}, foreign)
    result, _ = evaluate(node_run, foreign)
    assert result.code == 2
    assert "holds no model" in result.err

    checkpoint = torch.load(trained / "checkpoints" / "best.pt", weights_only=True)
    del checkpoint["config"]["model"]["augment"]
    checkpoint["config"]["model"]["name"] = "resnet"
    torch.save(checkpoint, foreign)
    result, _ = evaluate(node_run, foreign)
    assert result.code == 2
    assert "not those of model 'resnet'" in result.err
    assert len([line for line in result.err.splitlines() if line]) == 1


def test_a_checkpoint_names_nothing_outside_the_registries(node_run, trained, tmp_path):
    for group, setting, message in (
        ("model", {"name": "os.system"}, "model.name='os.system' is unknown"),
        ("solver", {"method": "os.system"}, "solver.method='os.system'"),
        ("model", {"_target_": "os.system"}, "model._target_ is not a setting"),
    ):
        checkpoint = torch.load(trained / "checkpoints" / "best.pt", weights_only=True)
        checkpoint["config"][group] |= setting
        torch.save(checkpoint, tmp_path / "foreign.pt")
        result, _ = evaluate(node_run, tmp_path / "foreign.pt")
        assert result.code == 2
        assert message in result.err
        assert result.err.count("\n") == 1


def test_a_checkpoint_cannot_run_code(node_run, tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    path = tmp_path / "attack.pt"
    torch.save({"config": Attack(), "model": {}}, path)
    result, _ = evaluate(node_run, path)
    assert result.code == 2
    assert not (tmp_path / "owned").exists()

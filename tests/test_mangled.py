"""Configurations that make no sense are rejected in one line, and nothing is started."""

import random

import pytest

from tests.grids import by_turns

KEYS = (
    "seed", "name", "trainer.epochs", "trainer.device", "trainer.threads", "optimizer.lr",
    "optimizer", "solver", "solver.rtol", "model", "model.channels", "dataset",
    "dataset.batch_size", "scheduler", "gradient", "experiment", "protocol", "trainer",
    "resume", "checkpoint", "mode", "sweep", "debug", "trainer.devices", "hydra.launcher",
)  # fmt: skip
VALUES = (
    "-1", "1e400", "nan", "null", "{}", "[1,2,3]", "{a:{b:{c:{d:{e:1}}}}}", "Ünï©øδé", "\U0001f600",  # noqa: E501
    "x" * 10_000, "${seed}", "${nothing.here}", "${oc.env:NO_SUCH_VARIABLE}", "'", '"', "[", "}",
    "../../../etc/passwd", "true", "a=b", "1,2", "\\", "\t", "$(id)", "{", "[[[[[[[[]]]]]]]]",
    "__import__('os')", "os.system", "-0", "1e-400", "0x10", "1_0", "inf", "-inf",
)  # fmt: skip
# Never what a key allows, whatever it is.
NONSENSE = ("trainer.epochs=0", "optimizer.lr=-1", "seed=-5", "model.name=os.system", "zzz=1")


def mangled(count):
    generator = random.Random(0)
    for _ in range(count):
        arguments = []
        for _ in range(generator.randint(1, 3)):
            key = generator.choice(KEYS)
            if generator.random() < 0.3:
                key = generator.choice(("+", "++", "~", "", ".", "é", "x" * 500)) + key
            if generator.random() < 0.2:
                key += "." + ".".join("abcdefghij"[: generator.randint(1, 10)])
            arguments.append(f"{key}={generator.choice(VALUES)}")
        arguments.append(generator.choice(NONSENSE))
        yield arguments


@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_a_hundred_mangled_configurations(node_run, tmp_path, half):
    for arguments in [*mangled(100)][half::2]:
        result = node_run(*arguments)
        assert result.code == 2, (arguments, result)
        lines = [line for line in result.err.splitlines() if line]
        assert len(lines) == 1, (arguments, result.err)
        assert len(lines[0]) < 2000, arguments
        assert "Traceback" not in result.err + result.out
        assert not list(tmp_path.rglob("*.pt"))
        assert not list(tmp_path.rglob("run_info.json")), arguments


@pytest.mark.parametrize(
    ("key", "name"),
    by_turns(
        ["dataset", "model", "optimizer", "scheduler", "gradient"],
        ["os.system", "torch.hub.load", "node_experiments.cli.main.main"],
    ),
)
def test_nothing_outside_the_registries_can_be_named(node_run, key, name):
    result = node_run(f"{key}.name={name}")
    assert result.code == 2
    assert "is unknown" in result.err
    result = node_run(f"+{key}._target_={name}")
    assert result.code == 2

"""Words of a command line as overrides that Hydra reads, and what to write instead."""

import pytest

from node_experiments.cli.arguments import CommandLineError, is_sweep, normalise, parse, read
from node_experiments.cli.directory_names import exclude_keys_override
from node_experiments.cli.override_checks import values
from node_experiments.cli.settings import nearest_setting

GROUPS = {
    "debug": ["fast", "nan"],
    "experiment": ["mnist_mlp", "mnist_odenet"],
    "solver": ["dopri5", "rk4"],
}


def overrides(*words, scratch=None):
    return normalise(parse(words), GROUPS, scratch)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_multirun_stands_anywhere(place):
    words = ["experiment=mnist_mlp", "seed=0,1"]
    words.insert(place, "-m")
    assert overrides(*words) == ["experiment=mnist_mlp", "seed=0,1"]
    assert is_sweep(parse(words))


@pytest.mark.parametrize(
    "value",
    [
        "a=b.csv", "a, b.csv", "pat(1).csv", "données 50%/#1.csv", "it's.csv", "C:\\x\\y.csv",
        "~/x y", "[a].csv", "{x}.csv", "a:b", 'say "x".csv', "é∑漢", "2021", "1e3", "true", "x#y",
        "a@b", "$HOME",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "key", ["dataset.path", "dataset.root", "dataset.label_column", "outputs", "name"]
)
def test_paths_and_names_are_taken_as_they_are_typed(key, value):
    (override,) = overrides(f"{key}={value}")
    assert str(read(override).value()) == value


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("[hr (bpm), a=b,#N/A,01,1.50,null]", ["hr (bpm)", "a=b", "#N/A", "01", "1.50", "null"]),
        ("[a[0],x]", ["a[0]", "x"]),
        ("['a, b',c]", ["a, b", "c"]),
        ("""['a b', "c (d)", e=f, it's]""", ["a b", "c (d)", "e=f", "it's"]),
        ("[]", []),
    ],
)
def test_names_in_lists_are_taken_as_they_are_typed(value, items):
    (override,) = overrides(f"dataset.value_columns={value}")
    found = read(override).value()
    assert [str(getattr(item, "text", item)) for item in found] == items


@pytest.mark.parametrize(
    ("given", "folders"),
    [
        ("a/0_x=1", ["a/0_x=1"]),
        ("a/0_x=0,a/1_x=1", ["a/0_x=0", "a/1_x=1"]),
        (r"a/0_x\=1,y\=2", ["a/0_x=1", "y=2"]),
        (r"a/0_x\=1\,2", ["a/0_x=1,2"]),
        ("'a/0_x=1'", ["a/0_x=1"]),
        ("auto", ["auto"]),
        ("pat(1)/x", ["pat(1)/x"]),
    ],
)
def test_run_directories_of_sweeps_as_they_are_called_or_escaped(given, folders):
    words = overrides(f"checkpoint={given}", "-m")
    override = read(words[0])
    assert list(values(override)) == folders


@pytest.mark.parametrize(
    "word", ["name=null", "resume=null", "name=[]", "name=${seed}", "outputs="]
)
def test_what_is_no_text_stays_as_it_is(word):
    assert overrides(word) == [word]


def test_nan_is_a_choice_and_no_number():
    assert overrides("debug=nan") == ["debug='nan'"]


def test_settings_of_a_dataset_wait_for_swept_experiments():
    words = ["-m", "experiment=mnist_mlp,mnist_odenet", "dataset.batch_size=3", "seed=1"]
    found = overrides(*words)
    assert found == [
        "experiment=mnist_mlp,mnist_odenet",
        "dataset.batch_size=choice(3)",
        "seed=1",
    ]
    assert exclude_keys_override([], found, True).endswith(
        "exclude_keys=['dataset.batch_size','seed']"
    )
    assert exclude_keys_override(["dataset=mnist"], ["seed=1"], False).endswith(
        "exclude_keys=['dataset']"
    )


def test_a_process_that_is_not_the_first_leaves_nothing():
    assert overrides("seed=1", scratch="/tmp/x") == [
        "seed=1", "hydra.run.dir=/tmp/x", "hydra.sweep.dir=/tmp/x", "hydra.output_subdir=null",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["mnist_odenet"], "did you mean experiment=mnist_odenet?"),
        (["experiment", "mnist_odenet"], "did you mean experiment=mnist_odenet?"),
        (["trainer.epochs", "3"], "did you mean trainer.epochs=3?"),
        (["rk4"], "did you mean solver=rk4?"),
        (["seed", "=", "3"], "did you mean seed=3?"),
        (["seed", "=3"], "did you mean seed=3?"),
        (["dataset.path=", "my.csv"], "did you mean dataset.path=my.csv?"),
        (["trainer.loggers=[csv,", "wandb]"], "did you mean 'trainer.loggers=[csv, wandb]'?"),
        (["--epochs", "3"], "trainer.epochs=3"),
        (["--epochs=3"], "trainer.epochs=3"),
        (["--lr", "0.1", "seed=1"], "optimizer.lr=0.1"),
        (["seed=1", "--batch-size", "3"], "dataset.batch_size=3"),
        (["--cfg"], "expected one argument"),
        (["--cfg", "all", "-m"], "exclude each other"),
        (["seed='"], "the value of seed cannot be read"),
        (["solver==x"], "the value of solver cannot be read"),
        (["é=1"], "is not a setting"),
    ],
)
def test_what_to_write_instead(words, line):
    with pytest.raises(CommandLineError) as caught:
        overrides(*words)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_nearest_setting_is_looked_for_in_all_groups():
    assert nearest_setting("lr") == ["optimizer.lr"]
    assert nearest_setting("epochs")[0] == "trainer.epochs"
    assert nearest_setting("trainer.lr") == ["optimizer.lr"]
    assert nearest_setting("zzzzzz") == []

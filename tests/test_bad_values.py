"""Wrong values for every setting of every dataset, model and part: one line, or they compose."""

import random

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from node_experiments.cli.hydra_errors import describe_error
from node_experiments.cli.settings import choices, setting_types
from node_experiments.config import RunConfig
from node_experiments.errors import UserError
from node_experiments.runner.compose import configs_folder
from node_experiments.runner.messages import complain
from tests.composed import composed_config
from tests.grids import always

VALUES = (
    "-1", "0", "1", "2", "1.5", "1e400", "-inf", "nan", "99999999999999999999", "1" * 400,
    "null", "true", "[]", "[1,2]", "[a]", "{}", "{a: 1}", "${seed}", "${nothing.here}",
    "${oc.env:NO_SUCH}", "'x'", "''", "é∑漢", "\U0001f600", "x" * 5000, "a=b", "'", "[",
    "os.system", "../x", "1,2", " ",
)  # fmt: skip


def command_lines(count):
    """Every setting at least once, then drawn ones; each with a value that is drawn."""
    draw = random.Random(0)
    keys = sorted(setting_types())
    for place in range(count):
        key = keys[place] if place < len(keys) else draw.choice(keys)
        yield key, f"{key}={draw.choice(VALUES)}"


def answer(words):
    """None if the words compose, else the one line."""
    try:
        composed_config(words)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        return describe_error(error)
    return None


@pytest.mark.parametrize("part", always([0], range(5)))
def test_wrong_values_get_one_line_each(part):
    settings = len(setting_types())
    drawn = [*command_lines(max(300, settings))][part::5]
    lines = [(words, answer([words])) for _, words in drawn]
    assert len(lines) >= 60
    answered = [(words, line) for words, line in lines if line is not None]
    for words, line in answered:
        assert line.strip(), words
        assert len(" ".join(line.split())) < 3000, words
        assert "Traceback" not in line
        assert "raise" not in line.split(), (words, line)
    assert len(answered) > 35


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("trainer.profile=2", "trainer.profile=2 must be true or false"),
        ("dataset.flip=2", "dataset.flip=2 must be true or false"),
        ("trainer.epochs=1.5", "trainer.epochs=1.5 must be an integer"),
        ("seed=null", "seed=null must be an integer"),
        ("dataset.path=[a.csv,b.csv]", "named by a pattern, as in 'dataset.path=runs/*.csv'"),
        ("dataset.validation_size=x", "validation_size=x must be an integer, or null"),
        ("scheduler.factor=inf", "scheduler.factor=inf must be a number > 0"),
        ("scheduler.factor=nan", "scheduler.factor=nan must be a number > 0"),
        ("optimizer.lr=abc", "optimizer.lr=abc must be a number"),
        ("scheduler.epochs=3", "scheduler.epochs=3 must be a list, each item an integer"),
        ("dataset.eval_batch_size=99999999999999999999", "is out of range: at most"),
        ("model.channels=99999999", "is out of range: at most"),
        ("trainer=[1]", "trainer=[1] chooses nothing"),
        ("model.name=[]", "model.name=[] must be"),
        ("dataset.name=[]", "dataset.name=[] must be"),
        ("dataset.name={a:1}", "dataset.name={'a': 1} must be"),
        ("outputs=", "outputs= is empty"),
        ("=1", "'=1' sets nothing: write key=value"),
        ("hydra.run.dir=", "hydra.run.dir= is empty; name a directory"),
        ("hydra.sweep.dir=''", "hydra.sweep.dir= is empty; name a directory"),
        ("trainer.epochs=${nope}", "trainer.epochs: Interpolation key 'nope' not found"),
        ("trainer.epochs=${oc.env:NO_SUCH}", "NO_SUCH"),
        ("lr=0.1", "did you mean optimizer.lr?"),
        ("epochs=3", "did you mean trainer.epochs"),
        ("batch_size=3", "did you mean dataset.batch_size?"),
        ("hydra.sweeper.n_trials=-1", "must be at least 0"),
        ("sweep=nope", "sweep=nope is unknown"),
        ("sweep=seeds,table1", "asks for several sweeps at once"),
        ("~dataset", "~dataset deletes what every run needs"),
        ("~solver=dopri5", "choose another one instead, with solver=<name>"),
        ("hydra.searchpath=[file:///nope]", "hydra.searchpath holds file:///nope, which does not"),
        ("hydra.searchpath=[pkg://os]", "give file://<directory> or pkg://<package>"),
        ("hydra.searchpath=[pkg://no.such]", "pkg://no.such, which does not exist"),
        (
            "experiment=japanese_vowels_rn",
            "mean japanese_vowels_rnn_dt, japanese_vowels_",
        ),
        ("experiment=VOWELS", "did you mean japanese_vowels_gru_d"),
        ("experiment=zzz", "experiment=zzz is unknown (node-run --list lists them)"),
        ("dataset=spiral", "did you mean spirals, 2spirals or cubic_spiral? (node-run --help"),
        ("dataset.obs=3", "(in dataset: node-run experiment=<name> --help lists them)"),
        ("protocol=smke", "did you mean smoke? (allowed: paper, quick, smoke)"),
        ("trainer.device=cuda:x", "or cuda:<number>"),
    ],
)
def test_what_was_wrong_is_named(words, line):
    found = answer([words])
    assert found is not None
    assert line in found
    assert "\n" not in found.strip()


@pytest.mark.parametrize(
    "empty", ["seed=range(0)", "seed=range(3,1)", "seed=glob(*)", "solver=glob(x*)"]
)
def test_a_sweep_without_a_job_is_rejected(empty):
    assert answer(["-m", empty]) == f"{empty} holds no value: the sweep would have no job"
    assert answer(["-m", "seed=range(0,2)", "solver=glob(rk*)"]) is None


def test_what_would_end_a_sweep_in_its_middle_is_rejected_before_it():
    assert "name='..' must be the name of one folder" in answer(["-m", "name=a,..,b"])
    assert "hydra.run.dir=x,y names several" in answer(["-m", "hydra.run.dir=x,y"])
    assert answer(["-m", "name=a,b,${oc.env:A/B,c}"]) is None


def test_no_list_of_choices_is_longer_than_can_be_read():
    """Of every group, and of the settings of every group."""
    groups = choices([configs_folder()])
    words = [f"{group}=zzz" for group in groups if "/" not in group]
    words += [f"{prefix}.zzz=1" for prefix in {key.partition(".")[0] for key in setting_types()}]
    words += [f"{group}.name=zzz" for group in ("dataset", "model")]
    words += ["mode=zzz", "zzz=1"]
    for word in words:
        found = answer([word])
        assert found is not None, word
        assert len(found) < 400, found
        assert " ... " not in found


def test_a_message_that_is_cut_is_cut_between_words(capsys):
    complain(" ".join(["japanese_vowels_rnn_dt"] * 200))
    line = capsys.readouterr().err.removeprefix("node-run: ")
    assert len(line) < 1600
    assert set(line.split()) == {"japanese_vowels_rnn_dt", "..."}


def test_values_that_are_right_compose():
    config = composed_config(
        ["trainer.device=cuda:1", "trainer.profile=true", "trainer.epochs=${seed}", "seed=3",
         "name=2021", "outputs=a=b (1)", "trainer.clip_norm=null"]
    )  # fmt: skip
    assert isinstance(config, RunConfig)
    assert config.trainer.device == "cuda:1"
    assert config.trainer.profile is True
    assert config.trainer.epochs == 3
    assert (config.name, config.outputs) == ("2021", "a=b (1)")

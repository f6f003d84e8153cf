"""What the README says is what the files say, and what it shows runs."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from node_experiments.ode import Solver, solve
from node_experiments.ode.gradients import GRADIENTS
from node_experiments.ode.methods.explicit_tableaus import EXPLICIT_TABLEAUS, TABLEAUS
from node_experiments.ode.methods.registry import METHODS
from node_experiments.reports.rank_test import compare

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted(
    {
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "configs").glob("README.md"),
        *(ROOT / "scripts").glob("README.md"),
        *(ROOT / "node_experiments").rglob("README.md"),
        *(ROOT / "outputs" / "reference").rglob("README.md"),
    }
)
RESULTS, SOLVERS, PERFORMANCE = (
    ROOT / folder / "README.md"
    for folder in ("outputs/reference", "node_experiments/ode", "scripts")
)


def linked_from(document, text):
    return load_script("documents").linked_from(document, text)


def load_script(name):
    if str(ROOT / "scripts") not in sys.path:
        sys.path.append(str(ROOT / "scripts"))
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_are_those_of_the_reference_runs():
    script = load_script("readme_results")
    shown = set()
    for document in script.DOCUMENTS:
        for block in script.BLOCK.finditer(document.read_text()):
            assert block[0] == linked_from(document, script.section(block[1]))
            shown.add(block[1])
    assert shown == set(script.SECTIONS)


def test_results_appear_when_their_runs_are_there(tmp_path):
    script = load_script("readme_results")
    nothing = "<!-- results: figure3 -->\nNot run yet.\n<!-- /results -->"
    assert script.section("figure3", tmp_path) == nothing
    (tmp_path / "figure3").mkdir()
    (tmp_path / "figure3" / "result.json").write_text('{"status": "failed", "reason": "no"}')
    (tmp_path / "figure3" / "config.yaml").write_text("mode: figure3\nname: net\n")
    block = script.section("figure3", tmp_path)
    assert "net: failed: no." in block
    assert "(outputs/reference/figure3/figure3.png)" in block


def finished_run(folder, name, task, seed, **model):
    folder.mkdir(parents=True)
    dataset = {"name": name.split("_")[0], "task": task, "observed_fraction": 0.1}
    config = {"name": name, "seed": seed, "dataset": dataset, "model": model}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "result.json").write_text('{"status": "completed"}')


def test_runs_are_kept_by_task_model_and_encoder(tmp_path, monkeypatch):
    script = load_script("readme_results")
    monkeypatch.setattr(script, "REFERENCE", tmp_path / "reference")
    sweep = tmp_path / "sweep"
    for task in ("interpolation", "extrapolation"):
        for encoder in ("rnn", "ode_rnn"):
            folder = sweep / task / encoder
            finished_run(folder, "periodic_latent_ode", task, 0, encoder=encoder)
    (sweep / "other").mkdir()
    (sweep / "other" / "config.yaml").write_text("name: net\ndataset: {name: mnist}\n")
    (sweep / "other" / "result.json").write_text('{"status": "completed"}')
    script.take("periodic_extrapolation", sweep)
    kept = {path.name for path in (tmp_path / "reference" / "periodic_extrapolation").iterdir()}
    assert kept == {"latent_ode_0.1_seed0", "latent_ode_rnn_encoder_0.1_seed0"}
    finished_run(sweep / "again", "periodic_latent_ode", "extrapolation", 0, encoder="rnn")
    with pytest.raises(SystemExit, match="more than one run for"):
        script.take("periodic_extrapolation", sweep)


def solver_rows():
    section = SOLVERS.read_text().split("\n## Solvers\n")[1].split("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in cells}


def ways_of(name):
    """The gradient methods that a solver takes, found by taking them."""
    method, field, ways = METHODS[name], torch.nn.Linear(1, 1).double(), set()
    solver = Solver(name, **({"rtol": 1e-2} if method.adaptive else {"num_steps": 4}))
    y0, t = torch.ones(2, dtype=torch.double), torch.tensor([0.0, 0.1], dtype=torch.double)
    for way in GRADIENTS:
        try:
            # Separable, as leapfrog needs it: each number moves by the other.
            solution = solve(
                lambda t, y: field(y.flip(0)[:, None])[:, 0],
                y0,
                t,
                solver,
                way,
                parameters=field.parameters(),
            )
        except ValueError:
            continue
        solution.ys[-1].sum().backward()
        ways.add(way)
    return ways


def column(ways):
    order = ("reversible", "backprop", "adjoint", "discrete", "checkpoint", "interpolated")
    named = ", ".join(f"`{way}`" for way in order if way in ways)
    return "all" if ways == set(GRADIENTS) else named


def row_of(name):
    """The row of an explicit Runge-Kutta method, all of which follows from its tableau."""
    method = METHODS[name]
    steps = "adaptive" if method.adaptive else "fixed"
    dense = "own" if TABLEAUS[name].dense is not None else "Hermite"
    cells = [f"`{name}`", method.family, method.order, method.stages, steps, "no"]
    cells += [f"{method.dense_order} ({dense})", column(ways_of(name))]
    return f"| {' | '.join(map(str, cells))} |"


def test_the_table_of_solvers_is_that_of_the_code():
    rows = solver_rows()
    wrong = [
        row
        for row in map(row_of, EXPLICIT_TABLEAUS)
        if row not in SOLVERS.read_text().splitlines()
    ]
    assert not wrong, "\n".join(
        ["node_experiments/ode/README.md, section Solvers, should have:", *wrong]
    )
    coupled = {f"reversible_{name}" for name in EXPLICIT_TABLEAUS} - {"reversible_heun"}
    expected, found = set(METHODS) - coupled, set(rows) - {"reversible_<method>"}
    assert found == expected, f"{SOLVERS}: add {expected - found}, remove {found - expected}"
    for name, (family, order, stages, steps, stiff, _, gradients) in rows.items():
        if name in EXPLICIT_TABLEAUS:
            continue
        assert gradients == column(ways_of(name.replace("<method>", "rk4")))
        if name not in METHODS:
            continue
        method = METHODS[name]
        assert family == method.family
        assert order.split("-")[-1] == str(method.order)
        assert stages == "varies" or stages.split()[0] == str(method.stages)
        assert (steps == "adaptive") == method.adaptive
        assert (stiff == "yes") == method.stiff


def test_gradients_are_those_of_the_benchmark():
    script = load_script("readme_gradients")
    (block,) = script.BLOCK.findall(SOLVERS.read_text())
    assert block == linked_from(SOLVERS, script.table())


def test_performance_is_that_of_the_benchmark():
    script = load_script("readme_performance")
    (block,) = script.BLOCK.findall(PERFORMANCE.read_text())
    assert block == linked_from(PERFORMANCE, script.section())


def test_performance_appears_when_it_was_measured(tmp_path):
    script = load_script("readme_performance")
    assert script.section(tmp_path) == "<!-- performance -->\n<!-- /performance -->"
    times = {
        "torchdiffeq backprop": 0.3,
        "torchdiffeq adjoint": 4.0,
        "backprop": 0.2,
        "discrete": 0.1,
        "discrete, graphs kept": 0.15,
        "backprop, compiled": 0.05,
    }
    counted = {"forward": 8, "backward": 6, "gradient_error": 1e-3, "warm_up_seconds": 7.0}
    results = [{"name": name, "seconds": time, **counted} for name, time in times.items()]
    machine = {
        "processor": "P",
        "instructions": "AVX",
        "cores": 2,
        "threads": 1,
        "versions": {"torch": "2"},
        "python": "3",
        "repetitions": 10,
        "load_average": 0.5,
    }
    rows = {"rk4": {"results": results, "commit": "0123456789ab"}}
    (tmp_path / "training_speed.json").write_text(json.dumps({"machine": machine, "rows": rows}))
    block = script.section(tmp_path)
    assert (
        "| ours | ours, compiled | torchdiffeq backprop | torchdiffeq adjoint | times as" in block
    )
    assert "3/8 rule | 100 | 50 | 300 | 4,000 | 6x |" in block  # the peer's best by our best
    assert "3/8 rule | 8 + 6; 1e-03 | 8 + 6; 1e-03 | 8 + 6; 1e-03 | - |" in block
    assert "P (AVX), one thread, medians of 10" in block
    assert "commit 0123456789ab." in block
    assert "whose first step takes 7 to 7 seconds" in block
    assert "MNIST" not in block
    point = {"steps": 100, "error": 0.009}
    runs = {
        name: {"reached": True, "history": [{"seconds": seconds, **point}]}
        for name, seconds in {"bosh3": 100.0, "torchdiffeq backprop": 350.0}.items()
    }
    (tmp_path / "accuracy.json").write_text(json.dumps({"runs": runs}))
    block = script.section(tmp_path)
    assert "| torchdiffeq backprop, the official schedule | 350 | 100 | **3.5x** |" in block
    runs["bosh3"]["reached"] = False
    (tmp_path / "accuracy.json").write_text(json.dumps({"runs": runs}))
    assert "| not in 100: 0.90 % | 100 |" in script.section(tmp_path)


def test_rows_have_as_many_cells_as_their_header():
    for document in DOCUMENTS:
        for block in re.findall(r"(?:^\|.*\n)+", document.read_text(), re.MULTILINE):
            counts = [len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()]
            assert len(set(counts)) == 1, (document, block)


def test_flows_are_those_of_the_reference_runs():
    script = load_script("readme_flows")
    (block,) = script.BLOCK.findall(RESULTS.read_text())
    assert block == linked_from(RESULTS, script.section())


def test_regularisers_are_those_of_the_reference_runs():
    script = load_script("readme_regularizers")
    (block,) = script.BLOCK.findall(RESULTS.read_text())
    assert block == script.section()


def test_links_and_pictures_exist():
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(document.read_text())):
            if link.startswith("http"):
                continue
            path, _, anchor = link.partition("#")
            target = document.parent / path if path else document
            assert target.exists(), (document, link)
            if anchor:
                assert anchor in anchors(target), (document, link)


def prose(text):
    """A document without its code."""
    return re.sub(r"(?ms)^```.*?^```|^    [^\n]*$|`[^`\n]*`", "", text)


def anchors(document):
    """Of the headings of a document, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", document.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_front_page_is_that_of_the_files():
    script = load_script("readme_front")
    blocks = {block[1]: block[0] for block in script.BLOCK.finditer(README)}
    assert blocks == {name: script.section(name) for name in script.SECTIONS}


def test_the_times_of_experiments_are_those_of_the_runs():
    script = load_script("experiment_times")
    assert script.TARGET.read_text() == script.text(), "run scripts/experiment_times.py"
    first = {"epochs": 1, "seconds": 10.0, "epoch_seconds": 4.0}
    assert script.whole({**first, "dataset": "mnist", "model": "revnet"}) == 14.0  # two epochs


@pytest.mark.parametrize(
    ("experiment", "settings", "whole"),
    [
        (
            "hopper_latent_ode",
            {"model.encoder": "ode_rnn", "dataset.observed_fraction": 0.5},
            True,
        ),
        ("hopper_latent_ode", {"model.encoder": "rnn"}, False),
        ("hopper_latent_ode", {"dataset.task": "extrapolation"}, False),
        ("mnist_odenet", {"dataset.train_size": None, "dataset.batch_size": 64}, True),
        ("mnist_odenet", {"dataset.train_size": 12_800}, False),
        ("anode_mnist", {"dataset.train_size": 3_000, "model.augment": 5}, True),  # its recipe's
        ("anode_mnist", {"dataset.train_size": 3_000, "model.augment": 0}, False),
        ("two_moons_flow_matching", {"dataset.name": "rings"}, False),
    ],
)
def test_the_time_of_an_experiment_is_not_that_of_another(experiment, settings, whole):
    script = load_script("experiment_times")
    run = {f"config.{name}": value for name, value in settings.items()}
    assert script.is_whole(run, experiment) == whole


def test_a_search_that_was_not_run_in_all_columns_has_not_won():
    script = load_script("search_report")
    conclusion, standing = script.conclusion, script.standing
    low, middle, high = ([level + n for n in range(4)] for level in (0.0, 10.0, 20.0))

    def found(ours, *counts):
        return {("RNN", count): compare(ours, middle) for count in counts}

    columns = "the lower error in all three columns"
    assert conclusion(found(low, 30, 50, 100)) == f"it has {columns}"
    assert conclusion(found(low, 30)) == (
        f"it is not shown to have {columns} (it was not run with 50 and 100 observations)"
    )
    assert conclusion(found(high, 30, 50)) == (
        f"it does not have {columns} (it was not run with 100 observations)"
    )
    undecided = {**found(low, 30, 50), **found(middle, 100)}
    assert conclusion(undecided) == f"it is not shown to have {columns}"
    assert standing(found(high, 30, 50)) == "its error is higher in 2 of 2 comparisons"
    assert standing(undecided) == (
        "its error is lower in 2, not decided by these seeds in 1 of 3 comparisons"
    )


def test_no_setting_of_the_search_is_lost_between_the_kinds_of_noise():
    drawn = pd.read_csv(ROOT / "outputs/reference/table2/search.csv").query(
        "round == 'first' and status == 'completed'"
    )
    text = load_script("search_report").elbo_and_forecast(drawn)
    kinds = re.findall(r"(\S+): -?\d\.\d\d \(p = [\d.e-]+, (\d+) settings", text)
    assert [name for name, _ in kinds] == ["0.05", "0.1", "learned"]
    assert sum(int(count) for _, count in kinds) == len(drawn)


def test_what_is_a_tenth_of_the_papers_steps_is_figure_4_alone():
    one, four, five = load_script("readme_flows").section().split("### Figure ")
    assert "a tenth of the paper's steps" in four
    assert "Seeds 0, 1, 2" in four
    assert "the paper does not say how many steps it took" in five
    assert "tenth" not in one + five


def test_pictures_in_html_exist():
    for path in re.findall(r'src="([^"]+)"', README):
        assert (ROOT / path).exists(), path


def test_the_citation_has_what_its_format_asks_for():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert found["cff-version"] == "1.2.0"
    for cited in (found, found["preferred-citation"]):
        assert cited["title"]
        assert cited["authors"]
    assert found["message"]


def test_the_front_page_is_short():
    assert len(README.splitlines()) <= 200


def test_the_python_examples_run(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = []
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(code, "README.md", "exec"), {})
        shown.append(capsys.readouterr().out)
    solution, runs = shown
    assert "backward" in solution
    assert "mnist_mlp" in runs


def test_the_messages_explained_are_those_of_the_library():
    """Each message of the table of questions is written somewhere in ode/."""
    (section,) = re.findall(
        r"## Questions that errors ask\n(.*?)(?=\n## |\Z)", SOLVERS.read_text(), re.DOTALL
    )
    code = "".join(path.read_text() for path in (ROOT / "node_experiments/ode").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # adjacent strings are one
    for message in re.findall(r"^\| `([^`]*)`", section, re.MULTILINE):
        assert message.removesuffix(" ...") in code, message

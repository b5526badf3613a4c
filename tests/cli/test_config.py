"""`fit --config`, the configuration that is written back, and the command that a model quotes."""

import json
import shlex
import tomllib
from pathlib import Path

import pytest
import torch

import counterflow as cf
from cli.running import FAST, ROLES, Runner

CONFIG = """
# A comment, and options in any order.
model = "made"
steps = 4
data = "events.parquet"
out = "a.safetensors"
context = "energy"
columns = ["n,pt", "cos"]
weight = "w"
support = ["pt=0..1000", "cos=-1..1"]
unit = ["pt=GeV"]
batch_size = 32
learning-rate = 1e-3
threads = 1
"""


def weights(model: str) -> dict[str, torch.Tensor]:
    return cf.load(f"{model}.safetensors").state_dict()


def same(first: str, second: str) -> bool:
    """Whether two models are the same, bit for bit."""
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def configured(run: Runner) -> Runner:
    """a.safetensors was made by run.toml."""
    Path("run.toml").write_text(CONFIG)
    outcome = run("fit", "--config", "run.toml")
    assert outcome.code == 0
    assert "Wrote a.safetensors, a.used.toml.\n" in outcome.out
    return run


def test_every_option_of_a_configuration_counts(configured: Runner) -> None:
    made = cf.read_header("a.safetensors")["metadata"]
    assert made["columns"] == ["n", "pt", "cos"]
    assert made["recipe"]["batch_size"] == 32
    assert made["recipe"]["learning_rate"] == 1e-3
    columns = {column["name"]: column for column in made["schema"]["columns"]}
    assert (columns["pt"]["low"], columns["pt"]["high"], columns["pt"]["unit"]) == (0.0, 1000.0, "GeV")
    assert made["schema"]["context"][0]["name"] == "energy"
    assert made["schema"]["weight"] == "w"


def test_the_configuration_written_back_is_complete(configured: Runner) -> None:
    used = tomllib.loads(Path("a.used.toml").read_text())
    assert used == {
        "data": "events.parquet",
        "out": "a.safetensors",
        "columns": ["n,pt", "cos"],
        "context": ["energy"],
        "weight": "w",
        "support": ["pt=0..1000", "cos=-1..1"],
        "unit": ["pt=GeV"],
        "drop-missing": False,
        "model": "made",
        "validation": 0.1,
        "test": 0.1,
        "steps": 4,
        "batch-size": 32,
        "learning-rate": 1e-3,
        "patience": 20,
        "seed": 0,
        "threads": 1,
    }


def test_the_configuration_written_back_makes_the_same_model(configured: Runner) -> None:
    assert configured("fit", "--config", "a.used.toml", "-o", "b.safetensors").code == 0
    assert same("a", "b")
    again = tomllib.loads(Path("b.used.toml").read_text())
    assert again == {**tomllib.loads(Path("a.used.toml").read_text()), "out": "b.safetensors"}


def test_what_inspect_prints_makes_the_same_model(configured: Runner) -> None:
    outcome = configured("inspect", "a.safetensors", "--config")
    assert tomllib.loads(outcome.out) == tomllib.loads(Path("a.used.toml").read_text())
    Path("printed.toml").write_text(outcome.out)
    assert configured("fit", "--config", "printed.toml", "-o", "b.safetensors").code == 0
    assert same("a", "b")
    assert json.loads(configured("inspect", "a.safetensors", "--config", "--json").out) == tomllib.loads(outcome.out)


def test_the_command_line_decides_where_both_speak(configured: Runner) -> None:
    words = ["--columns", "pt", "--support", "pt=0..", "--seed", 3, "-o", "b.safetensors", "--batch-size", 16]
    assert configured("fit", "--config", "run.toml", *words).code == 0
    used = tomllib.loads(Path("b.used.toml").read_text())
    assert (used["columns"], used["support"], used["seed"], used["batch-size"]) == (["pt"], ["pt=0.."], 3, 16)
    assert used["learning-rate"] == 1e-3
    assert not same("a", "b")


def test_a_default_on_the_command_line_outweighs_the_configuration(configured: Runner) -> None:
    assert configured("fit", "--config", "run.toml", "-o", "b.safetensors", "--batch-size", 256).code == 0
    assert tomllib.loads(Path("b.used.toml").read_text())["batch-size"] == 256


def test_a_fit_without_a_configuration_writes_none(run: Runner) -> None:
    run("fit", "events.parquet", "-o", "m.safetensors", *ROLES, *FAST)
    assert not list(Path().glob("*.toml"))


def test_the_quoted_command_makes_the_same_model(run: Runner) -> None:
    """With a configuration, lists that were repeated and lists with commas, and a name that the shell would split."""
    Path("a table.csv").write_text(Path("good.csv").read_text().replace("a,b,c", "a b,b,c", 1))
    Path("run.toml").write_text('model = "made"\nsteps = 4\nseed = 5\n')
    words = ["--columns", "a b", "--columns", "c,b", "--support", "a b=-9..9", "--support", "c=..", "--unit", "c=m s"]
    assert run("fit", "a table.csv", "-o", "a.safetensors", *words, "--config", "run.toml", "--quiet").code == 0
    command = cf.read_header("a.safetensors")["metadata"]["command"]
    assert command == (
        "counterflow fit 'a table.csv' --out a.safetensors --columns 'a b' --columns c,b --support 'a b=-9..9' "
        "--support c=.. --unit 'c=m s' --model made --steps 4 --seed 5"
    )
    words = shlex.split(command)[1:]
    words[words.index("a.safetensors")] = "b.safetensors"
    assert run(*words).code == 0
    assert same("a", "b")


def test_the_command_quoted_for_context_and_weight_makes_the_same_model(run: Runner) -> None:
    words = shlex.split(cf.read_header("given.safetensors")["metadata"]["command"])[1:]
    words[words.index("given.safetensors")] = "b.safetensors"
    assert run(*words).code == 0
    assert same("given", "b")


@pytest.mark.parametrize("name", ["a b", '"a, b"', "a=b", "$a"])
def test_what_comes_next_can_be_typed(name: str, run: Runner) -> None:
    Path("a table.csv").write_text(Path("good.csv").read_text().replace("a,b,c", f"{name},b,c", 1))
    outcome = run("fit", "a table.csv", "-o", "a model.safetensors", "--context", name, *FAST)
    following = outcome.out.splitlines()[-1].removeprefix("Next: counterflow ")
    assert run(*shlex.split(following)).code == 0
    assert Path("samples.csv").read_text().startswith(f"{name},b,c\n")

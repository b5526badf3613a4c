"""What a shell, a script and a stranger at a terminal of 80 columns get."""

import inspect
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import counterflow as cf
from cli.running import FAST, Runner
from counterflow.cli import app as commands
from counterflow.cli.app import app

COMMANDS = ["fit", "score", "sample", "report", "distil", "certify", "export", "convert", "inspect", "bench", "demo"]


@pytest.fixture(autouse=True)
def terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")


def options(command: str) -> set[str]:
    """The longest name of each option in the code."""
    metadata = [p.annotation.__metadata__[0] for p in inspect.signature(getattr(commands, command)).parameters.values()]
    names = [[n for n in (info.default, *(info.param_decls or ())) if str(n).startswith("-")] for info in metadata]
    return {max(one, key=len) for one in names if one}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_option_whole_at_80_columns_and_the_exit_codes(command: str, run: Runner) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 80
    shown = set(re.findall(r"(--[a-z-]+) ", outcome.out))
    assert options(command) <= shown
    assert "…" not in outcome.out
    words = " ".join(re.sub(r"[│╭╮╰╯─]", " ", outcome.out).split())
    assert "130 Ctrl-C" in words
    assert all(sentence.split()[0] in words for sentence in ("Usage:",))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("export", "MODEL A model file that draws in one pass: a student that `distil` wrote, or a coupling flow."),
        ("convert", "Usage: counterflow convert [OPTIONS] MODEL"),
        ("convert", "--trust-pickle Read the file although it is a pickle"),
        ("convert", "--from LIBRARY The library of the model: zuko, nflows, normflows, pyro."),
        ("demo", "All of it on real handwritten digits: fit, compare with a Gaussian, sample, distil, report."),
    ],
)
def test_help_names_what_a_command_takes(command: str, words: str, run: Runner) -> None:
    outcome = run(command, "--help")
    said = re.sub(r"[│╭╮╰╯─*{}]|<path>|PATH", " ", outcome.out)  # typer's own marks, which its releases change
    assert words.lower() in " ".join(said.split()).lower()


def test_help_without_a_command_lists_the_commands_with_a_sentence_each(run: Runner) -> None:
    for words in (["--help"], []):
        outcome = run(*words)
        said = outcome.out + outcome.err
        assert outcome.code == (0 if words else 2)
        assert re.findall(r"^│ ([a-z]+) +[A-Z]", said, re.MULTILINE) == COMMANDS
        assert max(map(len, said.splitlines())) <= 80


def test_the_documentation_lists_every_option_of_every_command() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        missing = [name for name in options(command) if f"`{name}" not in page]
        assert not missing, f"{command}: {missing}"


@pytest.mark.parametrize(
    ("typed", "place", "offered"),
    [
        ("counterflow s", 1, ["score", "sample"]),
        ("counterflow fit --con", 2, ["--config", "--context", "--continuous"]),
        ("counterflow fit x.csv --model n", 4, ["nsf", "nsf-coupling", "nice"]),
    ],
)
def test_the_shell_completes_commands_options_and_values(typed: str, place: int, offered: list[str]) -> None:
    environment = {"_COUNTERFLOW_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(place)}
    done = CliRunner().invoke(app, [], prog_name="counterflow", env=environment)
    assert sorted(done.output.split()) == sorted(offered)


def test_completion_can_be_installed(run: Runner) -> None:
    said = run("--help").out
    assert "--install-completion" in said
    assert "--show-completion" in said


def test_the_version_is_that_of_the_package(run: Runner) -> None:
    outcome = run("--version")
    assert (outcome.code, outcome.out) == (0, f"counterflow {cf.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "good.csv", "-o", "m.safetensors", *FAST, "--report", "r.html"],
        ["score", "model.safetensors", "good.csv", "-o", "s.csv"],
        ["sample", "model.safetensors", "-n", "5", "-o", "x.csv"],
        ["report", "model.safetensors", "good.csv", "-o", "r.html"],
        ["inspect", "model.safetensors"],
        ["bench", "model.safetensors", "--batch", "2", "--seconds", "0.001"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_json_is_one_object_and_all_that_is_on_standard_output(arguments: list[str], run: Runner) -> None:
    outcome = run(*arguments, "--json")
    assert outcome.code == 0
    assert outcome.out.count("\n") == 1

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    said = json.loads(outcome.out, parse_constant=refuse)
    assert isinstance(said, dict)
    if "-o" in arguments:
        assert said["written"][0] == arguments[arguments.index("-o") + 1]


def test_a_refusal_under_json_leaves_standard_output_empty(run: Runner) -> None:
    outcome = run("score", "model.safetensors", "none.csv", "-o", "s.csv", "--json")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err == "counterflow: none.csv: no such file\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "good.csv", "-o", "m.safetensors", *FAST, "--drop-missing"],
        ["score", "given.safetensors", "events.parquet", "-o", "s.csv"],
        ["sample", "given.safetensors", "--given", "energy=1000", "-n", "5", "-o", "x.csv"],
        ["report", "model.safetensors", "good.csv", "-o", "r.html"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_quiet_leaves_only_the_result(arguments: list[str], run: Runner) -> None:
    outcome = run(*arguments, "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Wrote " in outcome.out

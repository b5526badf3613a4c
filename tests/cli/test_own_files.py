"""Where a training keeps its state and options, a file of the user's is never removed or written over."""

from pathlib import Path

import pytest

import counterflow as cf
from cli.running import FAST, Runner
from cli.small_students import SHORT
from cli.test_interruption import LONG, press_ctrl_c_after_a_step
from counterflow.training.state import write_state

pytestmark = pytest.mark.usefixtures("small_students")


def fit(out: str, *more: object) -> list[object]:
    return ["fit", "good.csv", "-o", out, *FAST, *more]


def distil(out: str, *more: object, teacher: str = "model.safetensors") -> list[object]:
    return ["distil", teacher, "-o", out, *SHORT, *more]


def model(path: str) -> None:
    cf.save(path, cf.models.maf(2, layers=1, hidden=(4,)))


@pytest.mark.parametrize("phase", ["start", "polish"])
def test_distil_does_not_remove_its_teacher(phase: str, run: Runner) -> None:
    teacher = f"j.{phase}.safetensors"
    Path("model.safetensors").rename(teacher)
    before = run.snapshot()
    for more in ([], ["--overwrite"], ["--resume"]):
        outcome = run(*distil("j.safetensors", *more, teacher=teacher))
        assert outcome.code == 5
        assert outcome.sentence == (
            f"counterflow: {teacher} is an input of this command, and would be written over by what the distillation "
            "keeps until it is done; choose another --out"
        )
        assert run.snapshot() == before


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (distil("k.safetensors"), "k.start.safetensors"),
        (distil("k.safetensors"), "k.polish.safetensors"),
        (fit("k.safetensors"), "k.training.safetensors"),
    ],
    ids=["start", "polish", "fit"],
)
def test_a_model_is_not_taken_for_the_state_of_a_training(arguments: list[object], path: str, run: Runner) -> None:
    model(path)
    before = run.snapshot()
    noun = "fit" if arguments[0] == "fit" else "distillation"
    for more in ([], ["--overwrite"]):
        outcome = run(*arguments, *more)
        assert outcome.code == 5
        assert outcome.sentence == (
            f"counterflow: {path} is no file of an interrupted {noun}, and would be written over by what this one "
            "keeps until it is done; choose another --out"
        )
        assert run.snapshot() == before
    outcome = run(*arguments, "--resume")
    assert outcome.code == 2
    assert outcome.sentence == f"counterflow: --resume: {path} is damaged, or holds no state of a training run"
    assert run.snapshot() == before


@pytest.mark.parametrize(
    ("arguments", "path"),
    [(distil("n.safetensors"), "n.start.toml"), (fit("n.safetensors"), "n.training.toml")],
    ids=["distil", "fit"],
)
def test_a_toml_of_the_users_is_not_taken_for_the_options_of_a_training(
    arguments: list[object], path: str, run: Runner
) -> None:
    Path(path).write_text("# Mine.\nsteps = 4\n")
    before = run.snapshot()
    for more in ([], ["--overwrite"]):
        outcome = run(*arguments, *more)
        assert outcome.code == 5
        assert outcome.sentence.startswith(f"counterflow: {path} is no file of an interrupted ")
        assert outcome.sentence.endswith("choose another --out")
        assert run.snapshot() == before


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["", "overwrite"])
def test_fit_does_not_write_over_its_own_configuration(overwrite: list[str], run: Runner) -> None:
    """Under the name of the options that it keeps, and under that of those that it writes back."""
    for name, said in (
        ("n.training.toml", "is an input of this command"),
        ("n.used.toml", "exists, and no command wrote it"),
    ):
        Path(name).write_text("# Mine.\nsteps = 4\n")
        before = run.snapshot()
        outcome = run(*fit("n.safetensors", "--config", name, *overwrite))
        assert outcome.code == 5
        assert outcome.sentence.startswith(f"counterflow: {name} {said}")
        assert outcome.sentence.endswith("choose another --out")
        assert run.snapshot() == before
        Path(name).unlink()


def test_a_configuration_that_was_written_back_makes_the_same_model_in_place(run: Runner) -> None:
    Path("run.toml").write_text("seed = 3\n")
    assert run(*fit("n.safetensors", "--config", "run.toml")).code == 0
    before = run.snapshot()
    assert run("fit", "--config", "n.used.toml", "--overwrite", "--quiet").code == 0
    assert Path("n.used.toml").read_bytes() == before["n.used.toml"]


@pytest.mark.parametrize(
    ("arguments", "phases"),
    [(distil("k.safetensors"), ["start", "polish"]), (fit("k.safetensors"), ["training"])],
    ids=["distil", "fit"],
)
def test_what_an_interrupted_training_left_is_thrown_away_by_overwrite(
    arguments: list[object], phases: list[str], run: Runner
) -> None:
    for phase in phases:
        write_state(Path(f"k.{phase}.safetensors"), {"step": 1})
        Path(f"k.{phase}.toml").write_text(f"# Written by counterflow {arguments[0]}.\nseed = 9\n")
    before = run.snapshot()
    outcome = run(*arguments)
    assert outcome.code == 5
    assert outcome.sentence.endswith("--resume goes on, --overwrite starts afresh")
    assert run.snapshot() == before
    Path("k.polish.toml").unlink(missing_ok=True)  # which no command keeps
    assert run(*arguments, "--overwrite").code == 0
    assert {p.name for p in Path().glob("k.*")} == {"k.safetensors"}


def test_a_resumed_fit_replaces_no_file_of_the_users_by_its_curve(run: Runner) -> None:
    arguments = ["fit", "good.csv", "-o", "b.safetensors", *LONG, "--steps", 200]
    press_ctrl_c_after_a_step(Path("b.csv"))
    assert run(*arguments, "--log", "b.csv").code == 130
    Path("mine.csv").write_text("a,b\n1,2\n")
    before = run.snapshot()
    outcome = run(*arguments, "--log", "mine.csv", "--resume")
    assert (outcome.code, outcome.sentence) == (5, "counterflow: mine.csv exists; --overwrite replaces it")
    assert run.snapshot() == before
    assert run(*arguments, "--log", "b.csv", "--resume").code == 0

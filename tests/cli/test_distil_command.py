"""`counterflow distil`: a fast student of a slow teacher, from files to files."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import counterflow as cf
from cli.running import Runner
from cli.small_students import GIVEN, SHORT, TINY, facts, weights
from cli.test_progress import Terminal
from counterflow.cli import student_training
from counterflow.training.progress import ProgressBar

pytestmark = pytest.mark.usefixtures("small_students")


def test_a_student_keeps_names_types_and_supports_of_its_teacher_in_a_new_process(run: Runner) -> None:
    assert run("distil", *GIVEN, "-o", "q.safetensors", *SHORT, "--quiet").code == 0
    command = [sys.executable, "-m", "counterflow", "sample", "q.safetensors", "-n", "200", "--given", "energy=30"]
    subprocess.run([*command, "-o", "q.parquet"], check=True, capture_output=True)
    assert run("sample", "given.safetensors", "-n", 200, "--given", "energy=30", "-o", "p.parquet").code == 0
    ours, theirs = pd.read_parquet("q.parquet"), pd.read_parquet("p.parquet")
    assert list(ours.columns) == list(theirs.columns) == ["energy", "n", "pt", "cos", "flag"]
    assert (ours.dtypes == theirs.dtypes).all()
    assert ours["pt"].min() > 0
    assert ours["cos"].abs().max() <= 1
    assert set(ours["flag"]) <= {True, False}


def test_a_student_samples_in_one_pass_and_says_how_it_was_made(run: Runner) -> None:
    outcome = run("distil", "model.safetensors", "-o", "q.safetensors", *SHORT)
    assert outcome.code == 0
    assert outcome.out.startswith("Distilled from model.safetensors: 6 steps layer by layer, 4 steps on its draws")
    assert "KL(student, teacher) = " in outcome.out
    assert "draws at once: the student makes" in outcome.out
    said = run("inspect", "q.safetensors").out
    assert "Sampling: 2 parallel network passes." in said
    assert "Distilled from model.safetensors" in said
    assert "Certificate: KL(student, teacher) = " in said
    assert {p.name for p in Path().glob("q.*")} == {"q.safetensors"}


def test_the_certificate_is_in_the_file_and_on_stdout_for_machines(run: Runner) -> None:
    outcome = run("distil", "model.safetensors", "-o", "q.safetensors", *SHORT, "--json", "--log", "q.csv")
    said = json.loads(outcome.out)
    kept = facts("q.safetensors")
    assert said["written"] == ["q.safetensors", "q.csv"]
    certificate = kept["certificate"]
    assert said["certificate"] == certificate
    assert certificate["draws"] == 60
    assert certificate["kl_per_dimension"] == pytest.approx(certificate["kl"]["mean"] / 3)
    assert set(certificate) >= {"effective_share", "k_hat", "forward_kl", "throughput"}
    assert kept["teacher"]["file"] == "model.safetensors"
    assert kept["teacher"]["made"]["recipe"]["model"] == "made"
    curve = pd.read_csv("q.csv")
    assert list(curve["training"]) == ["start"] * 6 + ["polish"] * 4
    assert curve["held_out_kl_nats"].notna().all()


def test_a_seed_fixes_the_student_and_leaves_the_global_stream_alone(run: Runner) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        before = torch.get_rng_state()
        assert run("distil", "model.safetensors", "-o", f"{name}.safetensors", *SHORT, "--seed", seed).code == 0
        assert torch.equal(before, torch.get_rng_state())
        torch.rand(3)
    a, b, c = (weights(f"{name}.safetensors") for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize(("steps", "start_steps"), [(0, 6), (6, 0)])
def test_either_training_may_be_left_out(steps: int, start_steps: int, run: Runner) -> None:
    outcome = run(
        "distil", "model.safetensors", "-o", "q.safetensors", *TINY, "--steps", steps, "--start-steps", start_steps
    )
    assert outcome.code == 0
    made = facts("q.safetensors")["distillation"]
    assert (made["start"] is None, made["polish"] is None) == (start_steps == 0, steps == 0)
    assert {p.name for p in Path().glob("q.*")} == {"q.safetensors"}


def test_the_student_that_is_nearer_to_the_teacher_is_kept(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second training that leads away: its rate is a thousand times too large."""
    monkeypatch.setattr(student_training, "SLOWER", 1000.0)
    outcome = run("distil", "model.safetensors", "-o", "q.safetensors", *TINY, "--start-steps", 20, "--steps", 10)
    assert "The student of the first training is nearer to the teacher: it is kept.\n" in outcome.err
    assert run("distil", "model.safetensors", "-o", "s.safetensors", *TINY, "--start-steps", 20, "--steps", 0).code == 0
    a, b = weights("q.safetensors"), weights("s.safetensors")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert facts("q.safetensors")["distillation"]["kept"] == "start"


def coupling() -> None:
    cf.save("coupling.safetensors", cf.models.realnvp(3, hidden=(8,)))


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["none.safetensors"], 4, "none.safetensors: no such model file"),
        (
            ["given.safetensors"],
            2,
            "given.safetensors is given energy: name a table that has energy, --data TABLE, to take contexts from",
        ),
        (["model.safetensors", "--data", "good.csv"], 2, "model.safetensors takes no context: leave out --data"),
        (
            ["given.safetensors", "--data", "good.csv"],
            3,
            "good.csv has no column 'energy', which the model is given (it has columns 'a', 'b', 'c', unknown to the "
            "model)",
        ),
        (["given.safetensors", "--data", "none.csv"], 3, "none.csv: no such file"),
        (
            ["coupling.safetensors"],
            4,
            "coupling.safetensors: the teacher samples in one pass already: there is nothing to distil",
        ),
        (["good.csv"], 4, "good.csv"),
        (["model.safetensors", "--hidden", "8,x"], 2, "--hidden '8,x': expected whole numbers of at least 1, such as"),
        (["model.safetensors", "--steps", "-1"], 2, "--steps -1: expected at least 0"),
        (
            ["model.safetensors", "--steps", "0", "--start-steps", "0"],
            2,
            "--start-steps 0 and --steps 0 together leave",
        ),
        (["model.safetensors", "--start-steps", "-1"], 2, "--start-steps -1: expected at least 0"),
        (["model.safetensors", "--draws", "1"], 2, "--draws 1: expected at least 2"),
        (["model.safetensors", "--resume"], 2, "--resume: there is no new.start.safetensors"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_at_distil_is_named(arguments: list[str], code: int, sentence: str, run: Runner) -> None:
    coupling()
    before = run.snapshot()
    outcome = run("distil", *arguments, "-o", "new.safetensors", *(SHORT if len(arguments) == 1 else []))
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.sentence.startswith(f"counterflow: {sentence}")
    assert run.snapshot() == before


def test_an_output_that_exists_is_not_replaced(run: Runner) -> None:
    outcome = run("distil", "given.safetensors", "-o", "model.safetensors", *SHORT)
    assert outcome.code == 5
    assert outcome.sentence == "counterflow: model.safetensors exists; --overwrite replaces it"
    outcome = run("distil", "model.safetensors", "-o", "model.safetensors", "--overwrite")
    assert outcome.code == 5
    assert "input" in outcome.sentence


def test_the_bar_says_the_divergence_per_dimension(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("counterflow.training.progress._QUIET_SECONDS", 0.0)
    monkeypatch.setattr("counterflow.training.progress._REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    drawn: list[str] = []
    draw = ProgressBar._draw

    def noted(self: ProgressBar, step: int, loss: float) -> None:
        drawn.append(self._validation)
        draw(self, step, loss)

    monkeypatch.setattr(ProgressBar, "_draw", noted)
    from counterflow.cli.app import app

    with pytest.raises(SystemExit):
        app(["distil", "model.safetensors", "-o", "q.safetensors", *SHORT])
    assert any("KL " in words and " per dimension)" in words for words in drawn)

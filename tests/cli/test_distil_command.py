"""`counterflow distil` and `certify`: a fast student of a slow teacher, from files to files."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import counterflow as cf
from cli.running import Runner
from cli.test_interruption import interrupt, press_ctrl_c_once
from cli.test_progress import Terminal
from counterflow.cli import student_training
from counterflow.training.progress import ProgressBar

TINY = ["--hidden", "8", "--batch-size", "16", "--draws", "60"]
SHORT = [*TINY, "--start-steps", "6", "--steps", "4"]
GIVEN = ["given.safetensors", "--data", "events.parquet"]


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(student_training, "POOL", 300)
    monkeypatch.setattr(student_training, "HELD_OUT", 64)
    monkeypatch.setattr("counterflow.report.certifying.TIMED_ROWS", 20)


def facts(path: str) -> dict[str, object]:
    return cf.read_header(path)["metadata"]


def weights(path: str) -> dict[str, torch.Tensor]:
    return cf.load(path).state_dict()


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


@pytest.mark.parametrize(
    "teacher",
    [pytest.param(["model.safetensors"], id="plain"), pytest.param(GIVEN, id="given", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("phase", ["start", "polish"])
def test_a_resumed_distillation_gives_the_weights_of_an_uninterrupted_one(
    phase: str, teacher: list[str], run: Runner
) -> None:
    arguments = ["distil", *teacher, *TINY, "--start-steps", "12", "--steps", "12"]
    press_ctrl_c_once(Path(f"b.{phase}.safetensors").exists)
    outcome = run(*arguments, "-o", "b.safetensors")
    assert outcome.code == 130
    where = "the start" if phase == "start" else "the fit to draws"
    assert outcome.sentence.startswith("counterflow: interrupted after step ")
    assert f" of {where}; b.{phase}.safetensors keeps the state" in outcome.sentence
    assert outcome.sentence.endswith(" --resume")
    assert not Path("b.safetensors").exists()
    assert Path("b.start.toml").exists()
    assert run(*arguments, "-o", "b.safetensors", "--resume").code == 0
    assert run(*arguments, "-o", "a.safetensors").code == 0
    assert {p.name for p in Path().glob("b.*")} == {"b.safetensors"}
    a, b = weights("a.safetensors"), weights("b.safetensors")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert facts("b.safetensors")["distillation"]["polish"]["steps"] == 12
    assert "--resume" not in facts("b.safetensors")["command"]


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


def test_ctrl_c_while_the_student_is_measured_keeps_its_training(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("counterflow.report.certifying.certify", interrupt)
        outcome = run("distil", "model.safetensors", "-o", "q.safetensors", *SHORT)
    assert outcome.code == 130
    assert "interrupted after the training; q.polish.safetensors keeps its state" in outcome.sentence
    assert not Path("q.safetensors").exists()
    assert run("distil", "model.safetensors", "-o", "q.safetensors", *SHORT, "--resume").code == 0


def test_only_the_same_distillation_goes_on(run: Runner) -> None:
    press_ctrl_c_once(Path("q.start.safetensors").exists)
    arguments = ["distil", "model.safetensors", "-o", "q.safetensors", *TINY, "--start-steps", "12", "--steps", "4"]
    assert run(*arguments).code == 130
    before = run.snapshot()
    outcome = run(*arguments, "--seed", 3, "--resume")
    assert outcome.code == 2
    assert "was written with --seed 0, this is 3" in outcome.sentence
    outcome = run(*arguments)
    assert outcome.code == 5
    assert outcome.sentence == (
        "counterflow: q.start.safetensors is left from an interrupted distillation; --resume goes on, "
        "--overwrite starts afresh"
    )
    assert run.snapshot() == before
    assert run(*arguments, "--overwrite").code == 0


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


def test_certify_finds_the_divergence_of_two_gaussians(run: Runner) -> None:
    """Closed form; the seed is fixed, and 4 standard errors are passed once in 16,000 seeds."""
    for name, shift in (("q", 0.0), ("p", 0.3)):
        bijection = cf.bijections.Standardise((shift, shift), (1.0, 1.0))
        cf.save(f"{name}.safetensors", cf.Flow(cf.bases.StandardNormal(2), bijection))
    said = json.loads(run("certify", "q.safetensors", "p.safetensors", "--draws", 1000, "--json").out)
    expected = 2 * 0.5 * 0.3**2
    for kl in (said["kl"], said["forward_kl"]):
        assert kl["mean"] == pytest.approx(expected, abs=4 * kl["standard_error"])
        assert 0 < kl["standard_error"] < 0.03
    assert said["kl_per_dimension"] == pytest.approx(said["kl"]["mean"] / 2)
    assert abs(said["log_normaliser"]["mean"]) < 4 * said["log_normaliser"]["standard_error"]


def test_certify_averages_over_contexts(run: Runner) -> None:
    """A model against itself: no divergence, whatever it is given."""
    outcome = run("certify", "given.safetensors", *GIVEN, "--draws", 300, "--json")
    said = json.loads(outcome.out)
    assert abs(said["kl"]["mean"]) < 1e-5
    assert abs(said["forward_kl"]["mean"]) < 1e-5
    assert said["effective_share"] == pytest.approx(1.0)
    assert said["kl_per_dimension"] == pytest.approx(said["kl"]["mean"] / 4)


def test_a_mistake_at_certify_is_named(run: Runner) -> None:
    cf.save("three.safetensors", cf.models.maf(3, layers=1, hidden=(4,)))
    cf.save("drawless.safetensors", cf.models.maf_mog(3, layers=1, hidden=(4,)))
    columns = "are not of the same columns"
    for arguments, code, sentence in (
        (["given.safetensors", "model.safetensors"], 4, f"given.safetensors and model.safetensors {columns}: n, pt"),
        (["given.safetensors", "given.safetensors"], 2, "given.safetensors is given energy"),
        (["none.safetensors", "model.safetensors"], 4, "none.safetensors: no such model file"),
        (["drawless.safetensors", "three.safetensors"], 4, "drawless.safetensors cannot be held against"),
    ):
        outcome = run("certify", *arguments, "--draws", 50)
        assert outcome.code == code
        assert outcome.sentence.startswith(f"counterflow: {sentence}")


def test_a_student_of_whole_numbers_is_not_held_against_one_of_others(run: Runner) -> None:
    assert run("fit", "events.parquet", "-o", "c.safetensors", "--columns", "n,pt", "--steps", 2, "--model", "made",
               "--continuous", "n").code == 0  # fmt: skip
    assert run("fit", "events.parquet", "-o", "w.safetensors", "--columns", "n,pt", "--steps", 2,
               "--model", "made").code == 0  # fmt: skip
    outcome = run("certify", "c.safetensors", "w.safetensors")
    assert outcome.code == 4
    assert outcome.sentence.endswith("column 'n' is continuous in c.safetensors and integer in w.safetensors")


@pytest.mark.slow
def test_the_report_of_a_student_has_its_certificate_and_the_rows_of_its_teacher(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterflow.report.certifying.DRAWS", 300)
    assert run("distil", *GIVEN, "-o", "q.safetensors", *SHORT).code == 0
    arguments = ["report", "q.safetensors", "events.parquet", "-o", "r.html"]
    outcome = run(*arguments, "--teacher", "given.safetensors")
    assert outcome.code == 0
    assert "Judging on 8 rows: test rows.\n" in outcome.err
    page = Path("r.html").read_text(encoding="utf-8")
    for words in ("Certificate of the student", "KL (student, teacher)", "Distilled from given.safetensors"):
        assert words in page
    outcome = run(*arguments, "--teacher", "model.safetensors", "--overwrite")
    assert outcome.code == 4
    assert run(*arguments, "--overwrite").code == 0
    assert "Certificate of the student" not in Path("r.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_another_teacher_than_the_students_own_is_warned_about(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterflow.report.certifying.DRAWS", 300)
    assert run("distil", "model.safetensors", "-o", "q.safetensors", *SHORT).code == 0
    assert run("fit", "good.csv", "-o", "m.safetensors", "--model", "made", "--steps", 3, "--seed", 5).code == 0
    outcome = run("report", "q.safetensors", "good.csv", "-o", "r.html", "--teacher", "m.safetensors")
    assert outcome.code == 0
    assert "Warning: m.safetensors is not the file that q.safetensors was distilled from.\n" in outcome.err


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

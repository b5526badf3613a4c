"""`counterflow certify`: any student beside a teacher, and what cannot be such a pair; a student's report."""

import json
from pathlib import Path

import pytest
import torch

import counterflow as cf
from cli.running import FAST, ROLES, Runner
from cli.small_students import GIVEN, SHORT

pytestmark = pytest.mark.usefixtures("small_students")
COUPLING = ["--model", "realnvp", "--steps", 2]


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
    """A model against itself: no divergence, whatever it is given. No supports: at their ends rounding shows."""
    free = ["--columns", "pt,cos", "--support", "pt=..", "--support", "cos=.."]
    assert run("fit", "events.parquet", "-o", "c.safetensors", *ROLES, *free, *COUPLING).code == 0
    arguments = ["c.safetensors", "c.safetensors", "--data", "events.parquet"]
    outcome = run("certify", *arguments, "--draws", 300, "--json")
    said = json.loads(outcome.out)
    assert abs(said["kl"]["mean"]) < 1e-5
    assert abs(said["forward_kl"]["mean"]) < 1e-5
    assert said["effective_share"] == pytest.approx(1.0)
    assert said["kl_per_dimension"] == pytest.approx(said["kl"]["mean"] / 2)


def test_a_model_that_is_inverted_exactly_can_be_held_against_another(run: Runner) -> None:
    cf.save("three.safetensors", cf.models.maf(3, layers=1, hidden=(4,)))
    said = json.loads(run("certify", "three.safetensors", "three.safetensors", "--draws", 300, "--json").out)
    assert abs(said["kl"]["mean"]) < 1e-5


def test_a_mistake_at_certify_is_named(run: Runner) -> None:
    cf.save("three.safetensors", cf.models.maf(3, layers=1, hidden=(4,)))
    cf.save("mixture.safetensors", cf.Flow(cf.bases.NormalMixtureBase(3, 2), cf.bijections.ActNorm(3)))
    assert run("fit", "events.parquet", "-o", "c.safetensors", *ROLES, *COUPLING).code == 0
    order = "and is no student; the order is STUDENT TEACHER"
    columns = "are not of the same columns"
    for arguments, code, sentence in (
        (["given.safetensors", "model.safetensors"], 4, f"given.safetensors and model.safetensors {columns}: n, pt"),
        (["c.safetensors", "given.safetensors"], 2, "given.safetensors is given energy"),
        (["none.safetensors", "model.safetensors"], 4, "none.safetensors: no such model file"),
        (["mixture.safetensors", "three.safetensors"], 4, f"mixture.safetensors has no reparameterised draws {order}"),
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
    assert outcome.sentence.startswith("counterflow: q.safetensors and model.safetensors are not of the same columns")
    assert run(*arguments, "--overwrite").code == 0
    assert "Certificate of the student" not in Path("r.html").read_text(encoding="utf-8")


def test_a_student_of_other_supports_is_not_held_against_a_teacher(run: Runner) -> None:
    arguments = ["fit", "good.csv", *COUPLING, "-o"]
    assert run(*arguments, "free.safetensors").code == 0
    assert run(*arguments, "held.safetensors", "--support", "c=-0.25..1", "--support", "a=-9..").code == 0
    before = run.snapshot()
    outcome = run("certify", "free.safetensors", "held.safetensors")
    assert outcome.code == 4
    assert outcome.sentence == (
        "counterflow: column 'a' is any number in free.safetensors and -9 or more in held.safetensors, and a density "
        "is zero outside its support; fit free.safetensors with --support a=-9.., or distil held.safetensors"
    )
    assert run(*arguments, "half.safetensors", "--support", "a=-9..").code == 0
    outcome = run("certify", "half.safetensors", "held.safetensors")
    assert "fit half.safetensors with --support c=-0.25..1, or distil held.safetensors" in outcome.sentence
    assert run(*arguments, "same.safetensors", "--support", "c=-0.25..1", "--support", "a=-9..").code == 0
    assert run("certify", "same.safetensors", "held.safetensors", "--draws", 50).code == 0
    assert before.items() <= run.snapshot().items()


def test_draws_without_a_density_are_a_refusal_and_a_fault_of_ours_is_not(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = cf.Flow(cf.bases.StandardNormal(2), cf.bijections.Standardise((0.0, 0.0), (1.0, 1.0)))
    cf.save("q.safetensors", flow)
    arguments = ["certify", "q.safetensors", "q.safetensors", "--draws", 50]
    with monkeypatch.context() as patch:
        patch.setattr(cf.Flow, "log_prob", lambda self, x, *_: x[..., 0] * torch.nan)
        outcome = run(*arguments)
    assert outcome.code == 4
    assert outcome.sentence.startswith("counterflow: q.safetensors cannot be held against q.safetensors: ")
    for fault in (TypeError("a fault of ours"), ValueError("a fault of ours")):

        def broken(*_: object, fault: Exception = fault, **__: object) -> None:
            raise fault

        monkeypatch.setattr("counterflow.report.certifying.certify", broken)
        with pytest.raises(type(fault), match="a fault of ours"):
            run(*arguments)


def test_another_teacher_than_the_students_own_is_warned_about(run: Runner) -> None:
    assert run("distil", "model.safetensors", "-o", "q.safetensors", *SHORT).code == 0
    assert run("fit", "good.csv", "-o", "m.safetensors", *FAST, "--seed", 5).code == 0
    warning = "Warning: m.safetensors is not the file that q.safetensors was distilled from.\n"
    outcome = run("certify", "q.safetensors", "m.safetensors", "--draws", 50)
    assert (outcome.code, outcome.err) == (0, warning)
    assert run("certify", "q.safetensors", "model.safetensors", "--draws", 50).err == ""


@pytest.mark.slow
def test_a_report_warns_of_another_teacher_too(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterflow.report.certifying.DRAWS", 300)
    assert run("distil", "model.safetensors", "-o", "q.safetensors", *SHORT).code == 0
    assert run("fit", "good.csv", "-o", "m.safetensors", "--model", "made", "--steps", 3, "--seed", 5).code == 0
    outcome = run("report", "q.safetensors", "good.csv", "-o", "r.html", "--teacher", "m.safetensors")
    assert outcome.code == 0
    assert "Warning: m.safetensors is not the file that q.safetensors was distilled from.\n" in outcome.err

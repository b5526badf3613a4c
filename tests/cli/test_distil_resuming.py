"""`counterflow distil` after Ctrl-C: the same distillation goes on, to the same student; another one does not."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

from cli.running import FAST, Runner, write_events
from cli.small_students import GIVEN, SHORT, TINY, facts, weights
from cli.test_interruption import interrupt, press_ctrl_c_once
from counterflow.distillation.weights import Incomparable

pytestmark = pytest.mark.usefixtures("small_students")
TWELVE = [*TINY, "--start-steps", "12", "--steps", "12"]


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


@pytest.fixture
def begun(run: Runner) -> Runner:
    """q.safetensors was interrupted in its start."""
    press_ctrl_c_once(Path("q.start.safetensors").exists)
    assert run("distil", "model.safetensors", "-o", "q.safetensors", *TWELVE).code == 130
    return run


def test_a_start_that_is_left_out_at_resumption_is_not_thrown_away(begun: Runner) -> None:
    before = begun.snapshot()
    arguments = ["distil", "model.safetensors", "-o", "q.safetensors", *TINY, "--start-steps", 0, "--steps", 12]
    outcome = begun(*arguments, "--seed", 9, "--resume")
    assert outcome.code == 2
    assert "--resume: q.start.safetensors was written with --start-steps 12, this is 0; " in outcome.sentence
    assert begun.snapshot() == before
    Path("q.start.toml").unlink()  # the state is held to be what it is even without the options
    before = begun.snapshot()
    outcome = begun(*arguments, "--resume")
    assert outcome.code == 2
    assert outcome.sentence == (
        "counterflow: --resume: q.start.safetensors is of a part of the training that this leaves out; resume with "
        "the same options, or --overwrite starts afresh"
    )
    assert begun.snapshot() == before


def test_a_fit_to_draws_alone_is_resumed_with_its_options_only(run: Runner) -> None:
    arguments = ["distil", "model.safetensors", "-o", "q.safetensors", *TINY, "--start-steps", 0, "--steps", 12]
    press_ctrl_c_once(Path("q.polish.safetensors").exists)
    assert run(*arguments).code == 130
    outcome = run(*arguments, "--seed", 9, "--resume")
    assert "q.polish.safetensors was written with --seed 0, this is 9; " in outcome.sentence
    assert run(*arguments, "--resume").code == 0
    assert {p.name for p in Path().glob("q.*")} == {"q.safetensors"}


def test_the_options_beside_a_state_are_those_of_distil(begun: Runner) -> None:
    assert Path("q.start.toml").read_text().startswith("# Written by counterflow distil.\n")
    Path("q.start.toml").write_text("# Written by counterflow distil.\nhidden = = 8\n")
    outcome = begun("distil", "model.safetensors", "-o", "q.safetensors", *TWELVE, "--resume")
    assert outcome.code == 2
    assert "--resume: q.start.toml, the options of the interrupted distillation, cannot be read" in outcome.sentence


def test_another_teacher_is_called_one_and_the_same_one_may_have_moved(begun: Runner) -> None:
    arguments = ["-o", "q.safetensors", *TWELVE, "--resume"]
    assert begun("fit", "good.csv", "-o", "m.safetensors", *FAST, "--seed", 5).code == 0
    outcome = begun("distil", "m.safetensors", *arguments)
    assert outcome.code == 2
    assert outcome.sentence == (
        "counterflow: --resume: q.start.safetensors was written with another teacher; resume with the files it was "
        "begun with, or --overwrite starts afresh"
    )
    Path("model.safetensors").rename("moved.safetensors")
    assert begun("distil", "moved.safetensors", *arguments).code == 0


def test_other_rows_of_context_are_called_so(run: Runner) -> None:
    arguments = ["-o", "q.safetensors", *TWELVE]
    press_ctrl_c_once(Path("q.start.safetensors").exists)
    assert run("distil", *GIVEN, *arguments).code == 130
    write_events("x.parquet", energy=[20.0 + i for i in range(80)])
    outcome = run("distil", "given.safetensors", "--data", "x.parquet", *arguments, "--resume")
    assert outcome.code == 2
    assert outcome.sentence == (
        "counterflow: --resume: q.start.safetensors was written with other rows of context; resume with the files it "
        "was begun with, or --overwrite starts afresh"
    )


def test_what_changes_no_weight_may_change_at_resumption(begun: Runner) -> None:
    """The number of draws for the certificate, and how many threads."""
    more = ["--draws", 70, "--threads", 1, "--resume"]
    assert begun("distil", "model.safetensors", "-o", "q.safetensors", *TWELVE, *more).code == 0
    assert facts("q.safetensors")["certificate"]["draws"] == 70


def test_ctrl_c_while_the_student_is_measured_leaves_no_curve_of_a_student_that_is_not_there(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["distil", "model.safetensors", "-o", "q.safetensors", *SHORT, "--log", "q.csv"]
    with monkeypatch.context() as patch:
        patch.setattr("counterflow.report.certifying.certify", interrupt)
        outcome = run(*arguments)
    assert outcome.code == 130
    assert {p.name for p in Path().glob("q.*")} == {"q.start.safetensors", "q.polish.safetensors", "q.start.toml"}
    again = shlex.split(outcome.sentence.rpartition("this goes on: counterflow ")[2])
    assert json.loads(run(*again, "--json").out)["written"] == ["q.safetensors", "q.csv"]


def test_a_resumed_distillation_replaces_no_file_of_the_users_by_its_curves(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["distil", "model.safetensors", "-o", "q.safetensors", *SHORT]
    with monkeypatch.context() as patch:
        patch.setattr("counterflow.report.certifying.certify", interrupt)
        assert run(*arguments).code == 130
    before = run.snapshot()
    outcome = run(*arguments, "--log", "good.csv", "--resume")
    assert (outcome.code, outcome.sentence) == (5, "counterflow: good.csv exists; --overwrite replaces it")
    assert run.snapshot() == before


def test_a_student_without_a_certificate_is_not_written_but_its_training_is_kept(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise Incomparable("a weight is not a number: log p or log q of a draw is NaN or infinite")

    with monkeypatch.context() as patch:
        patch.setattr("counterflow.report.certifying.certify", broken)
        outcome = run("distil", "model.safetensors", "-o", "q.safetensors", *SHORT, "--log", "q.csv")
    assert outcome.code == 4
    sentence, again = outcome.sentence.split(": counterflow ")
    assert sentence == (
        "counterflow: the student cannot be held against model.safetensors: a weight is not a number: log p or log q "
        "of a draw is NaN or infinite; no student was written; q.polish.safetensors keeps it, and this measures it "
        "again"
    )
    assert {p.name for p in Path().glob("q.*")} == {"q.start.safetensors", "q.polish.safetensors", "q.start.toml"}
    assert run(*shlex.split(again)).code == 0
    assert facts("q.safetensors")["certificate"]["draws"] == 120
    assert {p.name for p in Path().glob("q.*")} == {"q.safetensors", "q.csv"}


@pytest.mark.parametrize("rate", ["1e3", "1e30"], ids=["loss", "held-out loss"])
def test_a_distillation_that_diverges_says_where_and_what_to_try_in_one_sentence(rate: str, run: Runner) -> None:
    before = run.snapshot()
    wild = ["--start-steps", 9, "--steps", 0, "--learning-rate", rate]
    outcome = run("distil", "model.safetensors", "-o", "q.safetensors", *TINY, *wild)
    assert outcome.code == 6
    assert re.fullmatch(
        r"counterflow: training stopped (in|after) step \d: the (held-out )?loss is [^;,]*(, its gradient not finite "
        r"or too large)?; try a lower --learning-rate",
        outcome.sentence,
    )
    assert run.snapshot() == before

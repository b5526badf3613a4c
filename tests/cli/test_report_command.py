"""`counterflow report`, `fit --report` and `demo`: a page, judged on rows that the model has not learnt from."""

import functools
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import counterflow as cf
from cli.running import FAST, ROLES, Runner, events, write_events
from cli.test_interruption import interrupt
from counterflow.cli import demo
from counterflow.report.measuring import Measurement
from counterflow.report.results import HeldOutLikelihood
from counterflow.tabular import Preset, Recipe

COMMAND = "counterflow fit good.csv --out m.safetensors --model made --steps 4 --report r.html"


def text(path: str) -> str:
    """The words of a page, without its pictures."""
    page = Path(path).read_text(encoding="utf-8")
    return re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_fit_writes_a_report_with_score_pictures_layers_and_command(run: Runner) -> None:
    outcome = run("fit", "good.csv", "-o", "m.safetensors", *FAST, "--report", "r.html")
    assert outcome.code == 0
    assert outcome.out.splitlines()[-2] == "Wrote m.safetensors, r.html."
    assert Path("r.html").read_text(encoding="utf-8").count("<svg") > 2
    page = text("r.html")
    for words in ("nats", "6 test rows", "own units", COMMAND):
        assert words in page
    assert "nan" not in page


def test_a_report_finds_the_test_rows_of_the_fit_again(run: Runner) -> None:
    outcome = run("report", "given.safetensors", "events.parquet", "-o", "r.html")
    assert outcome.code == 0
    assert "Judging on 8 rows: test rows.\n" in outcome.err
    assert "counterflow report given.safetensors events.parquet --out r.html" in text("r.html")


@pytest.mark.parametrize("command", ["report", "fit --report"])
def test_a_report_scores_held_out_rows_with_the_noise_of_the_fit(
    command: str, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has whole numbers; what the page says of its test rows is what `fit` said, whatever the seeds."""
    found: list[HeldOutLikelihood] = []
    likelihood = Measurement._likelihood

    def noted(self: Measurement) -> HeldOutLikelihood:
        found.append(likelihood(self))
        return found[-1]

    monkeypatch.setattr(Measurement, "_likelihood", noted)
    if command == "report":
        model = "given.safetensors"
        assert run("report", model, "events.parquet", "-o", "r.html", "--seed", 7).code == 0
    else:
        model = "m.safetensors"
        assert run("fit", "events.parquet", "-o", model, *ROLES, *FAST, "--seed", 3, "--report", "r.html").code == 0
    header = cf.read_header(model)["metadata"]
    assert any(column["kind"] == "integer" for column in header["schema"]["columns"] if "kind" in column)
    assert found[0].model.mean == pytest.approx(header["held_out"]["model"]["mean"], rel=1e-5)


def test_a_report_of_new_rows_says_so_and_leaves_out_what_has_no_density(run: Runner) -> None:
    changed = events(seed=1)
    changed["pt"][3] = -5.0
    changed["energy"][4] = 700.0
    write_events("new.parquet", changed)
    outcome = run("report", "given.safetensors", "new.parquet", "-o", "r.html", "--rows", 100, "--json")
    assert outcome.code == 0
    said = json.loads(outcome.out)
    assert (said["written"], said["rows"]) == (["r.html"], 79)
    assert "Warning: 1 row outside the support of a column, where the density is zero: left out.\n" in outcome.err
    assert re.search(r"Warning: context column 'energy' goes \d+\.\d standard deviations beyond", outcome.err)
    assert "another table than the one the model was fitted to" in outcome.err
    assert "1 row outside the support of a column" in text("r.html")


def test_a_report_compares_with_a_previous_model(run: Runner) -> None:
    run("fit", "events.parquet", "-o", "old.safetensors", *ROLES, *FAST, "--seed", 1)
    arguments = ["report", "given.safetensors", "events.parquet", "-o", "r.html", "--previous"]
    assert run(*arguments, "old.safetensors").code == 0
    assert "old.safetensors" in text("r.html")
    outcome = run(*arguments, "model.safetensors", "--overwrite")
    assert outcome.code == 4
    assert outcome.sentence == (
        "counterflow: model.safetensors is a model of other columns (a, b, c): the two cannot be compared"
    )


def test_a_report_refuses_rows_that_the_model_has_learnt_from(run: Runner) -> None:
    run("fit", "good.csv", "-o", "m.safetensors", *FAST, "--validation", 0, "--test", 0)
    outcome = run("report", "m.safetensors", "good.csv", "-o", "r.html")
    assert outcome.code == 3
    assert outcome.sentence == (
        "counterflow: good.csv: the model has learnt from every row of it; give rows that it has not seen"
    )


@pytest.mark.parametrize("shape", [(20, 1), (14, 12)], ids=["one column", "more columns than rows"])
def test_small_tables_get_a_report_too(shape: tuple[int, int], run: Runner) -> None:
    np.save("x.npy", np.random.default_rng(0).normal(size=shape))
    assert run("fit", "x.npy", "-o", "m.safetensors", *FAST, "--report", "r.html").code == 0
    assert "nan" not in text("r.html")


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = demo._digits(0)
    assert digits.shape == (1797, 64)
    monkeypatch.setattr(demo, "Recipe", functools.partial(Recipe, model=Preset.MADE, steps=5))
    monkeypatch.setattr(demo, "_digits", lambda seed: digits[:200, 20:44:3])  # 8 pixels, for a report in no time
    monkeypatch.setattr(demo, "PIXELS", demo.Images(shape=(2, 4), limits=(0.0, 17.0)))
    monkeypatch.setattr(demo, "HIDDEN", (8,))
    monkeypatch.setattr(demo, "START_STEPS", 3)
    monkeypatch.setattr(demo, "STEPS", 3)
    monkeypatch.setattr(demo, "DRAWS", 300)
    monkeypatch.setattr("counterflow.cli.student_training.POOL", 300)


@pytest.mark.usefixtures("small_demo")
def test_the_demo_writes_its_five_files_and_says_where(run: Runner) -> None:
    for _ in range(2):  # the second time it replaces its own files
        outcome = run("demo", "--folder", "d", "--quiet")
        assert outcome.code == 0
    names = {"digits.npy", "model.safetensors", "student.safetensors", "samples.png", "report.html"}
    assert {p.name for p in Path("d").iterdir()} == names
    assert all(name in outcome.out for name in names - {"digits.npy"})
    assert "Certificate of the student" in text("d/report.html")
    assert "KL(student, teacher) = " in outcome.out
    digits = np.load("d/digits.npy")
    assert 0 <= digits.min() < digits.max() < 17
    assert not np.any(digits == np.rint(digits))


@pytest.mark.usefixtures("small_demo")
@pytest.mark.parametrize(
    ("place", "out"),
    [
        ("counterflow.tabular.fitted.held_out", "model.safetensors"),
        ("counterflow.report.certifying.certify", "student.safetensors"),
    ],
)
def test_a_second_demo_that_is_interrupted_says_a_command_that_goes_on(
    place: str, out: str, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model", "student"):
        Path("d").mkdir(exist_ok=True)
        shutil.copy("model.safetensors", f"d/{name}.safetensors")  # of a first one
    with monkeypatch.context() as patch:
        patch.setattr(place, interrupt)
        outcome = run("demo", "--folder", "d", "--quiet")
    assert outcome.code == 130
    command = shlex.split(outcome.sentence.rpartition("this goes on: counterflow ")[2])
    assert command[-2:] == ["--overwrite", "--resume"]
    resumed = run(*command)
    assert f"d/{out} exists" not in resumed.err
    assert resumed.code == (2 if out.startswith("model") else 0)  # the fit of this test is no fit of the command's

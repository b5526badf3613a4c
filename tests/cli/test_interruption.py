"""Ctrl-C: no half-written file; a fit keeps its state and says the way to go on, which leads to the same model."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import counterflow as cf
from cli.running import Runner, table

LONG = ["--model", "made", "--patience", "100000", "--batch-size", "48"]


def begun(log: Path) -> bool:
    """Whether a first record has been made: a line after the names."""
    return log.exists() and len(log.read_text().splitlines()) > 1


def press_ctrl_c_once(happened: Callable[[], bool]) -> None:
    def wait() -> None:
        while not happened():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def press_ctrl_c_after_a_step(log: Path) -> None:
    press_ctrl_c_once(lambda: begun(log))


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_in_a_terminal_keeps_the_state_and_says_how_to_resume(run: Runner) -> None:
    command = [sys.executable, "-m", "counterflow", "fit", "good.csv", "-o", "new.safetensors", *LONG]
    command += ["--log", "new.csv"]
    process = subprocess.Popen(
        [*command, "--steps", "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not begun(Path("new.csv")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    last = err.strip().splitlines()[-1]
    assert process.returncode == 130
    assert last.startswith("counterflow: interrupted after step ")
    assert last.endswith(
        "counterflow fit good.csv --out new.safetensors --model made --steps 1000000 "
        "--batch-size 48 --patience 100000 --log new.csv --resume"
    )
    assert "Traceback" not in err
    assert out == ""
    assert Path("new.training.safetensors").exists()
    assert not Path("new.safetensors").exists()


def test_a_resumed_fit_gives_the_weights_of_an_uninterrupted_one(run: Runner) -> None:
    length = [*LONG, "--steps", "200"]

    press_ctrl_c_after_a_step(Path("b.csv"))
    assert run("fit", "good.csv", "-o", "b.safetensors", *length, "--log", "b.csv").code == 130
    assert run("fit", "good.csv", "-o", "b.safetensors", *length, "--log", "b.csv", "--resume").code == 0
    assert run("fit", "good.csv", "-o", "a.safetensors", *length).code == 0
    assert not Path("b.training.safetensors").exists()
    assert len(Path("b.csv").read_text().splitlines()) == 1 + 200 // 25
    a, b = cf.load("a.safetensors").state_dict(), cf.load("b.safetensors").state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    made = cf.read_header("b.safetensors")["metadata"]
    assert made["training"]["steps"] == 200
    assert "--resume" not in made["command"]


def test_resuming_another_run_is_refused(run: Runner) -> None:
    length = [*LONG, "--steps", "1000000"]

    press_ctrl_c_after_a_step(Path("b.csv"))
    assert run("fit", "good.csv", "-o", "b.safetensors", *length, "--log", "b.csv").code == 130
    outcome = run("fit", "good.csv", "-o", "b.safetensors", *length, "--seed", 1, "--resume")
    assert outcome.code == 2
    assert "counterflow: --resume: " in outcome.err
    assert Path("b.training.safetensors").exists()
    assert outcome.sentence == (
        "counterflow: --resume: b.training.safetensors was written with --seed 0, this is 1; resume with the same "
        "options, or --overwrite starts afresh"
    )


@pytest.mark.parametrize(
    ("option", "before", "now"),
    [
        (["--support", "c=-1..2"], "--support c=-1..1", "c=-1..2"),  # the same shape, other numbers
        (["--unit", "b=m"], "--unit not given", "b=m"),
        (["--columns", "a,b"], "--columns not given", "a,b"),
        (["--context", "a"], "--context not given", "a"),
        (["--batch-size", "24"], "--batch-size 48", "24"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_resuming_with_new_options_names_the_first_that_differs(
    option: list[str], before: str, now: str, run: Runner
) -> None:
    length = [*LONG, "--steps", "1000000", "--support", "c=-1..1"]
    press_ctrl_c_after_a_step(Path("b.csv"))
    assert run("fit", "good.csv", "-o", "b.safetensors", *length, "--log", "b.csv").code == 130
    state = run.snapshot()
    length = length[:-2] if option[0] == "--support" else length
    outcome = run("fit", "good.csv", "-o", "b.safetensors", *length, *option, "--log", "b.csv", "--resume")
    assert outcome.code == 2
    assert outcome.sentence == (
        f"counterflow: --resume: b.training.safetensors was written with {before}, this is {now}; "
        "resume with the same options, or --overwrite starts afresh"
    )
    assert run.snapshot() == state


def test_the_options_beside_a_state_go_with_it(run: Runner) -> None:
    press_ctrl_c_after_a_step(Path("b.csv"))
    run("fit", "good.csv", "-o", "b.safetensors", *LONG, "--steps", 200, "--log", "b.csv")
    assert {p.name for p in Path().glob("b.*")} == {"b.csv", "b.training.safetensors", "b.training.toml"}
    # Where files are and how fast it goes may change.
    assert run("fit", "good.csv", "-o", "b.safetensors", *LONG, "--steps", 200, "--threads", 1, "--resume").code == 0
    assert {p.name for p in Path().glob("b.*")} == {"b.csv", "b.safetensors"}


def test_ctrl_c_after_the_training_keeps_its_state(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["fit", "good.csv", "-o", "b.safetensors", *LONG, "--steps", 20]
    with monkeypatch.context() as patch:
        patch.setattr("counterflow.tabular.fitted.held_out", interrupt)
        outcome = run(*arguments)
    assert outcome.code == 130
    assert outcome.sentence.startswith(
        "counterflow: interrupted after the training; b.training.safetensors keeps its state, and this goes on: "
        "counterflow fit good.csv --out b.safetensors"
    )
    assert not Path("b.safetensors").exists()
    assert run(*arguments, "--resume").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "model.safetensors", "-n", "3000000", "-o", "x.npy"],
        ["sample", "model.safetensors", "-n", "3000000", "-o", "x.root"],
        ["score", "model.safetensors", "long.npy", "-o", "x.npy"],
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_ctrl_c_while_a_table_is_written_leaves_nothing(arguments: list[str], run: Runner) -> None:
    np.save("long.npy", np.tile(table(), (10_000, 1)))
    before = run.snapshot()
    press_ctrl_c_once(lambda: any(path.stat().st_size > 10_000 for path in Path().glob(".x.*.partial")))
    outcome = run(*arguments)
    assert outcome.code == 130
    assert outcome.err == "counterflow: interrupted; an output that was not finished is not there\n"
    assert outcome.out == ""
    assert run.snapshot() == before


def test_ctrl_c_while_a_report_is_measured_leaves_nothing(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterflow.report.measuring.diagnostics.coverage", interrupt)
    before = run.snapshot()
    outcome = run("report", "model.safetensors", "good.csv", "-o", "r.html")
    assert outcome.code == 130
    assert outcome.sentence == "counterflow: interrupted; an output that was not finished is not there"
    assert run.snapshot() == before


def test_a_report_that_is_interrupted_leaves_the_model_of_its_fit(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterflow.report.measuring.diagnostics.coverage", interrupt)
    outcome = run("fit", "good.csv", "-o", "b.safetensors", *LONG, "--steps", 20, "--report", "b.html")
    assert outcome.code == 130
    assert {p.name for p in Path().glob("b.*")} == {"b.safetensors"}

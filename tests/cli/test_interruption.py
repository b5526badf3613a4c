"""Ctrl-C during fit: the state of the training is kept, the way to go on is said, and it leads to the same model."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch

import counterflow as cf
from cli.running import Runner

LONG = ["--model", "made", "--patience", "100000", "--batch-size", "48"]


def begun(log: Path) -> bool:
    """Whether a first record has been made: a line after the names."""
    return log.exists() and len(log.read_text().splitlines()) > 1


def press_ctrl_c_after_a_step(log: Path) -> None:
    def wait() -> None:
        while not begun(log):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


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
    length = [*LONG, "--steps", "20"]

    press_ctrl_c_after_a_step(Path("b.csv"))
    assert run("fit", "good.csv", "-o", "b.safetensors", *length, "--log", "b.csv").code == 130
    assert run("fit", "good.csv", "-o", "b.safetensors", *length, "--log", "b.csv", "--resume").code == 0
    assert run("fit", "good.csv", "-o", "a.safetensors", *length).code == 0
    assert not Path("b.training.safetensors").exists()
    assert len(Path("b.csv").read_text().splitlines()) == 1 + 20
    a, b = cf.load("a.safetensors").state_dict(), cf.load("b.safetensors").state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    made = cf.read_header("b.safetensors")["metadata"]
    assert made["training"]["steps"] == 20
    assert "--resume" not in made["command"]


def test_resuming_another_run_is_refused(run: Runner) -> None:
    length = [*LONG, "--steps", "1000000"]

    press_ctrl_c_after_a_step(Path("b.csv"))
    assert run("fit", "good.csv", "-o", "b.safetensors", *length, "--log", "b.csv").code == 130
    outcome = run("fit", "good.csv", "-o", "b.safetensors", *length, "--seed", 1, "--resume")
    assert outcome.code == 2
    assert "counterflow: --resume: " in outcome.err
    assert Path("b.training.safetensors").exists()

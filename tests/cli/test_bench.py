"""`counterflow bench`: what the table says of the times that were taken; the times themselves are nobody's law."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import counterflow as cf
from cli.running import Runner
from counterflow.cli import bench

QUICK = ["--seconds", "0.001", "--batch", "3", "--batch", "1"]
METHODS = {"log_prob", "sample", "rsample_and_log_prob", "training step"}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """`--threads` is the process's, and so would be the next test's."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def scripted(*durations: float) -> tuple[Callable[[], Any], Callable[[], float]]:
    """A call that takes so long by a clock of its own."""
    left, at = list(durations), [0.0]

    def call() -> None:
        at[0] += left.pop(0)

    return call, lambda: at[0]


def test_the_first_call_stands_by_itself_and_the_others_fill_the_seconds() -> None:
    call, now = scripted(50.0, 4.0, 2.0, 5.0, 99.0)
    assert bench.time_calls(call, 10.0, now=now) == (50.0, [4.0, 2.0, 5.0])


def test_a_call_longer_than_the_seconds_is_made_once_more() -> None:
    call, now = scripted(50.0, 40.0, 99.0)
    assert bench.time_calls(call, 1.0, now=now) == (50.0, [40.0])


def test_json_has_every_batch_and_method_and_agrees_with_itself(run: Runner) -> None:
    cf.save("maf.safetensors", cf.models.maf(2, layers=2, hidden=(8,)))
    outcome = run("bench", "maf.safetensors", *QUICK, "--threads", 1, "--json")
    assert outcome.code == 0
    said = json.loads(outcome.out)
    assert (said["columns"], said["threads"], said["context"], said["refused"]) == (2, 1, None, {})
    figures = {(f["rows"], f["what"]): f for f in said["figures"]}
    assert set(figures) == {(rows, what) for rows in (1, 3) for what in METHODS}
    for (rows, _), figure in figures.items():
        assert 0 < figure["least"] <= figure["median"]
        assert figure["first"] > 0
        assert figure["calls"] >= 1
        assert figure["per_row"] == pytest.approx(figure["median"] / rows)
    for rows in (1, 3):
        ratio = figures[rows, "sample"]["median"] / figures[rows, "log_prob"]["median"]
        assert said["sample_over_log_prob"][str(rows)] == pytest.approx(ratio)


def test_the_table_shows_the_figures_of_its_columns(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The times are ours: 1, 2, 3, 4 ms at least in the order of the calls, medians twice, first calls tenfold."""
    cf.save("maf.safetensors", cf.models.maf(2, layers=2, hidden=(8,)))
    made = []

    def timed(call: Callable[[], Any], seconds: float) -> tuple[float, list[float]]:
        call()
        made.append(seconds)
        return 0.01 * len(made), [0.003 * len(made), 0.001 * len(made), 0.002 * len(made)]

    monkeypatch.setattr(bench, "time_calls", timed)
    said = run("bench", "maf.safetensors", "--batch", 2, "--seconds", 0.5).out
    assert made == [0.5] * 4
    lines = [line.split() for line in said.splitlines()]
    head = ["rows", "log_prob", "sample", "rsample_and_log_prob", "training", "step"]
    assert [line[:6] for line in lines].count(head) == 3
    values = [line for line in lines if line[:1] == ["2"]]
    # sample is called first, so that log_prob has rows to score: it is 2 to 1 here
    assert values[0][:10] == ["2", "4.00", "(2.00)", "2.00", "(1.00)", "6.00", "(3.00)", "8.00", "(4.00)", "0.50"]
    assert values[1] == ["2", "2,000", "1,000", "3,000", "4,000"]
    assert values[2] == ["2", "20.0", "10.0", "30.0", "40.0"]


def test_the_peak_memory_is_at_least_that_of_the_model(run: Runner) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell the peak")
    peak = json.loads(run("bench", "model.safetensors", *QUICK, "--json").out)["peak_memory_mib"]
    assert 10 < peak["1"] <= peak["3"]


def test_a_context_is_standard_normal_and_said(run: Runner) -> None:
    cf.save("given.safetensors", cf.models.maf(2, 5, layers=2, hidden=(8,)).double())
    outcome = run("bench", "given.safetensors", *QUICK)
    assert outcome.code == 0
    assert "Context: 5 standard normal numbers for each row.\n" in outcome.out
    said = json.loads(run("bench", "given.safetensors", *QUICK, "--json").out)
    assert said["context"] == {"features": 5, "values": "standard normal"}
    assert len(said["figures"]) == 8


def test_a_context_encoder_is_left_out_and_said(run: Runner) -> None:
    encoder = cf.conditioners.MLP(7, 5, (8,))
    cf.save("encoded.safetensors", cf.models.maf(2, 5, layers=2, hidden=(8,), context_encoder=encoder))
    outcome = run("bench", "encoded.safetensors", *QUICK)
    assert outcome.code == 0
    assert "for each row, in place of what the context encoder makes." in outcome.out


def test_a_model_without_reparameterised_draws_says_so(run: Runner) -> None:
    cf.save("mog.safetensors", cf.models.made_mog(2, hidden=(8,)))
    outcome = run("bench", "mog.safetensors", *QUICK)
    assert outcome.code == 0
    assert "No rsample_and_log_prob: NormalMixture has no reparameterised draws" in outcome.out
    said = json.loads(run("bench", "mog.safetensors", *QUICK, "--json").out)
    assert set(said["refused"]) == {"rsample_and_log_prob"}
    assert {f["what"] for f in said["figures"]} == METHODS - {"rsample_and_log_prob"}


def test_a_model_without_parameters_has_no_training_step(run: Runner) -> None:
    permutation = cf.bijections.Permutation((1, 0))
    cf.save("fixed.safetensors", cf.Flow(cf.bases.StandardNormal(2), permutation))
    assert "No training step: the model has no parameters." in run("bench", "fixed.safetensors", *QUICK).out


def test_the_file_stays_as_it_is_and_nothing_is_written(run: Runner) -> None:
    before = {p.name: p.read_bytes() for p in run.folder.iterdir()}
    assert run("bench", "model.safetensors", *QUICK, "--quiet").err == ""
    assert {p.name: p.read_bytes() for p in run.folder.iterdir()} == before


def test_training_leaves_the_timed_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cf.models.maf(2, layers=2, hidden=(8,))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for call in bench._calls(model, 3).values():
        assert call is not None
        call()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.safetensors"], 4, ("none.safetensors", "no such model file")),
        (["good.csv"], 4, ("good.csv",)),
        (["module.safetensors"], 4, ("module.safetensors", "not a density")),
        (["model.safetensors", "--batch", "0"], 2, ("--batch 0", "at least 1")),
        (["model.safetensors", "--seconds", "0"], 2, ("--seconds 0", "more than 0")),
        (["model.safetensors", "--threads", "0"], 2, ("--threads 0", "at least 1")),
        (["model.safetensors", "--batch", "10000000000000000"], 2, ("--batch 10000000000000000", "not enough memory")),
    ],
)
def test_bad_input_is_named_in_a_sentence(arguments: list[str], code: int, words: tuple[str, ...], run: Runner) -> None:
    cf.save("module.safetensors", cf.conditioners.MLP(2, 2, (3,)))
    outcome = run("bench", *arguments)
    assert outcome.code == code
    assert outcome.out == ""
    last = outcome.err.strip().splitlines()[-1]
    assert last.startswith("counterflow: ")
    assert all(word in last for word in words), last
    assert "Traceback" not in outcome.err


def test_a_batch_too_large_leaves_the_figures_of_the_others(run: Runner) -> None:
    outcome = run("bench", "model.safetensors", "--batch", 1, "--batch", 10**16, "--seconds", "0.001")
    assert outcome.code == 2
    assert re.search(r"^ +1 +[\d.]+ \(", outcome.out, re.MULTILINE)
    assert run("bench", "model.safetensors", "--batch", 10**16, "--json").out == ""


def test_ctrl_c_shows_what_there_is_and_ends_with_130(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    time_calls, made = bench.time_calls, []

    def interrupted(call: Callable[[], Any], seconds: float) -> tuple[float, list[float]]:
        made.append(call)
        if len(made) == 6:  # the second figure of the second batch
            os.kill(os.getpid(), signal.SIGINT)
        return time_calls(call, seconds)

    monkeypatch.setattr(bench, "time_calls", interrupted)
    outcome = run("bench", "model.safetensors", *QUICK)
    assert outcome.code == 130
    assert outcome.err.strip().splitlines()[-1].startswith("counterflow: interrupted")
    assert "Traceback" not in outcome.err
    times = [line.split()[:4] for line in outcome.out.splitlines() if re.match(r" +[13] ", line)]
    assert times[0][0] == "1"
    assert times[1][:2] == ["3", "-"]


def test_help_says_the_exit_codes(run: Runner) -> None:
    outcome = run("bench", "--help")
    assert outcome.code == 0
    assert "130 Ctrl-C" in outcome.out

"""What bad input gets: one sentence that names it, a stable exit code, nothing written, never a traceback."""

import re

import pytest

from cli.bad_input import BAD
from cli.running import Runner


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_in_a_sentence_and_writes_nothing(name: str, run: Runner) -> None:
    bad = BAD[name]
    bad.prepare()
    before = run.snapshot()
    outcome = run(*bad.arguments)
    assert outcome.code == bad.code
    assert outcome.err.count("counterflow: ") == 1
    assert outcome.sentence.startswith("counterflow: ")
    assert all(word in outcome.sentence for word in bad.names), outcome.sentence
    assert "Traceback" not in outcome.out + outcome.err
    assert outcome.out == ""
    assert run.snapshot() == before


def test_a_diverging_fit_names_rows_and_what_to_try_and_leaves_no_model(run: Runner) -> None:
    before = run.snapshot()
    wild = ("--model", "maf", "--learning-rate", "1e30")
    outcome = run("fit", "good.csv", "-o", "new.safetensors", *wild, "--steps", "1")  # validated before the second
    assert outcome.code == 6
    assert "the held-out loss is nan" in outcome.sentence
    assert outcome.sentence.endswith("try a lower --learning-rate")
    outcome = run("fit", "good.csv", "-o", "new.safetensors", *wild, "--steps", "9", "--validation", "0")
    assert outcome.code == 6
    assert re.search(r"in step \d+ .* line \d+(, line \d+)* of good.csv; try a lower --learning-rate", outcome.sentence)
    assert run.snapshot() == before


def test_an_option_that_is_no_number_is_a_usage_error(run: Runner) -> None:
    outcome = run("sample", "model.safetensors", "-n", "many", "-o", "x.csv")
    assert outcome.code == 2
    assert "'-n'" in outcome.err


def test_a_fault_of_ours_is_not_disguised_as_the_users(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("counterflow.cli.inspecting.load_model", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        run("inspect", "model.safetensors")

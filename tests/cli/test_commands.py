"""The main job through the command line: fit, score, sample, inspect, and what is said on the way."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import counterflow as cf
from cli.running import FAST, ROLES, Runner, table, write_csv
from counterflow.tabular.making import make_model
from counterflow.tabular.presets import Preset


def test_scores_are_the_model_s_log_densities_in_the_data_s_own_units(run: Runner) -> None:
    outcome = run("score", "model.safetensors", "good.csv", "-o", "s.npy")
    assert (outcome.code, outcome.err) == (0, "")
    with torch.no_grad():
        expected = cf.load("model.safetensors").log_prob(torch.tensor(table(), dtype=torch.float32))
    np.testing.assert_allclose(np.load("s.npy"), expected.numpy(), rtol=1e-5)


def test_a_density_in_other_units_differs_by_the_log_of_the_unit(run: Runner) -> None:
    """Standardisation is inside the model, so a change of unit moves log p by -log|unit|, and by nothing else."""
    scaled = table() * np.array([8.0, 1.0, 0.25])
    np.save("scaled.npy", scaled)
    run("fit", "good.npy", "-o", "a.safetensors", *FAST)
    run("fit", "scaled.npy", "-o", "b.safetensors", *FAST)
    run("score", "a.safetensors", "good.npy", "-o", "a.npy")
    run("score", "b.safetensors", "scaled.npy", "-o", "b.npy")
    np.testing.assert_allclose(np.load("b.npy"), np.load("a.npy") - np.log(8.0 * 0.25), atol=1e-3)


def test_scores_in_csv_have_a_name_and_the_rows_order(run: Runner) -> None:
    run("score", "model.safetensors", "good.csv", "-o", "s.csv")
    run("score", "model.safetensors", "good.csv", "-o", "s.npy")
    lines = Path("s.csv").read_text().splitlines()
    assert lines[0] == "log_prob"
    assert np.array_equal(np.array(lines[1:], dtype=np.float64), np.load("s.npy"))


def test_reordered_columns_are_matched_by_name_and_said(run: Runner) -> None:
    write_csv(Path("r.csv"), table()[:, [2, 0, 1]], "c,a,b")
    run("score", "model.safetensors", "good.csv", "-o", "s.npy")
    outcome = run("score", "model.safetensors", "r.csv", "-o", "r.npy")
    assert "matched by name" in outcome.err
    assert np.array_equal(np.load("r.npy"), np.load("s.npy"))


def test_a_missing_cell_of_a_reordered_file_is_named_as_the_file_has_it(run: Runner) -> None:
    values = table()[:, [2, 0, 1]]
    values[1, 0] = np.nan
    write_csv(Path("r.csv"), values, "c,a,b")
    assert "line 3, column 'c'" in run("score", "model.safetensors", "r.csv", "-o", "r.npy").err


def test_dropped_rows_at_score_keep_the_others_in_their_places(run: Runner) -> None:
    values = table()
    values[[3, 50], 1] = np.nan
    write_csv(Path("gaps.csv"), values)
    run("score", "model.safetensors", "good.csv", "-o", "s.npy")
    outcome = run("score", "model.safetensors", "gaps.csv", "-o", "g.npy", "--drop-missing")
    assert "2 rows" in outcome.err
    scores = np.load("g.npy")
    assert np.flatnonzero(np.isnan(scores)).tolist() == [3, 50]
    assert np.array_equal(scores[~np.isnan(scores)], np.load("s.npy")[~np.isnan(scores)])


def test_dropped_rows_at_fit_are_counted_and_recorded(run: Runner) -> None:
    values = table()
    values[[3, 50], 1] = np.inf
    write_csv(Path("gaps.csv"), values)
    outcome = run("fit", "gaps.csv", "-o", "m.safetensors", *FAST, "--drop-missing")
    assert outcome.code == 0
    assert "2 rows" in outcome.err
    data = cf.read_header("m.safetensors")["metadata"]["data"]
    assert (data["rows"], data["dropped_rows"]) == (58, 2)


def test_a_batch_larger_than_the_data_shrinks_and_says_so(run: Runner) -> None:
    outcome = run("fit", "good.csv", "-o", "m.safetensors", *FAST, "--batch-size", "1000")
    assert outcome.code == 0
    assert "the batch of 1000 rows shrinks to 48" in outcome.err


def test_what_samples_keep_to_is_said(run: Runner) -> None:
    outcome = run("fit", "events.parquet", "-o", "m.safetensors", *FAST, *ROLES, "--support", "pt=..")
    said = outcome.err.splitlines()
    at = said.index("Samples will keep to this (--support and --continuous say otherwise):")
    assert said[at + 1 :] == [
        "  column 'n': integers; 0 or more, detected",
        "  column 'cos': -1 to 1, detected",
        "  column 'flag': booleans; 0 to 1, detected",
    ]


def test_surplus_columns_are_left_aside_and_named(run: Runner) -> None:
    values = np.hstack([table(), table(seed=1)])[:, :4]
    write_csv(Path("x.csv"), values, "a,b,c,label")
    run("score", "model.safetensors", "good.csv", "-o", "s.npy")
    outcome = run("score", "model.safetensors", "x.csv", "-o", "x.npy")
    assert outcome.err == "Note: x.csv has column 'label', which the model does not know: left aside.\n"
    assert np.array_equal(np.load("x.npy"), np.load("s.npy"))


def test_two_rows_are_enough(run: Runner) -> None:
    np.save("two.npy", table(2))
    outcome = run("fit", "two.npy", "-o", "m.safetensors", *FAST)
    assert outcome.code == 0
    assert "No rows were held out" in outcome.out


def test_samples_carry_the_names_and_depend_on_the_seed_alone(run: Runner) -> None:
    for name, seed in (("a.csv", 1), ("b.csv", 1), ("c.csv", 2)):
        run("sample", "model.safetensors", "-n", 20, "-o", name, "--seed", seed)
    a, b, c = (Path(name).read_text() for name in ("a.csv", "b.csv", "c.csv"))
    assert a.splitlines()[0] == "a,b,c"
    assert len(a.splitlines()) == 21
    assert a == b != c


def test_samples_are_the_same_in_every_format(run: Runner) -> None:
    for extension in ("csv", "npy", "npz"):
        assert run("sample", "model.safetensors", "-n", 20, "-o", f"x.{extension}").code == 0
    x = np.load("x.npy")
    with np.load("x.npz") as archive:
        assert np.array_equal(np.column_stack([archive[name] for name in "abc"]), x)
    assert np.array_equal(np.loadtxt("x.csv", delimiter=",", skiprows=1), x)


def test_the_model_file_says_how_it_was_made(run: Runner) -> None:
    made = cf.read_header("model.safetensors")["metadata"]
    assert made["columns"] == ["a", "b", "c"]
    assert made["data"]["rows"] == sum(made["data"][f"{part}_rows"] for part in ("training", "validation", "test"))
    assert made["held_out"]["model"]["rows"] == made["data"]["test_rows"] == 6
    assert made["recipe"]["seed"] == 0
    assert made["command"] == "counterflow fit good.csv --out model.safetensors --model made --steps 4"
    assert made["versions"]["torch"] == torch.__version__


def test_the_same_command_gives_the_same_weights(run: Runner) -> None:
    run("fit", "good.csv", "-o", "again.safetensors", *FAST, "--quiet")
    first, second = cf.load("model.safetensors").state_dict(), cf.load("again.safetensors").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_finished_fit_leaves_the_model_and_nothing_else(run: Runner) -> None:
    before = {p.name for p in run.folder.iterdir()}
    run("fit", "good.csv", "-o", "m.safetensors", *FAST)
    assert {p.name for p in run.folder.iterdir()} - before == {"m.safetensors"}


def test_overwrite_replaces_the_model(run: Runner) -> None:
    before = Path("model.safetensors").read_bytes()
    outcome = run("fit", "good.csv", "-o", "model.safetensors", *FAST, "--seed", 5, "--overwrite")
    assert outcome.code == 0
    assert Path("model.safetensors").read_bytes() != before


def test_the_log_has_a_line_per_validation(run: Runner) -> None:
    run("fit", "good.csv", "-o", "m.safetensors", "--model", "made", "--steps", 60, "--log", "run.csv")
    assert [line.split(",")[0] for line in Path("run.csv").read_text().splitlines()] == ["step", "25", "50", "60"]


def test_an_array_of_an_archive_can_be_chosen(run: Runner) -> None:
    np.savez("two.npz", train=table(), test=table(30, seed=1))
    assert run("fit", "two.npz", "--array", "train", "-o", "m.safetensors", *FAST).code == 0
    assert run("score", "m.safetensors", "two.npz", "--array", "test", "-o", "s.npy").code == 0
    assert len(np.load("s.npy")) == 30


@pytest.mark.parametrize("preset", list(Preset))
@pytest.mark.parametrize("features", [1, 3])
def test_every_preset_scores_and_samples(preset: Preset, features: int) -> None:
    model = make_model(preset, features).eval()
    x = model.sample(5)
    assert x.shape == (5, features)
    assert torch.isfinite(model.log_prob(x)).all()


def test_inspect_says_what_the_model_is_and_how_it_came_about(run: Runner) -> None:
    said = run("inspect", "model.safetensors").out
    for words in ("3 columns: a, b, c", "parameters", "Scoring: 1 parallel network pass", "Sampling: 3 small steps"):
        assert words in said
    assert "Fitted to 48 of the 60 rows of good.csv" in said


def test_inspect_reads_a_model_saved_without_the_command_line(run: Runner) -> None:
    cf.save("bare.safetensors", cf.models.maf(2, layers=2, hidden=(8,)))
    assert "does not say how the model was made" in run("inspect", "bare.safetensors").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "good.csv", "-o", "m.safetensors", *FAST],
        ["score", "model.safetensors", "good.csv", "-o", "s.csv"],
        ["sample", "model.safetensors", "-n", "5", "-o", "x.csv"],
        ["inspect", "model.safetensors"],
        ["bench", "model.safetensors", "--batch", "2", "--seconds", "0.001"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_json_is_one_object_and_all_that_is_on_standard_output(arguments: list[str], run: Runner) -> None:
    assert isinstance(json.loads(run(*arguments, "--json").out), dict)


def test_quiet_leaves_only_the_result(run: Runner) -> None:
    outcome = run("fit", "good.csv", "-o", "m.safetensors", *FAST, "--quiet")
    assert outcome.err == ""
    assert "Held-out log-likelihood" in outcome.out


@pytest.mark.parametrize("command", [[], ["fit"], ["score"], ["sample"], ["inspect"], ["bench"], ["demo"]])
def test_every_command_has_help_with_the_exit_codes(command: list[str], run: Runner) -> None:
    outcome = run(*command, "--help")
    assert outcome.code == 0
    assert "130 Ctrl-C" in outcome.out

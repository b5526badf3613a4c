"""Models that are given something: values on the command line, rows of a file, warnings of what is far."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cli.running import FAST, ROLES, Runner, events, write_events
from counterflow.tables import open_table

SAMPLE = ["sample", "given.safetensors", "-n"]


def read(path: str) -> np.ndarray:
    return np.concatenate(list(open_table(Path(path)).blocks()))


def test_rows_are_drawn_for_each_context_of_a_file_in_its_order(run: Runner) -> None:
    Path("c.csv").write_text("label,energy\nx,12.5\ny,40\nz,20\n")
    outcome = run(*SAMPLE, 4, "--context", "c.csv", "-o", "s.npz", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == {
        "written": ["s.npz"],
        "rows": 12,
        "columns": 5,
        "names": ["energy", "n", "pt", "cos", "flag"],
        "seed": 0,
    }
    assert read("s.npz")[:, 0].tolist() == [12.5] * 4 + [40.0] * 4 + [20.0] * 4


def test_a_context_of_fractions_is_taken_where_the_training_rows_held_whole_numbers(run: Runner) -> None:
    write_events("x.parquet", energy=np.rint(events()["energy"]).astype(np.int16))
    run("fit", "x.parquet", "-o", "m.safetensors", *ROLES, *FAST)
    for value, dtype in (("20", "int16"), ("20.5", "float64"), ("1e6", "float64")):
        run("sample", "m.safetensors", "-n", 3, "--given", f"energy={value}", "-o", "s.parquet", "--overwrite")
        assert open_table(Path("s.parquet")).types[0] == dtype
        assert np.all(read("s.parquet")[:, 0] == float(value))


def test_draws_given_a_context_follow_it(run: Runner) -> None:
    """y = 10 c + noise of 0.1; means over 500 draws miss by 1 with a probability far below 1e-6 once it has learnt."""
    rng = np.random.default_rng(0)
    c = rng.uniform(0, 1, 600)
    write_events("x.parquet", {"c": c, "y": 10 * c + 0.1 * rng.normal(size=600)})
    run("fit", "x.parquet", "-o", "m.safetensors", "--context", "c", "--model", "made", "--steps", 400)
    for value in (0.2, 0.8):
        run("sample", "m.safetensors", "-n", 500, "--given", f"c={value}", "-o", "s.npz", "--overwrite")
        assert abs(read("s.npz")[:, 1].mean() - 10 * value) < 1


@pytest.mark.parametrize("command", ["score", "sample"])
def test_a_context_far_outside_the_training_range_is_warned_about_with_the_distance(command: str, run: Runner) -> None:
    energy = events()["energy"]
    far = energy.max() + 3 * energy.std()
    write_events("x.parquet", energy=np.where(np.arange(80) == 3, far, energy))
    arguments = {"score": ["events.parquet"], "sample": ["-n", 1, "--context", "events.parquet"]}[command]
    near = run(command, "given.safetensors", *arguments, "-o", "near.npz")
    assert "Warning" not in near.err
    outcome = run(command, "given.safetensors", *[str(a).replace("events", "x") for a in arguments], "-o", "far.npz")
    assert outcome.code == 0
    expected = (
        "Warning: context column 'energy' goes 3.0 standard deviations beyond its training range "
        f"({energy.min():g} to {energy.max():g}): the model extrapolates there.\n"
    )
    assert outcome.err.count("Warning") == 1
    assert expected in outcome.err


def test_a_distance_is_that_of_the_farthest_of_all_blocks(run: Runner) -> None:
    outcome = run(*SAMPLE, 1, "--given", "energy=500", "-o", "s.csv")
    assert re.fullmatch(r"Warning: context column 'energy' goes \d\d\.\d standard deviations beyond .*\n", outcome.err)


def test_many_contexts_and_many_rows_are_cut_into_pieces(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterflow.cli.sampling.chunk_rows", lambda features: 7)
    energy = [20.0, 40.0, 10.0, 30.0, 50.0]
    write_events("x.parquet", {"energy": np.array(energy)})
    for rows in (1, 3, 20):
        run(*SAMPLE, rows, "--context", "x.parquet", "-o", "s.npz", "--overwrite")
        assert read("s.npz")[:, 0].tolist() == np.repeat(energy, rows).tolist()

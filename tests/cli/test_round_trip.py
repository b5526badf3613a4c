"""A table with integers, bounds, weights and context goes round: fit, load in a new process, sample, score again."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cli.running import EVENTS, FAST, ROLES, Runner, events, write_events
from counterflow.tables import open_table

SAMPLED = [column for column in EVENTS if column.name != "w"]  # the weight is no column of the model
FORMATS = ["csv", "tsv", "parquet", "feather", "npz", "h5", "root"]
WITHOUT_TYPES = {"csv", "tsv"}
WITH_UNITS = {"parquet", "feather", "h5"}


def written(path: str) -> dict[str, np.ndarray]:
    """The columns of a file by name, read by this package."""
    source = open_table(Path(path))
    block = np.concatenate(list(source.blocks()))
    assert source.names is not None
    return dict(zip(source.names, block.T, strict=True))


def check_samples(columns: dict[str, np.ndarray], rows: int) -> None:
    assert list(columns) == [column.name for column in SAMPLED]
    assert all(len(values) == rows for values in columns.values())
    assert np.all(columns["n"] == np.rint(columns["n"]))
    assert columns["n"].min() >= 0
    assert columns["pt"].min() >= 0
    assert np.abs(columns["cos"]).max() <= 1
    assert set(columns["flag"]) <= {0.0, 1.0}


@pytest.mark.parametrize("extension", FORMATS)
def test_samples_carry_names_types_and_units_and_can_be_scored(extension: str, run: Runner) -> None:
    write_events(f"x.{extension}")
    assert run("fit", f"x.{extension}", "-o", "m.safetensors", *ROLES, *FAST, "--unit", "pt=GeV").code == 0
    outcome = run("sample", "m.safetensors", "-n", 200, "--given", "energy=35.5", "-o", f"s.{extension}")
    assert (outcome.code, outcome.err) == (0, "")
    columns = written(f"s.{extension}")
    check_samples(columns, 200)
    assert np.all(columns["energy"] == 35.5)
    source = open_table(Path(f"s.{extension}"))
    if extension not in WITHOUT_TYPES:
        assert source.types == tuple(column.dtype for column in SAMPLED)
    if extension in WITH_UNITS:
        assert source.units == tuple(column.unit for column in SAMPLED)
    scored = run("score", "m.safetensors", f"s.{extension}", "-o", f"l.{extension}")
    assert scored.code == 0
    scores = written(f"l.{extension}")
    assert list(scores) == ["log_prob"]
    assert np.isfinite(scores["log_prob"]).all()
    if extension not in WITHOUT_TYPES:
        assert open_table(Path(f"l.{extension}")).types == ("float64",)


def test_text_of_whole_numbers_has_no_decimals(run: Runner) -> None:
    write_events("x.csv")
    run("fit", "x.csv", "-o", "m.safetensors", *ROLES, *FAST)
    run("sample", "m.safetensors", "-n", 20, "--given", "energy=20", "-o", "s.csv")
    with Path("s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["n"].isdecimal() and row["flag"] in "01" for row in rows)
    assert any(not row["pt"].isdecimal() for row in rows)


def test_a_table_without_names_goes_round_by_number(run: Runner) -> None:
    """Context third, weight first, so that no order but that of the numbers fits."""
    columns = events()
    array = np.column_stack([columns[name] for name in ("w", "n", "energy", "pt", "cos", "flag")]).astype(np.float64)
    np.save("x.npy", array)
    assert (
        run("fit", "x.npy", "-o", "m.safetensors", "--context", 3, "--weight", 1, "--support", "4=0..", *FAST).code == 0
    )
    assert run("score", "m.safetensors", "x.npy", "-o", "whole.npy").code == 0
    np.save("y.npy", array[:, 1:])  # as `sample` writes it: without the weight
    outcome = run("score", "m.safetensors", "y.npy", "-o", "part.npy")
    assert outcome.code == 0
    np.testing.assert_array_equal(np.load("part.npy"), np.load("whole.npy"))
    run("sample", "m.safetensors", "-n", 50, "--given", "3=20", "-o", "s.npy")
    drawn = np.load("s.npy")
    assert drawn.shape == (50, 5)
    assert np.all(drawn[:, 1] == 20)
    assert np.all(drawn[:, 0] == np.rint(drawn[:, 0]))
    assert run("score", "m.safetensors", "s.npy", "-o", "drawn.npy").code == 0


def test_columns_chosen_by_number_are_found_again_in_the_same_file(run: Runner) -> None:
    array = np.random.default_rng(0).normal(size=(60, 4)) * [1, 10, 100, 1000]
    np.save("x.npy", array)
    run("fit", "x.npy", "-o", "m.safetensors", "--columns", "4,2", *FAST)
    outcome = run("score", "m.safetensors", "x.npy", "-o", "whole.npy")
    assert outcome.err == "Note: of the 4 columns of x.npy, the model takes numbers 2, 4.\n"
    np.save("y.npy", array[:, [1, 3]])
    run("score", "m.safetensors", "y.npy", "-o", "part.npy")
    np.testing.assert_array_equal(np.load("part.npy"), np.load("whole.npy"))


def test_all_columns_in_another_order_by_number_are_each_themselves(run: Runner) -> None:
    array = np.random.default_rng(0).normal(size=(60, 2)) * [1, 1000]
    np.save("x.npy", array)
    run("fit", "x.npy", "-o", "m.safetensors", "--columns", "2,1", *FAST)
    run("fit", "x.npy", "-o", "same.safetensors", *FAST)
    run("sample", "m.safetensors", "-n", 200, "-o", "s.npy")
    spread = np.load("s.npy").std(axis=0)
    assert spread[1] > 100 * spread[0]


TWICE = """
import sys
from counterflow.cli.app import app
for line in sys.argv[1:]:
    try:
        app(line.split(), prog_name="counterflow")
    except SystemExit as end:
        assert not end.code
"""


def test_a_new_process_samples_and_scores_the_same(run: Runner) -> None:
    lines = [
        "sample given.safetensors -n 50 --given energy=20 -o {}.parquet --threads 1",
        "score given.safetensors events.parquet -o {}.npz --threads 1",
    ]
    assert [run(*line.format("here").split()).code for line in lines] == [0, 0]
    command = [sys.executable, "-c", TWICE, *(line.format("there") for line in lines)]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True)
    for extension in ("parquet", "npz"):
        here, there = (written(f"{name}.{extension}") for name in ("here", "there"))
        assert here.keys() == there.keys()
        assert all(np.array_equal(here[name], there[name]) for name in here)

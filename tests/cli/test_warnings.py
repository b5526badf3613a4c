"""What a fit goes on with and warns about, and what score says of rows that it could not score."""

import json
from pathlib import Path

import numpy as np

import counterflow as cf
from cli.running import FAST, ROLES, Runner, events, table, write_csv, write_events


def test_an_identifier_is_warned_about(run: Runner) -> None:
    write_events("x.parquet", id=np.arange(80))
    outcome = run("fit", "x.parquet", "-o", "m.safetensors", *ROLES, *FAST)
    assert outcome.code == 0
    warnings = [line for line in outcome.err.splitlines() if line.startswith("Warning")]
    assert warnings == [
        "Warning: column 'id' holds a different whole number in every row: an identifier? If so, leave it out."
    ]


def test_a_value_that_many_rows_share_is_warned_about(run: Runner) -> None:
    pt = events()["pt"]
    pt[:20] = 2.5
    write_events("x.parquet", pt=pt)
    outcome = run("fit", "x.parquet", "-o", "m.safetensors", *ROLES, *FAST)
    assert outcome.code == 0
    assert (
        "Warning: column 'pt' is exactly 2.5 in 25% of the rows: a density can only put a narrow peak there.\n"
    ) in outcome.err


def test_whole_numbers_can_be_declared_continuous(run: Runner) -> None:
    outcome = run("fit", "events.parquet", "-o", "m.safetensors", *ROLES, *FAST, "--continuous", "n")
    assert "column 'n': integers" not in outcome.err
    made = cf.read_header("m.safetensors")["metadata"]["schema"]["columns"]
    assert [column.get("kind", "continuous") for column in made] == [
        "continuous",
        "continuous",
        "continuous",
        "boolean",
    ]


def test_whole_numbers_are_scored_as_a_density_or_as_a_bound_and_it_is_said(run: Runner) -> None:
    outcome = run("score", "given.safetensors", "events.parquet", "-o", "d.npz", "--json")
    assert json.loads(outcome.out)["score"] == "log_prob"
    assert outcome.err == (
        "Note: whole numbers (n, flag) count as k + u with u uniform in [0, 1): log_prob is the density of that, with "
        "one seeded draw of u per cell; --bound 10 gives a lower bound of log P instead.\n"
    )
    outcome = run("score", "given.safetensors", "events.parquet", "-o", "b.npz", "--bound", 20, "--json")
    assert json.loads(outcome.out)["score"] == "log_mass_bound"
    assert outcome.err == (
        "Note: log_mass_bound is, on average over its 20 draws of noise per row, a lower bound of log P of the whole "
        "numbers (n, flag) and density of the other columns.\n"
    )
    with np.load("d.npz") as density, np.load("b.npz") as bound:
        assert density.files == ["log_prob"]
        assert bound.files == ["log_mass_bound"]
        # By Jensen, the mean over twenty draws inside the logarithm is larger, row by row nearly, on average surely.
        assert bound["log_mass_bound"].mean() > density["log_prob"].mean()


def test_a_bound_of_one_draw_is_the_density_of_the_same_noise(run: Runner) -> None:
    run("score", "given.safetensors", "events.parquet", "-o", "d.npy", "--seed", 3)
    run("score", "given.safetensors", "events.parquet", "-o", "b.npy", "--seed", 3, "--bound", 1)
    np.testing.assert_allclose(np.load("b.npy"), np.load("d.npy"), rtol=1e-12)


def test_rows_without_density_are_said_and_left_out_of_the_mean(run: Runner) -> None:
    pt = events()["pt"].astype(np.float64)
    pt[3], pt[4] = -5.0, 1e38
    write_events("x.csv", pt=pt)
    outcome = run("score", "given.safetensors", "x.csv", "-o", "s.npy", "--json")
    assert outcome.code == 0
    assert "Note: 1 row outside the support of a column: log density -inf, left out of the mean.\n" in outcome.err
    assert (
        "Note: 1 row so far from the training rows that single precision gives no finite log density, left out of the "
        "mean.\n"
    ) in outcome.err
    said = json.loads(outcome.out)
    assert (said["rows"], said["outside_support"]) == (78, 1)
    scores = np.load("s.npy")
    assert scores[3] == -np.inf
    assert np.flatnonzero(~np.isfinite(scores)).tolist() == [3, 4]


def test_rows_outside_the_support_alone_have_no_mean(run: Runner) -> None:
    write_events("x.csv", pt=-np.ones(80))
    outcome = run("score", "given.safetensors", "x.csv", "-o", "s.npy")
    assert outcome.out == "No row has a finite log density: there is no mean. Wrote s.npy.\n"
    assert json.loads(run("score", "given.safetensors", "x.csv", "-o", "t.npy", "--json").out)["mean_log_prob"] is None


def test_the_mean_counts_rows_by_their_weight_if_the_file_has_it(run: Runner) -> None:
    outcome = run("score", "given.safetensors", "events.parquet", "-o", "s.npy", "--json")
    expected = np.average(np.load("s.npy"), weights=events()["w"])
    assert abs(json.loads(outcome.out)["mean_log_prob"] - expected) < 1e-9
    write_events("x.parquet", w=None)
    outcome = run("score", "given.safetensors", "x.parquet", "-o", "t.npy", "--json")
    assert abs(json.loads(outcome.out)["mean_log_prob"] - np.load("t.npy").mean()) < 1e-9


def test_a_table_in_a_folder_is_its_files_in_order(run: Runner) -> None:
    Path("parts").mkdir()
    for part in range(3):
        write_events(f"parts/{part}.parquet", events(seed=part))
    assert run("score", "given.safetensors", "parts", "-o", "all.npy").code == 0
    whole = np.load("all.npy")
    assert len(whole) == 240
    run("score", "given.safetensors", "parts/0.parquet", "-o", "first.npy")
    assert np.array_equal(whole[:80], np.load("first.npy"))


def test_a_gap_in_a_folder_is_named_with_its_file(run: Runner) -> None:
    Path("parts").mkdir()
    for part in range(2):
        changed = events(seed=part)
        changed["pt"][5 * part] = np.nan if part else 1.0
        write_events(f"parts/{part}.parquet", changed)
    assert run("score", "given.safetensors", "parts", "-o", "s.npy").sentence == (
        "counterflow: parts: 1 row has a cell without a finite number (1 missing or NaN), first at row 6 of 1.parquet, "
        "column 'pt'; --drop-missing goes on without them"
    )


def test_a_table_with_names_for_a_model_without_goes_by_number(run: Runner) -> None:
    run("fit", "good.npy", "-o", "m.safetensors", *FAST)
    run("score", "m.safetensors", "good.npy", "-o", "s.npy")
    write_csv(Path("x.csv"), np.hstack([table(), table(seed=1)])[:, :4], "p,q,r,s")
    outcome = run("score", "m.safetensors", "x.csv", "-o", "x.npy")
    assert outcome.err.splitlines() == [
        "Note: of the 4 columns of x.csv, the model takes numbers 1, 2, 3.",
        "Note: the model has no names; the columns of x.csv go by their numbers.",
    ]
    assert np.array_equal(np.load("x.npy"), np.load("s.npy"))

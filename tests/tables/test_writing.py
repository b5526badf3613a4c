"""Writers: what is written is read back, and a failure leaves nothing."""

from pathlib import Path

import numpy as np
import pytest

from counterflow.files import replacing
from counterflow.tables import open_table, read_table, write_table

X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


@pytest.mark.parametrize("extension", ["csv", "npy", "npz"])
def test_single_precision_survives_the_round_trip(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{extension}"
    write_table(path, X.shape, [X[:4], X[4:]])
    assert np.array_equal(read_table(open_table(path)).values.astype(np.float32), X)


def test_names_with_commas_survive_the_round_trip(tmp_path: Path) -> None:
    names = ("a, b", 'say "c"', "d")
    write_table(tmp_path / "x.csv", X.shape, [X], names)
    assert open_table(tmp_path / "x.csv").names == names


def test_numpy_reads_what_is_written(tmp_path: Path) -> None:
    write_table(tmp_path / "x.npy", (7,), [X[:, 0]])
    write_table(tmp_path / "x.npz", X.shape, [X])
    assert np.array_equal(np.load(tmp_path / "x.npy"), X[:, 0])
    with np.load(tmp_path / "x.npz") as archive:
        assert np.array_equal(archive["x"], X)


@pytest.mark.parametrize("extension", ["csv", "npy", "npz"])
def test_too_few_rows_leave_nothing(extension: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 7 rows, got 4"):
        write_table(tmp_path / f"x.{extension}", X.shape, [X[:4]])
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("before")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]
    assert path.read_text() == "before"

"""Chosen columns are shown alone, in the order chosen; the others are never looked at."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
import uproot

from counterflow.tables import Gaps, TableError, column_names, match_columns, open_table, read_table

FRAME = pl.DataFrame(
    {
        "label": ["left", "right", "left"],
        "mass": [1.5, 2.5, 3.5],
        "count": [1, 2, 3],
        "spin": [True, False, True],
    }
)


def _write_h5(path: Path) -> None:
    with h5py.File(path, "w", track_order=True) as file:
        for name in FRAME.columns:
            file[name] = FRAME[name].to_list()
        file["other"] = np.zeros(7)  # another length, of no one's concern


def _write_records(path: Path) -> None:
    np.save(
        path, FRAME.to_numpy(structured=True).astype([("label", "U5"), ("mass", "f8"), ("count", "i8"), ("spin", "?")])
    )


def _write_root(path: Path) -> None:
    with uproot.recreate(path) as file:
        types = {"label": "string", "mass": np.dtype("f8"), "count": np.dtype("i8"), "spin": np.dtype("?")}
        file.mktree("t", types).extend({name: FRAME[name].to_list() for name in types})


def _write_folder(path: Path) -> None:
    path.mkdir()
    FRAME[:2].write_parquet(path / "1.parquet")
    FRAME[2:].write_parquet(path / "2.parquet")


TABLES: dict[str, Callable[[Path], object]] = {
    "x.csv": lambda path: FRAME.with_columns(pl.col("spin").cast(int)).write_csv(path),
    "x.tsv": lambda path: FRAME.with_columns(pl.col("spin").cast(int)).write_csv(path, separator="\t"),
    "x.parquet": FRAME.write_parquet,
    "folder": _write_folder,
    "x.feather": FRAME.write_ipc,
    "x.arrow": FRAME.write_ipc_stream,
    "x.npy": _write_records,
    "x.npz": lambda path: np.savez(path, **{n: np.array(FRAME[n].to_list()) for n in FRAME.columns}, version=3),
    "x.h5": _write_h5,
    "x.root": _write_root,
}


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    TABLES[request.param](tmp_path / request.param)
    return tmp_path / request.param


def test_chosen_columns_come_in_the_order_chosen_and_text_beside_them_does_no_harm(table: Path) -> None:
    source = open_table(table, columns=["spin", "mass"])
    assert (source.names, source.columns, source.numbers) == (("spin", "mass"), 2, (4, 2))
    assert source.types in (("bool", "float64"), (None, None))
    assert read_table(source).values.tolist() == [[1, 1.5], [0, 2.5], [1, 3.5]]


def test_text_that_nobody_chose_is_named_with_the_way_out(table: Path) -> None:
    with pytest.raises(
        TableError, match=r"column 'label' holds text.*, expected numbers; choose columns with --columns"
    ):
        read_table(open_table(table))


def test_text_that_was_chosen_is_named(table: Path) -> None:
    with pytest.raises(
        TableError, match=r"column 'label'.*(holds text, expected numbers$|expected a number, got 'left')"
    ):
        read_table(open_table(table, columns=["mass", "label"]))


def test_all_names_are_known_before_a_choice(table: Path) -> None:
    names = column_names(table)
    assert names is not None
    assert [name for name in names if name != "other"] == FRAME.columns


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (["mas"], "has no column 'mas'; did you mean 'mass'?"),
        (["COUNT"], "has no column 'COUNT'; did you mean 'count'?"),
        (["energy"], "has no column 'energy'; it has 'label', 'mass', 'count', 'spin'"),
        ([2], "has no column 2; it has"),
        (["mass", "mass"], "column 'mass' is chosen twice"),
        ([], "no columns were chosen"),
    ],
)
def test_a_choice_that_cannot_be_is_named(chosen: list[str | int], words: str, table: Path) -> None:
    with pytest.raises(TableError) as error:
        open_table(table, columns=chosen)
    assert words in str(error.value)
    assert str(error.value).startswith(str(table))


NAMELESS: dict[str, Callable[[Path, np.ndarray], object]] = {
    "x.csv": lambda path, x: np.savetxt(path, x, delimiter=","),
    "x.npy": np.save,
    "f.npy": lambda path, x: np.save(path, np.asfortranarray(x)),
    "x.npz": lambda path, x: np.savez(path, x=x),
    "f.npz": lambda path, x: np.savez_compressed(path, x=np.asfortranarray(x)),
}


@pytest.fixture(params=NAMELESS)
def nameless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    NAMELESS[request.param](path, np.array([[1.0, 2.0, 3.0], [4.0, 5.0, np.nan]]))
    return path


def test_columns_without_names_are_chosen_by_number_from_one(nameless: Path) -> None:
    source = open_table(nameless, columns=["3", 1])
    assert (source.names, source.numbers) == (None, (3, 1))
    assert np.array_equal(next(source.blocks()), [[3, 1], [np.nan, 4]], equal_nan=True)


def test_a_chosen_column_without_a_name_keeps_its_number_in_sentences(nameless: Path) -> None:
    source = open_table(nameless, columns=[2, 3])
    gaps = Gaps(source)
    gaps.whole(next(source.blocks()))
    with pytest.raises(TableError, match=r"first at (row|line) 2, column 3"):
        gaps.refuse()


@pytest.mark.parametrize("choice", [0, 4, "4", "-1", "mass", "²"])
def test_a_number_that_is_not_there_is_named(choice: str | int, nameless: Path) -> None:
    with pytest.raises(
        TableError, match=r"has no column .*: its columns have no names, choose among the numbers 1 to 3"
    ):
        open_table(nameless, columns=[choice])


def test_a_chosen_number_leaves_text_in_a_csv_without_names_alone(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,left,2\n3,right,4\n")
    source = open_table(tmp_path / "x.csv", columns=[3, 1])
    assert read_table(source).values.tolist() == [[2, 1], [4, 3]]


def test_a_chosen_name_makes_a_first_line_with_a_number_in_it_names(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,2020,x\n1,2,3\n")
    assert read_table(open_table(tmp_path / "x.csv", columns=["2020", "id"])).values.tolist() == [[2, 1]]


def test_a_name_that_reads_as_a_missing_cell_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("na,k\n1,2\n")
    assert open_table(tmp_path / "x.csv").names == ("na", "k")


def test_two_columns_of_one_name_do_no_harm_when_others_are_chosen(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b,a,\n1,2,3,4\n")
    assert read_table(open_table(tmp_path / "x.csv", columns=["b"])).values.tolist() == [[2]]


def test_bytes_of_another_encoding_do_no_harm_when_others_are_chosen(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b'a,b\n1,caf\xe9\n2,"caf\xe9 ""noir"""\n1_0,x\n')
    assert read_table(open_table(tmp_path / "x.csv", columns=["a"])).values.tolist() == [[1], [2], [10]]


def test_an_index_that_pandas_wrote_is_no_column_unless_it_is_chosen(tmp_path: Path) -> None:
    FRAME.select("mass", pl.col("count").alias("__index_level_0__")).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(TableError, match=r"'__index_level_0__' is the row index that pandas wrote; .* index=False"):
        open_table(tmp_path / "x.parquet")
    assert open_table(tmp_path / "x.parquet", columns=["__index_level_0__"]).columns == 1


def test_columns_are_matched_to_a_model_whatever_their_order(table: Path) -> None:
    source = open_table(table, columns=["spin", "mass", "count"])
    assert match_columns(source, ("mass", "count", "spin"), 3) == [1, 2, 0]

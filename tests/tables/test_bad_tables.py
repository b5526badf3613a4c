"""What a bad table gets from every reader: one sentence that names the file and the place, and no other error."""

import contextlib
import sys
from pathlib import Path

import numpy as np
import pytest

from counterflow.tables import ColumnType, TableError, column_names, open_table, read_table, write_columns
from tables.bad_tables import BAD, BINARY, EXTENSIONS, Bad, good

PACKAGES = {"parquet": "pyarrow", "feather": "pyarrow", "h5": "h5py", "root": "uproot"}


@pytest.mark.parametrize("bad", BAD, ids=[f"{bad.name}: {bad.words[-1]}" for bad in BAD])
def test_a_bad_table_is_named_in_a_sentence(bad: Bad, tmp_path: Path) -> None:
    bad.prepare(tmp_path / bad.name)
    with pytest.raises(TableError) as error:
        read_table(open_table(tmp_path / bad.name, **bad.options))
    sentence = str(error.value)
    assert sentence.startswith(str(tmp_path / bad.name))
    assert all(word in sentence for word in bad.words), sentence
    assert "\n" not in sentence
    assert len(sentence) < 320 + len(str(tmp_path))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_file_that_may_not_be_read_is_named(extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"x.{extension}"
    good(path)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(TableError, match=r"x.*: cannot be read \(Permission denied\)"):
        open_table(path)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_file_that_goes_after_it_was_opened_is_named(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{extension}"
    good(path)
    source = open_table(path)
    path.unlink()
    with pytest.raises(TableError, match=r"x.*: cannot be read \(No such file or directory\)"):
        read_table(source)


@pytest.mark.parametrize("extension", BINARY)
@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_is_read_or_refused_but_never_breaks(seed: int, extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{extension}"
    good(path)
    content, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    ends = np.r_[:400, len(content) - 400 : len(content)]  # where formats keep what they say of themselves
    for place in rng.choice(ends, size=rng.integers(1, 20)):
        content[place] = rng.integers(256)
    path.write_bytes(content)
    with contextlib.suppress(TableError):
        read_table(open_table(path), drop_missing=True)


@pytest.mark.parametrize("extension", PACKAGES)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"x.{extension}"
    good(path)
    before, package = path.read_bytes(), PACKAGES[extension]
    monkeypatch.setitem(sys.modules, package, None)
    way_out = f"needs {package}: pip install 'counterflow[tables]'"
    with pytest.raises(TableError) as error:
        open_table(path)
    assert str(error.value).startswith(f"{path}: reading ")
    assert str(error.value).endswith(way_out)
    with pytest.raises(TableError) as error:
        write_columns(path, [ColumnType("a")], [np.zeros((1, 1))], rows=1)
    assert str(error.value).startswith(f"{path}: writing ")
    assert str(error.value).endswith(way_out)
    assert path.read_bytes() == before


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("extension", ["csv", "npy", "npz", "parquet", "feather"])
def test_very_many_columns_are_counted_without_reading_them(extension: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / f"x.{extension}"
    write_columns(path, [ColumnType(f"c{i}") for i in range(count)], [np.zeros((1, count))], rows=1)
    assert open_table(path).columns == count
    last = str(count) if extension == "npy" else f"c{count - 1}"
    assert open_table(path, columns=[last]).numbers == (count,)
    assert len(column_names(path) or range(count)) == count

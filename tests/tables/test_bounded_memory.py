"""Tables of any length are read and written in the memory of a few blocks."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from counterflow.tables import (
    WRITABLE,
    ColumnType,
    arrow_writing,
    delimited_text,
    open_table,
    parquet_file,
    root_writing,
    write_columns,
)
from counterflow.tables import source as source_module

ROWS, BLOCK = 40_000, 500
X = np.random.default_rng(0).normal(size=(ROWS, 4))
# The table takes 1.28 MB in memory, a block 16 kB; the rest of the bound is what the libraries keep of their own.
BOUND = 700_000
COLUMNS = [ColumnType(name, "float64") for name in "abcd"]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "BLOCK_CELLS", 4 * BLOCK)
    monkeypatch.setattr(delimited_text, "CHUNK", 2**15)
    monkeypatch.setattr(parquet_file, "BUFFERED", 2**16)
    monkeypatch.setattr(arrow_writing, "GROUP_CELLS", 4 * BLOCK)
    monkeypatch.setattr(root_writing, "BASKET_CELLS", 4 * BLOCK)


def blocks() -> Iterator[np.ndarray]:
    for start in range(0, ROWS, BLOCK):
        yield X[start : start + BLOCK].copy()


def peak_bytes(job: Callable[[], object]) -> int:
    """The most that Python and NumPy hold at a time, and Arrow after each block."""
    tracemalloc.start()
    try:
        job()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def read_through(path: Path) -> None:
    rows = 0
    before = pa.total_allocated_bytes()
    for block in open_table(path).blocks():
        assert len(block) <= BLOCK
        assert np.array_equal(block, X[rows : rows + len(block)])
        assert pa.total_allocated_bytes() - before < BOUND
        rows += len(block)
    assert rows == ROWS


@pytest.mark.parametrize("extension", WRITABLE)
def test_a_long_table_is_written_and_read_in_blocks(extension: str, tmp_path: Path) -> None:
    small, path = tmp_path / f"small{extension}", tmp_path / f"x{extension}"
    write_columns(small, COLUMNS, [X[:5]], rows=5)  # what is imported for the first time is not of the table
    list(open_table(small).blocks())
    assert peak_bytes(lambda: write_columns(path, COLUMNS, blocks(), rows=ROWS)) < BOUND
    assert peak_bytes(lambda: read_through(path)) < BOUND


def _one_group(path: Path) -> None:
    table = pa.table(dict(zip("abcd", X.T, strict=True)))
    pa.parquet.write_table(table, path, row_group_size=ROWS, data_page_size=2**15, use_dictionary=False)


def _chunked(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=X, chunks=(500, 4), compression="gzip")


def _long_chunks(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, column in zip("abcd", X.T, strict=True):
            file.create_dataset(name, data=column, chunks=(4000,), compression="gzip")


def _one_odd_cell(path: Path) -> None:
    lines = [",".join(map(repr, row)) for row in X.tolist()]
    whole, _, decimals = repr(float(X[0, 0])).partition(".")
    # Only the careful parser reads an underscore among digits.
    lines[0] = lines[0].replace(f"{whole}.{decimals}", f"{whole}.{decimals[:3]}_{decimals[3:]}", 1)
    assert "_" in lines[0]
    path.write_text("\n".join(["a,b,c,d", *lines]))


LAID_OUT: dict[str, Callable[[Path], object]] = {
    "one group.parquet": _one_group,
    "one batch.arrow": lambda path: pl.DataFrame(X, schema=list("abcd")).write_ipc(path, compression="uncompressed"),
    "by columns.npy": lambda path: np.save(path, np.asfortranarray(X)),
    "by columns.npz": lambda path: np.savez_compressed(path, x=np.asfortranarray(X)),
    "columns.npz": lambda path: np.savez_compressed(path, **dict(zip("abcd", X.T, strict=True))),
    "records.npy": lambda path: np.save(path, np.rec.fromarrays(X.T, names="a,b,c,d")),
    "chunks.h5": _chunked,
    "long chunks.h5": _long_chunks,
    "one odd cell.csv": _one_odd_cell,
}


@pytest.mark.parametrize("layout", LAID_OUT)
def test_a_file_that_is_laid_out_in_one_piece_is_read_in_blocks(layout: str, tmp_path: Path) -> None:
    path = tmp_path / layout
    LAID_OUT[layout](path)
    next(open_table(path).blocks())
    assert peak_bytes(lambda: read_through(path)) < BOUND


def test_few_of_many_columns_do_not_lengthen_the_blocks(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X.reshape(-1, 400))
    block = next(open_table(tmp_path / "x.npy", columns=[7]).blocks())
    assert block.shape == (4 * BLOCK // 400, 1)

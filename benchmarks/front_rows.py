"""A table of any number of rows, made here, in files of every format that Counterflow reads.

The files are written by other libraries than ours, block by block, so that ten million rows need little memory.
Run as a program it writes one file: python benchmarks/front_rows.py ROWS PATH.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

BLOCK = 250_000
SEED = 4
Columns = dict[str, npt.NDArray[np.generic]]


def blocks(rows: int) -> Iterator[Columns]:
    """A positive energy, the hits it makes, an angle, whether it was triggered, and a position; all depend on it."""
    for number, start in enumerate(range(0, rows, BLOCK)):
        count = min(BLOCK, rows - start)
        generator = np.random.default_rng([SEED, number])
        energy = generator.lognormal(1.0, 0.6, count)
        angle = generator.uniform(-np.pi, np.pi, count)
        yield {
            "energy": energy,
            "hits": generator.poisson(5 * energy).astype(np.int64),
            "angle": angle,
            "triggered": generator.random(count) < 1 / (1 + np.exp(3 - energy)),
            "position": np.sin(angle) * energy + generator.normal(0.0, 0.5, count),
        }


def write(path: Path, rows: int) -> None:
    """The table in the format of the extension."""
    _WRITERS[path.suffix[1:]](path, rows)


def _parquet(path: Path, rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, pa.table(next(blocks(1))).schema) as writer:
        for block in blocks(rows):
            writer.write_table(pa.table(block))


def _feather(path: Path, rows: int) -> None:
    import pyarrow as pa

    with pa.ipc.new_file(path, pa.table(next(blocks(1))).schema) as writer:
        for block in blocks(rows):
            writer.write_table(pa.table(block))


def _csv(path: Path, rows: int) -> None:
    """Booleans as 1 and 0."""
    import pandas

    for number, block in enumerate(blocks(rows)):
        frame = pandas.DataFrame({**block, "triggered": block["triggered"].astype(np.int64)})
        frame.to_csv(path, index=False, mode="w" if number == 0 else "a", header=number == 0)


def _npy(path: Path, rows: int) -> None:
    """One matrix of doubles."""
    matrix = np.lib.format.open_memmap(path, "w+", np.float64, (rows, len(next(blocks(1)))))
    start = 0
    for block in blocks(rows):
        matrix[start : start + BLOCK] = np.column_stack(list(block.values()))
        start += BLOCK
    matrix.flush()


def _h5(path: Path, rows: int) -> None:
    """A dataset for each column."""
    import h5py

    with h5py.File(path, "w") as file:
        for name, column in next(blocks(1)).items():
            file.create_dataset(name, (rows,), column.dtype)
        start = 0
        for block in blocks(rows):
            for name, column in block.items():
                file[name][start : start + len(column)] = column
            start += BLOCK


def _root(path: Path, rows: int) -> None:
    """A tree with a branch for each column."""
    import uproot

    with uproot.recreate(path) as file:
        file.mktree("tree", {name: column.dtype for name, column in next(blocks(1)).items()})
        for block in blocks(rows):
            file["tree"].extend(block)


_WRITERS: dict[str, Callable[[Path, int], None]] = {
    "parquet": _parquet,
    "csv": _csv,
    "npy": _npy,
    "feather": _feather,
    "h5": _h5,
    "root": _root,
}


if __name__ == "__main__":
    write(Path(sys.argv[2]), int(sys.argv[1]))

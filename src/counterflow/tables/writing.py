"""Tables to files, all or nothing."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..files import replacing

WRITABLE = (".csv", ".npy", ".npz")

Floats = npt.NDArray[np.float32]


def write_table(
    path: Path, shape: tuple[int, ...], blocks: Iterable[Floats], names: Iterable[str] | None = None
) -> None:
    """Write blocks of rows one after the other, in the format of the path's extension.

    Args:
        path: .csv, .npy or .npz (one array, `x`).
        shape: Of all rows together: (rows, columns), or (rows,) for a single column.
        blocks: The rows in order, single precision.
        names: Of the columns, for .csv; without them it has no line of names.

    Raises:
        ValueError: another extension, or blocks that do not add up to `shape`; nothing is written.
        FileNotFoundError: the folder does not exist.

    Error: .csv keeps nine significant digits, which give single precision back exactly.    Cost: memory of a block.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise ValueError(
            f"{path}: cannot write {path.suffix or 'a file without extension'}, only {', '.join(WRITABLE)}"
        )
    with replacing(path) as temporary:
        write(temporary, shape, _counted(blocks, shape), names)


def _counted(blocks: Iterable[Floats], shape: tuple[int, ...]) -> Iterator[Floats]:
    rows = 0
    for block in blocks:
        rows += len(block)
        if block.shape[1:] != shape[1:]:
            raise ValueError(f"expected blocks of shape (rows, {shape[1:]}), got {block.shape}")
        yield block
    if rows != shape[0]:
        raise ValueError(f"expected {shape[0]} rows, got {rows}")


def _write_csv(path: Path, shape: tuple[int, ...], blocks: Iterable[Floats], names: Iterable[str] | None) -> None:
    columns = shape[1] if len(shape) > 1 else 1
    line = ",".join(["%.9g"] * columns) + "\n"
    with path.open("w", encoding="utf-8", newline="") as file:
        if names is not None:
            csv.writer(file, lineterminator="\n").writerow(names)
        for block in blocks:
            file.write((line * len(block)) % tuple(block.ravel().tolist()))


def _write_npy(path: Path, shape: tuple[int, ...], blocks: Iterable[Floats], names: Iterable[str] | None) -> None:
    with path.open("wb") as file:
        _write_array(file.write, shape, blocks)


def _write_npz(path: Path, shape: tuple[int, ...], blocks: Iterable[Floats], names: Iterable[str] | None) -> None:
    with (
        zipfile.ZipFile(path, "w", allowZip64=True) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        _write_array(file.write, shape, blocks)


def _write_array(write: Callable[[bytes], object], shape: tuple[int, ...], blocks: Iterable[Floats]) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    write(header.getvalue())
    for block in blocks:
        write(np.ascontiguousarray(block, dtype="<f4").tobytes())


_WRITERS: dict[str, Callable[[Path, tuple[int, ...], Iterable[Floats], Iterable[str] | None], None]] = {
    ".csv": _write_csv,
    ".npy": _write_npy,
    ".npz": _write_npz,
}

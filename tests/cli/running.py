"""Running a command in this process, and the small tables and models that the tests of commands share."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from counterflow.cli.app import app
from counterflow.tables import ColumnType, write_columns

FAST = ["--model", "made", "--steps", "4"]
ROLES = ["--context", "energy", "--weight", "w"]  # of the columns of `events`

EVENTS = [
    ColumnType("energy", "float64", "GeV"),
    ColumnType("n", "int16"),
    ColumnType("pt", "float32", "GeV"),
    ColumnType("cos", "float32"),
    ColumnType("flag", "bool"),
    ColumnType("w", "float64"),
]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The last line on stderr; notes may stand before it."""
        return self.err.strip().splitlines()[-1]


class Runner:
    """Calls the command line as the shell would; paths are relative to the folder it runs in."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capture = folder, capture

    def __call__(self, *arguments: object) -> Outcome:
        self._capture.readouterr()
        with pytest.raises(SystemExit) as end:
            app([str(argument) for argument in arguments], prog_name="counterflow")
        said = self._capture.readouterr()
        return Outcome(int(end.value.code or 0), said.out, said.err)

    def snapshot(self) -> dict[str, bytes | None]:
        """What lies in the folder."""
        paths = self.folder.rglob("*")
        return {str(p.relative_to(self.folder)): p.read_bytes() if p.is_file() else None for p in paths}


def table(rows: int = 60, seed: int = 0) -> np.ndarray:
    """Three dependent columns of different units."""
    z = np.random.default_rng(seed).normal(size=(rows, 3))
    return np.stack([z[:, 0], 100 + 10 * (z[:, 0] ** 2 + z[:, 1]), 1e-3 * z[:, 2]], 1)


def write_csv(path: Path, values: np.ndarray, names: str | None = "a,b,c") -> None:
    """A comma-separated file, with or without names."""
    lines = [",".join(map(repr, row)) for row in values.tolist()]
    path.write_text("\n".join([*([names] if names else []), *lines]) + "\n", encoding="utf-8")


def events(rows: int = 80, seed: int = 0) -> dict[str, np.ndarray]:
    """What a detector might give: a true energy, counts, a positive number, a cosine, a flag, a weight."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10.0, 50.0, rows)
    columns = {
        "energy": energy,
        "n": rng.poisson(energy / 10),
        "pt": rng.exponential(energy),
        "cos": rng.uniform(-1, 1, rows),
        "flag": rng.random(rows) < 0.3,
        "w": rng.uniform(0.5, 2, rows),
    }
    return {column.name: columns[column.name].astype(column.dtype) for column in EVENTS if column.name is not None}


def write_events(path: str | Path, columns: dict[str, np.ndarray] | None = None, **changed: object) -> None:
    """Those, or others, in the format of the path; a changed column may have another type, None leaves it out."""
    columns = events() if columns is None else dict(columns)
    for name, values in changed.items():
        columns.pop(name, None)
        if values is not None:
            columns[name] = np.asarray(values)
    known = {column.name: column for column in EVENTS}
    types = []
    for name, values in columns.items():
        unit = known[name].unit if name in known else None
        types.append(ColumnType(name, values.dtype.name, unit))
    block = np.stack([values.astype(np.float64) for values in columns.values()], axis=1)
    write_columns(Path(path), types, [block], rows=len(block))

"""Running a command in this process, and the small tables and models that the tests of commands share."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from counterflow.cli.app import app

FAST = ["--model", "made", "--steps", "4"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


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


def table(rows: int = 60, seed: int = 0) -> np.ndarray:
    """Three dependent columns of different units."""
    z = np.random.default_rng(seed).normal(size=(rows, 3))
    return np.stack([z[:, 0], 100 + 10 * (z[:, 0] ** 2 + z[:, 1]), 1e-3 * z[:, 2]], 1)


def write_csv(path: Path, values: np.ndarray, names: str | None = "a,b,c") -> None:
    """A comma-separated file, with or without names."""
    lines = [",".join(map(repr, row)) for row in values.tolist()]
    path.write_text("\n".join([*([names] if names else []), *lines]) + "\n", encoding="utf-8")

"""What a mistake in columns, contexts or configurations is made of, and how the tables of them make it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli.running import FAST, events, write_events

DATA, USAGE, MODEL, OUTPUT = 3, 2, 4, 5


class Refused(NamedTuple):
    """One mistake: files to make, arguments to type, exit code, and the sentence."""

    prepare: Callable[[], object]
    arguments: list[str]
    code: int
    sentence: str


def nothing() -> None:
    pass


def text(name: str, content: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(content, encoding="utf-8")


def changed(**columns: object) -> Callable[[], object]:
    """x.parquet: the events with other columns."""
    return lambda: write_events("x.parquet", **columns)


def fit(*words: str, data: str = "events.parquet") -> list[str]:
    return ["fit", data, "-o", "new.safetensors", *FAST, *words]


def score(*words: str, model: str = "given", data: str = "x.parquet") -> list[str]:
    return ["score", f"{model}.safetensors", data, "-o", "scores.csv", *words]


def sample(*words: str, model: str = "given") -> list[str]:
    return ["sample", f"{model}.safetensors", "-n", "5", "-o", "x.csv", *words]


def one_in(value: float, row: int, column: str) -> np.ndarray:
    values = events()[column].astype(np.float64)
    values[row] = value
    return values

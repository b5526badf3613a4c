"""Where records go while training runs: a CSV file, TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ..files import replacing
from .history import Record

COLUMNS = tuple(f.name for f in fields(Record))


@runtime_checkable
class Sink(Protocol):
    """Takes every record as it is made."""

    def write(self, record: Record, /) -> None:
        """Take one record."""
        ...

    def close(self) -> None:
        """No record follows."""
        ...


class CsvLog:
    """One line per record, each written by a single flushed call, so that an interruption leaves whole lines.

    The records of the run that is resumed replace what the file held, including lines after the checkpoint.
    """

    def __init__(self, path: Path, earlier: Sequence[Record]) -> None:
        with replacing(path) as partial, partial.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(list(asdict(record).values()) for record in earlier)
        self._file = path.open("a", newline="", buffering=1 << 16)
        self._writer = csv.writer(self._file)

    def write(self, record: Record, /) -> None:
        """Append one line."""
        self._writer.writerow(list(asdict(record).values()))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardLog:
    """Scalars for TensorBoard in a folder; needs the extra ``counterflow[tensorboard]``."""

    def __init__(self, folder: Path) -> None:
        self._writer = _summary_writer(folder)

    def write(self, record: Record, /) -> None:
        """One scalar per column that has a value."""
        for name, value in asdict(record).items():
            if name not in ("step", "epoch") and value is not None:
                self._writer.add_scalar(name, value, global_step=record.step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def _summary_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # heavy, and optional
    except ImportError as error:
        raise ImportError("writing for TensorBoard needs it: pip install 'counterflow[tensorboard]'") from error
    return SummaryWriter(log_dir=str(folder))

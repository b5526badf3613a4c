"""Reading, scoring, sampling and reporting of tables made here, through the commands that a user types."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from front_command import Ran, run
from front_grid import FEW, Cell

HERE = Path(__file__).resolve().parent
FIT_ROWS, FIT_STEPS = 20_000, 300
NO_LIMIT = 3600.0
NPY_HEADER = 128  # bytes before the numbers
IMPORTED = "import counterflow.cli.app, counterflow.cli.scoring"


class Workshop:
    """A folder with the tables and models that cells need, made when they are asked for.

    Args:
        folder: Where; what is not kept is removed by `clear`.
        code: Of the package; models are kept for it.
        limit: Seconds of processor time of a cell.
    """

    def __init__(self, folder: Path, code: str, limit: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._code, self._limit = folder, code, limit
        self.clear()

    def clear(self) -> None:
        """Remove all but the models."""
        for path in self._folder.iterdir():
            if path.suffix != ".safetensors" or path.name.startswith("."):
                path.unlink()

    def imported(self) -> dict[str, float]:
        """Seconds and MiB of a process that imports what the commands do, and does nothing."""
        best = [run(["-c", IMPORTED], limit=NO_LIMIT) for _ in range(3)]
        return {"seconds": min(r.seconds for r in best), "peak_mib": min(r.peak_mib for r in best)}

    def measured(self, cell: Cell) -> dict[str, Any]:
        """What the cell's section finds."""
        actions = {
            "reading": self._reading,
            "scoring": self._scoring,
            "sampling": self._sampling,
            "report": self._report,
        }
        return actions[cell.section](cell)

    def _reading(self, cell: Cell) -> dict[str, Any]:
        files = [str(self._table(rows, cell.format)) for rows in (cell.rows, FEW)]
        found: dict[str, Any] = json.loads(
            run([str(HERE / "front_reading.py"), cell.subject, *files], limit=NO_LIMIT).output.splitlines()[-1]
        )
        return found

    def _scoring(self, cell: Cell) -> dict[str, Any]:
        """Scores go to .npy whatever the input is, so that how far it came can be seen in the unfinished file."""
        table = self._table(cell.rows, cell.format)
        with self._output(".npy") as out:
            arguments = ["score", str(self._model(cell.subject)), str(table), "-o", str(out)]
            return self._command(arguments, out, cell.rows, row_bytes=8)

    def _sampling(self, cell: Cell) -> dict[str, Any]:
        with self._output(f".{cell.format}") as out:
            arguments = ["sample", str(self._model(cell.subject)), "-n", str(cell.rows), "-o", str(out)]
            return self._command(arguments, out, cell.rows, row_bytes=40 if cell.format == "npy" else None)

    def _command(self, arguments: list[str], out: Path, rows: int, *, row_bytes: int | None) -> dict[str, Any]:
        done = [rows]

        def count() -> None:
            partial = next(self._folder.glob(f".{out.name}.*.partial"), None)
            size = partial.stat().st_size - NPY_HEADER if partial else 0
            done[0] = max(0, size) // row_bytes if row_bytes else 0

        found = run(["-m", "counterflow", *arguments], limit=self._limit, at_limit=count)
        return {**_figures(found), "rows_done": done[0]}

    def _report(self, cell: Cell) -> dict[str, Any]:
        """The processor time at which the model file stands complete parts the fit from the report."""
        table = self._table(cell.rows, cell.format)
        model = self._folder / "reported.safetensors"
        model.unlink(missing_ok=True)
        fitted: list[float] = []

        def watch(seconds: float) -> None:
            if not fitted and model.exists():
                fitted.append(seconds)

        with self._output(".html") as page:
            arguments = ["fit", str(table), "-o", str(model), "--model", cell.subject, "--report", str(page), "--json"]
            try:
                found = run(["-m", "counterflow", *arguments], limit=NO_LIMIT, watch=watch)
                size = page.stat().st_size
            finally:
                model.unlink(missing_ok=True)
        said = next(json.loads(line) for line in found.output.splitlines() if line.startswith("{"))
        return {
            **_figures(found),
            "fit_seconds": fitted[0],
            "report_seconds": found.seconds - fitted[0],
            "steps": said["training"]["steps"],
            "page_kib": size / 1024,
        }

    def _table(self, rows: int, form: str) -> Path:
        """The file, made now if need be; the large one before it goes, for the disk's sake."""
        path = self._folder / f"rows-{rows}.{form}"
        if not path.exists():
            if rows > FEW:
                for old in self._folder.glob("rows-*"):
                    if old.stem != f"rows-{FEW}":
                        old.unlink()
            run([str(HERE / "front_rows.py"), str(rows), str(path)], limit=NO_LIMIT)
        return path

    def _model(self, preset: str) -> Path:
        path = self._folder / f"{preset}-{self._code}.safetensors"
        if not path.exists():
            with self._output(".parquet") as table:
                run([str(HERE / "front_rows.py"), str(FIT_ROWS), str(table)], limit=NO_LIMIT)
                arguments = ["fit", str(table), "-o", str(path), "--model", preset, "--steps", str(FIT_STEPS)]
                run(["-m", "counterflow", *arguments, "--quiet"], limit=NO_LIMIT)
        return path

    @contextlib.contextmanager
    def _output(self, extension: str) -> Iterator[Path]:
        """A path to write to, gone afterwards."""
        path = self._folder / f"out{extension}"
        path.unlink(missing_ok=True)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def _figures(found: Ran) -> dict[str, Any]:
    return {"seconds": found.seconds, "wall": found.wall, "peak_mib": found.peak_mib, "stopped": found.stopped}

"""The exact inverse: its cost beside a dense pass and the rivals, its gradient, accuracy and memory, in one run.

    python benchmarks/inverse.py                                                  # everything, into results/inverse.*
    python benchmarks/inverse.py --sections inverse --dims 64 --batches 1 1000 --threads 1  # a look, into runs/inverse/

Sections: inverse, spline, sampling, scoring, gradient, agreement, roundtrip, fixedpoint, memory. Sizes are those of
`inverse_grid.py`. Candidates of a cell take turns and the least time of each counts; a ratio is of times of one cell.
One thread is timed in processor time, several on the wall's clock. Each size runs in a process of its own, whose
number of threads is in the environment before anything is imported. Every finished cell is written at once, so
`--resume` goes on after an interruption; it keeps only cells of the same code. Rivals: the extra `bench`.

With `--device cuda` the timed sections and the memory run on the GPU, by the clock on the wall, into inverse-cuda.*.

A part of the grid is written to runs/inverse/ (not under version control) unless `--keep` puts it among the results.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inverse_grid import ALONE, BATCHES, CPU_ONLY, FEATURES, SECTIONS, THREADS, Cell, cells, jobs
from inverse_machine import about, state_of_the_code
from inverse_memory import ENVIRONMENT
from inverse_table import write

HERE = Path(__file__).resolve().parent
RESULTS, RUNS = HERE / "results", HERE.parent / "runs" / "inverse"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--dims", nargs="+", type=int, choices=FEATURES, default=list(FEATURES))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--threads", nargs="+", type=int, default=list(THREADS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seconds", type=float, default=2.0, help="budget of the repetitions of a cell")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which a cell is given up")
    parser.add_argument("--round-trip-rows", type=int, default=1_000_000)
    parser.add_argument("--resume", action="store_true", help="keep cells already measured on this code")
    parser.add_argument("--keep", action="store_true", help="write a part of the grid among the results too")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    on_gpu = options.device == "cuda"
    sections = [name for name in options.sections if not (on_gpu and name in CPU_ONLY)]
    wanted = cells(sections, options.dims, options.batches, options.threads[:1] if on_gpu else options.threads)
    everything = [name for name in SECTIONS if not (on_gpu and name in CPU_ONLY)]
    whole = set(wanted) >= set(cells(everything, FEATURES, BATCHES, THREADS[:1] if on_gpu else THREADS))
    folder = RESULTS if whole or options.keep else RUNS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("inverse.json" if options.device == "cpu" else f"inverse-{options.device}.json")
    code = state_of_the_code()
    found = _kept(path, code, wanted, resume=options.resume, part=not whole)
    have = {_key(entry) for entry in found}
    pending = [cell for cell in wanted if _key(cell.as_dict()) not in have]
    content = {"about": about(options.device), "cells": found}
    for number, (cell, values) in enumerate(_measured(pending, options), start=1):
        print(f"[{number}/{len(pending)}] {cell.named()}: {_brief(values)}", file=sys.stderr, flush=True)
        found.append({**cell.as_dict(), "code": code, **values})
        write(path, content)
    write(path, content)
    print(f"wrote {path} and {path.with_suffix('.md')}")


def _kept(path: Path, code: str, wanted: list[Cell], *, resume: bool, part: bool) -> list[dict[str, Any]]:
    """Cells of an earlier run to keep: with `resume` those of this code; and those that this run does not ask for."""
    if not path.exists():
        return []
    asked = {_key(cell.as_dict()) for cell in wanted}
    entries = json.loads(path.read_text())["cells"]
    return [
        entry
        for entry in entries
        if (resume and entry["code"] == code and "failed" not in entry) or (part and _key(entry) not in asked)
    ]


def _key(entry: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(entry[name] for name in Cell.__dataclass_fields__)


def _measured(pending: list[Cell], options: argparse.Namespace) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Every cell with what was found; a process that dies costs the cell it was at, and another one goes on."""
    for job in jobs(pending):
        left = list(job)
        while left:
            begun: Cell | None = None
            for kind, cell, values in _process(left, options):
                if kind == "begun":
                    begun = cell
                else:
                    left.remove(cell)
                    begun = None
                    yield cell, values
            if left:
                lost = begun or left[0]
                left.remove(lost)
                yield lost, {"failed": "the process ended, perhaps for want of memory"}


def _process(job: list[Cell], options: argparse.Namespace) -> Iterator[tuple[str, Cell, dict[str, Any]]]:
    """Run one worker and pass on what it says."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(job[0].threads))}
    if job[0].section in ALONE:
        environment |= ENVIRONMENT if job[0].section == "memory" else {}
    question = {
        "cells": [cell.as_dict() for cell in job],
        "device": options.device,
        "seconds": options.seconds,
        "limit": options.limit,
        "round_trip_rows": options.round_trip_rows,
    }
    command = [sys.executable, str(HERE / "inverse_worker.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(question))
        worker.stdin.close()
        try:
            for line in worker.stdout:
                if not line.startswith("{"):  # a library's own words
                    continue
                said = json.loads(line)
                kind = "begun" if "begun" in said else "done"
                yield kind, Cell(**said[kind]), said.get("found", {})
        finally:
            worker.terminate()


def _brief(values: dict[str, Any]) -> str:
    """The figures of a cell that fit a line."""
    if "failed" in values:
        return f"failed: {values['failed']}"
    return ", ".join(f"{name} {value:.3g}" for name, value in values.items() if isinstance(value, float))


if __name__ == "__main__":
    main()

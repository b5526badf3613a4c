"""One process of the benchmark: measures the cells it is given on standard input, and prints a JSON line for each.

Started by benchmarks/inverse.py, which has set the numbers of threads in the environment before anything is imported.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from inverse_grid import Cell
from inverse_timing import Clock

ROOT = Path(__file__).resolve().parent.parent


class TooLong(Exception):
    """A cell passed its limit."""


def measure(cell: Cell, job: dict[str, Any], fastest: dict[Any, str]) -> dict[str, Any]:
    """What the cell's section found."""
    clock, budget = Clock(cell.threads, job["device"]), float(job["seconds"])
    if cell.section in ("inverse", "spline", "gradient"):
        import inverse_speed

        return getattr(inverse_speed, cell.section)(cell, clock, budget)  # type: ignore[no-any-return]
    if cell.section == "sampling":
        from inverse_against import LARGE, sampling

        size = (cell.threads, cell.features, cell.hidden)
        found = sampling(cell, clock, budget, only=fastest.get(size) if cell.batch >= LARGE else None)
        fastest[size] = found["fastest"]
        return found
    if cell.section == "scoring":
        from inverse_against import scoring

        return scoring(cell, clock, budget)
    if cell.section == "memory":
        from inverse_memory import memory

        return memory(cell, job["device"])
    import inverse_trained

    if cell.section == "roundtrip":
        return inverse_trained.roundtrip(cell, job["round_trip_rows"])
    return getattr(inverse_trained, cell.section)(cell)  # type: ignore[no-any-return]


def main() -> None:
    job = json.load(sys.stdin)
    fastest: dict[Any, str] = {}

    def stop(*_: Any) -> None:
        raise TooLong(f"took more than {job['limit']:g} s")

    signal.signal(signal.SIGALRM, stop)
    for values in job["cells"]:
        cell = Cell(**values)
        torch.set_num_threads(cell.threads)
        print(json.dumps({"begun": values}), flush=True)
        begun = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, job["limit"])
        try:
            found = measure(cell, job, fastest)
        except (TooLong, ImportError, MemoryError, RuntimeError, AssertionError) as error:
            found = {"failed": f"{type(error).__name__}: {error}".splitlines()[0].replace(f"{ROOT}/", "")}
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        took = round(time.perf_counter() - begun, 1)
        print(json.dumps({"done": values, "found": {**found, "took": took}}), flush=True)


if __name__ == "__main__":
    main()

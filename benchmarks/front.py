"""The front door: rows per second and memory of the commands, time to a report, and intervals on the UCI sets.

    python benchmarks/front.py                                         # everything, into results/front.*
    python benchmarks/front.py --sections conditional --splits 20      # every published split, into runs/front/
    python benchmarks/front.py --sections scoring --rows 10000         # a look

Sections: reading, scoring, sampling, report, conditional. Everything runs on one thread and is timed in processor time,
so that other work on the machine matters less. Tables are made here and removed; commands run as processes of their
own, as a user starts them. Every finished cell is written at once, so `--resume` goes on after Ctrl-C; it keeps cells
of the same code, and those of other libraries. Linux only; the UCI sets: the folder that COUNTERFLOW_DATA names.

A part of the grid is written to runs/front/ (not under version control) unless `--keep` puts it among the results.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from front_command import CommandFailed, environment
from front_grid import MAIN_FORMATS, OTHER_FORMATS, ROWS, SECTIONS, SETS, Cell, cells
from front_speed import Workshop
from front_table import write
from inverse_machine import processor, state_of_the_code

HERE = Path(__file__).resolve().parent
RESULTS, RUNS = HERE / "results", HERE.parent / "runs" / "front"
FORMATS = (*MAIN_FORMATS, *OTHER_FORMATS)
PACKAGES = ("torch", "numba", "numpy", "scikit-learn", "pandas", "pyarrow", "h5py", "uproot")
INTERRUPTED = 130
Found = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--splits", type=int, help="of every set; the published ones are 20, of protein 5")
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--limit", type=float, default=300.0, help="processor seconds after which a command is stopped")
    parser.add_argument("--resume", action="store_true", help="keep cells already measured on this code")
    parser.add_argument("--keep", action="store_true", help="write a part of the grid among the results too")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    wanted = cells(options.sections, options.sets, options.splits, options.rows, options.formats)
    whole = set(wanted) >= set(cells(SECTIONS, SETS, None, ROWS, FORMATS))
    folder = RESULTS if whole or options.keep else RUNS
    folder.mkdir(parents=True, exist_ok=True)
    path, code = folder / "front.json", state_of_the_code()
    found = _kept(path, code, wanted, resume=options.resume, part=not whole)
    have = {_key(entry) for entry in found}
    pending = [cell for cell in wanted if _key(cell.as_dict()) not in have]
    workshop = Workshop(RUNS / "work", code, options.limit)
    content: Found = {"about": _about(), "cells": found}
    try:
        content["about"]["imported"] = workshop.imported()
        for number, (cell, values) in enumerate(_measured(pending, workshop), start=1):
            print(f"[{number}/{len(pending)}] {cell.named()}: {_brief(values)}", file=sys.stderr, flush=True)
            found.append({**cell.as_dict(), "code": None if cell.rival else code, **values})
            write(path, content)
    except KeyboardInterrupt:
        print(f"stopped; {path} keeps what was measured, --resume goes on", file=sys.stderr)
        return INTERRUPTED
    finally:
        workshop.clear()
    write(path, content)
    print(path.with_suffix(".md").read_text())
    print(f"wrote {path} and {path.with_suffix('.md')}")
    return 0


def _about() -> Found:
    return {
        "machine": processor(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _kept(path: Path, code: str, wanted: list[Cell], *, resume: bool, part: bool) -> list[Found]:
    """Cells of an earlier run to keep: with `resume` those of this code or of no code of ours; and those not asked."""
    if not path.exists():
        return []
    asked = {_key(cell.as_dict()) for cell in wanted}
    return [
        entry
        for entry in json.loads(path.read_text())["cells"]
        if (resume and entry["code"] in (None, code) and "failed" not in entry) or (part and _key(entry) not in asked)
    ]


def _key(entry: Found) -> tuple[Any, ...]:
    return tuple(entry[name] for name in Cell.__dataclass_fields__)


def _measured(pending: list[Cell], workshop: Workshop) -> Iterator[tuple[Cell, Found]]:
    for cell in pending:
        if cell.section != "conditional":
            try:
                yield cell, workshop.measured(cell)
            except CommandFailed as error:
                yield cell, {"failed": str(error)}
    for name in SETS:
        yield from _conditional([cell for cell in pending if cell.data == name])


def _conditional(left: list[Cell]) -> Iterator[tuple[Cell, Found]]:
    """A process for a set; one that dies costs the cell it was at, and another goes on."""
    while left:
        begun = left[0]
        for kind, cell, values in _process(left):
            if kind == "begun":
                begun = cell
            else:
                left.remove(cell)
                yield cell, values
        if begun in left:
            left.remove(begun)
            yield begun, {"failed": "the process ended, perhaps for want of memory"}


def _process(job: list[Cell]) -> Iterator[tuple[str, Cell, Found]]:
    command = [sys.executable, str(HERE / "front_conditional.py")]
    # A session of its own: Ctrl-C reaches this process alone, which ends the other below.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(json.dumps([cell.as_dict() for cell in job]))
            worker.stdin.close()
            for line in worker.stdout:
                if line.startswith("{"):  # not a library's own words
                    said = json.loads(line)
                    kind = "begun" if "begun" in said else "done"
                    yield kind, Cell(**said[kind]), said.get("found", {})
        finally:
            worker.kill()


def _brief(values: Found) -> str:
    """The figures of a cell that fit a line."""
    if "failed" in values:
        return f"failed: {values['failed']}"
    return ", ".join(f"{name} {value:.3g}" for name, value in values.items() if isinstance(value, float))


if __name__ == "__main__":
    sys.exit(main())

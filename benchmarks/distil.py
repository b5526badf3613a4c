"""Distillation: students of real teachers, kept modes, the noise of gradients, and what a draw costs.

    python benchmarks/distil.py [--sections teachers shapes gradients speed] [--teachers ...] [--seed 0] [--resume]

teachers   MAF(5) of benchmarks/density.py on digits (64-d), bsds300 patches (63-d) and hepmass (22-d): KL(q || p), the
           weights p / q over five batches of 100,000, and corrected draws against exact draws of the teacher
shapes     a bimodal and a ring-shaped density: which students keep every mode
gradients  the standard deviation of each objective's gradient, at equal cost
speed      draws per second of 784-d teachers, by every way of drawing, and of their students

One thread. Every finished cell is written at once, so `--resume` goes on after Ctrl-C. Trained teachers and students
are kept in runs/distil (not under version control). The real data: the folder that COUNTERFLOW_DATA names.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distil_gradients
import distil_shapes
import distil_speed
import distil_teachers
import torch
from distil_table import markdown
from inverse_machine import processor

HERE = Path(__file__).resolve().parent
RESULTS, RUNS = HERE / "results" / "distil.json", HERE.parent / "runs" / "distil"
SECTIONS = ("teachers", "shapes", "gradients", "speed")
INTERRUPTED = 130
Cell = tuple[str, str, Callable[[], dict[str, Any]]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--teachers", nargs="+", choices=distil_teachers.SETS, default=list(distil_teachers.SETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="keep cells already measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    RUNS.mkdir(parents=True, exist_ok=True)
    try:
        for section, name, measure in _cells(options):
            if options.resume and name in _read().get(section, {}):
                continue
            print(f"{section}: {name}", file=sys.stderr, flush=True)
            values = measure()
            found = _read()  # again: another run may have added to it
            found.setdefault(section, {})[name] = values
            _write({**found, "about": _about(options.seed)})
    except KeyboardInterrupt:
        print(f"stopped; {RESULTS} keeps what was measured, --resume goes on", file=sys.stderr)
        return INTERRUPTED
    _write({**_read(), "about": _about(options.seed)})
    print(RESULTS.with_suffix(".md").read_text())
    return 0


def _cells(options: argparse.Namespace) -> Iterator[Cell]:
    for section in options.sections:
        if section == "teachers":
            for name in options.teachers:
                yield section, name, lambda name=name: distil_teachers.measured(name, options.seed, RUNS)
            continue
        module = {"shapes": distil_shapes, "gradients": distil_gradients, "speed": distil_speed}[section]
        for name in module.CELLS:
            yield section, name, lambda name=name, module=module: module.measured(name, options.seed)


def _about(seed: int) -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in ("torch", "numba", "scikit-learn", "arviz-stats")}
    return {"machine": processor(), "versions": versions, "threads": 1, "seed": seed}


def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found


def _write(found: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(markdown(found))


if __name__ == "__main__":
    sys.exit(main())

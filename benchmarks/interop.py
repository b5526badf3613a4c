"""Flows of other libraries and what they become: differences of log densities and samples, and the time of a draw.

    python benchmarks/interop.py [--sections density speed sbi] [--features 8 64 256] [--contexts 0 3]
        [--dtypes float32 float64] [--models ...] [--resume]

density   largest difference of log p and of samples from equal noise, in both precisions, with a context and
          without: of every architecture that is tested, and of the wide flows below
speed     seconds to sample one row and 1,000 rows, before and after, in both precisions, with a context and without
sbi       two moons: NPE with sbi's default estimator and with ours: C2ST against the exact posterior, seconds;
          estimators of sbi before `accelerated` and after; flows of lampe and nessai beside ours

One thread. Every finished cell is written at once, and the tables of docs/interop with it; `--resume` keeps those
that are there.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import itertools
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interop_density
import interop_models
import interop_table
import torch
from interop_sbi import accelerating, lampe, nessai, two_moons
from inverse_machine import processor

from counterflow.interop.precision import by_default

RESULTS = Path(__file__).resolve().parent / "results" / "interop.json"
SECTIONS = ("density", "speed", "sbi")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--features", nargs="+", type=int, default=[8, 64, 256])
    parser.add_argument(
        "--models", nargs="+", choices=tuple(interop_models.MODELS), default=list(interop_models.MODELS)
    )
    parser.add_argument("--contexts", nargs="+", type=int, default=[0, 3], help="widths of the contexts")
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "float64"), default=["float32", "float64"])
    parser.add_argument("--resume", action="store_true", help="keep cells already measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of the other libraries
    jobs: list[tuple[str, str, Callable[[], dict[str, Any]]]] = []
    if "density" in options.sections:
        for case in interop_density.flows():
            measure = functools.partial(interop_density.differences, *case)
            jobs.append(("density", "; ".join(map(str, case)), measure))
    for name in options.models:
        if "speed" in options.sections:
            for features, width, dtype in itertools.product(options.features, options.contexts, options.dtypes):
                if width and name in interop_models.WITHOUT_CONTEXT:
                    continue
                measure = functools.partial(seconds, name, features, width, getattr(torch, dtype))
                jobs.append(("speed", f"{name}; {features}; {width}; {dtype}", measure))
    if "sbi" in options.sections:
        jobs += [("sbi", "two moons", two_moons), ("sbi", "accelerated", accelerating)]
        jobs += [("sbi", "lampe", lampe), ("sbi", "nessai", nessai)]
    for section, name, measure in jobs:
        if options.resume and name in _read().get(section, {}):
            continue
        print(f"{section}: {name}", file=sys.stderr, flush=True)
        values = measure()
        found = _read()
        found.setdefault(section, {})[name] = values
        _write(found)
    _write(_read())
    print(RESULTS.with_suffix(".md").read_text())
    return 0


@torch.no_grad()
def seconds(name: str, features: int, width: int, dtype: torch.dtype) -> dict[str, Any]:
    """Processor seconds of sampling, under one context if any, before and after; of the slow ones a single call."""
    pair = interop_models.made(name, features, width, dtype)
    c = torch.linspace(-1, 1, width, dtype=dtype) if width else None
    given = () if c is None else (c,)
    cell = {}
    for rows in (1, 1000):
        pair.ours.sample(rows, *given)  # the first call of a kernel on a machine compiles it
        after = _least(lambda rows=rows: pair.ours.sample(rows, *given), 2.0)
        with by_default(dtype):  # in which nflows and Pyro draw
            before = _least(lambda rows=rows: pair.sample(rows, c), 2.0)
        cell[str(rows)] = {"before": before, "after": after}
    return cell


def _least(call: Callable[[], Any], budget: float) -> float:
    """The least of as many calls as fit in the budget, after a first that is not counted if it is quick."""
    start = time.process_time()
    call()
    first = time.process_time() - start
    if first > budget:
        return first
    found = []
    while sum(found) < budget and len(found) < 200:
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return found


def _write(found: dict[str, Any]) -> None:
    names = ("torch", "zuko", "nflows", "normflows", "pyro-ppl", "sbi", "lampe", "nessai")
    versions = {name: importlib.metadata.version(name) for name in names}
    found["about"] = {"machine": processor(), "versions": versions}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    interop_table.write(found, RESULTS.with_suffix(".md"))


if __name__ == "__main__":
    sys.exit(main())

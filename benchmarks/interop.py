"""Flows of other libraries and what they become: differences of log densities and samples, and the time of a draw.

    python benchmarks/interop.py [--sections density speed sbi] [--features 8 64 256] [--models ...] [--resume]

density   largest relative difference of log p on 1,000 points and of samples from equal noise, in both precisions,
          with a context and without
speed     seconds to sample one row and 1,000 rows, before and after
sbi       two moons: NPE with sbi's default estimator and with ours: C2ST against the exact posterior, seconds

One thread. Every finished cell is written at once; `--resume` keeps those that are there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interop_models
import torch
from interop_sbi import two_moons
from inverse_machine import processor
from torch import Tensor

import counterflow as cf

RESULTS = Path(__file__).resolve().parent / "results" / "interop.json"
SECTIONS = ("density", "speed", "sbi")
WANTED = {(1, 64): 40, (1, 256): 100, (1000, 64): 80, (1000, 256): 300}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--features", nargs="+", type=int, default=[8, 64, 256])
    parser.add_argument(
        "--models", nargs="+", choices=tuple(interop_models.MODELS), default=list(interop_models.MODELS)
    )
    parser.add_argument("--resume", action="store_true", help="keep cells already measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of the other libraries
    jobs: list[tuple[str, str, Callable[[], dict[str, Any]]]] = []
    for name in options.models:
        if "density" in options.sections:
            jobs.append(("density", name, lambda name=name: differences(name)))
        if "speed" in options.sections:
            for features in options.features:
                jobs.append(("speed", f"{name}; {features}", lambda name=name, d=features: seconds(name, d)))
    if "sbi" in options.sections:
        jobs.append(("sbi", "two moons", two_moons))
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
def differences(name: str) -> dict[str, Any]:
    """Relative differences at D = 8, of log densities and of samples from equal noise."""
    cell: dict[str, Any] = {}
    for dtype in (torch.float32, torch.float64):
        for width in (0, 3):
            pair = interop_models.made(name, 8, width, dtype)
            if pair is None:
                continue
            generator = torch.Generator().manual_seed(1)
            x = (2 * torch.randn(1000, 8, generator=generator, dtype=torch.float64)).to(dtype)
            c = torch.randn(1000, width, generator=generator, dtype=torch.float64).to(dtype) if width else None
            given = () if c is None else (c,)
            scores = _apart(pair.ours.log_prob(x, *given), pair.log_prob(x, c))
            noise = torch.randn(1000, 8, generator=generator, dtype=torch.float64).to(dtype)
            base = pair.ours.base
            u = base.loc + base.log_scale.exp() * noise if isinstance(base, cf.bases.DiagonalNormal) else noise
            drawn = pair.ours.bijection(u, c if pair.ours.bijection.context_features else None)[0]
            cell[f"{str(dtype).removeprefix('torch.')}, {'given 3' if width else 'plain'}"] = {
                "log_prob": scores,
                "samples": _apart(drawn, pair.from_noise(noise, c)),
            }
    return cell


def _apart(ours: Tensor, theirs: Tensor) -> float:
    return float(((ours - theirs).abs() / (1 + theirs.abs())).nan_to_num(torch.inf).max())


@torch.no_grad()
def seconds(name: str, features: int) -> dict[str, Any]:
    """Processor seconds of sampling, before and after; of the slow ones a single call."""
    pair = interop_models.made(name, features, 0, torch.float32)
    assert pair is not None
    cell = {}
    for rows in (1, 1000):
        after = _least(lambda rows=rows: pair.ours.sample(rows), 2.0)
        before = _least(lambda rows=rows: pair.sample(rows), 2.0)
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
    names = ("torch", "zuko", "nflows", "normflows", "pyro-ppl", "sbi")
    versions = {name: importlib.metadata.version(name) for name in names}
    found["about"] = {"machine": processor(), "versions": versions}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    RESULTS.with_suffix(".md").write_text(_markdown(found))


def _markdown(found: dict[str, Any]) -> str:
    about = found["about"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    parts = [
        "# Flows of other libraries\n\n"
        f"Written by `benchmarks/interop.py` ({about['machine']}; {versions}; one thread)."
    ]
    if found.get("density"):
        lines = ["| flow | precision, context | log p | samples from equal noise |", "|---|---|---|---|"]
        for name, cell in found["density"].items():
            lines += [f"| {name} | {k} | {v['log_prob']:.1e} | {v['samples']:.1e} |" for k, v in cell.items()]
        parts.append("## Largest relative difference, D = 8, 1,000 points\n\n" + "\n".join(lines))
    if found.get("speed"):
        lines = ["| flow | D | rows | before, s | after, s | times faster | wanted |", "|---|---|---|---|---|---|---|"]
        for name, cell in found["speed"].items():
            kind, features = name.split("; ")
            for rows, entry in cell.items():
                wanted = WANTED.get((int(rows), int(features)))
                ratio = entry["before"] / entry["after"]
                lines.append(
                    f"| {kind} | {features} | {rows} | {entry['before']:.3g} | {entry['after']:.3g} | {ratio:.3g} "
                    f"| {wanted or '-'} |"
                )
        parts.append(f"## Sampling, processor seconds\n\n{interop_models.SIZES}\n\n" + "\n".join(lines))
    for name, cell in found.get("sbi", {}).items():
        lines = ["| estimator | training, s | 10,000 draws, s | C2ST, mean over observations | by observation |"]
        lines.append("|---|---|---|---|---|")
        for kind, entry in cell["estimators"].items():
            each = ", ".join(f"{value:.3f}" for value in entry["c2st"])
            mean = sum(entry["c2st"]) / len(entry["c2st"])
            lines.append(f"| {kind} | {entry['training']:.1f} | {entry['sampling']:.3g} | {mean:.3f} | {each} |")
        parts.append(f"## sbi: {name}\n\n{cell['what']}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())

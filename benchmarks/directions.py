"""What each direction of each model costs: seconds to score and to sample 1,000 rows, and their ratio.

    python benchmarks/directions.py [--part table|curve] [--rows 1000]

Part `table` measures every model of `counterflow.models` at D = 64 with its default sizes, and the MAF of those sizes
in zuko and nflows. Part `curve` measures the three MAFs over D. Times are processor times of this process, which other
processes on the machine disturb less than wall-clock times, on one thread, in float32, without gradients, at random
weights, the two directions by turns; medians over the repetitions. Each call measures the parts asked for and writes
results/directions.json and results/directions.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rivals import Architecture, NflowsMAF, ZukoMAF
from torch import nn

import counterflow as cf

RESULTS = Path(__file__).resolve().parent / "results"
FEATURES = 64
CURVE = (4, 8, 16, 32, 64, 128, 256)
WIDTH = 512
MOST_SECONDS = 12.0  # of repetitions per model; at least two repetitions are made
MOST_REPETITIONS = 9

MODELS: dict[str, Callable[[int], nn.Module]] = {
    "made": cf.models.made,
    "made_mog": cf.models.made_mog,
    "maf": cf.models.maf,
    "maf_mog": cf.models.maf_mog,
    "iaf": cf.models.iaf,
    "nsf": cf.models.nsf,
    "nice": cf.models.nice,
    "realnvp": cf.models.realnvp,
    "nsf_coupling": cf.models.nsf_coupling,
}
RIVALS: dict[str, Callable[[int], nn.Module]] = {
    "zuko MAF": lambda features: ZukoMAF(features, Architecture(WIDTH)),
    "nflows MAF": lambda features: NflowsMAF(features, Architecture(WIDTH)),
}


def sampler(model: nn.Module) -> Callable[[int], Any]:
    """The library's own way to draw n rows."""
    if isinstance(model, ZukoMAF):
        return lambda n: model.flow().sample((n,))
    if isinstance(model, NflowsMAF):
        return lambda n: model.flow.sample(n)
    return lambda n: model.sample(n)  # type: ignore[operator]


def seconds(action: Callable[[], Any]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    action()
    return time.process_time() - start


@torch.no_grad()
def measure(build: Callable[[int], nn.Module], features: int, rows: int) -> dict[str, Any]:
    """Median seconds of both directions, and of their ratio within a repetition."""
    torch.manual_seed(0)
    model = build(features).eval()
    draw = sampler(model)
    x = torch.randn(rows, features)
    model.log_prob(x)  # type: ignore[operator]
    score, sample, begun = [], [], time.perf_counter()
    if features <= FEATURES:  # the first call of a size fills caches; of the slow loops it would double the wait
        draw(rows)
    while len(score) < 2 or (len(score) < MOST_REPETITIONS and time.perf_counter() - begun < MOST_SECONDS):
        score.append(seconds(lambda: model.log_prob(x)))  # type: ignore[operator]
        sample.append(seconds(lambda: draw(rows)))
    ratios = [b / a for a, b in zip(score, sample, strict=True)]
    return {
        "features": features,
        "parameters": sum(p.numel() for p in model.parameters()),
        "log_prob_seconds": statistics.median(score),
        "sample_seconds": statistics.median(sample),
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "repetitions": len(score),
    }


def table(rows: int) -> list[dict[str, Any]]:
    """Every model at D = 64."""
    found = []
    for name, build in {**MODELS, **RIVALS}.items():
        found.append({"model": name, **measure(build, FEATURES, rows)})
        print(name, f"{found[-1]['log_prob_seconds']:.3f} s, {found[-1]['sample_seconds']:.3f} s", flush=True)
    return found


def curve(rows: int) -> list[dict[str, Any]]:
    """The MAF of three libraries over D."""
    found = []
    for name, build in {
        "counterflow": cf.models.maf,
        "zuko": RIVALS["zuko MAF"],
        "nflows": RIVALS["nflows MAF"],
    }.items():
        for features in CURVE:
            found.append({"library": name, **measure(build, features, rows)})
            print(name, features, f"{found[-1]['sample_seconds']:.3f} s", flush=True)
    return found


def markdown(found: dict[str, Any]) -> str:
    """The tables for people."""
    about = found["about"]
    lines = [
        "# Cost of each direction",
        "",
        "Written by `python benchmarks/directions.py`. "
        f"{about['rows']:,} rows, {about['threads']} thread, {about['dtype']}, torch {about['torch']}, "
        f"{about['machine']}; processor time, median of the repetitions; in brackets the least and the greatest ratio.",
        "",
        f"## Models at D = {FEATURES}, default sizes (the MAF of every library: 5 layers of {WIDTH} + {WIDTH} units)",
        "",
        "| model | parameters | log_prob, ms | sample, ms | sample / log_prob |",
        "|---|---|---|---|---|",
    ]
    for cell in found.get("table", []):
        lines.append(
            f"| {cell['model']} | {cell['parameters']:,} | {1e3 * cell['log_prob_seconds']:.0f} "
            f"| {1e3 * cell['sample_seconds']:.0f} "
            f"| {cell['ratio']:.2f} ({cell['ratio_low']:.2f} to {cell['ratio_high']:.2f}) |"
        )
    lines += ["", "## MAF over D: seconds to sample, and in units of the same library's log_prob", ""]
    libraries = list(dict.fromkeys(cell["library"] for cell in found.get("curve", [])))
    lines += ["| D | " + " | ".join(libraries) + " |", "|---" * (1 + len(libraries)) + "|"]
    for features in CURVE:
        cells = [c for c in found.get("curve", []) if c["features"] == features]
        words = [f"{c['sample_seconds']:.3f} s ({c['ratio']:.2f})" for c in cells]
        lines.append(f"| {features} | " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """The processor's own name where the system tells it."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return (names[0] if names else platform.machine()) + f", {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["table", "curve"], default=None, help="both if not given")
    parser.add_argument("--rows", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / "directions.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    found["about"] = {
        "rows": options.rows,
        "threads": torch.get_num_threads(),
        "dtype": "float32",
        "torch": torch.__version__,
        "machine": machine(),
    }
    for name, part in {"table": table, "curve": curve}.items():
        if options.part in (None, name):
            found[name] = part(options.rows)
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown(found))


if __name__ == "__main__":
    main()

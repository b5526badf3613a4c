"""The Triton kernel on a CUDA device: right first, then fast, and which tile would be fastest.

    python benchmarks/gpu.py            # errors, and one layer's kernel beside a dense pass of the same weights
    python benchmarks/gpu.py --sweep    # every tile and number of warps as well, to choose `gpu.tiling` by
    python benchmarks/gpu.py --table    # then the whole table of benchmarks/inverse.py on the device, rivals included

Times are by the device's own events, the median of repeated launches; products of matrices are in float32, not tf32.
Prints Markdown, and writes it to runs/gpu.md (or `--out`) as it goes. Without a CUDA device it says so and exits 1.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from inverse_grid import SIZES
from torch import Tensor

from counterflow.conditioners import MaskedMLP, random_degrees
from counterflow.solvers.kernels import gpu
from counterflow.univariate import Affine, LinearRational, RationalQuadratic, Univariate

HERE = Path(__file__).resolve().parent
BATCHES = (1, 100, 1000, 10_000)
ROUNDS = 20
MAPS: dict[str, Univariate] = {"affine": Affine(), "quadratic": RationalQuadratic(), "linear": LinearRational()}
TILES = ((8, 4), (16, 4), (16, 8), (32, 4), (32, 8), (64, 4), (64, 8))  # samples, warps


def network(features: int, hidden: int, t: Univariate, dtype: torch.dtype = torch.float32, **options: Any) -> MaskedMLP:
    torch.manual_seed(0)
    return MaskedMLP(features, t.num_params, (hidden, hidden), **options).to("cuda", dtype)


def solve(net: MaskedMLP, t: Univariate, x: Tensor, *, evaluate: bool = False) -> tuple[Tensor, Tensor]:
    return gpu.run(net.program(), net.layout, t, x, None, evaluate=evaluate)


def errors() -> Iterator[list[str]]:
    """Largest error of value and log-det over both directions, against the D-pass loop in float64."""
    for (features, hidden), dtype, (name, t) in itertools.product(
        ((8, 512), (64, 512), (100, 96)), (torch.float32, torch.float64), MAPS.items()
    ):
        degrees = tuple(random_degrees(features, hidden, 1) for _ in range(2)) if features == 100 else None
        net = network(features, hidden, t, dtype, degrees=degrees)
        with torch.no_grad():  # as far from the identity as a trained network
            for parameter in net.out.parameters():
                parameter.mul_(10)
        x = torch.randn(300, features, device="cuda", dtype=dtype)
        found, passed = solve(net, t, x), solve(net, t, x, evaluate=True)
        exact, u = net.double(), torch.zeros(300, features, device="cuda", dtype=torch.float64)
        log_det = torch.zeros(300, device="cuda", dtype=torch.float64)
        for i in exact.order:
            u[:, i], log_slope = t.inverse(x[:, i].double(), exact(u)[:, i])
            log_det += log_slope
        v, log_slope = t.forward(x.double(), exact(x.double()))
        pairs = zip((*found, *passed), (u, log_det, v, log_slope.sum(-1)), strict=True)
        worst = [f"{float((one.double() - other).abs().max()):.1e}" for one, other in pairs]
        yield [str(features), str(hidden), name, str(dtype).removeprefix("torch."), *worst]


def speeds(sweep: bool) -> Iterator[list[str]]:
    """One layer: the kernel, a dense pass with masked weights, their ratio, useful Gflop/s, and the best tile."""
    for (features, hidden), batch, name in itertools.product(SIZES, BATCHES, ("affine", "quadratic")):
        t = MAPS[name]
        if features * batch * t.num_params > 2**29:
            continue
        net, x = network(features, hidden, t), torch.randn(batch, features, device="cuda")
        weights = [layer.masked_weight for layer in (net.first, *net.layers, net.out)]
        biases = [layer.bias for layer in (net.first, *net.layers, net.out)]
        kernel, dense = milliseconds(solve, net, t, x), milliseconds(dense_pass, x, weights, biases)
        flop = 2 * batch * sum(int(torch.count_nonzero(layer.mask)) for layer in (net.first, *net.layers, net.out))
        row = [str(features), str(hidden), str(batch), name, f"{kernel:.3f}", f"{dense:.3f}", f"{kernel / dense:.2f}"]
        row += [f"{flop / kernel / 1e6:,.0f}"]
        yield row + ([best_tile(net, t, x)] if sweep else [])


def best_tile(net: MaskedMLP, t: Univariate, x: Tensor) -> str:
    """The fastest samples x warps, and its time; that of `gpu.tiling` is in another column."""
    taken: dict[tuple[int, int], float] = {}
    processors = torch.cuda.get_device_properties(0).multi_processor_count
    for tile, warps in TILES:
        programs = min(-(-len(x) // tile), gpu.PROGRAMS_PER_PROCESSOR * processors)
        with (
            mock.patch.object(gpu, "tiling", return_value=(tile, programs)),
            mock.patch.object(gpu, "warps", return_value=warps),
        ):
            taken[tile, warps] = milliseconds(solve, net, t, x)
    tile, warps = min(taken, key=lambda one: taken[one])
    return f"{tile} x {warps}: {taken[tile, warps]:.3f}"


def dense_pass(x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = torch.addmm(bias, x, weight.t()).relu_()
    return torch.addmm(biases[-1], x, weights[-1].t())


def milliseconds(action: Callable[..., Any], *arguments: Any) -> float:
    """Of one call, the median; the first calls compile and warm up."""
    for _ in range(3):
        action(*arguments)
    taken = []
    for _ in range(ROUNDS):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        action(*arguments)
        stop.record()
        stop.synchronize()
        taken.append(start.elapsed_time(stop))
    return statistics.median(taken)


def table(title: str, head: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    """Line by line, so that an interruption keeps what is there."""
    yield f"\n{title}\n"
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", action="store_true", help="try every tile")
    parser.add_argument("--table", action="store_true", help="run benchmarks/inverse.py --device cuda too")
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "gpu.md")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here: nothing measured. `make test-triton` tests the kernel without one.")
    if not gpu.available():
        sys.exit("Triton is missing, or too old for the kernel: pip install 'counterflow[triton]'.")
    torch.backends.cuda.matmul.allow_tf32 = False
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="utf-8") as file, torch.no_grad():
        head = ["D", "units", "B", "map", "kernel, ms", "dense pass, ms", "ratio", "useful Gflop/s"]
        for line in itertools.chain(
            [f"{torch.cuda.get_device_name()}, torch {torch.__version__}"],
            table(
                "Errors, against the D-pass loop in float64",
                ["D", "units", "map", "dtype", "inverse", "its log-det", "parallel", "its log-det"],
                errors(),
            ),
            table("One layer", head + (["best tile x warps"] if options.sweep else []), speeds(options.sweep)),
        ):
            print(line, flush=True)
            print(line, file=file, flush=True)
    if options.table:
        subprocess.run([sys.executable, str(HERE / "inverse.py"), "--device", "cuda"], check=True)


if __name__ == "__main__":
    main()

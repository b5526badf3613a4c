"""Compile the kernel for a GPU that need not be there; prints what came out of each case, for test_compiling.py."""

import json
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver

from counterflow import univariate as U
from counterflow.conditioners import MaskedMLP
from counterflow.solvers.kernels import gpu, gpu_engine
from counterflow.solvers.mirror import Rows, linearise, mirror

SAMPLES = 3000


class Driver:
    """Answers for a device that is not there."""

    def __init__(self, capability: int) -> None:
        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return self.target.arch  # Triton remembers one target for each device

    def get_current_stream(self, device: int | None = None) -> int:
        return 0


class Compiler:
    """Stands in for the kernel: does all that a launch does, but for the launch."""

    def __init__(self) -> None:
        self.kernel = gpu_engine.solve

    def __getitem__(self, grid: tuple[int]) -> Callable[..., None]:
        def compile_(*arguments: Any, **options: Any) -> None:
            self.found = self.kernel.warmup(*arguments, grid=grid, **options)

        return compile_


def solved(net: MaskedMLP, t: U.Univariate, dtype: torch.dtype, *, evaluate: bool = False) -> None:
    x = torch.zeros(SAMPLES, net.features, dtype=dtype)
    context = torch.zeros(SAMPLES, net.context_features, dtype=dtype) if net.context_features else None
    gpu.run(net.program(), net.layout, t, x, context, evaluate=evaluate)


def mirrored(net: MaskedMLP, dtype: torch.dtype) -> None:
    x, params = torch.zeros(9, net.features, dtype=dtype), torch.zeros(9, net.features, net.num_params, dtype=dtype)
    at = linearise(net.program(), x, {})
    gpu.run_mirrored(mirror(net.program(), net.layout), Rows(x, x, params, params), at.slopes, keep=True)


def cases() -> dict[str, Any]:
    single, double = torch.float32, torch.float64
    affine = MaskedMLP(64, 2, (256, 256))
    gated = MaskedMLP(8, 2, (64, 64), 3, residual=True, activation=nn.SiLU())
    linear, quadratic = U.LinearRational(), U.RationalQuadratic()
    return {
        "affine float32": (90, lambda: solved(affine, U.Affine(), single)),
        "linear rational float64": (90, lambda: solved(MaskedMLP(64, 31, (256,)).double(), linear, double)),
        "quadratic float32 evaluated": (
            80,
            lambda: solved(MaskedMLP(64, 23, (256,)), quadratic, single, evaluate=True),
        ),
        "residual with context float32": (80, lambda: solved(gated, U.Affine(U.Softplus()), single)),
        "mirrored float64": (90, lambda: mirrored(MaskedMLP(64, 23, (256,), activation=nn.ELU()).double(), double)),
    }


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found = {}
    for name, (capability, launch) in cases().items():
        driver.set_active(Driver(capability))
        compiler = gpu_engine.solve = Compiler()
        with torch.no_grad():
            launch()
        gpu_engine.solve = compiler.kernel
        code = compiler.found.asm
        found[name] = {
            "bytes": len(code["cubin"]),
            "single": len(re.findall(r"\bf32\b|xf32", code["ttir"])),
            "shared": compiler.found.metadata.shared,
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

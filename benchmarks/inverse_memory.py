"""Peak memory of one call of one direction, in a process of its own.

The kernel's high-water mark of resident memory is reset after a first call of the same size, which loads or compiles
what the call needs, and after the allocator has returned what is free; the peak is the mark minus what was resident
then. The allocator is told by the environment (`ENVIRONMENT`) to return memory, so that resident is what is in use.
Weights prepared once and kept show in `kept`, with the code that was loaded. Linux only.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

import torch
from inverse_grid import Cell
from inverse_speed import autoregressive_layers, chained

from counterflow.univariate import Affine

ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
MIB = 2**20


@torch.no_grad()
def memory(cell: Cell, device: str) -> dict[str, Any]:
    """MiB above what is resident before, of five layers one after the other; the result included."""
    layers = [layer.to(device) for layer in autoregressive_layers(cell.features, cell.hidden, Affine().inverted)]
    steps = [layer.inverse if cell.model == "inverse" else layer.forward for layer in layers]
    x = torch.randn(cell.batch, cell.features, device=device)
    parameters = sum(p.numel() * p.element_size() for layer in layers for p in layer.parameters())
    result: dict[str, Any] = {"result_mib": x.numel() * x.element_size() / MIB, "parameters_mib": parameters / MIB}
    if device == "cuda":
        chained(steps, x)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        chained(steps, x)
        return {**result, "peak_mib": (torch.cuda.max_memory_allocated() - start) / MIB}
    before = _settled()
    chained(steps, x)
    start = _settled()
    chained(steps, x)
    return {**result, "peak_mib": _status("VmHWM") - start, "kept_mib": start - before}


def _settled() -> float:
    """Resident MiB after free memory went back; the high-water mark starts again from here."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"this system does not tell {name}")
    return int(found[1]) * 1024 / MIB

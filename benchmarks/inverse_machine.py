"""What a measurement was made on: processor, versions, and the state of the code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent.parent / "src" / "counterflow"
PACKAGES = ("torch", "numba", "numpy", "zuko", "nflows", "pyro-ppl")


def about(device: str) -> dict[str, Any]:
    """Machine and versions."""
    import torch

    return {
        "machine": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "dtype": "float32",
    }


def processor() -> str:
    """The processor's own name where the system tells it, and how many cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def state_of_the_code() -> str:
    """A hash of the package's source: cells of different states are not one measurement."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.rglob("*.py")):
        digest.update(str(path.relative_to(SOURCE)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

"""Where the tests of the Triton kernel run: on a CUDA device, or in Triton's interpreter (`make test-triton`)."""

import importlib.util
import os

import torch

from counterflow.solvers.kernels import gpu

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED or not torch.cuda.is_available() else "cuda"


def reason_to_skip(*, needs_device: bool = True) -> str:
    """What is missing here, or nothing."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed: make test-triton"
    if not gpu.available():
        return "this Triton is older than those that the kernel is written for"
    if needs_device and not INTERPRETED and DEVICE == "cpu":
        return "no CUDA device, and TRITON_INTERPRET=1 is not set: make test-triton"
    return ""

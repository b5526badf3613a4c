"""What training a model of so many columns would take, told from small ones of its kind."""

import os

import numpy as np
import torch

from .making import make_model
from .presets import Preset

COPIES = 5  # weights, their gradients, two moments of the optimiser, the average
_SIZES = (8, 16, 24)  # numbers of parameters are quadratic in the columns


def training_bytes(preset: Preset, features: int, context_features: int, rows: int) -> float:
    """Parameters, buffers and rows in memory at once.

    Error: activations of a batch are left out.
    """
    counts = []
    with torch.random.fork_rng(devices=[]):
        for size in _SIZES:
            model = make_model(preset, size, context_features)
            parameters = sum(p.numel() * p.element_size() for p in model.parameters())
            buffers = sum(b.numel() * b.element_size() for b in model.buffers())
            counts.append(COPIES * parameters + buffers)
    matrix = np.vander(np.array(_SIZES, float), 3)
    model_bytes = float(np.polyval(np.linalg.solve(matrix, np.array(counts, float)), features))
    return model_bytes + rows * (features + context_features) * (8 + 4 + 8)


def physical_bytes() -> float | None:
    """Of this machine; None where the system does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return None

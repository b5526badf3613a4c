"""What every test runs under: one seed, one thread, deterministic hypothesis examples.

Shapes are checked by beartype through jaxtyping's import hook (`--jaxtyping-packages` in pyproject.toml). The hook
must be in place before the package is imported, so this file must not import `counterflow` at its top.
"""

import os
import random

import hypothesis
import numpy as np
import pytest
import torch

SEED = 20170519
THREADS = 1

torch.set_num_threads(THREADS)
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))  # for the processes that tests start
os.environ["MPLBACKEND"] = "agg"


class TorchStream:
    """torch's global stream as hypothesis wants to see it, so that it is reseeded for every example."""

    def seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def getstate(self) -> torch.Tensor:
        return torch.get_rng_state()

    def setstate(self, state: torch.Tensor) -> None:
        torch.set_rng_state(state)


TORCH_STREAM = TorchStream()  # hypothesis keeps a weak reference only
hypothesis.register_random(TORCH_STREAM)
hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None, database=None, max_examples=25)
hypothesis.settings.load_profile("deterministic")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Each test starts from the same global streams, whatever ran before it."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002  (scikit-learn's own default stream)
    torch.manual_seed(SEED)

"""Orders of rows that depend on a seed and a purpose alone, so that a resumed run repeats them."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def stream_seed(seed: int, *purpose: str | int) -> int:
    """Seed of the stream that ``seed`` keeps for one purpose, for example ``("epoch", 3)``.

    Hashing keeps neighbouring seeds and epochs from sharing a stream, which ``seed + epoch`` does not.
    """
    name = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def row_order(count: int, seed: int, *purpose: str | int) -> Tensor:
    """Permutation of ``range(count)``, int64 on the CPU; the global stream is left alone."""
    generator = torch.Generator().manual_seed(stream_seed(seed, *purpose))
    return torch.randperm(count, generator=generator)

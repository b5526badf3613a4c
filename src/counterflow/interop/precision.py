"""Foreign code that makes tensors in torch's default precision, run in the precision of its model."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def by_default(dtype: torch.dtype) -> Iterator[None]:
    """Within, torch makes tensors of this precision, as a user of such a model would have set it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)

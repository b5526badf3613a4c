"""Exporters cannot follow the shape checks of other tests."""

from collections.abc import Iterator

import jaxtyping
import pytest


@pytest.fixture(autouse=True, scope="module")
def as_users_run_it() -> Iterator[None]:
    """Without them, and on one thread: for networks this small a second costs time."""
    import torch

    threads, disabled = torch.get_num_threads(), jaxtyping.config.jaxtyping_disable
    torch.set_num_threads(1)
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", disabled)
    torch.set_num_threads(threads)

"""Estimators are tested as users run them: the shape checks of other tests would answer for a wrong parameter."""

from collections.abc import Iterator

import jaxtyping
import pytest

from counterflow.tabular import quantiles


@pytest.fixture(autouse=True, scope="module")
def as_users_run_it() -> Iterator[None]:
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(autouse=True, scope="module")
def coarse_quantiles() -> Iterator[None]:
    """Each halving takes long under the hook; how exact quantiles are is seen elsewhere."""
    before = quantiles.HALVINGS
    quantiles.HALVINGS = 14
    yield
    quantiles.HALVINGS = before

"""The laws see the package as users run it: without the shape checks of the other tests.

Those checks answer at the door in place of the package's own errors, and draw from Python's global random stream. One
test runs a sample of the laws with them on.
"""

from collections.abc import Iterator

import jaxtyping
import pytest


@pytest.fixture(autouse=True)
def as_users_run_it(request: pytest.FixtureRequest) -> Iterator[None]:
    checked = request.node.get_closest_marker("shapes_checked") is not None
    jaxtyping.config.update("jaxtyping_disable", not checked)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)

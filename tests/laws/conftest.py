"""The laws see the package as users run it: without the shape checks of the other tests.

Those checks answer at the door in place of the package's own errors, and draw from Python's global random stream.
`test_classes_obey_with_their_shapes_checked` turns them on again.
"""

from collections.abc import Iterator

import jaxtyping
import pytest


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)

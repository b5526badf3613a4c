"""scikit-learn's own checks of an estimator."""

import functools
import os
import unittest
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import counterflow as cf


class Small(functools.partial[cf.Flow]):
    """scikit-learn names its tests by what an estimator prints, and several processes must agree on the names."""

    def __repr__(self) -> str:
        return "Small"


SMALL = Small(cf.models.maf, layers=1, hidden=(8,))
ESTIMATORS = [
    cf.FlowDensity(SMALL, epochs=3, random_state=0),
    cf.ConditionalFlowDensity(SMALL, epochs=3, random_state=0),
]
# By name of the check: why it may fail. There is none.
EXPECTED_FAILURES: dict[str, str] = {}
# scikit-learn itself leaves one out: check_array_api_input, unless the environment has SCIPY_ARRAY_API. Both estimators
# say by their tags that they take no arrays of other libraries but frames of pandas and polars.
LEFT_OUT_BY_SCIKIT_LEARN = {"check_array_api_input"} if "SCIPY_ARRAY_API" not in os.environ else set()


@pytest.mark.filterwarnings("ignore:column :UserWarning")  # repeated rows are atoms, as they should be told
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: EXPECTED_FAILURES)
def test_the_estimator_passes_the_check(estimator: Any, check: Any) -> None:
    name = getattr(check, "func", check).__name__
    try:
        check(estimator)
    except unittest.SkipTest as reason:
        if name not in LEFT_OUT_BY_SCIKIT_LEARN:
            pytest.fail(f"{name} was left out: {reason}")
        raise


def test_the_density_says_what_it_is() -> None:
    density, conditional = (estimator.__sklearn_tags__() for estimator in ESTIMATORS)
    assert density.estimator_type == "density_estimator"
    assert not density.target_tags.required
    assert conditional.estimator_type == "regressor"
    assert conditional.target_tags.required
    assert conditional.target_tags.multi_output

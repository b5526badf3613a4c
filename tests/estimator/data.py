"""Data and small estimators for the tests of estimators."""

import functools
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import counterflow as cf

SMALL = functools.partial(cf.models.maf, layers=1, hidden=(8,))
R = np.random.default_rng(0)
X = R.normal(size=(200, 2)) @ [[1.0, 0.5], [0.0, 1.0]] + [3.0, -1.0]
NOISE = R.normal(size=(200, 2))
Y = X[:, 0] ** 2 + NOISE[:, 0]


def density(**parameters: Any) -> cf.FlowDensity:
    return cf.FlowDensity(**{"model": SMALL, "epochs": 2, "random_state": 0, **parameters})


def conditional(**parameters: Any) -> cf.ConditionalFlowDensity:
    return cf.ConditionalFlowDensity(**{"model": SMALL, "epochs": 2, "random_state": 0, "draws": 50, **parameters})


def frame(rows: int = 200) -> pd.DataFrame:
    """Columns of many types."""
    r = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "mass": r.normal(5, 1, rows).astype("float32"),
            "hits": r.poisson(3, rows).astype("int16"),
            "good": r.uniform(size=rows) < 0.4,
            "share": r.uniform(0, 1, rows),
        }
    )


def weights(estimator: Any) -> list[Tensor]:
    return [value.clone() for value in estimator.model_.model.state_dict().values()]


def same_weights(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))

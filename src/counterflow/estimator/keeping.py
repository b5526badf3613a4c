"""Estimators in files: the fitted model, and the parameters that JSON can hold."""

import dataclasses
import math
import numbers
import operator
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from ..checkpoint import CheckpointError
from ..tabular import TableModel
from .frames import Look

E = TypeVar("E")
_KEY = "estimator"


def kept(estimator: Any) -> TableModel:
    """The fitted model, with the estimator's parameters among its facts.

    A function as `model` and a random state that is not a number are left out: JSON cannot hold them.
    """
    parameters = {}
    for name, value in estimator.get_params(deep=False).items():
        known, plain = _plain(_pairs(value) if name == "support" and value is not None else value)
        if known:
            parameters[name] = plain
    look = getattr(estimator, "_look", None)
    fitted: TableModel = estimator.model_
    more = {
        "class": type(estimator).__name__,
        "parameters": parameters,
        "look": None if look is None else dataclasses.asdict(look),
        "single": getattr(estimator, "_single", None),
    }
    return dataclasses.replace(fitted, facts={**fitted.facts, _KEY: more})


def restored(cls: type[E], model: TableModel, path: str | os.PathLike[str], *, conditional: bool = False) -> E:
    """A fitted estimator of that class around a model from a file.

    Raises:
        ValueError: the file holds a conditional density where one without context is wanted, or the other way round.
        CheckpointError: what the file says of an estimator is damaged.
    """
    if bool(model.schema.context) != conditional:
        wanted = "ConditionalFlowDensity" if model.schema.context else "FlowDensity"
        raise ValueError(f"{path} holds a density {'with' if not conditional else 'without'} context: use {wanted}")
    facts = dict(model.facts)
    more = facts.pop(_KEY, {})
    try:
        estimator = _rebuilt(cls, more)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: what it says of its estimator is damaged ({error})") from error
    model.model.double()
    estimator.model_ = dataclasses.replace(model, facts=facts)
    inputs = model.schema.context if conditional else model.schema.columns
    estimator.n_features_in_ = len(inputs)
    if model.schema.named:
        estimator.feature_names_in_ = np.array([column.name for column in inputs], dtype=object)
    if conditional:
        estimator._single = more.get("single", model.model.features == 1)
    else:
        types = tuple(column.dtype for column in model.schema.columns)
        estimator._look = getattr(estimator, "_look", Look("numpy", types))
    return estimator  # type: ignore[no-any-return]


def _rebuilt(cls: type, more: Mapping[str, Any]) -> Any:
    parameters = dict(more.get("parameters", {}))
    if parameters.get("support") is not None:
        parameters["support"] = {key: tuple(ends) for key, ends in parameters["support"]}
    estimator: Any = cls(**parameters)
    if more.get("look") is not None:
        look = more["look"]
        estimator._look = Look(look["library"], tuple(look["types"]), tuple(look["labels"]))
    return estimator


def _pairs(support: Mapping[Any, Any]) -> list[Any]:
    """JSON has neither whole numbers as keys nor infinity."""
    return [[key, [None if end is None or math.isinf(end) else end for end in ends]] for key, ends in support.items()]


def _plain(value: Any) -> tuple[bool, Any]:
    """Whether JSON can hold it, and how: NumPy's numbers as Python's, tuples as lists."""
    if value is None or isinstance(value, bool | str):
        return True, value
    if isinstance(value, numbers.Integral):
        return True, operator.index(value)
    if isinstance(value, numbers.Real):
        return True, float(value)
    if isinstance(value, list | tuple | np.ndarray):
        items = [_plain(item) for item in value]
        return all(known for known, _ in items), [item for _, item in items]
    return False, None

"""The options of a training, refused in the user's words where no data could make sense of them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ..tabular import Recipe
from .outputs import check_at_least, check_seed
from .refusal import USAGE, Refusal


def checked_recipe(given: Mapping[str, Any]) -> Recipe:
    """The recipe of a command's options.

    Args:
        given: Values by the names that the recipe gives them; others are not looked at.

    Raises:
        Refusal: one is out of range, or two exclude each other.
    """
    if given["epochs"] is not None and given["steps"] is not None:
        raise Refusal(USAGE, "--epochs and --steps exclude each other: give one")
    for name in ("epochs", "steps", "patience", "batch_size"):
        check_at_least(f"--{name.replace('_', '-')}", given[name], 1)
    check_seed(given["seed"])
    check_at_least("--learning-rate", given["learning_rate"], 0, exclusive=True)
    if math.isinf(given["learning_rate"]):
        raise Refusal(USAGE, "--learning-rate inf: expected a finite number")
    for name in ("validation", "test"):
        if not 0 <= given[name] < 1:
            raise Refusal(USAGE, f"--{name} {given[name]:g}: expected a share of the rows, from 0 to less than 1")
    if given["validation"] + given["test"] >= 1:
        raise Refusal(USAGE, "--validation and --test together leave no rows to train on")
    return Recipe(**{field.name: given[field.name] for field in dataclasses.fields(Recipe)})

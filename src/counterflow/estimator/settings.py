"""What both estimators share: their parameters as a recipe, the model they are asked for, what is declared, seeds."""

import math
import numbers
import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..model import Model
from ..tables.detection import Declared
from ..tables.schema import Kind, Schema
from ..tabular import Cells, Fitted, Preset, Recipe, finish, prepare
from ..tabular.making import MakeModel

Support = Mapping[Any, tuple[float | None, float | None]]
LARGEST_SEED = 2**32 - 1  # of NumPy's RandomState
SHOWN = 5  # columns in a warning


def recipe_of(estimator: Any, seed: int) -> tuple[Recipe, MakeModel | None]:
    """The recipe that an estimator's parameters ask for, and what makes its model if that is not a preset.

    Raises:
        TypeError, ValueError: a parameter that is out of range or none of what it may be.
    """
    preset, make = _model_of(estimator.model)
    recipe = Recipe(
        model=preset,
        validation=_number("validation", estimator.validation),
        test=0.0,
        epochs=None if estimator.epochs is None else whole_number("epochs", estimator.epochs),
        steps=None if estimator.steps is None else whole_number("steps", estimator.steps),
        batch_size=None if estimator.batch_size is None else whole_number("batch_size", estimator.batch_size),
        learning_rate=_number("learning_rate", estimator.learning_rate),
        patience=whole_number("patience", estimator.patience),
        seed=seed,
    )
    return recipe, make


def _model_of(model: Any) -> tuple[Preset, MakeModel | None]:
    if model is None or isinstance(model, str):
        try:
            return Preset(model or Preset.RECOMMENDED), None
        except ValueError:
            raise ValueError(f"model={model!r} is not a preset: those are {', '.join(Preset)}") from None
    if callable(model) and not isinstance(model, Model):
        return Preset.RECOMMENDED, model
    raise TypeError(
        "expected model=None, the name of a preset, or a function (features, context_features) -> Model, "
        f"got a {type(model).__name__}"
    )


def whole_number(name: str, value: Any) -> int:
    """A Python integer, which JSON can hold, unlike NumPy's.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, numbers.Integral):
        raise TypeError(f"expected {name} to be a whole number, got {value!r}")
    return operator.index(value)


def _number(name: str, value: Any) -> float:
    if not isinstance(value, numbers.Real):
        raise TypeError(f"expected {name} to be a number, got {value!r}")
    return float(value)


def declared_of(names: Sequence[str], support: Any, integer: Any) -> Declared:
    """Supports and whole numbers by column name or position.

    Raises:
        TypeError: not of that form.
        ValueError: a column that there is not.
    """
    if not isinstance(support, Mapping | None):
        raise TypeError(f"expected support={{column: (low, high)}}, got a {type(support).__name__}")
    if isinstance(integer, str) or not (integer is None or hasattr(integer, "__iter__")):
        raise TypeError(f"expected integer to be a list of columns, got {integer!r}")
    intervals = {_name(names, key): _interval(key, ends) for key, ends in (support or {}).items()}
    kinds = {_name(names, key): Kind.INTEGER for key in (() if integer is None else integer)}
    return Declared(intervals, kinds)


def _interval(key: Any, ends: Any) -> tuple[float, float]:
    try:
        low, high = ends
        return (-math.inf if low is None else float(low), math.inf if high is None else float(high))
    except (TypeError, ValueError):
        raise TypeError(f"expected support[{key!r}] to be (low, high), either None where open, got {ends!r}") from None


def _name(names: Sequence[str], key: Any) -> str:
    if isinstance(key, str) and key in names:
        return key
    if isinstance(key, int | np.integer) and 0 <= key < len(names):
        return names[int(key)]
    raise ValueError(f"there is no column {key!r}; expected a name, or a position below {len(names)}")


def fitted_cells(cells: Cells, schema: Schema, recipe: Recipe, make: MakeModel | None) -> Fitted:
    """Fit without files and words; the result computes in double precision, as scikit-learn does."""
    fitted = finish(prepare(cells, schema, recipe, "X", make=make))
    fitted.model.model.double()
    return fitted


def seed_of(random_state: Any) -> int:
    """A seed from whatever scikit-learn takes as a random state.

    Raises:
        TypeError, ValueError: none of that.
    """
    from sklearn.utils import check_random_state

    if random_state is None or isinstance(random_state, np.random.RandomState):
        return int(check_random_state(random_state).randint(2**31 - 1))
    seed = whole_number("random_state, if it is neither None nor a RandomState,", random_state)
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"expected random_state from 0 to {LARGEST_SEED}, got {seed}")
    return seed


def warn_of(doubts: Sequence[str]) -> None:
    """One warning for all that is doubtful of columns, at the caller's caller."""
    if doubts:
        more = f" And {len(doubts) - SHOWN} more such columns." if len(doubts) > SHOWN else ""
        warnings.warn(" ".join(f"{doubt}." for doubt in doubts[:SHOWN]) + more, stacklevel=3)


def weighted_mean(scores: npt.NDArray[np.float64], weight: npt.NDArray[np.float64] | None) -> float:
    """Of log densities, some of which may be -inf: those do not count where their weight is zero."""
    if weight is None:
        return float(scores.mean())
    counted = weight != 0
    return float(np.average(scores[counted], weights=weight[counted]))

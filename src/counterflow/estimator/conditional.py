"""`ConditionalFlowDensity`: p(y | X) as a scikit-learn estimator, with medians and intervals."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from ..tables.detection import Declared
from ..tables.schema import Schema
from ..tabular import Cells, TableModel
from ..tabular.quantiles import quantiles
from .frames import columns_of, look_of, typed_array
from .keeping import kept, restored
from .settings import Support, declared_of, fitted_cells, recipe_of, seed_of, warn_of, weighted_mean, whole_number

Array = npt.NDArray[np.float64]


class ConditionalFlowDensity(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""p(y | X): a whole distribution for each row, not only its mean; y may have several columns.

    Args:
        model: As in `FlowDensity`; the function is called with the number of columns of y, and that of X.
        epochs, steps: Passes over the rows at most, or optimiser steps; None: 200 times what
            `patience` counts, at most 20,000 steps.
        batch_size: Rows per step; None: a 25th of the training rows, at least 64 and at most 256.
        learning_rate: Of AdamW.
        validation: Share of the rows that decides when to stop; 0: run to the last step.
        patience: Stop after this many validations without a better one: one after each epoch, or every 25 steps where
            an epoch has fewer.
        detect: Tell the supports and whole numbers of y from the rows. Off, y is any number unless declared.
        support: {column of y: (low, high)} by name or position; None for an end that there is not.
        integer: Columns of y that hold whole numbers.
        draws: For each row, where y has several columns: their medians and intervals come from draws.
        random_state: Of everything random.

    Attributes:
        model_: The fitted `TableModel`, with X as its context.
        history_: Of the training; an estimator that was loaded has none.
        n_features_in_, feature_names_in_: Of X.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 3e-3,
        validation: float = 0.1,
        patience: int = 20,
        detect: bool = True,
        support: Support | None = None,
        integer: Sequence[Any] | None = None,
        draws: int = 1000,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.patience = patience
        self.detect = detect
        self.support = support
        self.integer = integer
        self.draws = draws
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "ConditionalFlowDensity":
        """Fit to pairs of rows.

        Args:
            X: What y is given, (rows, M): an array, or a frame of pandas or polars.
            y: (rows,) or (rows, D).
            sample_weight: How much each pair counts, (rows,).

        Raises:
            ValueError: data that no density fits (one row, a constant column of y, NaN), in words.
        """
        context, targets = validate_data(
            self, X, y, dtype=np.float64, ensure_min_samples=2, multi_output=True, y_numeric=True
        )
        recipe, make = recipe_of(self, seed_of(self.random_state))
        self._count_of_draws()
        values = np.asarray(targets, np.float64).reshape(len(context), -1)
        names, types = _names_of(y, values.shape[1]), look_of(y, values.shape[1]).types
        declared = declared_of(names, self.support, self.integer)
        columns, doubts = columns_of(values, names, types, declared, detect=self.detect, label="y")
        warn_of(doubts)
        titles = list(getattr(self, "feature_names_in_", [f"x{i}" for i in range(context.shape[1])]))
        given, _ = columns_of(context, titles, look_of(X, context.shape[1]).types, Declared(), detect=True)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        schema = Schema(columns, given, named=hasattr(self, "feature_names_in_"))
        fitted = fitted_cells(Cells(values, context, weight), schema, recipe, make)
        self.model_, self.history_, self._single = fitted.model, fitted.history, targets.ndim == 1
        return self

    def predict(self, X: Any) -> Array:
        """The median of p(y | x), of each column by itself: (rows,) or (rows, D), as y was."""
        medians: Array = self._as_y(self.predict_quantiles(X, [0.5])[:, 0])
        return medians

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """The central interval that holds y with that probability, (rows, 2) or (rows, 2, D).

        Raises:
            ValueError: a coverage outside (0, 1).
        """
        if not 0 < coverage < 1:
            raise ValueError(f"expected a coverage between 0 and 1, got {coverage}")
        found = self.predict_quantiles(X, [(1 - coverage) / 2, (1 + coverage) / 2])
        return found[..., 0] if self._single else found

    def predict_quantiles(self, X: Any, levels: Sequence[float]) -> Array:
        """Quantiles of each column of y by itself, (rows, levels, D): exact for one column, else from draws."""
        context = self._rows(X)
        # The seed of the fit: a prediction is a function of its row, and predicting twice draws from no stream.
        seed = int(self.model_.facts.get("recipe", {}).get("seed", 0))
        return quantiles(self.model_, context, levels, draws=self._count_of_draws(), seed=seed)

    def log_prob(self, X: Any, y: Any) -> Array:
        """log p(y | x) of every row in nats, (rows,)."""
        context = self._rows(X)
        targets = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        check_consistent_length(context, targets)
        return self.model_.log_prob(targets.reshape(len(context), -1), context)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean log density, nats per row, by which a grid search chooses (not R^2: that is `scoring="r2"`)."""
        scores = self.log_prob(X, y)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        return weighted_mean(scores, weight)

    def sample(self, X: Any, n_samples: int | None = None, random_state: Any = None) -> Any:
        """Draws of y for each row of X, an array: (rows,) or (rows, D) as y was, or (n_samples, rows) or (..., D).

        Args:
            X: (rows, M).
            n_samples: None for one draw each without an axis for it.
            random_state: None draws from the estimator's own.
        """
        context = self._rows(X)
        if n_samples is not None and n_samples < 1:
            raise ValueError(f"expected n_samples of at least 1, got {n_samples}")
        count = 1 if n_samples is None else n_samples
        seed = seed_of(self.random_state if random_state is None else random_state)
        block = self.model_.sample(count, context, generator=torch.Generator().manual_seed(seed))
        columns = self.model_.schema.columns
        block = typed_array(block.reshape(len(context), count, len(columns)), columns)
        drawn = self._as_y(block.swapaxes(0, 1))
        return drawn[0] if n_samples is None else drawn

    def save(self, path: str | os.PathLike[str]) -> None:
        """One safetensors file, which the command line reads too; never a pickle."""
        check_is_fitted(self)
        kept(self).save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ConditionalFlowDensity":
        """Read what `save` or `counterflow fit --context` wrote.

        Raises:
            CheckpointError, ValueError: not such a file, or one of a density without context.
        """
        return restored(cls, TableModel.load(path), path, conditional=True)

    def _as_y(self, block: Any) -> Any:
        return block[..., 0] if self._single else block

    def _count_of_draws(self) -> int:
        draws = whole_number("draws", self.draws)
        if draws < 1:
            raise ValueError(f"expected draws of at least 1, got {draws}")
        return draws

    def _rows(self, X: Any) -> Array:
        check_is_fitted(self)
        values: Array = validate_data(self, X, dtype=np.float64, reset=False)
        return values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # `score` is a log density
        return tags


def _names_of(y: Any, columns: int) -> list[str]:
    if hasattr(y, "columns"):
        return [str(name) for name in y.columns]
    name = getattr(y, "name", None)
    return [str(name) if name else "y"] if columns == 1 else [f"y{i}" for i in range(columns)]

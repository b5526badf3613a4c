"""Maximum likelihood of a table's rows: build the recipe's model in the table's own units, train it, stop early."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..bijections import Bijection, Chain
from ..conditioners import ContextUnits
from ..flow import Flow
from ..model import Model
from ..tables.schema import Schema
from ..training import ExponentialAverage, History, Rows, fit, negative_log_likelihood
from ..training.streams import stream_seed
from .context_units import context_units
from .judging import Watched, unwatched
from .making import MakeModel, make_model
from .parts import Parts, noised
from .recipe import Recipe
from .units import column_units

AVERAGE = ExponentialAverage(0.99)  # of the weights, as in the benchmark that chose the recommended model
FEWEST_STEPS = 25  # between two validations: an epoch, or several of a small table
SMALLEST_BATCH, LARGEST_BATCH = 64, 256  # unless told otherwise; between the two an epoch has FEWEST_STEPS steps
MOST_VALIDATIONS = 200  # unless told otherwise, as many steps as lead to this many validations
MOST_STEPS = 20_000  # or this many, whichever is less
CHECKPOINT_STEPS = 200  # what a crash may cost; Ctrl-C costs nothing, it writes a checkpoint of its own


@dataclasses.dataclass(frozen=True)
class Watch:
    """What a training leaves behind while it runs.

    Attributes:
        checkpoint: Its state.
        resume: Go on from there.
        log: The curve, .csv.
        progress: A bar.
        watched: Shows how far the scoring of held-out rows is.
    """

    checkpoint: Path | None = None
    resume: bool = False
    log: Path | None = None
    progress: bool = False
    watched: Watched = unwatched


def build(recipe: Recipe, schema: Schema, parts: Parts, make: MakeModel | None = None) -> Flow:
    """A new model of rows in their own units: of `make` or the preset, with standardisation and supports inside.

    Raises:
        TypeError, ValueError: `make` gives no model, one of other columns, or one with a context encoder.
    """
    units = column_units(schema.columns, noised(schema.columns, parts.training, recipe.seed))
    given = [
        part.context.double().numpy()
        for part in (parts.training, parts.validation, parts.test)
        if part.context is not None
    ]
    encoder = context_units(given[0], np.concatenate(given[1:])) if given else None
    sizes = len(schema.columns), len(schema.context)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # starting weights
        model = make_model(recipe.model, *sizes) if make is None else make(*sizes)
    _check_made(model, *sizes)
    return in_units(model, units, encoder)


def _check_made(model: object, features: int, context_features: int) -> None:
    if not isinstance(model, Model):
        raise TypeError(f"expected the function to make a model of {features} columns, got a {type(model).__name__}")
    if model.features != features:
        raise ValueError(f"expected the function to make a model of {features} columns, got one of {model.features}")
    if model.context_encoder is not None:
        raise ValueError("expected a model without a context encoder: columns of context are standardised inside")
    if model.context_features != context_features:
        raise ValueError(
            f"expected the function to make a model given {context_features} columns, "
            f"got one given {model.context_features}"
        )


def in_units(model: Model, units: Bijection, encoder: ContextUnits | None = None) -> Flow:
    """The same density, of data before standardisation."""
    if isinstance(model, Flow):  # one chain, so that a data-dependent start sees every layer
        return Flow(model.base, Chain([model.bijection, units]), context_encoder=encoder)
    return Flow(model, units, context_encoder=encoder)


def fitting_batch(recipe: Recipe, training: Rows) -> int:
    """The batch size, at most the number of training rows; the recipe's, or one with which a small table is learnt.

    With large batches a table of some hundred rows would be left after a few hundred steps, before anything is learnt.
    """
    batch_size = recipe.batch_size
    if batch_size is None:
        batch_size = min(max(training.count // FEWEST_STEPS, SMALLEST_BATCH), LARGEST_BATCH)
    return min(batch_size, training.count)


def train(flow: Flow, schema: Schema, parts: Parts, recipe: Recipe, watch: Watch = Watch()) -> History:
    """Maximum likelihood with early stopping; without validation rows, to the last step.

    Noise on whole numbers and dropout are the recipe's, too: the global stream of torch is as before afterwards.

    Raises:
        TrainingInterrupted: Ctrl-C.
        TrainingDiverged: a loss that is not finite.
    """
    batch_size = fitting_batch(recipe, parts.training)
    per_epoch = parts.training.count // batch_size
    between = max(per_epoch, FEWEST_STEPS)
    steps = recipe.steps or (
        recipe.epochs * per_epoch if recipe.epochs else min(MOST_VALIDATIONS * between, MOST_STEPS)
    )
    held_out = parts.validation.count > 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(recipe.seed, "noise"))
        return fit(
            flow,
            parts.training,
            loss=functools.partial(noisy_likelihood, whole=tuple(schema.whole)) if schema.whole else None,
            validation=parts.validation if held_out else None,
            steps=steps,
            batch_size=batch_size,
            learning_rate=recipe.learning_rate,
            patience=recipe.patience if held_out else None,
            average=AVERAGE,
            seed=recipe.seed,
            validate_every=min(between, steps),
            checkpoint=watch.checkpoint,
            checkpoint_every=CHECKPOINT_STEPS,
            resume=watch.resume,
            log=watch.log,
            progress=watch.progress,
        )


def noisy_likelihood(module: Model, batch: Rows, *, whole: tuple[int, ...]) -> Tensor:
    """Maximum likelihood of k + u, with new noise u at every training step; held-out rows have theirs already."""
    if module.training:
        x = batch.x.clone()
        x[:, whole] += torch.rand(len(x), len(whole), dtype=x.dtype, device=x.device)
        batch = dataclasses.replace(batch, x=x)
    return negative_log_likelihood(module, batch)

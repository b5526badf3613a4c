"""Draws of a conditional density for many contexts, a chunk of rows at a time."""

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from ..model import Model
from .likelihood import CHUNK_CELLS, chunk_rows

DRAWS = 100

# A model; a function of (contexts, count) that returns draws (count, N, D); or such draws themselves.
Posterior = Model | Callable[[Tensor, int], Tensor] | Tensor


def number_of_draws(posterior: Posterior, draws: int | None) -> int:
    """How many draws each row gets: those that are given, or as many as asked for.

    Raises:
        ValueError: fewer than one, or a number asked for that is not the number given.
    """
    given = len(posterior) if isinstance(posterior, Tensor) and posterior.ndim else None
    if given is not None and draws not in (None, given):
        raise ValueError(f"{given} draws of each row were given and {draws} asked for: leave draws out")
    count = (DRAWS if draws is None else draws) if given is None else given
    if count < 1:
        raise ValueError(f"expected at least one draw for each row, got {count}")
    return count


def draws_in_chunks(
    posterior: Posterior, x: Tensor, context: Tensor | None, count: int, *, generator: Generator | None
) -> Iterator[tuple[slice, Tensor]]:
    """The rows of each chunk with their draws, (count, n, D), in memory that does not grow with the number of rows.

    Args:
        posterior: Of N rows.
        x: The rows (N, D) that the draws will be compared with.
        context: What each row is conditioned on, N of them; None where the draws are given.
        count: Draws for each row.
        generator: Of the draws of a model.

    Raises:
        TypeError: not a posterior.
        ValueError: contexts missing or not N of them, or draws of another shape than (count, n, D).
    """
    rows, features = x.shape
    _check_context(posterior, context, rows)
    step = max(1, CHUNK_CELLS // (count * features))
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows))
        drawn = _draw(posterior, context, part, count, generator)
        expected = (count, part.stop - part.start, features)
        if drawn.shape != expected:
            raise ValueError(f"expected draws of shape {expected} (draws, rows, D), got {tuple(drawn.shape)}")
        yield part, drawn


@torch.no_grad()
def sample_in_chunks(model: Model, count: int, *, generator: Generator | None) -> Iterator[Tensor]:
    """`count` draws of a density without context, a chunk at a time."""
    step = chunk_rows(model.features)
    for start in range(0, count, step):
        yield model.sample(min(step, count - start), generator=generator)


def _check_context(posterior: Posterior, context: Tensor | None, rows: int) -> None:
    if isinstance(posterior, Tensor):
        if context is not None:
            raise ValueError("draws were given, so there is nothing left to condition on: leave the context out")
        if posterior.ndim != 3 or posterior.shape[1] != rows:
            raise ValueError(f"expected draws of shape (draws, {rows}, D), got {tuple(posterior.shape)}")
    elif not callable(posterior):
        raise TypeError(f"expected a model, a function of (contexts, count) or draws, got a {type(posterior).__name__}")
    elif context is None:
        raise ValueError("expected what each row is conditioned on, got no context")
    elif not context.ndim or len(context) != rows:
        raise ValueError(f"expected a context for each of the {rows} rows, got shape {tuple(context.shape)}")


@torch.no_grad()
def _draw(posterior: Posterior, context: Tensor | None, part: slice, count: int, generator: Generator | None) -> Tensor:
    if isinstance(posterior, Tensor):
        return posterior[:, part]
    assert context is not None
    if isinstance(posterior, Model):
        return posterior.sample(count, context[part], generator=generator)
    return posterior(context[part], count)

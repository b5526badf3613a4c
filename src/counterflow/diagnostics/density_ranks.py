"""How dense a row is beside draws of the model: the rank of log p(x) among the log p of samples."""

import dataclasses

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from ..model import Model
from ..shapes import Context
from .draws import draws_in_chunks, sample_in_chunks
from .likelihood import log_prob_in_chunks
from .rows import Numbers, uniforms

DRAWS = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class DensityRanks:
    """N rows, each ranked by log p among S draws.

    Attributes:
        log_prob: log p of the rows, nats, (N,).
        denser: How many of the draws have a larger log p, (N,).
        equal: How many have the very same, (N,).
        level: The level at which a highest-density region begins to hold the row, (N,): uniform on (0, 1) if the model
            is right. Ties, and the space between two draws, are filled at random.
        draws: S.
        shared: Whether all rows were ranked among the same draws.
    """

    log_prob: Float[np.ndarray, " N"]
    denser: Int[np.ndarray, " N"]
    equal: Int[np.ndarray, " N"]
    level: Float[np.ndarray, " N"]
    draws: int
    shared: bool

    @property
    def reference_rows(self) -> float:
        """The number of draws whose fluctuation all rows share."""
        return float(self.draws) if self.shared else np.inf


def density_ranks(
    model: Model,
    x: Float[Tensor, "N D"],
    context: Context | None = None,
    *,
    draws: int = DRAWS,
    generator: Generator | None = None,
) -> DensityRanks:
    r"""log p of rows, and their ranks among log p of draws of the model; for `coverage` and `typicality`.

    .. math:: \text{level}_i = \frac{\#\{s: p(y_s) > p(x_i)\} + V_i (\#\{s: p(y_s) = p(x_i)\} + 1)}{S + 1}

    Without a context all rows are ranked among the same draws; with one, each among its own, given its context.

    Args:
        model: Any density of ours, in `eval()` mode.
        x: The rows.
        context: Of each row.
        draws: S.
        generator: Of the draws, and of V.

    Raises:
        ValueError: fewer than one draw, contexts that are not one per row, or a log p that is NaN.

    Error: shared draws add 1 / S to the variance of a share, where N rows give 1 / N.
    Cost: N scores and S draws with their scores; with a context, N S draws with their scores. In bounded memory.
    """
    if draws < 1:
        raise ValueError(f"expected at least one draw, got {draws}")
    scores = log_prob_in_chunks(model, x, context)
    if context is None:
        samples = sample_in_chunks(model, draws, generator=generator)
        among = torch.cat([log_prob_in_chunks(model, chunk) for chunk in samples])
        return density_ranks_among(scores, among, generator=generator)
    log_prob = _checked(scores, "the rows")
    denser, equal = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    for part, drawn in draws_in_chunks(model, x, context, draws, generator=generator):
        with torch.no_grad():
            own = model.log_prob(drawn, context[part])  # (S, n)
        _checked(own, "the draws")
        denser[part] = (own > scores[part]).sum(0).cpu().numpy()
        equal[part] = (own == scores[part]).sum(0).cpu().numpy()
    return _with_levels(log_prob, denser, equal, draws, shared=False, generator=generator)


def density_ranks_among(
    log_prob: Float[Tensor, " N"], sample_log_prob: Float[Tensor, " S"], *, generator: Generator | None = None
) -> DensityRanks:
    """The same for any density: from log p of the rows and log p of draws that all rows share.

    Raises:
        ValueError: no rows, no draws, or a log p that is NaN.

    Cost: a sort of the draws.
    """
    scores, among = _checked(log_prob, "the rows"), np.sort(_checked(sample_log_prob, "the draws"))
    low, high = np.searchsorted(among, scores, "left"), np.searchsorted(among, scores, "right")
    return _with_levels(scores, len(among) - high, high - low, len(among), shared=True, generator=generator)


def _with_levels(
    log_prob: Numbers,
    denser: Int[np.ndarray, " N"],
    equal: Int[np.ndarray, " N"],
    draws: int,
    *,
    shared: bool,
    generator: Generator | None,
) -> DensityRanks:
    spread = uniforms(len(log_prob), generator=generator)
    level = (denser + spread * (equal + 1)) / (draws + 1)
    return DensityRanks(log_prob, denser, equal, level, draws, shared)


def _checked(log_prob: Tensor, name: str) -> Float[np.ndarray, "..."]:
    if not log_prob.numel():
        raise ValueError(f"expected at least one log p of {name}, got none")
    if bool(log_prob.isnan().any()):
        raise ValueError(f"{int(log_prob.isnan().sum())} values of log p of {name} are NaN")
    return log_prob.detach().cpu().double().numpy()

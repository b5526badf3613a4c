"""Whether an exported program gives what the flow gives, from the same noise, as far as their rounding can tell."""

import copy
import dataclasses
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ..bases import Base
from ..flow import Flow
from ..model import Model
from ..shapes import Context, LogDensity, Shape, Vector
from .problem import ExportProblem
from .program import rows_of
from .sampler import Sampler

TOLERANCE = 1e-5
# Shares of the rows, and how many times what the flow rounds there a program may differ: it adds in another order. In
# the worst row, where a layer is steep, luck decides; benchmarks/export.py measures how much.
BOUNDS = ((0.5, "half of the rows", 3), (0.99, "one row of a hundred", 3), (1.0, "the worst row", 30))
ROWS = (1000, 1)  # of the batches that are tried; the first one tells how large values are
Run = Callable[..., tuple[Tensor, ...]]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Differences from the flow in double precision, relative to the size of a value (`differences`).

    Attributes:
        largest: Of the program.
        rounding: Of the flow itself, in its own precision.
    """

    largest: float
    rounding: float


def agreement(flow: Flow, sampler: Sampler, run: Run, context: Tensor | None) -> Agreement:
    """Of a program with its flow, on noise of its law, at batches of 1,000 rows and of one.

    Where a layer of the user's own knows no double precision, the flow as it is takes the place of the exact one.

    Args:
        flow: Draws by its own methods.
        sampler: Of the flow; gives log q.
        run: The program, (noise[, context]) -> (x[, log_prob]).
        context: Some, if the flow takes one.

    Raises:
        ExportProblem: a shape or a precision differs; or numbers by more than 1e-5 and than `BOUNDS` times what the
            flow itself differs from its own in double precision.
    """
    exact = copy.deepcopy(flow).double()
    program, own = [], []
    sizes: list[Tensor] = []
    for rows in ROWS:
        given = () if context is None else (rows_of(context, rows),)
        noise = sampler.noise.sample(rows, generator=_seeded(rows))
        drawn = _innermost(flow).sample(rows, generator=_seeded(rows))  # of the same random stream
        expected = _outputs(flow, drawn, given, sampler)
        found = run(noise, *given)
        if [(t.shape, t.dtype) for t in found] != [(t.shape, t.dtype) for t in expected]:
            shapes = [tuple(t.shape) for t in found]
            raise ExportProblem(f"the exported program gives {shapes} for a batch of {rows}: nothing was written")
        truth = _exact_outputs(exact, drawn, given, sampler, expected)
        sizes = sizes or [root_mean_square(t) for t in truth]
        program.append(_worst_output(truth, found, sizes))
        own.append(_worst_output(truth, expected, sizes))
    return _judged(torch.cat(program), torch.cat(own), flow)


def differences(expected: Tensor, found: Tensor, size: Tensor) -> Tensor:
    """The largest |a - b| / max(|a|, size) of each row; infinite where only one of the two is finite.

    Args:
        expected: a, (B, ...).
        found: b.
        size: What counts as one, of each column: a number near zero has no more digits than its column.
    """
    a, b = expected.double(), found.double()
    known = a.isfinite() & b.isfinite()
    apart = torch.where(known, (a - b).abs() / torch.maximum(a.abs(), size), 0.0)
    apart = torch.where(a.isfinite() == b.isfinite(), apart, torch.inf)
    return apart.reshape(len(a), -1).amax(-1)


def root_mean_square(values: Tensor) -> Tensor:
    """Of each column, over the rows that are finite; above zero."""
    finite = torch.where(values.isfinite(), values.double(), 0.0)
    return finite.square().mean(0).sqrt().clamp_min(torch.finfo(torch.float32).tiny)


def _judged(program: Tensor, own: Tensor, flow: Flow) -> Agreement:
    """Compare the differences of all rows."""
    for share, where, roundings in BOUNDS:
        theirs, ours = (float(rows.quantile(share, interpolation="higher")) for rows in (program, own))
        if not theirs <= max(TOLERANCE, roundings * ours):
            raise ExportProblem(
                f"the exported program differs from the flow in double precision by {theirs:.1e} of a value in "
                f"{where}, the flow itself by {ours:.1e}. More than {TOLERANCE:g} and {roundings} times the latter is "
                f"no rounding: nothing was written{_remedy(flow)}"
            )
    return Agreement(float(program.max()), float(own.max()))


def _remedy(flow: Flow) -> str:
    if all(p.dtype == torch.float64 for p in flow.parameters()):
        return ""
    return (
        ". It may agree in double precision: export model.double(), or for the command save it so, by "
        "t = TableModel.load(path); t.model.double(); t.save(other)"
    )


def _exact_outputs(
    exact: Flow, drawn: Tensor, given: tuple[Tensor, ...], sampler: Sampler, expected: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """In double precision; what the flow gives where it overflows, and where a layer knows its own precision only."""
    contexts = tuple(c.double() if c.is_floating_point() else c for c in given)
    try:
        truth = _outputs(exact, drawn.double(), contexts, sampler)
    except (RuntimeError, TypeError):
        truth = expected
    return tuple(torch.where(a.isfinite() & b.isfinite(), a, b) for a, b in zip(truth, expected, strict=True))


def _outputs(flow: Flow, drawn: Tensor, given: tuple[Tensor, ...], sampler: Sampler) -> tuple[Tensor, ...]:
    """x, and log q(x) if the sampler gives it, by the flow's own methods."""
    # With gradients recorded the flow runs as plain PyTorch: no kernel has to be compiled for two batches.
    with torch.enable_grad():
        x, log_prob = _with_draws(flow, drawn).rsample_and_log_prob((), *given)
    return (x.detach(), log_prob.detach()) if sampler.log_prob else (x.detach(),)


def _innermost(flow: Flow) -> Base:
    base = flow.base
    while isinstance(base, Model):
        assert isinstance(base, Flow)  # the sampler refuses others
        base = base.base
    return base


def _with_draws(flow: Flow, drawn: Tensor) -> Flow:
    """The same flow, whose innermost base has drawn already."""
    base = _with_draws(flow.base, drawn) if isinstance(flow.base, Flow) else _Drawn(_innermost(flow), drawn)
    return Flow(base, flow.bijection, context_encoder=flow.context_encoder)


class _Drawn(Base):
    """A base whose draws, (B, D), were made before."""

    def __init__(self, base: Base, drawn: Tensor) -> None:
        super().__init__(base.features)
        self.base, self.drawn = base, drawn
        self.to(drawn.dtype)

    def log_prob(self, u: Vector, context: Context | None = None) -> LogDensity:
        return self.base.log_prob(u)

    def rsample_and_log_prob(
        self, sample_shape: int | Shape = (), context: Context | None = None, *, generator: Generator | None = None
    ) -> tuple[Vector, LogDensity]:
        return self.drawn, self.base.log_prob(self.drawn)


def _seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def _worst_output(expected: tuple[Tensor, ...], found: tuple[Tensor, ...], sizes: list[Tensor]) -> Tensor:
    """Of each row, (B,)."""
    return torch.stack([differences(*three) for three in zip(expected, found, sizes, strict=True)]).amax(0)

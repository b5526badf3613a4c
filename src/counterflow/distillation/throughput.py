"""What a draw costs: of the teacher coordinate by coordinate, by its best exact sampler, and of the student."""

import dataclasses
import math
import time
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ..autoregressive import AutoregressiveModel
from ..conditioners import RepeatedPass
from ..model import Model
from .stages import Stage, generating_map, stages_of, stepped_network, steps_through

TIMED = 16  # coordinates of the naive loop that are timed at most
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Draws per second, all measured in one run on one machine.

    Attributes:
        batch: Draws at once.
        student: By the student.
        exact: By the teacher's own `sample`: the exact inverse, queues, or a cache.
        naive: By the teacher with a whole pass for every coordinate of every layer, as other libraries draw; None where
            the teacher is no model of ours, or does not step.
        naive_extrapolated: Whether the naive loop was timed on its first 16 coordinates alone, and scaled.
    """

    batch: int
    student: float
    exact: float | None
    naive: float | None
    naive_extrapolated: bool

    def sentences(self) -> list[str]:
        """The same in words."""
        draws = "1 draw" if self.batch == 1 else f"{self.batch:,} draws"
        lines = [f"{draws} at once: the student makes {plain(self.student)} a second."]
        if self.exact is not None:
            lines.append(
                f"The teacher's exact sampler makes {plain(self.exact)}: "
                f"the student is {plain(self.student / self.exact)} times as fast."
            )
        if self.naive is not None:
            how = f"timed on {TIMED} coordinates and scaled" if self.naive_extrapolated else "timed whole"
            lines.append(
                f"With a whole pass for every coordinate ({how}) the teacher makes {plain(self.naive)}: "
                f"the student is {plain(self.student / self.naive)} times as fast."
            )
        return lines


def plain(value: float) -> str:
    """A speed, above zero, or a ratio of speeds with two significant digits: 390,000, 41, 1.8, 0.0072."""
    decimals = 1 - math.floor(math.log10(value))
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


@torch.no_grad()
def throughput(
    student: Model,
    teacher: object,
    *,
    rows: int = 1000,
    contexts: Tensor | None = None,
    generator: Generator | None = None,
) -> Throughput:
    """Time draws of both, the least of three rounds.

    Args:
        student: Draws.
        teacher: Draws exactly if it has `sample`; with a whole pass for every coordinate if `stages_of` knows it.
        rows: Draws at once.
        contexts: For conditional models, (N, M); the first `rows` of them, repeated if there are fewer.
        generator: The source of randomness; None is the global one.

    Raises:
        ValueError: rows < 1.

    Error: other programs on the machine slow all of them, not always alike.
    """
    if rows < 1:
        raise ValueError(f"expected at least one row, got {rows}")
    c = None if contexts is None else contexts[torch.arange(rows) % len(contexts)]
    shape = (rows,) if c is None else ()
    given = () if c is None else (c,)
    draw = getattr(teacher, "sample", None)
    exact = None if draw is None else _seconds(lambda: draw(shape, *given, **_stream(teacher, generator)))
    naive = _naive_seconds(teacher, rows, c, generator) if isinstance(teacher, Model) else None
    return Throughput(
        batch=rows,
        student=rows / _seconds(lambda: student.sample(shape, *given, generator=generator)),
        exact=None if exact is None else rows / exact,
        naive=None if naive is None else rows / naive,
        naive_extrapolated=student.features > TIMED,
    )


def _stream(teacher: object, generator: Generator | None) -> dict[str, Generator | None]:
    """Only densities of ours take a generator."""
    return {"generator": generator} if isinstance(teacher, Model) else {}


def _seconds(call: Callable[[], object]) -> float:
    """The least of a few calls, after one that is not counted."""
    call()
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def _naive_seconds(teacher: Model, rows: int, context: Tensor | None, generator: Generator | None) -> float | None:
    """Of all coordinates of all layers, from the first few of each."""
    try:
        base, stages = stages_of(teacher)
    except TypeError:
        return None
    stepping = [stage for stage in stages if steps_through(stage)]
    if not stepping:
        return None
    encoded = teacher.encode(context)
    like = next(teacher.parameters())
    z = base.to(like).sample((rows,), generator=generator)
    coordinates = min(TIMED, teacher.features)
    loops = (_loop(stage, z, encoded if stage.context_features else None, coordinates, generator) for stage in stepping)
    return sum(map(_seconds, loops)) * teacher.features / coordinates


def _loop(
    stage: Stage, z: Tensor, context: Tensor | None, coordinates: int, generator: Generator | None = None
) -> Callable[[], None]:
    network = stepped_network(stage)

    def loop() -> None:
        stepper = RepeatedPass(network, z.shape[:-1], context)
        for i in network.order[:coordinates]:
            params = stepper.params()
            if isinstance(stage, AutoregressiveModel):
                stepper.push(stage.family.sample(params, generator=generator))
            else:
                stepper.push(generating_map(stage).forward(z[..., i], params)[0])

    return loop

"""The two trainings of a student, each with a state of its own beside the output, from which it goes on."""

import dataclasses
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..diagnostics import chunk_rows
from ..distillation import ForwardKL, Masked, MatchedLayers, check_pair, distil, student_of
from ..flow import Flow
from ..model import Model
from ..training import History
from ..training.streams import stream_seed
from .console import Console
from .refusal import MODEL, Refusal
from .student_recipe import StudentRecipe

POOL = 50_000  # draws of the teacher, from which batches are picked
HELD_OUT = 2048  # draws of the student by which the weights to keep are chosen
SLOWER = 0.25  # the learning rate of the second training, beside that of the start


@dataclasses.dataclass(frozen=True)
class States:
    """Where the two trainings keep their states, and whether to go on from those that are there."""

    start: Path
    polish: Path
    resume: bool = False


@dataclasses.dataclass(frozen=True)
class Trained:
    """What the two trainings were, those that were not left out, and whose student is kept: the nearer one."""

    start: History | None
    polish: History | None
    kept: str


class Lesson:
    """A teacher and a student in training.

    Args:
        teacher: Frozen.
        name: Of its file.
        contexts: Of a conditional teacher.
        recipe: How to teach.
        console: Where to show it.

    Raises:
        Refusal: a teacher that samples in one pass already, or of which no student can be made.
    """

    def __init__(
        self, teacher: Model, name: str, contexts: Tensor | None, recipe: StudentRecipe, console: Console
    ) -> None:
        self._teacher, self._recipe, self._console = teacher, recipe, console
        self._contexts = contexts
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(recipe.seed, "student"))
            if contexts is not None:  # a table may be sorted, and held-out contexts are the first ones
                self._contexts = contexts[torch.randperm(len(contexts))]
            try:
                network = Masked(recipe.hidden)
                self.student: Flow = student_of(teacher, network=network, layers=recipe.layers, contexts=self._contexts)
                check_pair(*self._given(self.student))
            except (TypeError, ValueError) as error:
                raise Refusal(MODEL, f"{name}: {error}") from None

    def taught(self, states: States) -> Trained:
        """Both trainings, or what is left of them.

        Raises:
            TrainingInterrupted: Ctrl-C.
            TrainingDiverged: a loss that is not finite.
            ValueError: a state of another training.
        """
        recipe, pool = self._recipe, self._pool()
        many = recipe.batch_size if self._contexts is None else 1  # draws for each context
        start = None
        if recipe.start_steps:
            matched = MatchedLayers(pool, many)
            self._console.note(f"Teaching layer by layer, {recipe.start_steps:,} steps.")
            start = self._trained("start", matched, recipe.start_steps, recipe.learning_rate, states)
        # It reached the KL(q || p) that a sum with its path gradient did, in a third of the time, and loses no mode.
        if not recipe.steps:
            return Trained(start, None, "start")
        begun = {name: value.clone() for name, value in self.student.state_dict().items()}
        covering = ForwardKL(pool, many)
        self._console.note(f"Fitting the whole student to draws of the teacher, {recipe.steps:,} steps.")
        polish = self._trained("polish", covering, recipe.steps, SLOWER * recipe.learning_rate, states)
        if start is not None and _best(start) < _best(polish):
            self._console.note("The student of the first training is nearer to the teacher: it is kept.")
            self.student.load_state_dict(begun)
            return Trained(start, polish, "start")
        return Trained(start, polish, "polish")

    def _trained(self, phase: str, objective: Any, steps: int, learning_rate: float, states: States) -> History:
        """One training; its random stream is its own, so that it does not matter when the other one ended."""
        state: Path = getattr(states, phase)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(self._recipe.seed, phase))
            return distil(
                self.student,
                self._teacher,
                objective=objective,
                contexts=self._contexts,
                steps=steps,
                batch_size=self._recipe.batch_size,
                held_out=HELD_OUT,
                learning_rate=learning_rate,
                patience=self._recipe.patience,
                checkpoint=state,
                resume=states.resume and state.exists(),
                progress=self._console.draws,
            )

    def _pool(self) -> Tensor | None:
        """Draws of the teacher; with contexts each step has fresh ones."""
        if self._contexts is not None:
            return None
        generator = torch.Generator().manual_seed(stream_seed(self._recipe.seed, "pool"))
        size = chunk_rows(self._teacher.features)

        def drawn() -> Iterator[tuple[int, Tensor]]:
            for start in range(0, POOL, size):
                count = min(size, POOL - start)
                yield count, self._teacher.sample((count,), generator=generator)

        return torch.cat(list(self._console.watched(drawn(), "drawing from the teacher", POOL)))

    def _given(self, student: Flow) -> tuple[Any, Any]:
        if self._contexts is None:
            return student, self._teacher
        one = self._contexts[:1]
        return student.given(one.expand(1, -1)), self._teacher.given(one.expand(1, -1))


def _best(history: History) -> float:
    """The least held-out divergence, which both trainings measure on the same noise."""
    return math.inf if history.best_validation is None else history.best_validation


def phase_facts(history: History | None) -> dict[str, Any] | None:
    """A training as JSON values."""
    if history is None:
        return None
    return {
        "steps": history.steps,
        "best_step": history.best_step,
        "best_held_out_kl": history.best_validation,
        "stopped_because": history.stopped_because,
        "seconds": round(history.seconds, 1),
        "curve": [[r.step, _rounded(r.loss), _rounded(r.validation)] for r in history.records],
    }


def version() -> str:
    """Of the package that runs."""
    return str(sys.modules[__name__.partition(".")[0]].__version__)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")

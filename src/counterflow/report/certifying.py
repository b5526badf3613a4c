"""Measure a student of a table beside its teacher: the certificate, what draws cost, corrected draws."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from ..diagnostics import chunk_rows, two_sample_test
from ..distillation import Certificate, Throughput, certify, importance_resample, throughput
from ..tables.source import Block
from ..tabular import TableModel
from .certified import Certified, Corrected
from .joint import Joint
from .student_words import is_student, made_in_words

DRAWS = 10_000  # of each of the two, for a report
PROPOSALS = 10  # for each corrected row
TIMED_ROWS = 1000


class PairMeasurement:
    """What is measured of a pair, piece by piece.

    Args:
        student: Draws differentiably.
        teacher: Of the same columns; draws exactly.
        contexts: Of a conditional pair, (N, M): what is said of it is a mean over them.
        draws: Of each of the two.
        seed: Of everything random.
    """

    def __init__(
        self, student: TableModel, teacher: TableModel, contexts: Block | None, *, draws: int, seed: int
    ) -> None:
        self._student, self._teacher, self._draws, self._seed = student, teacher, draws, seed
        self._contexts = None if contexts is None else student.tensor(contexts)
        self._q, self._p = (self._density(model) for model in (student, teacher))

    def parts(self, *, corrected: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
        """By the fields of `Certified`."""
        yield "certificate", self.certificate
        yield "throughput", self.throughput
        if corrected:
            yield "corrected", self.corrected

    def certificate(self) -> Certificate:
        """KL both ways, weights, steps, two-sample test.

        Raises:
            TypeError: the student has no reparameterised draws.
            ValueError: densities that are not finite where the other one draws.
        """
        drawn = self._exact(self._draws, self._stream(1))
        found = certify(self._q, self._p, self._draws, teacher_draws=drawn, generator=self._stream(2))
        return dataclasses.replace(found, features=self._student.model.features)

    def throughput(self) -> Throughput:
        """Of both, on this machine."""
        models, generator = (self._student.model, self._teacher.model), self._stream(3)
        return throughput(*models, rows=TIMED_ROWS, contexts=self._contexts, generator=generator)

    def corrected(self) -> Corrected:
        """Draws of the student by importance, and whether they can be told from exact ones."""
        rows = max(1, self._draws // 2)
        picked = importance_resample(
            self._q, self._p, rows, proposals=max(2, PROPOSALS * rows), generator=self._stream(4)
        )
        exact = self._exact(rows, self._stream(5))
        try:
            apart = two_sample_test(exact, picked.x, generator=self._stream(6))
        except ValueError:  # too few of them
            apart = None
        return Corrected(rows, picked.weights.draws, picked.distinct, apart)

    def _density(self, model: TableModel) -> Any:
        return model.model if self._contexts is None else Joint(model.model, self._contexts)

    def _exact(self, count: int, generator: Generator) -> Tensor:
        size = chunk_rows(self._student.model.features)
        shares = [min(size, count - start) for start in range(0, count, size)]
        return torch.cat([self._p.sample((share,), generator=generator) for share in shares])

    def _stream(self, number: int) -> Generator:
        return Generator().manual_seed(self._seed * 1000 + 100 + number)


def certified(measured: dict[str, Any], student: TableModel, teacher: str) -> Certified:
    """The parts put together.

    Args:
        measured: By the names of `PairMeasurement.parts`.
        student: Whose columns they are.
        teacher: What to call it.
    """
    made = made_in_words(student.facts) if is_student(student.facts) else ""
    return Certified(teacher=teacher, columns=student.schema.names, made=made, **measured)


def certified_student(
    student: TableModel, teacher: TableModel, name: str, contexts: Block | None, *, seed: int
) -> Certified:
    """Every part of a student and a teacher of this name.

    Raises:
        TypeError, ValueError: see `PairMeasurement.certificate`.
    """
    pair = PairMeasurement(student, teacher, contexts, draws=DRAWS, seed=seed)
    return certified({part: measure() for part, measure in pair.parts(corrected=True)}, student, name)

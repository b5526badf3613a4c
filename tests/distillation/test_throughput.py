"""Draws per second of a teacher and its student, each by its own way."""

import pytest
import torch
from torch import Tensor

import counterflow as cf
from counterflow import conditioners, families, models
from counterflow.distillation import Masked, Throughput, student_of, throughput
from counterflow.distillation.throughput import _loop
from counterflow.univariate import Affine
from distillation.laws_of_normals import Normal, seeded


def test_the_naive_loop_runs_the_whole_network_for_every_coordinate() -> None:
    """What is timed is what other libraries do: D passes of each layer, and its result is the exact one."""
    passes = []

    class Counted(conditioners.MaskedMLP):
        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            passes.append(len(x))
            return super().forward(x, context)

    torch.manual_seed(0)
    layer = cf.Inverse(cf.Autoregressive(Counted(5, 2, (8,)), Affine().inverted))
    _loop(layer, torch.randn(7, 5, generator=seeded(0)), None, 5)()
    assert passes == [7] * 5


@pytest.mark.parametrize("features", [3, 20])
def test_every_way_of_drawing_is_timed(features: int) -> None:
    p = models.maf(features, layers=2, hidden=(32,))
    q = student_of(p, network=Masked((32,)))
    found = throughput(q, p, rows=8)
    assert found.batch == 8
    assert found.exact is not None
    assert found.naive is not None
    assert min(found.student, found.exact, found.naive) > 0
    assert found.naive_extrapolated == (features > 16)
    assert len(found.sentences()) == 3


def test_speeds_are_written_alike_whatever_their_size() -> None:
    said = Throughput(1, 391_852.0, 9.5, 0.0072, True).sentences()
    assert said == [
        "1 draw at once: the student makes 390,000 a second.",
        "The teacher's exact sampler makes 9.5: the student is 41,000 times as fast.",
        "With a whole pass for every coordinate (timed on 16 coordinates and scaled) the teacher makes 0.0072: the "
        "student is 54,000,000 times as fast.",
    ]
    assert Throughput(1000, 1.0, None, None, False).sentences() == [
        "1,000 draws at once: the student makes 1.0 a second."
    ]


def test_a_convolution_of_contexts_is_timed() -> None:
    p = cf.AutoregressiveModel(conditioners.CausalConv(4, 2, 8, 2), families.Normal())
    contexts = torch.randn(3, 2)
    q = student_of(p, network=Masked((8,)), contexts=contexts)
    assert throughput(q, p, rows=10, contexts=contexts).naive is not None


def test_what_cannot_be_had_of_a_teacher_is_left_out() -> None:
    q = models.iaf(2, layers=1, hidden=(8,))
    found = throughput(q, Normal(2), rows=4)
    assert found.naive is None
    assert found.exact is not None
    assert throughput(q, models.realnvp(2, layers=2, hidden=(8,)), rows=4).naive is None
    with pytest.raises(ValueError, match="at least one row, got 0"):
        throughput(q, Normal(2), rows=0)

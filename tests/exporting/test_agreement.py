"""A program is held against the flow in double precision: rounding is no difference, and a mistake is not rounding."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import counterflow as cf
from counterflow import bases
from counterflow.exporting import ExportProblem
from counterflow.exporting.agreement import agreement
from counterflow.exporting.sampler import Sampler
from exporting.flows import contexts, made

Run = Callable[..., tuple[Tensor, ...]]


def exactly(flow: cf.Flow) -> Run:
    """As good as a program can be: in double precision, rounded once."""
    exact = Sampler(copy.deepcopy(flow).double(), log_prob=True)

    def run(noise: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        return tuple(t.to(noise.dtype) for t in exact(noise.double(), *(c.double() for c in given)))

    return run


def judged(flow: cf.Flow, run: Run) -> Any:
    given = contexts(flow, 1000)
    return agreement(flow, Sampler(flow, log_prob=True), run, given[0] if given else None)


@pytest.mark.parametrize("name", ["steep", "context", "learnt normal", "heavy tails", "a flow as base"])
def test_an_exact_program_agrees_however_much_the_flow_rounds(name: str) -> None:
    flow = made(name)
    found = judged(flow, exactly(flow))
    assert found.largest < 2e-6  # the noise of a learnt normal is rounded too
    assert 0 < found.rounding < (2e-5 if name == "steep" else 2e-6)


@pytest.mark.slow
def test_an_exact_program_of_a_student_agrees() -> None:
    flow = made("a student")
    found = judged(flow, exactly(flow))
    assert found.largest < 2e-6 < found.rounding


def test_the_steep_flow_rounds_more_than_the_bound_of_programs_that_round_nothing() -> None:
    """Held against its own draws in single precision, the exact program would be refused."""
    assert judged(made("steep"), exactly(made("steep"))).rounding > 1e-5


def everywhere(x: Tensor) -> Tensor:
    return x * 1.00002


def in_five_rows_of_a_hundred(x: Tensor) -> Tensor:
    return torch.where((torch.arange(len(x)) % 20 == 0).reshape(-1, *[1] * (x.ndim - 1)), x * 1.0002, x)


def in_one_row(x: Tensor) -> Tensor:
    return torch.cat([x[:1] * 1.01, x[1:]])


def not_a_number(x: Tensor) -> Tensor:
    return torch.cat([x[:-1], x[-1:] * torch.nan])


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (everywhere, r"by [12]\.\de-05 of a value in half of the rows, the flow itself by \d\.\de-0[67]\."),
        (in_five_rows_of_a_hundred, r"by 2\.\de-04 of a value in one row of a hundred, the flow itself by 1\.\de-05\."),
        (in_one_row, r"by \d\.\de-0[23] of a value in the worst row, the flow itself by 1\.\de-05\."),
        (not_a_number, "by inf of a value in the worst row"),
    ],
)
@pytest.mark.parametrize("output", [0, 1])
def test_a_mistake_is_seen_though_the_flow_rounds_much(
    mistake: Callable[[Tensor], Tensor], words: str, output: int
) -> None:
    flow = made("steep")
    right = exactly(flow)

    def run(noise: Tensor) -> tuple[Tensor, ...]:
        return tuple(mistake(t) if i == output else t for i, t in enumerate(right(noise)))

    with pytest.raises(ExportProblem, match=words) as told:
        judged(flow, run)
    assert "t.model.double()" in str(told.value)


class InSinglePrecision(cf.Bijection):
    """A layer of somebody's own that cannot compute in double precision."""

    features = 3

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return u @ torch.eye(3), u.new_zeros(u.shape[:-1])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


def test_a_layer_that_knows_one_precision_is_held_against_itself() -> None:
    flow = cf.Flow(bases.StandardNormal(3), cf.Chain([made("iaf").bijection, InSinglePrecision()]))
    right = Sampler(flow, log_prob=True)
    assert judged(flow, right).rounding == 0.0
    with pytest.raises(ExportProblem, match=r"by 2.0e-05 of a value in half of the rows, the flow itself by 0.0e\+00"):
        judged(flow, lambda noise: tuple(map(everywhere, right(noise))))


def test_a_program_overflows_where_the_flow_does() -> None:
    steep = cf.bijections.Standardise([0.0] * 3, [3e38] * 3)
    flow = cf.Flow(bases.StandardNormal(3), steep)
    right = Sampler(flow, log_prob=True)
    noise = flow.base.sample(1000, generator=torch.Generator().manual_seed(1000))
    assert 0 < int(right(noise)[0].isinf().sum()) < 3000
    assert judged(flow, right).largest < 1e-6
    with pytest.raises(ExportProblem, match="by inf of a value"):
        judged(flow, lambda noise: (right(noise)[0].clamp(-3e38, 3e38), right(noise)[1]))

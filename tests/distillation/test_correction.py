"""Corrected draws follow the teacher, where plain draws of the student do not."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from scipy.stats import kstest
from torch import Tensor

from counterflow.distillation import importance_resample, metropolis, reject
from distillation.laws_of_normals import Normal, seeded

Q, P = Normal(1, 0.3, 1.3), Normal(1)

CORRECTIONS: dict[str, Callable[[int], Tensor]] = {
    "resampled": lambda rows: importance_resample(Q, P, rows, proposals=20 * rows, generator=seeded(1)).x,
    "rejected": lambda rows: reject(Q, P, rows, generator=seeded(2)).x,
    "chains": lambda rows: metropolis(Q, P, rows, steps=30, generator=seeded(3)).x,
}


@pytest.mark.parametrize("correct", CORRECTIONS.values(), ids=CORRECTIONS)
def test_corrected_draws_follow_the_teacher(correct: Callable[[int], Tensor]) -> None:
    """At 1e-4 each; rows of resampling repeat a little, which the test tolerates at 20 proposals a row."""
    assert kstest(correct(3000)[:, 0].numpy(), "norm").pvalue > 1e-4


def test_the_students_own_draws_do_not() -> None:
    assert kstest(Q.sample((3000,), generator=seeded(4))[:, 0].numpy(), "norm").pvalue < 1e-6


def test_rejection_takes_one_proposal_in_m() -> None:
    """The largest p / q of two normals is where the slope of its logarithm vanishes; 1 / M are taken."""
    s, m = Q.scale, Q.loc
    at = -m / (s**2 - 1)  # where d/dx of log p - log q vanishes
    log_bound = math.log(s) - 0.5 * at**2 + 0.5 * ((at - m) / s) ** 2
    found = reject(Q, P, 20_000, log_bound=log_bound, generator=seeded(5))
    assert found.acceptance == pytest.approx(math.exp(-log_bound), abs=0.01)
    assert found.beyond == found.error == 0.0


def test_rejection_with_too_low_a_bound_says_what_error_is_left() -> None:
    found = reject(Q, P, 5000, log_bound=-0.5, generator=seeded(6))
    assert found.beyond > 0.1
    assert 0.01 < found.error < 1


def test_rejection_gives_up_on_a_hopeless_student() -> None:
    with pytest.raises(ValueError, match="too far from the teacher for rejection"):
        reject(Normal(8, 0.0, 3.0), Normal(8, 0.0, 0.2), 100, most=20, generator=seeded(7))


def test_resampling_says_how_many_rows_are_distinct() -> None:
    good = importance_resample(Normal(1, 0.0, 1.05), P, 500, proposals=50_000, generator=seeded(8))
    poor = importance_resample(Normal(4, 2.0, 0.5), Normal(4), 500, proposals=2000, generator=seeded(9))
    assert good.distinct > 0.95
    assert poor.distinct < 0.3
    assert len(set(poor.x[:, 0].tolist())) / 500 == pytest.approx(poor.distinct)


def test_chains_of_an_exact_student_accept_everything() -> None:
    found = metropolis(P, P, 100, steps=3, generator=seeded(10))
    assert found.acceptance == 1.0
    assert found.stuck == 0.0


def test_chains_that_start_where_the_teacher_is_not_leave_at_once() -> None:
    class Half(Normal):
        def log_prob(self, x: Tensor) -> Tensor:
            return super().log_prob(x).masked_fill(x[..., 0] < 0, -math.inf)

    found = metropolis(Normal(1), Half(1), 2000, steps=40, generator=seeded(11))
    assert bool((found.x >= 0).all())


@pytest.mark.parametrize(
    "call",
    [
        lambda: importance_resample(Q, P, 0),
        lambda: importance_resample(Q, P, 1, proposals=1),
        lambda: reject(Q, P, 0),
        lambda: metropolis(Q, P, 1, steps=0),
    ],
)
def test_nothing_to_do_is_refused(call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        call()

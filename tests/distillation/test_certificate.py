"""A certificate against the divergence of two normals, step by step, and against what it must not miss."""

import math

import pytest
import torch

import counterflow as cf
from counterflow import families, models
from counterflow.distillation import certify
from distillation.laws_of_normals import Normal, kl_of_normals, seeded


def test_divergences_are_the_closed_forms() -> None:
    """Within 5 standard errors each."""
    q, p = Normal(3, 0.2, 1.2), Normal(3)
    drawn = p.sample((20_000,), generator=seeded(1))
    found = certify(q, p, 20_000, teacher_draws=drawn, generator=seeded(2))
    assert abs(found.kl.mean - kl_of_normals(q, p)) < 5 * found.kl.standard_error < 0.05
    assert found.kl_per_dimension == pytest.approx(found.kl.mean / 3)
    assert found.on_teacher is not None
    other = found.on_teacher.kl
    assert abs(other.mean - kl_of_normals(p, q)) < 5 * other.standard_error < 0.05


def test_a_lost_mode_shows_on_the_teachers_draws_alone() -> None:
    """Reverse KL of one of two equal far modes is log 2, whatever happens in the other."""

    class TwoModes(Normal):
        def log_prob(self, x: torch.Tensor) -> torch.Tensor:
            left, right = (Normal(2, loc).log_prob(x) for loc in (-6.0, 6.0))
            return torch.logaddexp(left, right) - math.log(2)

    q, p = Normal(2, 6.0), TwoModes(2)
    drawn = torch.cat([Normal(2, loc).sample((1000,), generator=seeded(3)) for loc in (-6.0, 6.0)])
    found = certify(q, p, 2000, teacher_draws=drawn, generator=seeded(4))
    assert found.kl.mean == pytest.approx(math.log(2), abs=1e-3)
    assert found.on_teacher is not None
    assert found.on_teacher.kl.mean > 50
    assert found.on_teacher.two_sample is not None
    assert found.on_teacher.two_sample.samples.auc > 0.7
    assert found.on_teacher.uncovered == pytest.approx(0.5, abs=0.01)


def test_a_perfect_student_covers_all_but_the_share_that_lies_outside_its_region() -> None:
    """Of 20,000 draws 20 are expected outside, from an edge that 20 draws mark: beyond 45 once in 10,000 runs."""
    q, drawn = Normal(2), Normal(2).sample((20_000,), generator=seeded(7))
    found = certify(q, Normal(2), 20_000, teacher_draws=drawn, generator=seeded(8))
    assert found.on_teacher is not None
    assert 0 < found.on_teacher.uncovered < 45 / 20_000


def test_steps_add_up_to_the_whole() -> None:
    torch.manual_seed(0)
    p = cf.AutoregressiveModel(cf.MaskedMLP(4, 6, (16,)), families.LogisticMixture(2))
    q = models.iaf(4, layers=2, hidden=(16,), permutation=None)
    found = certify(q, p, 20_000, generator=seeded(5))
    assert found.steps is not None
    assert found.step_errors is not None
    error = math.hypot(float(found.step_errors.norm()), found.kl.standard_error)
    assert abs(float(found.steps.sum()) - found.kl.mean) < 5 * error


def test_densities_without_steps_in_one_order_have_none() -> None:
    q = models.iaf(4, layers=2, hidden=(16,))  # alternating order
    assert certify(q, Normal(4), 100, generator=seeded(6)).steps is None
    p = cf.AutoregressiveModel(cf.MaskedMLP(4, 2, (16,), order=(3, 2, 1, 0)), families.Normal())
    assert certify(models.iaf(4, layers=1, hidden=(16,), permutation=None), p, 100, generator=seeded(7)).steps is None


def test_sentences_state_the_normaliser_only_where_the_tail_allows_it() -> None:
    said = [certify(Normal(1, 0, s), Normal(1), 5000, generator=seeded(8)).sentences() for s in (0.25, 1.2)]
    narrow, wide = (" ".join(sentences) for sentences in said)
    assert "cannot be trusted" in narrow
    assert "log normaliser of the teacher: " in wide

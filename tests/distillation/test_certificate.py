"""A certificate against the divergence of two normals, step by step, and against what it must not miss."""

import math

import pytest
import torch

import counterflow as cf
from counterflow import families, models, univariate
from counterflow.distillation import certify
from counterflow.distillation.certificate import _edge
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
    assert found.on_teacher.uncovered_if_same == pytest.approx(0.001, rel=0.01)


@pytest.mark.parametrize("draws", [100, 200, 500, 2000, 10_000])
def test_what_a_perfect_student_leaves_out_is_what_is_said(draws: int) -> None:
    """1,000 times as many of one's own draws beyond an edge marked by others; within four standard errors."""
    q, generator = Normal(2), seeded(draws)
    shares = []
    for _ in range(1000):
        edge, expected = _edge(q.log_prob(q.sample((draws,), generator=generator)))
        shares.append(float((q.log_prob(q.sample((500,), generator=generator)) < edge).double().mean()))
    found = torch.tensor(shares, dtype=torch.float64)
    assert float(found.mean()) == pytest.approx(expected, abs=4 * float(found.std()) / 1000**0.5)
    assert abs(expected - 1e-3) < (1e-5 if draws > 1000 else 1 / draws)


@pytest.mark.parametrize(("of_student", "of_teacher", "told"), [(500, 500, True), (60, 500, False), (500, 60, False)])
def test_the_share_left_out_is_said_with_draws_enough_alone(of_student: int, of_teacher: int, told: bool) -> None:
    drawn = Normal(2).sample((of_teacher,), generator=seeded(9))
    said = " ".join(certify(Normal(2), Normal(2), of_student, teacher_draws=drawn, generator=seeded(10)).sentences())
    assert ("next to no density (about 0.20% would, were the two the same)" in said) is told
    assert ("next to no density" in said) is told


def bounded(high: float) -> cf.Flow:
    """Uniform on (0, high)^2."""
    interval = cf.bijections.Elementwise((univariate.Interval(0.0, high),) * 2)
    return cf.Flow(cf.bases.StandardLogistic(2), interval)


def test_draws_outside_the_students_support_are_counted() -> None:
    """Of a uniform on (0, 2)^2, 3 / 4 are outside (0, 1)^2; four standard errors of 1,000 draws."""
    drawn = bounded(2.0).sample((1000,), generator=seeded(11))
    found = certify(bounded(1.0), bounded(2.0), 200, teacher_draws=drawn, generator=seeded(12))
    assert found.kl.mean == pytest.approx(2 * math.log(2), abs=1e-5)
    other = found.on_teacher
    assert other is not None
    assert other.kl.mean == math.inf
    assert other.outside == other.uncovered == pytest.approx(0.75, abs=0.055)
    assert other.quantiles[0] == pytest.approx(-2 * math.log(2), abs=1e-5)
    assert other.quantiles[-1] == math.inf
    said = [line for line in found.sentences() if "infinite" in line]
    assert said == [
        f"KL(teacher, student) is infinite: {other.outside:.2%} of the teacher's draws (1,000) lie outside the "
        "student's support."
    ]


def test_a_student_that_refuses_every_draw_is_another_mistake() -> None:
    with pytest.raises(ValueError, match="outside its support"):
        certify(bounded(1.0), bounded(2.0), 50, teacher_draws=torch.rand(50, 2) + 1, generator=seeded(13))


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
    assert "k-hat is above 0.7" in narrow
    assert "Log normaliser of the teacher: " in wide


def test_too_few_draws_are_no_heavy_tail() -> None:
    said = " ".join(certify(Normal(1, 0, 1.2), Normal(1), 20, generator=seeded(14)).sentences())
    assert "k-hat unknown. The tail of the weights cannot be told from fewer than 25 draws: means of" in said
    assert "0.7" not in said
    assert "k-hat is" not in said


def test_a_flow_is_certified_against_itself_without_a_warning() -> None:
    """Warnings are errors here. Its weights differ by rounding alone, and many are equal."""
    torch.manual_seed(3)
    q = models.iaf(3, layers=2, hidden=(16,))
    for seed in range(5):
        found = certify(q, q, 2000, generator=seeded(seed))
        assert found.weights.trusted
        assert found.weights.effective_fraction == pytest.approx(1.0)

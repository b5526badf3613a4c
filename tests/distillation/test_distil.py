"""A student learns what its teacher knows, on its own draws; a pair that cannot work is refused at the door."""

import functools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow import families, models, univariate
from counterflow.distillation import (
    ForwardKL,
    PathKL,
    ReverseKL,
    StepwiseKL,
    StepwiseNormalKL,
    Sum,
    certify,
    default_objective,
    distil,
)
from distillation.laws_of_normals import Normal, seeded

D = 3


def teacher(family: Any = families.Normal(), seed: int = 0, **options: Any) -> cf.AutoregressiveModel:
    torch.manual_seed(seed)
    p = cf.AutoregressiveModel(cf.MaskedMLP(D, family.num_params, (16,), **options), family)
    with torch.no_grad():
        for parameter in p.parameters():
            parameter.mul_(2.5)
    return p


def student(seed: int = 1, **options: Any) -> cf.Flow:
    torch.manual_seed(seed)
    given = options.pop("context_features", 0)
    return models.iaf(D, given, **{"layers": 1, "hidden": (24,), "permutation": None, **options})


OBJECTIVES = {
    "single draw": ReverseKL(128),
    "path": PathKL(128),
    "steps": StepwiseKL(64, 8),
    "closed form": StepwiseNormalKL(64),
    "closed form, regularised": StepwiseNormalKL(64, regulariser=1.0),
    "with draws of the teacher": Sum(((1.0, ReverseKL(64)), (0.5, ForwardKL(teacher().sample(2000), 64)))),
}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_every_objective_brings_the_student_to_its_teacher(objective: Any) -> None:
    q, p = student(), teacher()
    before = certify(q, p, 4000, generator=seeded(0)).kl.mean
    distil(q, p, objective=objective, steps=150, learning_rate=1e-2, held_out=1024)
    after = certify(q, p, 4000, generator=seeded(0)).kl
    assert after.mean < 0.1 * before
    assert after.mean < 0.03


def test_the_best_objective_that_both_have_is_the_default() -> None:
    assert default_objective(student(), teacher()) == StepwiseNormalKL()
    assert default_objective(student(), teacher(families.LogisticMixture(2))) == StepwiseKL()
    assert default_objective(student(layers=2, permutation=models.Reverse()), teacher()) == ReverseKL()
    assert default_objective(student(), Normal(D)) == ReverseKL()
    assert default_objective(student(), teacher(order=(2, 1, 0))) == ReverseKL()


def test_the_teacher_is_left_as_it_was() -> None:
    q, p = student(), teacher()
    next(p.parameters()).requires_grad_(False)
    flags = [parameter.requires_grad for parameter in p.parameters()]
    values = [parameter.detach().clone() for parameter in p.parameters()]
    distil(q, p, steps=3)
    assert [parameter.requires_grad for parameter in p.parameters()] == flags
    assert all(parameter.grad is None for parameter in p.parameters())
    assert all(torch.equal(a, b) for a, b in zip(p.parameters(), values, strict=True))


def test_held_out_values_are_the_divergence_in_nats() -> None:
    q, p = student(), teacher()
    history = distil(q, p, steps=100, learning_rate=1e-2, held_out=4096)
    best = min(record.validation for record in history.records if record.validation is not None)
    found = certify(q, p, 20_000, generator=seeded(3)).kl
    assert best == pytest.approx(found.mean, abs=0.01)


def test_an_interrupted_distillation_goes_on_to_the_same_student(tmp_path: Any) -> None:
    path = tmp_path / "state.safetensors"

    class Stop(Exception):
        pass

    def run(*, stop: bool, resume: bool) -> cf.Flow:
        q, p, calls = student(), teacher(), [0]

        def objective(a: Any, b: Any, *, generator: Any = None) -> Tensor:
            calls[0] += 1
            if stop and calls[0] > 15:
                raise Stop
            return StepwiseKL(16, 2)(a, b, generator=generator)

        torch.manual_seed(5)
        more = {"checkpoint": path, "resume": resume} if stop or resume else {}
        distil(q, p, objective=objective, steps=20, validate_every=5, **more)
        return q

    whole = run(stop=False, resume=False)
    with pytest.raises(Stop):
        run(stop=True, resume=False)
    again = run(stop=False, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_a_conditional_teacher_is_distilled_for_all_contexts() -> None:
    torch.manual_seed(0)
    p = cf.AutoregressiveModel(cf.MaskedMLP(D, 2, (16,), 2), families.Normal())
    with torch.no_grad():
        for parameter in p.parameters():
            parameter.mul_(2.5)
    q, contexts = student(context_features=2), torch.randn(500, 2, generator=seeded(0))
    distil(q, p, contexts=contexts, objective=StepwiseNormalKL(4), steps=300, learning_rate=1e-2)
    fresh = torch.randn(200, 2, generator=seeded(1))
    x, log_q = q.rsample_and_log_prob(50, fresh, generator=seeded(2))
    assert float((log_q - p.log_prob(x, fresh)).mean().detach()) < 0.05


@pytest.mark.slow
def test_a_spline_student_keeps_both_modes_of_a_step() -> None:
    """An affine student of one order has one mode per step, however long it learns."""

    class TwoModes(Normal):
        def log_prob(self, x: Tensor) -> Tensor:
            left, right = (Normal(1, loc, 0.4).log_prob(x) for loc in (-1.5, 1.5))
            return torch.logaddexp(left, right) - math.log(2)

    torch.manual_seed(0)
    p = TwoModes(1)
    drawn = torch.cat([Normal(1, loc, 0.4).sample((2000,), generator=seeded(1)) for loc in (-1.5, 1.5)]).float()
    objective = Sum(((1.0, ReverseKL(256)), (1.0, ForwardKL(drawn, 256))))
    kls = []
    for univariate_map in (univariate.RationalQuadratic(bins=8), univariate.Affine()):
        q = models.iaf(1, layers=2, hidden=(16,), permutation=None, univariate=univariate_map)
        distil(q, p, objective=objective, steps=300, learning_rate=2e-2)
        kls.append(certify(q, p, 5000, teacher_draws=drawn, generator=seeded(2)))
    spline, affine = kls
    assert spline.kl.mean < 0.05 < 0.2 < affine.kl.mean
    assert spline.on_teacher is not None
    assert spline.on_teacher.kl.mean < 0.05


def independent(base: Any, *parameters: Tensor) -> torch.distributions.Distribution:
    return torch.distributions.Independent(base(*parameters), 1)


class Broken(Normal):
    """A teacher with one thing wrong."""

    def __init__(self, wrong: Any) -> None:
        super().__init__(D)
        self._wrong = wrong

    def log_prob(self, x: Tensor) -> Tensor:
        return self._wrong(super().log_prob(x), x)


ZERO, ONE = torch.zeros(D), torch.ones(D)
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "nothing that scores": (object(), TypeError, r"expected a teacher with log_prob\(x\), got a object"),
    "another size": (functools.partial(models.maf, D + 1), ValueError, "the student has 3 features, the teacher 4"),
    "no event axis": (torch.distributions.Normal(ZERO, 1.0), ValueError, "Independent"),
    "an interval": (independent(torch.distributions.Uniform, ZERO, ONE), ValueError, "append bijections.bounded"),
    "whole numbers": (independent(torch.distributions.Poisson, ONE), ValueError, "Dequantise"),
    "bins": (
        lambda: teacher(families.Categorical(8, -50.0, 50.0)),
        ValueError,
        "has no gradient in coordinate 2 of x, .* needs a LogisticMixture",
    ),
    "levels": (
        lambda: teacher(families.DiscretisedLogisticMixture(2, levels=5, low=0.0, high=4.0)),
        ValueError,
        "Dequantise",
    ),
    "a wrong shape": (Broken(lambda p, x: x), ValueError, "returned shape"),
    "NaN": (Broken(lambda p, x: p * math.nan), ValueError, "is NaN at draws"),
    "no gradient": (Broken(lambda p, x: p.detach()), ValueError, "has no gradient in x"),
    "density zero": (
        Broken(lambda p, x: p.masked_fill(x[..., 0] < 0, -math.inf)),
        ValueError,
        "no density at .*% of the student's draws",
    ),
}


@pytest.mark.parametrize(("bad", "kind", "said"), REFUSED.values(), ids=REFUSED)
def test_a_pair_that_cannot_work_is_refused_before_the_first_step(bad: Any, kind: type[Exception], said: str) -> None:
    q = student()
    before = [parameter.detach().clone() for parameter in q.parameters()]
    made = bad() if callable(bad) and not isinstance(bad, nn.Module) and not hasattr(bad, "log_prob") else bad
    with pytest.raises(kind, match=said):
        distil(q, made, steps=1)
    assert all(torch.equal(a, b) for a, b in zip(q.parameters(), before, strict=True))


def test_asking_for_steps_that_are_not_there_names_the_layer() -> None:
    with pytest.raises(TypeError, match="order"):
        distil(student(layers=2, permutation=models.Reverse()), teacher(), objective=StepwiseKL(), steps=1)


def test_contexts_must_fit_both() -> None:
    conditional = student(context_features=2)
    with pytest.raises(ValueError, match="the student takes a context of 2: pass contexts"):
        distil(conditional, teacher(), steps=1)
    with pytest.raises(ValueError, match="the teacher takes no context"):
        distil(conditional, teacher(), contexts=torch.zeros(5, 2), steps=1)
    with pytest.raises(TypeError, match="must be a model of ours"):
        distil(conditional, Normal(D), contexts=torch.zeros(5, 2), steps=1)

"""A student of its teacher's shape, and the start that teaches its layers one by one."""

from typing import Any

import pytest
import torch
from torch import nn

import counterflow as cf
from counterflow import bases, bijections, conditioners, families, models, univariate
from counterflow.distillation import (
    Convolutional,
    Masked,
    MatchedLayers,
    OtherContexts,
    PathKL,
    ReverseKL,
    Sum,
    certify,
    distil,
    student_of,
)
from counterflow.distillation.stages import passage, stages_of, steps_through
from counterflow.testing import perturb_
from distillation.laws_of_normals import seeded

D = 3
SMALL = Masked((32, 32))


def in_units(model: Any) -> cf.Flow:
    """On (0, inf) x (-1, 2) x the line."""
    outer = bijections.bounded([0.0, -1.0, -float("inf")], [float("inf"), 2.0, float("inf")])
    inner = model.bijection if isinstance(model, cf.Flow) else bijections.Standardise([0.0] * D, [1.0] * D)
    base = model.base if isinstance(model, cf.Flow) else model
    return cf.Flow(base, cf.Chain([inner, bijections.Standardise([0.3] * D, [0.5] * D), outer]))


def autoregressive(network: Any, family: Any) -> cf.AutoregressiveModel:
    return cf.AutoregressiveModel(network(D, family.num_params), family)


def conv(features: int, num_params: int) -> conditioners.CausalConv:
    return conditioners.CausalConv(features, num_params, 8)


def attention(features: int, num_params: int) -> conditioners.CausalAttention:
    return conditioners.CausalAttention(features, num_params, 8, layers=1, heads=2)


TEACHERS: dict[str, Any] = {
    "maf": lambda: models.maf(D, layers=2, hidden=(16,)),
    "nsf": lambda: models.nsf(D, layers=2, hidden=(16,), univariate=univariate.RationalQuadratic(bins=4)),
    "made": lambda: models.made(D, hidden=(16,)),
    "made of mixtures": lambda: models.made_mog(D, components=3, hidden=(16,)),
    "maf over a made of mixtures": lambda: models.maf_mog(D, components=3, layers=1, hidden=(16,)),
    "recommended": lambda: models.recommended(D),
    "convolution": lambda: autoregressive(conv, families.LogisticMixture(2)),
    "attention": lambda: autoregressive(attention, families.Logistic()),
    "maf in units": lambda: in_units(models.maf(D, layers=2, hidden=(16,))),
    "convolution in units": lambda: in_units(autoregressive(conv, families.LogisticMixture(2))),
}


def made(name: str) -> Any:
    torch.manual_seed(0)
    teacher = TEACHERS[name]()
    with torch.no_grad():
        before = [p.clone() for p in teacher.parameters()]
        perturb_(teacher, seeded(1))
        for parameter, old in zip(teacher.parameters(), before, strict=True):
            parameter.copy_(old + 0.3 * (parameter - old))
    return teacher.eval()


QUICK = ("maf", "made of mixtures", "convolution in units")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in TEACHERS])
def test_a_student_of_the_teachers_shape_is_taught_by_its_layers(name: str) -> None:
    p = made(name)
    torch.manual_seed(1)
    q = student_of(p, network=SMALL)
    rows = p.sample(4000, generator=seeded(2))
    before = certify(q, p, 2000, generator=seeded(3)).kl.mean
    distil(q, p, objective=MatchedLayers(rows, 128), steps=150, learning_rate=1e-2, held_out=1024)
    after = certify(q, p, 4000, generator=seeded(3)).kl
    assert after.mean < max(0.02, 0.35 * before) + 3 * after.standard_error


@pytest.mark.parametrize("name", ["maf", "convolution", "maf in units", "recommended"])
def test_its_draws_and_scores_agree_and_lie_where_the_teacher_lives(name: str) -> None:
    p = made(name).double()
    q = student_of(p, network=SMALL)
    x, log_q = q.rsample_and_log_prob(50, generator=seeded(0))
    assert torch.allclose(q.log_prob(x), log_q, atol=1e-6)
    assert bool(p.log_prob(x).isfinite().all())


@pytest.mark.parametrize("name", ["maf", "nsf", "made of mixtures", "attention", "recommended"])
def test_a_passage_is_the_teachers_own_map_with_its_slopes(name: str) -> None:
    p = made(name).double()
    x = p.sample(20, generator=seeded(0))
    base, stages = stages_of(p)
    log_det = torch.zeros(20, dtype=torch.float64)
    for stage in reversed(stages):
        if not steps_through(stage):
            x, step = stage.inverse(x)  # type: ignore[union-attr]
            log_det = log_det + step
            continue
        way = passage(stage, x, None)
        if not isinstance(stage, cf.AutoregressiveModel):
            again, slope = stage(way.before)
            assert torch.allclose(again, x, atol=1e-9)
            assert torch.allclose(slope, way.log_slope.sum(-1), atol=1e-9)
        x, log_det = way.before, log_det - way.log_slope.sum(-1)
    scored = base.to(x).log_prob(x) + log_det
    torch.manual_seed(0)
    assert torch.allclose(scored, p.log_prob(p.sample(20, generator=seeded(0))), atol=1e-7)


def test_layers_equal_to_the_teachers_are_matched_exactly() -> None:
    """A teacher whose layers are shifts and scales that read nothing has a student that is the same map."""
    p = models.maf(D, layers=2, hidden=(8,)).double()
    q = student_of(p, network=Masked((8,)))
    for theirs, ours in zip(reversed(_conditioners(p)), _conditioners(q), strict=True):
        with torch.no_grad():
            for network in (theirs, ours):
                for parameter in network.parameters():
                    parameter.zero_()
            theirs.out.bias.normal_(generator=seeded(4))
            ours.out.bias.copy_(theirs.out.bias)
    rows = p.sample(100, generator=seeded(5))
    with torch.no_grad():
        assert float(MatchedLayers(rows)(q, p, generator=seeded(6))) == pytest.approx(0, abs=1e-20)
        _conditioners(q)[0].out.bias[0] += 0.1
        assert float(MatchedLayers(rows)(q, p, generator=seeded(6))) > 1e-4


def _conditioners(model: Any) -> list[cf.MaskedMLP]:
    return [module for module in model.modules() if isinstance(module, cf.MaskedMLP)]


def test_the_scale_of_an_autoregressive_teacher_is_that_of_its_draws() -> None:
    base = autoregressive(conv, families.Normal())
    p = cf.Flow(base, bijections.Standardise([100.0] * D, [1e3] * D))
    with torch.no_grad():
        for parameter in base.conditioner.head.parameters():
            parameter.zero_()
        base.conditioner.head.bias.copy_(torch.tensor([5.0, 1.0]))
    q = student_of(p, network=Convolutional(8), generator=seeded(0))
    x, y = q.sample(4000, generator=seeded(1)), p.sample(4000, generator=seeded(2))
    assert torch.allclose(x.mean(0), y.mean(0), rtol=0.15)
    assert torch.allclose(x.std(0), y.std(0), rtol=0.3)


def test_a_conditional_teacher_is_matched_for_all_contexts() -> None:
    torch.manual_seed(0)
    units = conditioners.ContextUnits([0.0, 0.0], [1.0, 1.0], [False, False])
    p = models.maf(D, 2, layers=2, hidden=(16,), context_encoder=units)
    perturb_(p, seeded(1))
    contexts = torch.randn(500, 2)
    q = student_of(p, network=SMALL, contexts=contexts)
    x = p.sample((), contexts, generator=seeded(2))

    def forward_kl() -> float:
        with torch.no_grad():
            return float((p.log_prob(x, contexts) - q.log_prob(x, contexts)).mean())

    before = forward_kl()
    distil(
        q, p, objective=MatchedLayers(num_samples=1), contexts=contexts, batch_size=128, steps=150, learning_rate=1e-2
    )
    assert forward_kl() < 0.2 * before


def test_the_contrastive_term_is_minus_the_divergence_from_another_context() -> None:
    torch.manual_seed(0)
    p = models.maf(D, 1, layers=1, hidden=(16,))
    q = student_of(p, network=SMALL, contexts=torch.randn(10, 1))
    c = torch.tensor([[0.5], [-2.0]])
    term = OtherContexts(ReverseKL(50))(q.given(c), p.given(c), generator=seeded(1))
    seeded_again = seeded(1)
    torch.randint(1, 2, (), generator=seeded_again)
    expected = -ReverseKL(50)(q.given(c), p.given(c.flip(0)), generator=seeded_again)
    assert torch.allclose(term, expected)
    both = Sum(((1.0, ReverseKL(4)), (0.3, OtherContexts(ReverseKL(4)))))
    distil(q, p, objective=both, contexts=torch.randn(20, 1), batch_size=8, steps=3)
    with pytest.raises(ValueError, match="two contexts in a batch, got one"):
        OtherContexts()(q.given(c[:1]), p.given(c[:1]))
    with pytest.raises(TypeError, match="compares contexts"):
        OtherContexts()(models.iaf(D), models.maf(D))


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        (lambda: models.realnvp(D, layers=2, hidden=(8,)), "samples in one pass already"),
        (lambda: models.iaf(D, layers=2, hidden=(8,)), "samples in one pass already"),
        (lambda: models.made(D, hidden=(8,), members=2), "made of a Ensemble"),
        (lambda: models.maf(D, layers=1, hidden=(8,), base=bases.NormalMixtureBase(D)), "NormalMixtureBase, without"),
        (lambda: autoregressive(lambda d, p: cf.MaskedMLP(d, p, (8,)), families.Bernoulli()), "Bernoulli"),
    ],
)
def test_a_teacher_of_another_make_is_refused(teacher: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        student_of(teacher())


def test_a_student_of_another_shape_is_refused() -> None:
    p = models.maf(D, layers=2, hidden=(8,))
    with pytest.raises(ValueError, match="layers are not those of its teacher"):
        MatchedLayers()(models.iaf(D, layers=3, hidden=(8,)), p)
    with pytest.raises(ValueError, match="pass contexts"):
        student_of(cf.AutoregressiveModel(cf.MaskedMLP(D, 2, (8,), 1), families.Normal()))
    with pytest.raises(TypeError, match="student as a model of ours"):
        MatchedLayers()(nn.Linear(1, 1), p)


def test_a_matched_start_is_polished_by_the_density() -> None:
    p = models.maf(D, layers=2, hidden=(16,))
    perturb_(p, seeded(3))
    torch.manual_seed(2)
    q = student_of(p, network=SMALL)
    distil(q, p, objective=MatchedLayers(p.sample(4000, generator=seeded(0)), 128), steps=60, learning_rate=1e-2)
    started = certify(q, p, 4000, generator=seeded(1)).kl.mean
    distil(q, p, objective=PathKL(128), steps=100, learning_rate=2e-3)
    assert certify(q, p, 4000, generator=seeded(1)).kl.mean < 0.8 * started

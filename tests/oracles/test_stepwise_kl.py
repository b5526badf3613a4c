"""The stepwise divergences against the closed form of two multivariate normals, and the single-draw estimate."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

import counterflow as cf
from counterflow import bases, families, models, univariate
from counterflow.objectives import stepwise_kl, stepwise_kl_normal, stepwise_terms

D = 4


def linear_net(seed: int, num_params: int = 2) -> cf.MaskedMLP:
    """Row i of the means is linear in x_<i; the other parameters are constants."""
    generator = torch.Generator().manual_seed(seed)
    net = cf.MaskedMLP(D, num_params, (12,), activation=nn.Identity()).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.6 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        net.out.weight[D:] = 0  # rows lie parameter by parameter: means first
        net.out.bias[D:] = 0.4 * torch.randn(len(net.out.bias) - D, generator=generator, dtype=torch.float64)
    return net


def teacher(seed: int) -> cf.AutoregressiveModel:
    return cf.AutoregressiveModel(linear_net(seed), families.Normal(univariate.Exp()))


def student(seed: int) -> cf.Flow:
    layer = cf.Autoregressive(linear_net(seed), univariate.Affine(univariate.Exp()))
    return cf.Flow(bases.StandardNormal(D).double(), layer)


def as_normal(draw: cf.Flow | cf.AutoregressiveModel) -> MultivariateNormal:
    """An affine image of normal noise, measured at D + 1 points of the noise."""
    if isinstance(draw, cf.AutoregressiveModel):
        layer = cf.Autoregressive(draw.conditioner, univariate.Affine(univariate.Exp()))
        flow = cf.Flow(bases.StandardNormal(D).double(), Flipped(layer))
        draw = flow
    u = torch.cat([torch.zeros(1, D), torch.eye(D)]).double()
    with torch.no_grad():
        x, _ = draw.bijection.forward(u)
    loc, columns = x[0], (x[1:] - x[0]).T
    return MultivariateNormal(loc, columns @ columns.T)


class Flipped(cf.Bijection):
    """x_i = mu(x_<i) + sigma u_i: the noise of an autoregressive model, one coordinate after the other."""

    def __init__(self, layer: cf.Autoregressive) -> None:
        super().__init__()
        self.layer, self.features, self.context_features = layer, layer.features, 0

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = torch.zeros_like(u)
        for i in range(self.features):
            mu, raw = self.layer.conditioner(x)[..., i, :].unbind(-1)
            x = x.clone()
            x[..., i] = mu + raw.exp() * u[..., i]
        return x, torch.zeros_like(u[..., 0])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


def affine_student(seed: int) -> tuple[cf.Flow, MultivariateNormal]:
    q = student(seed)
    return q, as_normal(q)


def test_both_forms_are_the_divergence_of_two_normals() -> None:
    """Within 5 standard errors: a false alarm about once in two million runs of a random seed."""
    p, (q, q_normal) = teacher(1), affine_student(2)
    truth = float(kl_divergence(q_normal, as_normal(p)))
    steps = cf.as_autoregressive(q)
    for name, estimate in (
        ("closed", lambda g: stepwise_kl_normal(steps, p, 2000, generator=g)),
        ("draws", lambda g: stepwise_kl(steps, p, 2000, draws=8, generator=g)),
        ("single", lambda g: cf.reverse_kl(q, p, 2000, generator=g)),
    ):
        values = torch.stack([estimate(torch.Generator().manual_seed(s)) for s in range(30)]).detach()
        error = float(values.std()) / math.sqrt(len(values))
        assert abs(float(values.mean()) - truth) < 5 * error, name
        assert truth > 20 * error, name  # the test could tell a wrong number


def test_gradients_of_all_forms_agree_on_average() -> None:
    p, (q, _) = teacher(3), affine_student(4)
    steps = cf.as_autoregressive(q)

    def mean_gradient(loss: Tensor) -> Tensor:
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(q.parameters()))])

    single = mean_gradient(cf.reverse_kl(q, p, 200_000, generator=torch.Generator().manual_seed(0)))
    closed = mean_gradient(stepwise_kl_normal(steps, p, 200_000, generator=torch.Generator().manual_seed(1)))
    drawn = mean_gradient(stepwise_kl(steps, p, 50_000, draws=4, generator=torch.Generator().manual_seed(2)))
    scale = float(closed.norm())
    assert float((single - closed).norm()) < 0.03 * scale
    assert float((drawn - closed).norm()) < 0.03 * scale


def test_gradient_noise_falls_from_one_draw_to_fresh_draws_to_the_closed_form() -> None:
    p, (q, _) = teacher(5), affine_student(5)
    steps = cf.as_autoregressive(q)

    def noise(estimate: object) -> float:
        found = []
        for seed in range(40):
            loss = estimate(torch.Generator().manual_seed(seed))  # type: ignore[operator]
            found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(q.parameters()))]))
        return float(torch.stack(found).std(0).norm())

    single = noise(lambda g: cf.reverse_kl(q, p, 64, generator=g))
    drawn = noise(lambda g: stepwise_kl(steps, p, 64, draws=16, generator=g))
    closed = noise(lambda g: stepwise_kl_normal(steps, p, 64, generator=g))
    assert single > 1.5 * drawn
    assert drawn > closed


def test_the_regulariser_adds_the_squared_distance_of_log_scales() -> None:
    p, (q, _) = teacher(6), affine_student(7)
    steps = cf.as_autoregressive(q)
    plain, ruled = (
        stepwise_kl_normal(steps, p, 10, regulariser=r, generator=torch.Generator().manual_seed(0)) for r in (0.0, 4.0)
    )
    apart = p.conditioner.out.bias[D:] - q.bijection.conditioner.out.bias[D:]
    expected = 4 * float(apart.detach().square().sum())
    assert float((ruled - plain).detach()) == pytest.approx(expected, rel=1e-9)


def test_equal_densities_have_no_divergence_at_any_single_draw() -> None:
    flow = models.iaf(D, layers=2, hidden=(16,), permutation=None).double()
    steps = cf.as_autoregressive(flow)
    terms = stepwise_terms(steps, cf.detached(steps), 50, draws=3, generator=torch.Generator().manual_seed(0))
    normal = stepwise_kl_normal(steps, cf.detached(steps), 50, generator=torch.Generator().manual_seed(0))
    assert float(normal.detach()) == pytest.approx(0.0, abs=1e-12)
    assert float((terms.cross_entropy - terms.entropy).sum(-1).mean().detach()) == pytest.approx(0.0, abs=1.0)


def test_entropy_of_a_spline_student_comes_from_its_draws() -> None:
    flow = models.iaf(D, layers=1, hidden=(16,), permutation=None, univariate=univariate.RationalQuadratic(bins=4))
    steps, p = cf.as_autoregressive(flow.double()), teacher(1)
    a = stepwise_kl(steps, p, 4000, draws=8, generator=torch.Generator().manual_seed(0))
    b = cf.reverse_kl(flow, p, 20_000, generator=torch.Generator().manual_seed(1))
    assert float(a.detach()) == pytest.approx(float(b.detach()), rel=0.05)


def test_conditional_densities_are_given_their_context() -> None:
    net = cf.MaskedMLP(D, 2, (16,), context_features=2).double()
    p = cf.AutoregressiveModel(net, families.Normal())
    flow = models.iaf(D, 2, layers=1, hidden=(16,), permutation=None).double()
    context = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    steps = cf.as_autoregressive(flow.given(context))
    terms = stepwise_terms(steps, p.given(context), 7, generator=torch.Generator().manual_seed(0))
    assert terms.cross_entropy.shape == terms.entropy.shape == terms.x.shape == (7, 5, D)


def test_two_orders_are_refused_by_name() -> None:
    p = cf.AutoregressiveModel(cf.MaskedMLP(D, 2, (16,), order=(3, 2, 1, 0)), families.Normal())
    steps = cf.as_autoregressive(models.iaf(D, layers=1, hidden=(16,), permutation=None))
    with pytest.raises(ValueError, match=r"in the order \(0, 1, 2, 3\), the teacher in \(3, 2, 1, 0\)"):
        stepwise_kl(steps, p)


def test_steps_that_are_not_normal_have_no_closed_form() -> None:
    p = cf.AutoregressiveModel(cf.MaskedMLP(D, 6, (16,)), families.LogisticMixture(2))
    steps = cf.as_autoregressive(models.iaf(D, layers=1, hidden=(16,), permutation=None))
    with pytest.raises(TypeError, match=r"of the teacher are not normal \(LogisticMixture\): use stepwise_kl"):
        stepwise_kl_normal(steps, p)

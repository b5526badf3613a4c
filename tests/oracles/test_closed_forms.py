"""Laws of one coordinate, bases and linear maps against closed forms that others have written."""

import math

import pytest
import torch
from torch import distributions as td

import counterflow as cf
from counterflow import bases, bijections, families, univariate
from counterflow.testing import perturb_


def near(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-10) -> bool:
    return torch.allclose(found.detach(), expected.detach(), rtol=tolerance, atol=tolerance)


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    module = module.double()
    perturb_(module, torch.Generator().manual_seed(1))
    return module


X = torch.linspace(-30, 30, 121, dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.3, -0.1], dtype=torch.float64)


class Linear(cf.Conditioner):
    """mu_i = sum_{j<i} A_ij x_j + b_i, log sigma_i a constant: the Gaussian autoregressive model."""

    num_params = 2

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.context_features = features, 0
        generator = torch.Generator().manual_seed(0)
        self.a = torch.nn.Parameter(torch.randn(features, features, generator=generator, dtype=torch.float64).tril(-1))
        self.b = torch.nn.Parameter(torch.randn(features, generator=generator, dtype=torch.float64))
        self.s = torch.nn.Parameter(0.5 * torch.randn(features, generator=generator, dtype=torch.float64))

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        return torch.stack([x @ self.a.T + self.b, self.s.expand(x.shape)], -1)

    def multivariate_normal(self) -> td.MultivariateNormal:
        """x = A x + b + S e, so x = (I - A)^-1 (b + S e)."""
        inverse = torch.linalg.inv(torch.eye(self.features, dtype=torch.float64) - self.a)
        return td.MultivariateNormal(inverse @ self.b, scale_tril=(inverse @ torch.diag(self.s.exp())).tril())


def test_gaussian_autoregressive_model_is_the_multivariate_normal() -> None:
    net = Linear(5)
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    model = cf.AutoregressiveModel(net, families.Normal(univariate.Exp()))
    assert near(model.log_prob(x), net.multivariate_normal().log_prob(x))


def test_gaussian_autoregressive_flow_is_the_multivariate_normal() -> None:
    net = Linear(5)
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    maf = cf.Inverse(cf.Autoregressive(net, univariate.Affine(univariate.Exp()).inverted))
    flow = cf.Flow(bases.StandardNormal(5).double(), maf)
    assert near(flow.log_prob(x), net.multivariate_normal().log_prob(x))


def test_entropies_of_a_gaussian_model_sum_to_that_of_the_multivariate_normal() -> None:
    net = Linear(4)
    model = cf.AutoregressiveModel(net, families.Normal(univariate.Exp()))
    rows = model.conditionals(torch.zeros(1, 4, dtype=torch.float64)).entropy()
    assert near(rows.sum(-1), net.multivariate_normal().entropy()[None])


def test_student_t_base_is_torchs() -> None:
    base = perturbed(bases.StudentT(3, degrees_of_freedom=3.0))
    assert near(base.log_prob(X), td.StudentT(base.nu).log_prob(X).sum(-1))


def test_draws_of_a_student_t_move_with_its_degrees_of_freedom() -> None:
    """E u^2 = nu / (nu - 2), so its gradient is -2 / (nu - 2)^2: within 5 standard errors (error rate 1e-6)."""
    base = bases.StudentT(1, degrees_of_freedom=12.0).double()
    u, _ = base.rsample_and_log_prob((200_000,), generator=torch.Generator().manual_seed(0))
    slope = torch.autograd.grad((u * u).mean(), base.raw)[0] / torch.sigmoid(base.raw)  # d nu / d raw
    # 0.1 bounds the standard deviation of one draw's gradient: 0.087 in 200 batches of 1000 draws.
    assert abs(float(slope.detach()) + 2 / 100) < 5 * 0.1 / 200_000**0.5


def test_standard_logistic_base_is_the_logistic_law() -> None:
    base = bases.StandardLogistic(3).double()
    uniform = td.Uniform(torch.tensor(0.0).double(), torch.tensor(1.0).double())
    logistic = td.TransformedDistribution(uniform, [td.SigmoidTransform().inv])
    assert near(base.log_prob(X[40:80]), logistic.log_prob(X[40:80]).sum(-1), 1e-6)


def test_logistic_tails_are_linear_far_out() -> None:
    base = bases.StandardLogistic(1).double()
    assert near(base.log_prob(torch.tensor([[1e4], [-1e4]], dtype=torch.float64)), torch.tensor([-1e4, -1e4]).double())


@pytest.mark.parametrize("name", ["StandardNormal", "DiagonalNormal", "StandardLogistic", "Uniform"])
def test_entropy_of_a_base_is_its_mean_surprise(name: str) -> None:
    """Within 5 standard errors of 40,000 draws (error rate 1e-6)."""
    base = perturbed(getattr(bases, name)(2))
    _, log_prob = base.rsample_and_log_prob((40_000,), generator=torch.Generator().manual_seed(0))
    error = log_prob.std() / 200 + 1e-12
    assert float((log_prob.mean() + base.entropy_rows().sum()).abs().detach()) <= float(5 * error.detach())


def test_normal_mixture_base_is_torchs() -> None:
    base = perturbed(bases.NormalMixtureBase(3, 4))
    parts = td.Independent(td.Normal(base.loc, base.log_scale.exp()), 1)
    assert near(base.log_prob(X), td.MixtureSameFamily(td.Categorical(logits=base.logits), parts).log_prob(X))


def test_normal_mixture_family_is_torchs() -> None:
    params = torch.randn(121, 3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits, mu, raw = params.chunk(3, -1)
    family = families.NormalMixture(4, univariate.Exp())
    expected = td.MixtureSameFamily(td.Categorical(logits=logits), td.Normal(mu, raw.exp()))
    assert near(family.log_prob(X, params), expected.log_prob(X))


def test_bernoulli_family_is_torchs() -> None:
    a = torch.linspace(-20, 20, 41, dtype=torch.float64)
    for value in (0.0, 1.0):
        x = torch.full_like(a, value)
        assert near(families.Bernoulli().log_prob(x, a[:, None]), td.Bernoulli(logits=a).log_prob(x))
    assert near(families.Bernoulli().entropy(a[:, None]), td.Bernoulli(logits=a).entropy(), 1e-7)


def test_bernoulli_refuses_what_is_not_binary() -> None:
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        families.Bernoulli().log_prob(torch.tensor([0.5]), torch.zeros(1, 1))


def test_lu_linear_is_its_matrix() -> None:
    lu = perturbed(bijections.LULinear(4))
    u = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    zero = lu(torch.zeros(1, 4, dtype=torch.float64))[0]
    matrix = (lu(torch.eye(4, dtype=torch.float64))[0] - zero).T
    x, log_det = lu(u)
    assert near(x, u @ matrix.T + zero)
    assert near(log_det, torch.linalg.slogdet(matrix).logabsdet.expand(6))


def test_coupling_leaves_the_kept_coordinates_and_reads_only_those() -> None:
    kept = (True, False, True, False)
    layer = perturbed(cf.Coupling(kept, cf.conditioners.MLP(2, 4, (16,)), univariate.Affine()))
    u = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    x, _ = layer(u)
    assert torch.equal(x[:, [0, 2]], u[:, [0, 2]])
    for i, other in ((1, 3), (3, 1)):
        assert bool((torch.autograd.grad(x[:, i].sum(), u, retain_graph=True)[0][:, other] == 0).all())


def test_act_norm_standardises_what_it_was_initialised_on() -> None:
    x = 3 + 2 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    for chain in (cf.Chain([bijections.ActNorm(3)]), cf.Inverse(bijections.ActNorm(3))):
        chain.initialise_(x)
        u, _ = chain.inverse(x)
        assert near(u.mean(0), torch.zeros(3), 1e-5)
        assert near(u.std(0), torch.ones(3), 1e-5)


def test_act_norm_names_a_constant_column() -> None:
    with pytest.raises(ValueError, match="column 1 is constant"):
        bijections.ActNorm(2).initialise_(torch.tensor([[1.0, 5.0], [2.0, 5.0]]))


def test_logit_density_is_the_logit_normal() -> None:
    flow = cf.Flow(bases.StandardNormal(1).double(), bijections.logit(1, margin=0.0))
    x = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)[:, None]
    assert near(
        flow.log_prob(x),
        td.LogisticNormal(torch.zeros(1).double(), torch.ones(1).double()).log_prob(torch.cat([x, 1 - x], -1)),
        1e-6,
    )


def test_softplus_density_near_its_bound_keeps_its_digits() -> None:
    """At x = 1e-12 the inverse of softplus is log(expm1(x)) = log x to first order."""
    t = univariate.HalfLine()
    u, log_slope = t.inverse(torch.tensor([1e-12], dtype=torch.float64), torch.empty(1, 0, dtype=torch.float64))
    assert math.isclose(float(u), math.log(1e-12), rel_tol=1e-12)
    assert math.isclose(float(log_slope), -math.log(1e-12), rel_tol=1e-10)

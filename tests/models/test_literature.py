"""What the literature states about the classical models, each statement a test in float64."""

import math

import pytest
import torch
from torch import Tensor

import counterflow as cf
from counterflow.bijections import Autoregressive, Chain, Coupling, Inverse, Rescale
from counterflow.conditioners import MLP, Conditioner, MaskedMLP
from counterflow.families import Normal
from counterflow.univariate import Additive, Affine, Exp

D = 5


@pytest.fixture(autouse=True)
def _double() -> object:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


def randomised(module: torch.nn.Module, scale: float = 0.5) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
    return module


def test_gaussian_autoregressive_model_is_an_autoregressive_flow_with_a_normal_base() -> None:
    made = cf.models.made(D, 2, hidden=(16, 16))
    randomised(made)
    stack = Inverse(Autoregressive(made.conditioner, Affine().inverted))
    flow = cf.Flow(cf.bases.StandardNormal(D), stack)
    x, c = torch.randn(7, D), torch.randn(7, 2)
    torch.testing.assert_close(flow.log_prob(x, c), made.log_prob(x, c), rtol=1e-12, atol=1e-12)
    draws = [m.rsample_and_log_prob((3,), c, generator=torch.Generator().manual_seed(1)) for m in (made,)]
    torch.testing.assert_close(flow.log_prob(draws[0][0], c), draws[0][1], rtol=1e-11, atol=1e-11)


class _LinearGaussian(Conditioner):
    """mu_i = sum_{j<i} A_ij x_j and a constant log sigma: every joint is a multivariate normal in closed form."""

    num_params = 2
    context_features = 0

    def __init__(self, weights: Tensor, log_sigma: Tensor) -> None:
        super().__init__()
        self.features = len(log_sigma)
        self.weights = torch.nn.Parameter(weights.tril(-1))
        self.log_sigma = torch.nn.Parameter(log_sigma)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.stack([x @ self.weights.mT, self.log_sigma.expand_as(x)], -1)


def test_linear_gaussian_autoregressive_model_is_the_multivariate_normal() -> None:
    conditioner = _LinearGaussian(torch.randn(D, D), 0.3 * torch.randn(D))
    model = cf.AutoregressiveModel(conditioner, Normal(Exp()))
    # x = A x + S e, so x = (I - A)^-1 S e
    factor = torch.linalg.inv(torch.eye(D) - conditioner.weights) @ torch.diag(conditioner.log_sigma.exp())
    factor = factor.detach().tril()  # rounding leaves 1e-16 above the diagonal
    truth = torch.distributions.MultivariateNormal(torch.zeros(D), scale_tril=factor)
    x = torch.randn(50, D)
    torch.testing.assert_close(model.log_prob(x), truth.log_prob(x), rtol=1e-12, atol=1e-12)
    entropy = model.conditionals(x).entropy().sum(-1)
    torch.testing.assert_close(entropy, truth.entropy().expand(50), rtol=1e-12, atol=1e-12)


class _Flipped(Conditioner):
    """(mu, a) -> (-mu / sigma, -a): the other parametrisation of the same affine layer."""

    def __init__(self, inner: Conditioner) -> None:
        super().__init__()
        self.inner = inner
        self.features, self.context_features, self.num_params = inner.features, inner.context_features, 2

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        mu, a = self.inner(x, context).unbind(-1)
        return torch.stack([-mu * torch.exp(-a), -a], -1)


def test_maf_and_iaf_are_inverses_under_reciprocal_scale_and_negated_shift() -> None:
    conditioner = randomised(MaskedMLP(D, 2, (16,)))
    maf = Inverse(Autoregressive(conditioner, Affine(Exp()).inverted))  # u = (x - mu(x)) / sigma(x)
    iaf = Autoregressive(_Flipped(conditioner), Affine(Exp()))  # x~ = mu~ + sigma~ u~ with mu~, sigma~ of u~
    x = torch.randn(9, D)
    u, log_det = maf.inverse(x)
    v, log_det_iaf = iaf(x)  # the IAF's generating direction, fed with data, normalises it
    torch.testing.assert_close(v, u, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_det_iaf, log_det, rtol=1e-12, atol=1e-12)
    back, _ = maf(v)
    torch.testing.assert_close(back, x, rtol=1e-10, atol=1e-10)


class _CouplingConditioner(Conditioner):
    """Rows before d are constants of the identity, rows from d on read x_<d only: a coupling layer as a conditioner."""

    def __init__(self, network: MLP, d: int) -> None:
        super().__init__()
        self.network, self.d = network, d
        self.features, self.context_features, self.num_params = D, 0, 2

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        rest = D - self.d
        params = self.network(x[..., : self.d]).reshape(*x.shape[:-1], 2, rest).transpose(-1, -2)
        return torch.cat([torch.zeros_like(x[..., : self.d, None].expand(*x.shape[:-1], self.d, 2)), params], -2)


@pytest.mark.parametrize("inverted", [False, True], ids=["iaf", "maf"])
def test_one_affine_coupling_layer_is_an_autoregressive_layer_that_reads_only_the_first_d(inverted: bool) -> None:
    d = 2
    network = MLP(d, 2 * (D - d), (8,))
    randomised(network)
    univariate = Affine().inverted if inverted else Affine()
    coupling: cf.Bijection = Coupling((True,) * d + (False,) * (D - d), network, univariate)
    layer: cf.Bijection = Autoregressive(_CouplingConditioner(network, d), univariate)
    if inverted:
        coupling, layer = Inverse(coupling), Inverse(layer)
    u = torch.randn(11, D)
    for direction in ("forward", "inverse"):
        expected, log_det = getattr(coupling, direction)(u)
        value, log_det_layer = getattr(layer, direction)(u)
        torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(log_det_layer, log_det, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(value[..., :d], u[..., :d], rtol=0, atol=0)
    jacobian = torch.autograd.functional.jacobian(lambda v: coupling(v)[0], u[0])
    rest = jacobian[d:, d:]
    torch.testing.assert_close(rest, torch.diag(rest.diagonal()), rtol=0, atol=0)


def test_nice_preserves_volume_before_rescaling() -> None:
    nice = randomised(cf.models.nice(D, hidden=(16,)))
    rescale, *couplings = nice.bijection.parts
    assert isinstance(rescale, Rescale)
    assert all(isinstance(part.univariate, Additive) for part in couplings)
    u = torch.randn(6, D)
    _, log_det = Chain(couplings)(u)
    assert torch.equal(log_det, torch.zeros(6))
    torch.testing.assert_close(nice.bijection(u)[1], rescale.log_scale.sum().expand(6), rtol=0, atol=1e-15)


@pytest.mark.parametrize("build", [cf.models.maf, cf.models.iaf], ids=["maf", "iaf"])
def test_affine_layers_in_one_order_compose_to_one_map_with_the_product_of_scales(build: object) -> None:
    flow = build(D, hidden=(16,), layers=3, permutation=None)  # type: ignore[operator]
    randomised(flow)
    x = flow.sample(20, generator=torch.Generator().manual_seed(0))
    u, log_det = flow.bijection.inverse(x)
    laws = cf.as_autoregressive(flow).conditionals(x)
    mu, log_sigma = laws.params.unbind(-1)
    torch.testing.assert_close(mu + log_sigma.exp() * u, x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_sigma.sum(-1), -log_det, rtol=1e-9, atol=1e-9)
    # Each row's map reads only the rows before it: changing x_i leaves mu_<=i and sigma_<=i alone.
    changed = x.clone()
    changed[:, 2] += 1.0
    moved = cf.as_autoregressive(flow).conditionals(changed).params
    torch.testing.assert_close(moved[:, :3], laws.params[:, :3], rtol=1e-9, atol=1e-9)
    assert not torch.allclose(moved[:, 3:], laws.params[:, 3:])


def test_kl_duality_holds_in_closed_form_for_an_affine_flow() -> None:
    """KL(pi || p_theta) = KL(f^-1# pi || p_u) for a Gaussian pi and a flow x = loc + scale u."""
    mean, std = torch.tensor([0.3, -1.0]), torch.tensor([0.7, 2.0])
    loc, scale = torch.tensor([-0.2, 0.5]), torch.tensor([1.3, 0.4])
    normal = torch.distributions.Normal
    in_data = torch.distributions.kl_divergence(normal(mean, std), normal(loc, scale)).sum()
    flow = cf.Flow(cf.bases.StandardNormal(2), cf.bijections.Standardise(loc.tolist(), scale.tolist()))
    assert float(flow.log_prob(loc)) == pytest.approx(float(normal(loc, scale).log_prob(loc).sum()), abs=1e-12)
    pushed = normal((mean - loc) / scale, std / scale)
    in_noise = torch.distributions.kl_divergence(pushed, normal(torch.zeros(2), torch.ones(2))).sum()
    torch.testing.assert_close(in_data, in_noise, rtol=1e-12, atol=1e-12)


def test_kl_duality_holds_by_monte_carlo_for_a_maf() -> None:
    """Both sides as averages over the same draws of pi, the pushed density through the change of variables."""
    flow = randomised(cf.models.maf(2, hidden=(8,), layers=2), 0.3)
    pi = torch.distributions.MultivariateNormal(torch.tensor([0.5, -0.5]), torch.tensor([[1.0, 0.4], [0.4, 0.6]]))
    x = pi.sample((4000,))
    with torch.no_grad():
        in_data = pi.log_prob(x) - flow.log_prob(x)
        u, _ = flow.bijection.inverse(x)
        # Density of the pushed law at u, found from the generating direction alone.
        x_again, log_det_back = flow.bijection(u)
        pushed = pi.log_prob(x_again) + log_det_back
        in_noise = pushed - flow.base.log_prob(u)
    torch.testing.assert_close(in_data, in_noise, rtol=1e-9, atol=1e-9)
    # And the estimate agrees with quadrature of the left side, error rate below 1e-4 (4 standard errors).
    grid = torch.linspace(-8, 8, 401)
    mesh = torch.cartesian_prod(grid, grid)
    with torch.no_grad():
        density = pi.log_prob(mesh)
        exact = (density.exp() * (density - flow.log_prob(mesh))).sum() * (grid[1] - grid[0]) ** 2
    assert abs(float(in_noise.mean() - exact)) < 4 * float(in_noise.std()) / math.sqrt(len(x))


def test_learnable_normal_base_has_gradients_under_either_kl() -> None:
    base = cf.bases.DiagonalNormal(2)
    flow = cf.models.iaf(2, hidden=(8,), layers=1, base=base)
    target = torch.distributions.Independent(torch.distributions.Normal(torch.ones(2), 0.5 * torch.ones(2)), 1)
    for objective in (
        lambda: cf.forward_kl(flow, target.sample((64,))),
        lambda: cf.reverse_kl(flow, target, 64, generator=torch.Generator().manual_seed(0)),
    ):
        flow.zero_grad()
        objective().backward()
        assert float(base.loc.grad.abs().min()) > 0
        assert float(base.log_scale.grad.abs().min()) > 0


def test_ensemble_of_orders_shares_weights_and_averages_probabilities() -> None:
    model = cf.models.made(D, hidden=(16, 16), members=3, generator=torch.Generator().manual_seed(0))
    randomised(model)
    first, second, third = model.members
    assert first.conditioner.out.weight is third.conditioner.out.weight
    assert len({m.conditioner.order for m in model.members}) > 1
    x = torch.randn(8, D)
    mean = torch.stack([m.log_prob(x).exp() for m in (first, second, third)]).mean(0)
    torch.testing.assert_close(model.log_prob(x).exp(), mean, rtol=1e-12, atol=0)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in first.parameters())


def test_tied_ensemble_stays_tied_after_a_checkpoint(tmp_path: object) -> None:
    model = cf.models.made(D, hidden=(16, 16), members=3, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "made.safetensors"  # type: ignore[operator]
    cf.save(path, model)
    again = cf.load(path)
    x = torch.randn(8, D)
    assert torch.equal(again.log_prob(x), model.log_prob(x))
    assert again.members[0].conditioner.out.weight is again.members[2].conditioner.out.weight


def test_a_layer_that_breaks_the_order_is_named() -> None:
    with pytest.raises(TypeError, match=r"bijection\.bijection\.parts\.1 \(Permutation\) breaks the order"):
        cf.as_autoregressive(cf.models.maf(D, hidden=(8,), layers=2))


@pytest.mark.parametrize("univariate", [None, cf.univariate.RationalQuadratic(4, 3.0)], ids=["affine", "spline"])
@pytest.mark.parametrize("build", [cf.models.maf, cf.models.iaf], ids=["maf", "iaf"])
def test_conditionals_of_a_one_order_flow_multiply_to_its_density(build: object, univariate: object) -> None:
    flow = build(D, 2, hidden=(16,), layers=2, permutation=None, univariate=univariate)  # type: ignore[operator]
    randomised(flow)
    c = torch.randn(6, 2)
    steps = cf.as_autoregressive(flow.given(c))
    x, laws = steps.rsample_and_conditionals((4,), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(laws.log_prob(x).sum(-1), flow.log_prob(x, c), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(steps.conditionals(x).log_prob(x).sum(-1), flow.log_prob(x, c), rtol=1e-8, atol=1e-8)
    fresh = laws.rsample((3,), generator=torch.Generator().manual_seed(1))
    assert fresh.shape == (3, 4, 6, D)
    assert bool(torch.isfinite(laws.log_prob(fresh)).all())

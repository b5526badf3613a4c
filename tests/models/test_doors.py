"""What models refuse, and what must survive the ways in which people handle modules."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow import models
from counterflow.bijections import ActNorm, bounded, logit

F = Callable[..., cf.Flow]


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        (nn.ReLU(inplace=True), "not in place"),
        (nn.PReLU(), "without parameters"),
        (nn.Softmax(-1), "mixes units"),
        (nn.RReLU(), "is random"),
    ],
    ids=["inplace", "parameters", "softmax", "random"],
)
def test_an_activation_that_is_not_elementwise_is_refused(activation: nn.Module, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        models.maf(3, hidden=(8,), activation=activation)


@pytest.mark.parametrize("name", ["Hardtanh", "GELU", "LeakyReLU", "Softplus", "ELU", "SiLU", "Tanh", "Threshold"])
def test_every_activation_of_torch_survives_a_checkpoint(name: str, tmp_path: object) -> None:
    activation = nn.Threshold(0.1, 0.2) if name == "Threshold" else getattr(nn, name)()
    flow = models.maf(3, hidden=(8,), activation=activation)
    path = tmp_path / "flow.safetensors"  # type: ignore[operator]
    cf.save(path, flow)
    x = torch.randn(5, 3)
    assert torch.equal(cf.load(path).log_prob(x), flow.log_prob(x))


class _Greedy(cf.Bijection):
    """A user's class whose constructor takes more than it keeps."""

    def __init__(self, features: int, **surplus: float) -> None:
        super().__init__()
        self.features = features
        self.factor = surplus.get("factor", 1.0)

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.factor * u, torch.zeros_like(u[..., 0])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x / self.factor, torch.zeros_like(x[..., 0])


def test_a_registered_class_that_does_not_keep_its_arguments_cannot_be_saved(tmp_path: object) -> None:
    greedy = cf.register(_Greedy)
    flow = cf.Flow(cf.bases.StandardNormal(2), greedy(2, factor=3.0))
    with pytest.raises(cf.SpecError, match="does not keep its constructor argument 'surplus'"):
        cf.save(tmp_path / "flow.safetensors", flow)  # type: ignore[operator]


def test_surplus_modules_at_load_are_refused(tmp_path: object) -> None:
    path = tmp_path / "flow.safetensors"  # type: ignore[operator]
    cf.save(path, models.maf(2, hidden=(4,)))
    with pytest.raises(cf.SpecError, match=r"no foreign module at \['encoder'\]"):
        cf.load(path, modules={"encoder": nn.Linear(2, 2)})


@pytest.mark.parametrize("encoder", [None, nn.Linear(4, 2)], ids=["plain", "encoder"])
def test_a_detached_given_flow_keeps_the_gradient_of_its_context(encoder: nn.Module | None) -> None:
    flow = models.maf(3, 2, hidden=(8,), context_encoder=encoder)
    c = torch.randn(5, 2 if encoder is None else 4, requires_grad=True)
    x = torch.randn(5, 3)
    expected = torch.autograd.grad(flow.log_prob(x, c).sum(), c)[0]
    given = cf.detached(flow.given(c))
    log_prob = given.log_prob(x)
    torch.testing.assert_close(torch.autograd.grad(log_prob.sum(), c)[0], expected)
    flow.zero_grad()
    cf.detached(flow.given(c)).log_prob(x).sum().backward()
    assert all(p.grad is None for p in flow.parameters())


@pytest.mark.parametrize(
    "module",
    [
        nn.GRU(3, 4, batch_first=True),
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)),
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)),
    ],
    ids=["gru", "weight-norm", "batch-norm"],
)
def test_detached_holds_for_modules_that_keep_parameters_in_their_own_way(module: nn.Module) -> None:
    module.eval()
    x = torch.randn(6, 3, requires_grad=True)

    def run(m: nn.Module) -> Tensor:
        out = m(x[None] if isinstance(m, nn.GRU) else x)
        return out[0] if isinstance(out, tuple) else out

    constant = cf.detached(module)
    torch.testing.assert_close(run(constant), run(module))
    run(constant).sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in module.parameters())
    assert all(p.requires_grad for p in module.parameters())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, when it imports its compiler
def test_a_compiled_module_cannot_be_detached() -> None:
    with pytest.raises(TypeError, match="compiled module"):
        cf.detached(torch.compile(nn.Linear(2, 2)))


@pytest.mark.parametrize("build", [models.maf, models.iaf, models.nsf, models.realnvp, models.recommended])
def test_flows_survive_deepcopy_and_pickle(build: F) -> None:
    flow = build(3)
    x = torch.randn(5, 3)
    expected = flow.log_prob(x)
    assert torch.equal(copy.deepcopy(flow).log_prob(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(flow)).log_prob(x), expected)


def test_the_precision_of_an_encoder_is_its_own() -> None:
    class Widened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2).double()

        def forward(self, c: Tensor) -> Tensor:
            return self.linear(c.double()).float()

    flow = models.maf(3, 2, hidden=(8,), context_encoder=Widened())
    assert flow.log_prob(torch.randn(5, 3), torch.randn(5, 4)).dtype == torch.float32


def test_a_context_in_another_precision_is_refused_in_words() -> None:
    flow = models.maf(3, 2, hidden=(8,))
    with pytest.raises(TypeError, match=r"its context is torch\.float64"):
        flow.log_prob(torch.randn(5, 3), torch.randn(5, 2).double())


def test_a_bare_inverse_in_another_precision_is_refused_in_words() -> None:
    flow = models.maf(3, hidden=(8,), layers=1)
    with torch.no_grad(), pytest.raises(TypeError, match=r"computes in torch\.float32"):
        flow.bijection(torch.randn(5, 3).double())


def test_data_dependent_starts_reach_members_and_bases() -> None:
    x = 3 + 2 * torch.randn(200, 2)
    ensemble = cf.Ensemble([models.realnvp(2, layers=2, hidden=(4,)) for _ in range(2)])
    ensemble.initialise_(x)
    inner = models.realnvp(2, layers=2, hidden=(4,))
    flow = cf.Flow(inner, cf.bijections.LULinear(2))
    flow.initialise_(x)
    for module in (ensemble, flow):
        scales = [part.log_scale for part in module.modules() if isinstance(part, ActNorm)]
        assert scales
        assert all(bool((scale != 0).any()) for scale in scales)


@pytest.mark.parametrize(
    "support",
    [bounded([1000.0], [torch.inf]), bounded([0.0], [1.0]), bounded([-torch.inf], [1.0]), logit(1, 0.01), logit(1)],
    ids=["above-1000", "unit", "below", "margin", "logit"],
)
def test_a_support_takes_back_everything_that_it_gives_in_single_precision(support: cf.Bijection) -> None:
    u = torch.linspace(-60, 60, 4001)[:, None]
    x, _ = support(u)
    back, log_det = support.inverse(x)
    assert bool(torch.isfinite(back).all())
    assert bool(torch.isfinite(log_det).all())
    flow = cf.Flow(cf.bases.StandardNormal(1), support)
    draws = flow.sample(100_000, generator=torch.Generator().manual_seed(0))
    assert bool(torch.isfinite(flow.log_prob(draws)).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "spline", [cf.univariate.RationalQuadratic(), cf.univariate.LinearRational()], ids=["quadratic", "linear"]
)
def test_splines_are_finite_and_close_to_float32_in_half_precision(spline: cf.Univariate, dtype: torch.dtype) -> None:
    """Two units in the last place of the value, relative to the box of side 10."""
    generator = torch.Generator().manual_seed(0)
    params = (3 * torch.randn(2001, spline.num_params, generator=generator)).to(dtype)
    u = torch.linspace(-6, 6, 2001).to(dtype)
    for direction in (spline.forward, spline.inverse):
        value, log_slope = direction(u, params)
        exact, _ = direction(u.float(), params.float())
        assert value.dtype == log_slope.dtype == dtype
        assert bool(torch.isfinite(log_slope).all())
        error = (value.float() - exact).abs().max()
        assert float(error) <= 2 * torch.finfo(dtype).eps * 5


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.4), (torch.float16, 0.05)])
def test_half_precision_scores_are_near_those_of_float32(dtype: torch.dtype, tolerance: float) -> None:
    """Largest error in nats over 500 points of a five-layer MAF at its random start, D = 6."""
    torch.manual_seed(0)
    flow = models.maf(6, hidden=(32, 32))
    x = torch.randn(500, 6).to(dtype)
    with torch.no_grad():
        error = copy.deepcopy(flow).to(dtype).log_prob(x).float() - flow.log_prob(x.float())
    assert float(error.abs().max()) < tolerance


def test_sampling_takes_a_number_everywhere() -> None:
    assert cf.bases.StandardNormal(3).sample(5).shape == (5, 3)
    assert cf.bases.StudentT(3).sample(5).shape == (5, 3)
    steps = cf.as_autoregressive(models.iaf(3, hidden=(8,), permutation=None))
    assert steps.rsample_and_conditionals(5)[0].shape == (5, 3)


def test_student_t_with_a_generator_leaves_the_global_stream_as_it_was() -> None:
    before = torch.get_rng_state()
    first = cf.bases.StudentT(3).sample(5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, cf.bases.StudentT(3).sample(5, generator=torch.Generator().manual_seed(1)))


def test_identity_rows_keep_a_closed_form_entropy() -> None:
    one = cf.as_autoregressive(models.maf(1, layers=2, hidden=(4,)))
    laws = one.conditionals(torch.randn(4, 1))
    assert laws.entropy().shape == (4, 1)


@pytest.mark.parametrize("scale", [cf.univariate.Softplus, cf.univariate.ShiftedSigmoid])
def test_a_negative_least_scale_is_refused(scale: type) -> None:
    with pytest.raises(ValueError, match="minimum"):
        scale(minimum=-1.0)

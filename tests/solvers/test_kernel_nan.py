"""NaN in, NaN out: in the rows that may read it, and nowhere else; infinities too."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterflow.conditioners import MaskedMLP
from counterflow.solvers import Blocked
from solvers.kernel_cases import ACTIVATIONS, DIRECTIONS, MAPS, NETS, U, blocked, evaluated

NAN, INF = math.nan, math.inf
DTYPES = [torch.float32, torch.float64]
SAMPLES = [1, 2, 3, 16, 37]
RUNS = pytest.mark.parametrize("run", [blocked, evaluated], ids=DIRECTIONS)
# Maps that pass NaN on from their parameters to the value, wherever that lies.
PLAIN = [name for name in MAPS if not any(word in name for word in ("quadratic", "linear", "softclipped", "compos"))]


def without(x: Tensor, sample: int) -> Tensor:
    return torch.cat([x[:sample], x[sample + 1 :]])


def reader(net: MaskedMLP) -> Tensor:
    """Which rows change with which coordinates, (D, D), by differentiation."""
    x = torch.randn(64, net.features, dtype=torch.float64)
    context = torch.randn(net.context_features).double() if net.context_features else None
    net = net.double()
    slopes = torch.func.vmap(torch.func.jacrev(lambda x: net(x, context).sum(-1)))(x)
    return (slopes != 0).any(0)


@RUNS
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sorted", "order, random degrees, context", "several blocks", "gated"])
def test_nan_in_a_coordinate_stays_in_its_sample_and_in_the_rows_after_it(
    name: str, dtype: torch.dtype, run: Any
) -> None:
    kind, t = NETS[name], U.Affine()
    net = kind.make(t.num_params, dtype)
    position = torch.tensor(net.order).argsort()
    read = reader(kind.make(t.num_params))
    for samples in SAMPLES:
        for j in range(0, kind.features, 1 + kind.features // 7):
            x, context = kind.inputs(samples, dtype=dtype)
            clean, sample = run(net, t, x, context), samples // 2
            x[sample, j] = NAN
            value, log_det = run(net, t, x, context)
            for found, before in ((value, clean[0]), (log_det, clean[1])):
                assert torch.equal(without(found, sample), without(before, sample))
            spoilt = value[sample].isnan()
            assert bool(spoilt[j])
            assert not bool(spoilt[position < position[j]].any())
            # A row that reads the coordinate is spoilt; one that cannot read it, nor another that is, is not.
            assert bool((spoilt | ~read[:, j]).all())
            if run is evaluated:
                assert bool((spoilt <= (position >= position[j])).all())
            assert bool(log_det[sample].isnan()) or not bool(read[:, j].any())


@RUNS
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_passes_nan_on(activation: str, run: Any) -> None:
    t = U.Affine()
    for name in ("sorted", "residual"):
        net = NETS[name].make(t.num_params, activation=ACTIVATIONS[activation])
        for samples in (2, 5):
            x, _ = NETS[name].inputs(samples)
            x[0, 0] = NAN
            value, log_det = run(net, t, x)
            assert bool(value[0].isnan().all())
            assert bool(log_det[0].isnan())
            assert not bool(value[1:].isnan().any())


@RUNS
@pytest.mark.parametrize("name", MAPS)
def test_every_map_passes_nan_on(name: str, run: Any) -> None:
    """From the value, and from each of its parameters: as the map in PyTorch does."""
    t = MAPS[name]
    net = NETS["one coordinate"].make(t.num_params)
    for samples in (2, 5):
        x, _ = NETS["one coordinate"].inputs(samples)
        spoilt = x.clone()
        spoilt[0] = NAN
        value, _ = run(net, t, spoilt)
        assert bool(value[0].isnan().all())
        assert not bool(value[1:].isnan().any())
        for p in range(t.num_params):
            bias = net.out.bias.detach().clone()
            with torch.no_grad():
                net.out.bias[p] = NAN
                params = net(x)
            expected = (t.inverse if run is blocked else t.forward)(x, params)
            value, log_det = run(net, t, x)
            assert torch.equal(value.isnan(), expected[0].isnan())
            assert torch.equal(log_det.isnan(), expected[1].sum(-1).isnan())
            assert bool(value.isnan().all()) or name not in PLAIN
            with torch.no_grad():
                net.out.bias.copy_(bias)


@RUNS
@pytest.mark.parametrize(
    "place", ["first.weight", "first.bias", "layers.0.weight", "out.weight", "out.bias", "context.weight"]
)
def test_nan_in_a_parameter_that_counts_is_seen(place: str, run: Any) -> None:
    kind, t = NETS["context"], U.Affine()
    for samples in SAMPLES:
        net, given = kind.make(t.num_params), kind.inputs(samples)
        mask = dict(net.named_buffers()).get(place.replace("weight", "mask"), None)
        with torch.no_grad():
            parameter = net.get_parameter(place)
            where = (0,) * parameter.dim() if mask is None else tuple(mask.nonzero()[0])
            parameter[where] = NAN
        value, log_det = run(net, t, *given)
        assert bool(value.isnan().any(-1).all())
        assert bool(log_det.isnan().all()) or place.startswith("out")  # that one is of mu alone


@RUNS
@pytest.mark.parametrize("name", ["context", "gated"])
def test_nan_in_a_context_stays_in_its_sample(name: str, run: Any) -> None:
    kind, t = NETS[name], U.Affine()
    net = kind.make(t.num_params)
    for samples in SAMPLES:
        x, context = kind.inputs(samples)
        assert context is not None
        clean, sample = run(net, t, x, context), samples // 2
        context[sample, 1] = NAN
        value, log_det = run(net, t, x, context)
        assert torch.equal(without(value, sample), without(clean[0], sample))
        assert bool(value[sample].isnan().any())
        assert bool(log_det[sample].isnan())


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("infinity", [INF, -INF])
def test_an_infinite_value_meets_every_map_as_it_does_in_pytorch(name: str, infinity: float) -> None:
    t, kind = MAPS[name], NETS["one coordinate"]
    net = kind.make(t.num_params)
    for samples in (2, 5):
        x = kind.inputs(samples)[0]
        x[1] = infinity
        params = net(torch.zeros_like(x)).detach()  # the only row reads nothing; a dense product would make NaN of that
        for run, side in ((blocked, t.inverse), (evaluated, t.forward)):
            value, log_det = run(net, t, x)
            expected, log_slope = side(x, params)
            torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12, equal_nan=True)
            torch.testing.assert_close(log_det, log_slope.sum(-1), rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "Softplus, threshold"])
@pytest.mark.parametrize("infinity", [INF, -INF])
def test_an_infinite_unit_meets_every_activation_as_it_does_in_pytorch(activation: str, infinity: float) -> None:
    net = MaskedMLP(1, 1, (4,), 1, activation=ACTIVATIONS[activation]).double()
    nn.init.ones_(net.context.weight)
    x = torch.zeros(5, 1).double()
    context = torch.tensor([0.0, infinity, 1.0, -infinity, NAN]).double()[:, None]
    for run, true in DIRECTIONS.values():
        for few_or_many in (slice(0, 2), slice(0, 5)):
            given = x[few_or_many], context[few_or_many]
            for found, expected in zip(run(net, U.Additive(), *given), true(net, U.Additive(), *given), strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [U.Affine(U.ShiftedSigmoid(minimum=0.0)), U.Affine(U.Softplus(minimum=0.0))])
def test_scales_near_zero_keep_their_logarithm(t: U.Univariate, dtype: torch.dtype) -> None:
    """Down to e^-700 in float64 (e^-80 in float32), where the scale itself is still a normal number."""
    net = MaskedMLP(1, 2, (4,), activation=nn.Tanh())
    net.out.weight.data.zero_()
    net = net.to(dtype)
    for a in (-20.0, -60.0, -80.0, -87.5, -100.0, -300.0, -690.0)[: 3 if dtype == torch.float32 else None]:
        net.out.bias.data = torch.tensor([0.0, a], dtype=dtype)
        x = torch.ones(3, 1, dtype=dtype)
        for run, true in DIRECTIONS.values():
            for found, expected in zip(run(net, t, x), true(net, t, x), strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-4 if dtype == torch.float32 else 1e-11, atol=0)


def test_nan_gives_nan_gradients_to_its_own_sample_only() -> None:
    kind, t = NETS["context"], U.Affine()
    net, (x, context) = kind.make(t.num_params), kind.inputs(7)

    def gradient(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        u, log_det, *_ = Blocked().solve(net, t, x, context)
        return torch.autograd.grad(u.sin().sum() + log_det.sum(), x)[0]

    clean = gradient(x)
    x[3, 2] = NAN
    spoilt = gradient(x)
    assert torch.equal(without(spoilt, 3), without(clean, 3))
    assert bool(spoilt[3].isnan().any())

"""Splines against what defines them: knots, slopes, tails, and the identity at zero parameters."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterflow import univariate
from counterflow.univariate.splines.knots import edges, slopes

SPLINES = [univariate.RationalQuadratic(bins=5, bound=3.0), univariate.LinearRational(bins=5, bound=3.0)]
EACH = pytest.mark.parametrize("spline", SPLINES, ids=lambda s: type(s).__name__)


def drawn(spline: object, seed: int, size: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(spline.num_params, generator=generator, dtype=torch.float64)  # type: ignore[attr-defined]


@EACH
def test_zero_parameters_are_the_identity(spline: univariate.Univariate) -> None:
    u = torch.linspace(-5, 5, 101, dtype=torch.float64)
    x, log_slope = spline.forward(u, torch.zeros(101, spline.num_params, dtype=torch.float64))
    assert torch.allclose(x, u, atol=1e-12)
    assert torch.allclose(log_slope, torch.zeros_like(u), atol=1e-12)


@EACH
@given(seed=st.integers(0, 10_000), size=st.floats(0.0, 4.0))
def test_knots_go_to_knots_with_their_slopes(spline: univariate.Univariate, seed: int, size: float) -> None:
    params, k = drawn(spline, seed, size), spline.bins  # type: ignore[attr-defined]
    x_knots, y_knots = (edges(params[i * k : (i + 1) * k], 3.0, 1e-3) for i in (0, 1))
    d = slopes(params[2 * k : 3 * k - 1], 1e-3)
    y, log_slope = spline.forward(x_knots, params.expand(k + 1, -1))
    assert torch.allclose(y, y_knots, atol=1e-10)
    assert torch.allclose(log_slope, d.log(), atol=1e-8)


@EACH
@given(seed=st.integers(0, 10_000), size=st.floats(0.0, 1.5))
def test_slope_integrates_to_the_rise(spline: univariate.Univariate, seed: int, size: float) -> None:
    params, k = drawn(spline, seed, size), spline.bins  # type: ignore[attr-defined]
    x_knots = edges(params[:k], 3.0, 1e-3)
    fractions = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    for left, right in itertools.pairwise(x_knots):  # each bin is smooth, or has one kink
        u = left + (right - left) * fractions
        rise = spline.forward(u, params.expand(4000, -1))[1].exp().mean() * (right - left)
        ends = spline.forward(torch.stack([left, right]), params.expand(2, -1))[0]
        assert torch.allclose(rise, ends[1] - ends[0], rtol=2e-3, atol=1e-6)


@EACH
@given(seed=st.integers(0, 10_000), size=st.floats(0.0, 6.0))
def test_inverse_returns_everywhere(spline: univariate.Univariate, seed: int, size: float) -> None:
    params = drawn(spline, seed, size).expand(400, -1)
    u = torch.linspace(-4, 4, 400, dtype=torch.float64)
    x, log_slope = spline.forward(u, params)
    again, back = spline.inverse(x, params)
    # An error of rounding in x is divided by the slope.
    assert bool(((again - u).abs() * log_slope.exp().clamp_max(1) < 1e-9).all())
    assert bool(back.isfinite().all())


@EACH
def test_huge_parameters_stay_finite_with_finite_gradients(spline: univariate.Univariate) -> None:
    for size in (1e2, 1e4):
        params = drawn(spline, 0, size).float().expand(50, -1).clone().requires_grad_()
        u = torch.linspace(-4, 4, 50).requires_grad_()
        for f in (spline.forward, spline.inverse):
            x, log_slope = f(u, params)
            assert bool(x.isfinite().all() and log_slope.isfinite().all())
            grads = torch.autograd.grad(x.sum() + log_slope.sum(), [u, params])
            assert all(bool(g.isfinite().all()) for g in grads)


@pytest.mark.parametrize("make", [univariate.RationalQuadratic, univariate.LinearRational])
def test_impossible_splines_are_refused(make: type) -> None:
    for options, words in (
        ({"bins": 0}, "at least one bin"),
        ({"bound": -1.0}, "positive finite bound"),
        ({"bins": 2000}, "do not fit"),
        ({"min_slope": 1.5}, "smallest slope"),
    ):
        with pytest.raises(ValueError, match=words):
            make(**options)

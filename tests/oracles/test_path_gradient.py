"""The path gradient of the reverse KL: unbiased, and without noise where q equals p."""

import copy
import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow.bases import DiagonalNormal, StandardNormal
from counterflow.solvers import Stepwise
from counterflow.testing import perturb_

D, M = 3, 2
CONTEXT = torch.randn(4, M, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
Objective = Callable[..., Tensor]


def iaf(**more: object) -> cf.Flow:
    return cf.models.iaf(D, layers=2, hidden=(8, 8), activation=nn.Tanh(), base=DiagonalNormal(D), **more)


def maf(**more: object) -> cf.Flow:
    return cf.models.maf(D, layers=2, hidden=(8, 8), activation=nn.Tanh(), base=DiagonalNormal(D), **more)


def realnvp(**more: object) -> cf.Flow:
    return cf.models.realnvp(D, layers=3, hidden=(8, 8), activation=nn.Tanh(), **more)


def nsf(**more: object) -> cf.Flow:
    return cf.models.nsf(D, layers=2, hidden=(8, 8), activation=nn.Tanh(), base=StandardNormal(D), **more)


def conditional_iaf() -> cf.Flow:
    encoder = nn.Sequential(nn.Linear(M, 4), nn.Tanh())
    return cf.models.iaf(D, 4, layers=2, hidden=(8, 8), activation=nn.Tanh(), context_encoder=encoder)


MAKERS = [iaf, maf, realnvp, nsf, conditional_iaf]
EVERY_FLOW = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def perturbed(flow: cf.Flow, seed: int = 1) -> cf.Flow:
    flow = flow.double().eval()
    perturb_(flow, torch.Generator().manual_seed(seed))
    return flow


def bound(flow: cf.Flow) -> cf.Flow | cf.Given:
    return flow.given(CONTEXT) if flow.context_features else flow


def stepwise(flow: cf.Flow) -> cf.Flow:
    """The same density by another road: autograd through the steps of every inverse."""
    other = copy.deepcopy(flow)
    for part in other.modules():
        if isinstance(part, cf.Autoregressive):
            part.solver = Stepwise()
    for parameter in other.parameters():
        parameter.requires_grad_(False)
    return other


def gradient(objective: Objective, flow: cf.Flow, p: cf.Density, draws: int, generator: torch.Generator) -> Tensor:
    loss = objective(bound(flow), p, draws, generator=generator)
    found = torch.autograd.grad(loss, list(flow.parameters()), materialize_grads=True)
    return torch.cat([g.flatten() for g in found])


class Bent:
    """A target that none of the flows is: a normal with its first coordinate bent into the others."""

    def log_prob(self, x: Tensor, /) -> Tensor:
        first, *others = x.unbind(-1)
        return -0.5 * first**2 - sum(2 * (other - 0.3 * first**2) ** 2 for other in others)


@pytest.mark.parametrize("make", [iaf, maf, realnvp, conditional_iaf], ids=lambda make: make.__name__)
def test_path_gradient_is_the_total_gradient_on_average(make: Callable[..., cf.Flow]) -> None:
    """The mean difference of both gradients at the same draws, 40 batches, in 8 directions: 6 standard errors.

    Wrong less than once in 200,000 runs for each flow. Along the gradient, that stands 20 such errors from zero.
    """
    flow, generator = perturbed(make()), torch.Generator().manual_seed(4)
    pairs = []
    for seed in range(40):
        streams = [torch.Generator().manual_seed(seed) for _ in range(2)]
        pair = zip((cf.reverse_kl_path, cf.reverse_kl), streams, strict=True)
        pairs.append([gradient(objective, flow, Bent(), 32, stream) for objective, stream in pair])
    path, total = (torch.stack(batches) for batches in zip(*pairs, strict=True))  # (40, parameters)
    directions = torch.cat(
        [torch.randn(path.shape[-1], 7, generator=generator, dtype=path.dtype), total.mean(0)[:, None]], 1
    )
    difference = (path - total) @ directions
    error = difference.std(0) / 40**0.5
    assert ((difference.mean(0) / error).abs() < 6).all()
    assert (total @ directions).mean(0)[-1] > 20 * error[-1]


@EVERY_FLOW
def test_path_gradient_vanishes_at_the_optimum_draw_by_draw(make: Callable[..., cf.Flow]) -> None:
    flow = perturbed(make())
    p = bound(stepwise(flow))
    for seed in range(10):
        path, total = (
            gradient(o, flow, p, 1, torch.Generator().manual_seed(seed)) for o in (cf.reverse_kl_path, cf.reverse_kl)
        )
        assert path.abs().max() < 1e-10
        assert total.abs().max() > 1e-2  # the score alone, which has mean zero


def test_path_gradient_vanishes_at_a_normal_that_torch_knows() -> None:
    """One linear IAF layer with constant scales is a multivariate normal; its score comes from a Cholesky factor."""
    flow = perturbed(cf.models.iaf(D, layers=1, hidden=(6,), activation=nn.Identity()))
    with torch.no_grad():  # rows lie parameter by parameter: those of the scale read nothing
        flow.bijection.conditioner.out.weight[D:] = 0
    zero = torch.zeros(D, dtype=torch.float64)
    a = torch.func.jacrev(lambda u: flow.bijection(u)[0])(zero).detach()
    p = torch.distributions.MultivariateNormal(flow.bijection(zero)[0].detach(), a @ a.mT)
    for seed in range(10):
        assert gradient(cf.reverse_kl_path, flow, p, 1, torch.Generator().manual_seed(seed)).abs().max() < 1e-10


def test_a_context_from_outside_acts_through_the_draws_alone() -> None:
    flow, encoder = perturbed(iaf(context_features=M)), nn.Linear(5, M).double()
    seen = torch.randn(4, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    context = encoder(seen)
    q, p = flow.given(context), stepwise(flow).given(context.detach())
    found = torch.autograd.grad(cf.reverse_kl_path(q, p, 1), [*encoder.parameters(), *flow.parameters()])
    assert max(g.abs().max() for g in found) < 1e-10


def test_a_random_encoder_is_asked_once() -> None:
    """With another draw of its dropout the density that scores would not be the one that drew."""
    flow = perturbed(cf.models.iaf(D, M, layers=1, hidden=(8,), context_encoder=nn.Dropout(0.5)))
    flow.context_encoder.train()
    q = flow.given(CONTEXT)
    p = cf.Given(stepwise(flow), CONTEXT, q.encoded)
    found = torch.autograd.grad(cf.reverse_kl_path(q, p, 2), list(flow.parameters()))
    assert max(g.abs().max() for g in found) < 1e-10


@EVERY_FLOW
def test_the_value_is_that_of_reverse_kl(make: Callable[..., cf.Flow]) -> None:
    flow = perturbed(make())
    with torch.no_grad():
        path, total = (
            o(bound(flow), Bent(), 50, generator=torch.Generator().manual_seed(6))
            for o in (cf.reverse_kl_path, cf.reverse_kl)
        )
    torch.testing.assert_close(path, total, rtol=1e-10, atol=1e-10)


def test_nothing_is_left_behind() -> None:
    """The parameters of q keep their flags, those of p get gradients as ever, and only the given stream moves."""
    q, p, before = perturbed(iaf()), perturbed(maf(), 2), torch.get_rng_state()
    cf.reverse_kl_path(q, p, 5, generator=torch.Generator().manual_seed(7)).backward()
    assert all(t.requires_grad and t.grad is not None for t in itertools.chain(q.parameters(), p.parameters()))
    assert torch.equal(before, torch.get_rng_state())


def refusals() -> Iterator[tuple[cf.Flow, int, type[Exception], str]]:
    yield iaf(), 0, ValueError, "at least one sample"
    mixture = cf.models.maf_mog(D, components=2, layers=1, hidden=(8,))
    yield mixture, 1, TypeError, "reparameterised"
    yield realnvp(dropout=0.1), 1, RuntimeError, "dropout"
    yield iaf(dropout=0.1), 1, RuntimeError, "dropout"


@pytest.mark.parametrize(("flow", "draws", "kind", "words"), list(refusals()))
def test_what_cannot_be_done_is_refused_in_words(flow: cf.Flow, draws: int, kind: type[Exception], words: str) -> None:
    p = torch.distributions.MultivariateNormal(torch.zeros(D), torch.eye(D))
    with pytest.raises(kind, match=words):
        cf.reverse_kl_path(flow, p, draws)
    if kind is not RuntimeError:  # and reverse_kl says the same
        with pytest.raises(kind, match=words):
            cf.reverse_kl(flow, p, draws)

"""Laws of draws: from the density that scores them, by the generator that is given, with the right gradient."""

from typing import Any

import torch
from torch import Tensor, nn

from .cases import BATCHES, Case, Law, agree, gradients, optional, refused, require
from .density_laws import draw
from .purity_laws import stream_states
from .quadrature import Atoms, product_grid

DRAWS = 4000
# sup |F_n - F| sqrt(n) exceeds this with probability 2 exp(-2 t^2) = 1e-4 (Kolmogorov's bound, Massart's constant).
KOLMOGOROV = 2.226


def draws_have_the_scored_density(case: Case) -> None:
    """Draws agree with exp(log_prob): every coordinate, and log_prob itself (error rate 1e-4 per comparison)."""
    own = case.with_(batch=())
    subject, context = own.subject(), own.context()
    support = own.traits.support
    axis = support.axis(case.features)
    points, weights = product_grid(axis, case.features)
    with torch.no_grad():
        log_prob = subject.log_prob(points.to(case.dtype), *optional(context))
        x = draw(subject, (DRAWS,), context, own.generator(31))
        scores = subject.log_prob(x, *optional(context))
    mass = log_prob.exp() * weights
    if isinstance(support, Atoms):
        _compare_frequencies(points, mass, x)
        return
    order = log_prob.argsort()
    _compare(log_prob[order], mass[order].cumsum(0), scores, "log_prob of the draws")
    cube = mass.reshape((len(axis.nodes),) * case.features)
    for i in range(case.features):
        marginal = cube.sum([k for k in range(case.features) if k != i]) if case.features > 1 else cube
        # A node's mass lies half below it.
        _compare(axis.nodes, marginal.cumsum(0) - marginal / 2, x[:, i], f"coordinate {i} of the draws")


def _compare(nodes: Tensor, cdf: Tensor, draws: Tensor, what: str) -> None:
    """Kolmogorov and Smirnov: the largest gap between two distribution functions."""
    draws = draws.sort().values
    right = torch.searchsorted(nodes.contiguous(), draws, right=True)
    expected = torch.cat([cdf.new_zeros(1), cdf])[right]
    upper = torch.cat([cdf, cdf.new_ones(1)])[right]
    found = torch.searchsorted(draws, draws, right=True) / len(draws)
    # Between two nodes the distribution function lies between its values there.
    gap = torch.maximum(expected - found, found - upper).max() * len(draws) ** 0.5
    require(float(gap) < KOLMOGOROV, f"{what}: Kolmogorov's statistic is {float(gap):.2f}, allowed {KOLMOGOROV}")


def _compare_frequencies(points: Tensor, mass: Tensor, draws: Tensor) -> None:
    seen = (draws[:, None] == points).all(-1).double().mean(0)
    require(abs(float(seen.sum()) - 1) < 1e-9, "some draws lie outside the support")
    error = (mass * (1 - mass) / len(draws)).sqrt() + 1e-6
    worst = float(((seen - mass).abs() / error).max())
    require(worst < 4.5, f"a frequency is {worst:.1f} standard errors from its probability, allowed 4.5")


def draws_have_the_asked_shape(case: Case) -> None:
    """sample(s) is (*s, *batch of context, D), in the precision of the model, without gradient."""
    for dtype in (torch.float32, torch.float64):
        for batch in BATCHES:
            own = case.with_(dtype=dtype, batch=batch)
            subject, context = own.subject(), own.context()
            for shape in ((), (4,), (2, 1), (0,)):
                x = draw(subject, shape, context)
                expected = (*shape, *(() if context is None else batch), case.features)
                require(tuple(x.shape) == expected, f"sample({shape}) has shape {tuple(x.shape)}, expected {expected}")
                require(x.dtype == dtype, f"sample gives {x.dtype} from a model in {dtype}")
                require(not x.requires_grad, "sample carries a gradient")


def scored_and_sampled_log_density_agree(case: Case) -> None:
    """rsample_and_log_prob returns log_prob of its own draws; a class without it raises TypeError."""
    subject, context = case.subject(), case.context()
    if not case.traits.reparameterised:
        refused(
            lambda: subject.rsample_and_log_prob((2,), *optional(context)),
            TypeError,
            "rsample_and_log_prob of a mixture",
        )
        return
    x, log_q = subject.rsample_and_log_prob((5,), *optional(context), generator=case.generator(32))
    batch = () if context is None else case.batch
    require(tuple(x.shape) == (5, *batch, case.features), f"the draws have shape {tuple(x.shape)}")
    agree(log_q, subject.log_prob(x, *optional(context)), "log density returned with the draws", 1e-7)


def gradients_of_draws_are_pathwise(case: Case) -> None:
    """The log density returned with the draws has the total gradient, through the draws, that log_prob of them has."""
    subject, context = case.subject(), case.context()
    parameters = list(subject.parameters()) if isinstance(subject, nn.Module) else []
    if not case.traits.reparameterised or not parameters:
        return
    x, log_q = subject.rsample_and_log_prob((3,), *optional(context), generator=case.generator(33))
    require(x.requires_grad, "reparameterised draws carry no gradient of the parameters")
    scored = subject.log_prob(x, *optional(context))
    names = [name for name, _ in subject.named_parameters()]
    for name, a, b in zip(names, gradients(log_q, parameters), gradients(scored, parameters), strict=True):
        agree(a, b, f"gradient in {name} of the log density returned with the draws", 1e-6)


def a_generator_is_the_only_randomness(case: Case) -> None:
    """Given a generator, draws are repeatable and every global stream is left alone."""
    subject, context = case.subject(), case.context()
    for name, act in _samplers(case, subject, context):
        before = stream_states()
        first = act(case.generator(34))
        for stream, state in stream_states().items():
            require(state == before[stream], f"{name} with a generator moved the global stream of {stream}")
        torch.rand(1)
        agree(act(case.generator(34)), first, f"{name} with the same generator again", 0.0)
        other = act(case.generator(35))
        require(other.shape != first.shape or not torch.equal(other, first), f"{name} ignores its generator")
        running = case.generator(34)
        act(running)
        require(not torch.equal(act(running), first), f"{name} does not advance its generator")


def without_a_generator_the_global_stream_decides(case: Case) -> None:
    """Without a generator, draws follow torch's global stream, and neither NumPy's nor Python's."""
    subject, context = case.subject(), case.context()
    for name, act in _samplers(case, subject, context):
        with torch.random.fork_rng(devices=[]):
            before = stream_states()
            first = act(None)
            for stream in ("numpy", "random"):
                require(stream_states()[stream] == before[stream], f"{name} moved the global stream of {stream}")
            require(stream_states()["torch"] != before["torch"], f"{name} does not draw from torch's global stream")
            require(not torch.equal(act(None), first), f"{name} draws the same again: it seeds globally")


def draws_are_made_where_the_model_is(case: Case) -> None:
    """Draws are made on the model's device, whatever the default device."""
    subject, context = case.subject(), case.context()
    for name, act in _samplers(case, subject, context):
        expected = act(case.generator(36))
        with torch.device("meta"):
            found = act(case.generator(36))
        require(found.device == expected.device, f"{name} draws on the default device {found.device}")
        agree(found, expected, f"{name} on another default device")


def _samplers(case: Case, subject: Any, context: Tensor | None) -> list[tuple[str, Any]]:
    """The ways to draw, each a function of a generator; enough draws that two never coincide by chance."""
    ways: list[tuple[str, Any]] = [("sample", lambda g: draw(subject, (60,), context, g))]
    if case.traits.reparameterised:
        ways.append(
            (
                "rsample_and_log_prob",
                lambda g: subject.rsample_and_log_prob((60,), *optional(context), generator=g)[0].detach(),
            )
        )
    return ways


LAWS = (
    Law(draws_have_the_scored_density, (1, 2)),
    Law(draws_have_the_asked_shape, (1, 3)),
    Law(scored_and_sampled_log_density_agree),
    Law(gradients_of_draws_are_pathwise, (1, 3)),
    Law(a_generator_is_the_only_randomness, (1, 3)),
    Law(without_a_generator_the_global_stream_decides, (2,)),
    Law(draws_are_made_where_the_model_is, (1, 3)),
)

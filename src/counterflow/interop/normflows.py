"""Models of normflows as flows of ours, `from_normflows`: the stack, its linear layers and its bases."""

import copy
import inspect
import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from ..bases import Base, NormalMixtureBase, Uniform
from ..bijections import Bijection, Chain, Coupling, DiagonalAffine, Inverse, Permutation
from ..flow import Flow
from ..univariate import Affine, Exp
from .dense_networks import sequential_mlp
from .libraries import library
from .lu import inverted, lu_linear, permuted_lu
from .normal_bases import normal_base
from .normflows_layers import LAYERS
from .overridden import refuse_overridden
from .precision import by_default
from .unsupported import Unsupported, named
from .verifying import ROWS, verified


def from_normflows(model: Any) -> Flow:
    """A flow with the density of a `NormalizingFlow`, or a `ConditionalNormalizingFlow`, as it is in evaluation mode.

    Masked affine autoregressive layers (in either direction: `normflows.flows.Reverse` turns one), autoregressive and
    coupling rational-quadratic splines, affine couplings, permutations, LU and full linear maps, ActNorm and constant
    affine layers; over diagonal normal (conditional too), normal mixture and uniform bases. The model itself is left
    alone.

    Args:
        model: Trained, on any device and in float32 or float64.

    Raises:
        ImportError: normflows is not installed.
        Unsupported: a part that has no equal here, with its place; or one whose density differs.

    Error: rounding; the conversion scores random points with both, in double precision, and refuses where they differ.
    """
    normflows = library("normflows")
    if type(model) not in (normflows.NormalizingFlow, normflows.ConditionalNormalizingFlow):
        raise Unsupported("model", f"a {named(model)} is neither a NormalizingFlow nor a ConditionalNormalizingFlow")
    refuse_overridden(model, "normflows", "model.")
    context = type(model) is normflows.ConditionalNormalizingFlow
    parts = itertools.chain(model.flows.parameters(), model.q0.parameters(), model.q0.buffers())
    like = next((p for p in parts if p.is_floating_point()), torch.empty(0))
    # A copy, since layers may write into themselves; in double precision, to tell a mistake from rounding.
    theirs: Any = copy.deepcopy(model).eval().to("cpu", torch.float64)
    with torch.random.fork_rng(devices=[]):  # starting weights are drawn, and replaced
        base, before = _base(theirs.q0, context=context)
        layers = [_layer(flow, f"model.flows[{i}]", context=context) for i, flow in enumerate(theirs.flows)]
        chained = [*before, *itertools.chain.from_iterable(layers)] or [Permutation(range(base.features))]
        flow = Flow(base, chained[0] if len(chained) == 1 else Chain(chained)).double()
        contexts = _contexts(flow) if context else None

    def log_prob(x: Tensor, context: Tensor | None) -> Tensor:
        with by_default(x.dtype):  # compositions add up log-dets in no other
            scores: Tensor = theirs.log_prob(x) if context is None else theirs.log_prob(x, context=context)
        return scores

    return verified(flow, log_prob, context=contexts, origin="model").to(like)


def _contexts(flow: Flow) -> Tensor:
    if not flow.context_features:
        raise Unsupported("model", "a ConditionalNormalizingFlow none of whose parts reads a context")
    generator = torch.Generator().manual_seed(1)
    return torch.randn(ROWS, flow.context_features, generator=generator, dtype=torch.float64)


def _layer(flow: Any, place: str, *, context: bool) -> list[Bijection]:
    """The parts of a layer, from noise to data."""
    flows = library("normflows").flows
    kind = type(flow)
    if context and "context" not in inspect.signature(kind.forward).parameters:
        raise Unsupported(place, f"a {named(flow)} takes no context: normflows itself cannot score this model")
    if kind is flows.Reverse:
        inner = _layer(flow.flow, f"{place}.flow", context=context)
        return [_reversed(part) for part in reversed(inner)]
    if kind is flows.base.Composite:
        layers = [_layer(own, f"{place}._flows[{i}]", context=context) for i, own in enumerate(flow._flows)]
        return list(itertools.chain.from_iterable(layers))
    if kind is flows.Permute:
        return [_permute(flow, place)]
    if kind is flows.LULinearPermute:
        return _lu_permute(flow, place)
    if kind is flows.InvertibleAffine:
        return _invertible_affine(flow)
    if kind in (flows.ActNorm, flows.AffineConstFlow):
        return [_diagonal(flow, place)]
    if kind.__name__ in LAYERS and getattr(flows, kind.__name__, None) is kind:
        return LAYERS[kind.__name__](flow, place, context)
    raise Unsupported(place, f"a {named(flow)} has no equal here")


def _reversed(part: Bijection) -> Bijection:
    return part.bijection if isinstance(part, Inverse) else Inverse(part)


def _permute(flow: Any, place: str) -> Bijection:
    if flow.mode == "shuffle":
        return Permutation(flow.perm.tolist())
    if flow.mode == "swap":
        return Permutation(torch.arange(flow.num_channels).roll(-(flow.num_channels // 2)).tolist())
    raise Unsupported(place, f"a permutation of mode {flow.mode!r}")


def _lu_permute(flow: Any, place: str) -> list[Bijection]:
    """Data to noise is L U (permuted x) + b."""
    linear, moved = flow.linear, flow.permutation
    if linear.using_cache:
        raise Unsupported(f"{place}.linear", "a linear layer that caches its weights: call use_cache(False) first")
    lower, upper = linear._create_lower_upper()
    to_noise: list[Bijection] = [Permutation(moved._permutation.tolist()), lu_linear(lower, upper, linear.bias)]
    return inverted(to_noise)


@torch.no_grad()
def _invertible_affine(flow: Any) -> list[Bijection]:
    """Data to noise is x W for row vectors, W = P L U: for columns U^T L^T P^T, and U^T = L' S with L' unit lower."""
    if flow.use_lu:
        permutation, signs, scale = flow.P, flow.sign_S, flow.log_S.exp()
        lower = flow.L.tril(-1) + flow.eye
        upper = flow.U.triu(1) + torch.diag(signs * scale)
    else:
        matrix = flow.W.double()  # the factors are exact to the rounding of W itself
        permutation, lower, upper = (part.to(flow.W) for part in torch.linalg.lu(matrix))
        signs, scale = upper.diagonal().sign(), upper.diagonal().abs()
    unit_lower = (upper / (signs * scale)[:, None]).T  # U^T with its diagonal taken out from the right
    # P^T x: row j of P^T is column j of P, and holds a 1 where x_i is taken from.
    return inverted(permuted_lu(permutation.T.argmax(-1), unit_lower, signs, scale[:, None] * lower.T))


@torch.no_grad()
def _diagonal(flow: Any, place: str) -> Bijection:
    if flow.s.dim() != 2:
        raise Unsupported(place, f"a layer of shape {tuple(flow.s.shape[1:])}: only vectors are known here")
    if not bool(getattr(flow, "data_dep_init_done", torch.tensor(1.0)) > 0):
        raise Unsupported(place, "an ActNorm that has seen no data yet: its first batch will set its parameters")
    ours = DiagonalAffine(flow.s.shape[-1]).to(flow.s)
    ours.loc.copy_(flow.t[0])
    ours.log_scale.copy_(flow.s[0])
    ours.loc.requires_grad_(isinstance(flow.t, nn.Parameter))
    ours.log_scale.requires_grad_(isinstance(flow.s, nn.Parameter))
    return ours


def _base(q0: Any, *, context: bool) -> tuple[Base, list[Bijection]]:
    """The base, and what must follow it at once to be theirs."""
    distributions = library("normflows").distributions
    kind = type(q0)
    if kind is distributions.DiagGaussian and q0.n_dim == 1:
        log_scale = q0.log_scale if q0.temperature is None else q0.log_scale + math.log(q0.temperature)
        trainable = isinstance(q0.loc, nn.Parameter)
        return normal_base(q0.loc.detach()[0], log_scale.detach()[0], trainable=trainable), []
    if kind is distributions.base.ConditionalDiagGaussian and q0.n_dim == 1 and context:
        return _conditional_normal(q0)
    if kind is distributions.base.Uniform and len(q0.shape) == 1:
        low, high = float(q0.low), float(q0.high)
        q0.log_prob_val = -q0.d * math.log(high - low)  # of the copy; the original rounds it to single precision
        return Uniform(q0.shape[0], low, high), []
    if kind is distributions.base.GaussianMixture:
        return _mixture(q0), []
    raise Unsupported("model.q0", f"a {named(q0)} has no equal here")


def _conditional_normal(q0: Any) -> tuple[Base, list[Bijection]]:
    """mean(c) + exp(log_scale(c)) u over a standard normal u: the encoder gives both, one after the other."""
    encoder, place = q0.context_encoder, "model.q0.context_encoder"
    layers = getattr(encoder, "net", encoder)
    if not isinstance(layers, nn.Sequential):
        raise Unsupported(place, f"a {named(encoder)}: only linear layers with activations between them are known here")
    features: int = q0.shape[0]
    width = int(next(layer.in_features for layer in layers if isinstance(layer, nn.Linear)))
    network = sequential_mlp(list(layers), place, None, context_features=width)
    base = normal_base(torch.zeros(features), torch.zeros(features), trainable=False)
    return base, [Coupling((False,) * features, network, Affine(Exp()), width)]


@torch.no_grad()
def _mixture(q0: Any) -> Base:
    ours = NormalMixtureBase(q0.dim, q0.n_modes).to(q0.loc)
    ours.logits.copy_(q0.weight_scores[0])
    ours.loc.copy_(q0.loc[0])
    ours.log_scale.copy_(q0.log_scale[0])
    return ours.requires_grad_(isinstance(q0.loc, nn.Parameter))

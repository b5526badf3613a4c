"""The sampler of a flow as a module: a function of noise that its caller draws."""

import copy

import torch
from torch import Tensor, nn

from ..bases import Base, DiagonalNormal, StandardNormal
from ..bijections import ActNorm, Autoregressive, Bijection, Chain, Inverse, LULinear
from ..conditioners import ContextUnits
from ..flow import Flow
from ..model import Model
from .problem import ExportProblem

DISTIL = "`counterflow distil`, or counterflow.distil in Python"


class Sampler(nn.Module):
    r"""x = f(noise, c), and log q(x | c) if asked for, in one pass and without randomness of its own.

    .. math:: \log q(x | c) = \log p_u(u) - \log\left|\frac{dx}{du}\right|

    The noise is a draw of `noise`, a base that holds no parameters of a normal: a learnt location and scale are part
    of f. Made of a copy of the flow, on the CPU, in evaluation mode and with constant parameters.

    Args:
        flow: Whose sampling direction is one pass.
        log_prob: Whether to give log q(x | c) too.

    Raises:
        ExportProblem: a layer, or the base, samples one coordinate after the other.
    """

    noise: Base
    inner: "Sampler | None"

    def __init__(self, flow: Model, *, log_prob: bool = False) -> None:
        super().__init__()
        if not isinstance(flow, Flow):
            raise ExportProblem(
                f"only the sampler of a Flow is one function of noise, and this model is of the class "
                f"{type(flow).__name__}: distil it into an inverse autoregressive flow ({DISTIL})"
            )
        flow = copy.deepcopy(flow).cpu().eval().requires_grad_(False)
        self.features, self.context_features, self.log_prob = flow.features, flow.context_features, log_prob
        self.encoder = _exportable(flow.context_encoder)
        steps = one_pass_steps(flow.bijection)
        base = flow.base
        if isinstance(base, Model):
            self.inner = Sampler(base, log_prob=log_prob)
            base = self.inner.noise
        elif isinstance(base, DiagonalNormal):
            self.inner = None
            steps = [_Towards(_location_and_scale(base), reverse=False), *steps]
            base = StandardNormal(base.features).to(base.loc.dtype)
        else:
            self.inner = None
        self.noise, self.steps = base, nn.ModuleList(steps)

    def forward(self, noise: Tensor, context: Tensor | None = None) -> tuple[Tensor, ...]:
        """(B, D), and a context if the flow takes one -> x (B, D), and log q(x) (B) if asked for."""
        x, log_prob = self.pushed(noise, context)
        return (x, log_prob) if self.log_prob else (x,)

    def pushed(self, noise: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """x, and log q(x | c); the latter is free where nobody reads it."""
        if context is not None and self.encoder is not None:
            context = self.encoder(context)
        if self.inner is None:
            x, log_prob = noise, self.noise.log_prob(noise)
        else:
            x, log_prob = self.inner.pushed(noise, context if self.inner.context_features else None)
        for step in self.steps:
            x, log_det = step(x, context if step.context_features else None)
            log_prob = log_prob - log_det
        return x, log_prob


def one_pass_steps(bijection: Bijection, *, reverse: bool = False) -> list[nn.Module]:
    """What the generating direction of a bijection does, in order.

    Args:
        bijection: Chains and inverses are taken apart.
        reverse: Its inverse instead.

    Raises:
        ExportProblem: a layer inverts an autoregressive map.
    """
    if isinstance(bijection, Inverse):
        return one_pass_steps(bijection.bijection, reverse=not reverse)
    if isinstance(bijection, Chain):
        parts = reversed(bijection.parts) if reverse else iter(bijection.parts)
        return [step for part in parts for step in one_pass_steps(part, reverse=reverse)]  # type: ignore[arg-type]
    if isinstance(bijection, Autoregressive) and reverse:
        raise ExportProblem(
            f"this flow samples one coordinate after the other, {bijection.features} dependent steps in each of its "
            "autoregressive layers (as a MAF does), and only a sampler of one pass can be exported: "
            f"distil it into an inverse autoregressive flow ({DISTIL})"
        )
    if isinstance(bijection, LULinear):
        return [_Matrix(bijection, reverse=reverse)]
    return [_Towards(bijection, reverse=reverse)]


class _Towards(nn.Module):
    """One direction of a bijection, as a module."""

    def __init__(self, bijection: Bijection, *, reverse: bool) -> None:
        super().__init__()
        self.bijection, self.reverse, self.context_features = bijection, reverse, bijection.context_features

    def forward(self, v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.bijection.inverse(v, context) if self.reverse else self.bijection(v, context)


class _Matrix(nn.Module):
    """One direction of a linear layer as a matrix and a shift: runtimes have no triangular solves."""

    context_features = 0
    weight: Tensor
    bias: Tensor
    log_det: Tensor

    def __init__(self, linear: LULinear, *, reverse: bool) -> None:
        super().__init__()
        exact = copy.deepcopy(linear).double()  # the columns of an inverse need the digits
        apply = exact.inverse if reverse else exact.forward
        with torch.no_grad():
            images, log_det = apply(torch.eye(linear.features, dtype=torch.float64))
            bias, _ = apply(torch.zeros(linear.features, dtype=torch.float64))
        dtype = linear.bias.dtype
        self.register_buffer("weight", (images - bias).mT.to(dtype).contiguous())
        self.register_buffer("bias", bias.to(dtype))
        self.register_buffer("log_det", log_det[0].to(dtype))

    def forward(self, v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return nn.functional.linear(v, self.weight, self.bias), self.log_det


class _LoggedUnits(nn.Module):
    """`ContextUnits` of columns that it takes by their logarithm, without the test of values that no graph can make.

    A context that is not above zero there, which `ContextUnits` refuses in words, gives NaN.
    """

    log: Tensor

    def __init__(self, units: ContextUnits) -> None:
        super().__init__()
        self.units = ContextUnits(units.loc, units.scale, [False] * len(units.log)).to(units._loc.dtype)
        self.register_buffer("log", torch.tensor(units.log))

    def forward(self, context: Tensor) -> Tensor:
        positive = torch.where(context > 0, context, torch.nan)
        return self.units(torch.where(self.log, positive.log(), context))  # type: ignore[no-any-return]


def _exportable(encoder: nn.Module | None) -> nn.Module | None:
    return _LoggedUnits(encoder) if isinstance(encoder, ContextUnits) and any(encoder.log) else encoder


def _location_and_scale(base: DiagonalNormal) -> ActNorm:
    """What turns standard normal noise into draws of that base."""
    affine = ActNorm(base.features).requires_grad_(False).to(base.loc.dtype)
    affine.loc.copy_(base.loc)
    affine.log_scale.copy_(base.log_scale)
    return affine

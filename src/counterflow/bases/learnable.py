"""Bases with parameters: a diagonal normal, Student-t coordinates, a mixture of diagonal normals."""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..shapes import Context, LogDensity, Shape, Vector, broadcast_batch, check_vector
from ..spec import register
from .base import Base, FactorisedBase

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@register
class DiagonalNormal(FactorisedBase):
    """N(loc, diag(exp(log_scale))^2), reparameterised, so that its parameters train under either KL."""

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.loc = nn.Parameter(torch.zeros(features))
        self.log_scale = nn.Parameter(torch.zeros(features))

    def log_prob_rows(self, u: Vector) -> Vector:
        """-((u - loc) / scale)^2 / 2 - log scale - log(2 pi) / 2."""
        z = (u - self.loc) * torch.exp(-self.log_scale)
        return -0.5 * z * z - self.log_scale - _HALF_LOG_2PI

    def rsample_rows(self, shape: torch.Size, *, generator: Generator | None = None) -> Vector:
        """loc + scale times standard normal noise."""
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device, generator=generator)
        return self.loc + self.log_scale.exp() * noise

    def entropy_rows(self) -> Vector:
        """log scale + (1 + log 2 pi) / 2."""
        return self.log_scale + 0.5 + _HALF_LOG_2PI


@register
class StudentT(FactorisedBase):
    r"""Independent Student-t coordinates with learnable degrees of freedom: heavy tails that a Lipschitz flow keeps.

    .. math:: \log p(u) = \log\Gamma(\tfrac{\nu+1}{2}) - \log\Gamma(\tfrac{\nu}{2}) - \tfrac12\log(\pi\nu)
              - \tfrac{\nu+1}{2} \log(1 + u^2/\nu)

    nu = minimum + softplus(raw), one per coordinate. A draw is z sqrt(nu / (2 g)) with z normal and g ~ Gamma(nu / 2),
    whose gradient in nu is implicit (`torch._standard_gamma`). That sampler takes no generator of its own: given a
    generator, draws are made on the global stream seeded from it, which is then put back as it was.

    Args:
        features: D.
        degrees_of_freedom: The value of nu to begin with.
        minimum: nu stays above it.

    Source: Jaini et al. (2020), arXiv:1907.04481; Figurnov et al. (2018), arXiv:1805.08498.
    """

    def __init__(self, features: int, degrees_of_freedom: float = 10.0, minimum: float = 0.5) -> None:
        super().__init__(features)
        if not 0 < minimum < degrees_of_freedom:
            raise ValueError(f"expected 0 < minimum < degrees_of_freedom, got {minimum} and {degrees_of_freedom}")
        self.degrees_of_freedom, self.minimum = degrees_of_freedom, minimum
        excess = degrees_of_freedom - minimum
        self.raw = nn.Parameter(torch.full((features,), excess + math.log(-math.expm1(-excess))))

    @property
    def nu(self) -> Tensor:
        """Degrees of freedom, (D,)."""
        return self.minimum + F.softplus(self.raw)

    def log_prob_rows(self, u: Vector) -> Vector:
        """The formula above; log1p keeps far tails accurate."""
        nu = self.nu
        normaliser = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2) - 0.5 * (math.pi * nu).log()
        return normaliser - 0.5 * (nu + 1) * torch.log1p(u * u / nu)

    def rsample_rows(self, shape: torch.Size, *, generator: Generator | None = None) -> Vector:
        """Normal over the root of a scaled gamma."""
        nu = self.nu.expand(shape)
        noise = torch.randn(shape, dtype=nu.dtype, device=nu.device, generator=generator)
        gamma = _standard_gamma(nu / 2, generator).clamp_min(torch.finfo(nu.dtype).tiny)
        return noise * (nu / (2 * gamma)).sqrt()


def _standard_gamma(concentration: Tensor, generator: Generator | None) -> Tensor:
    if generator is None:
        return torch._standard_gamma(concentration)
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    device = concentration.device
    # Only the stream that will be drawn from is seeded, and put back.
    stream = torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
    before = stream.get_state()
    try:
        stream.manual_seed(seed)
        return torch._standard_gamma(concentration)
    finally:
        stream.set_state(before)


@register
class NormalMixtureBase(Base):
    """sum_k pi_k N(loc_k, diag(scale_k)^2), all learnable. It scores and samples; it has no reparameterised draws.

    Args:
        features: D.
        components: K; they start at seeded standard normal locations with scale 1.
    """

    def __init__(self, features: int, components: int = 10) -> None:
        super().__init__(features)
        if components < 1:
            raise ValueError(f"expected at least one component, got {components}")
        self.components = components
        start = torch.randn(components, features, generator=torch.Generator().manual_seed(0))
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(start.to(self.anchor.dtype))
        self.log_scale = nn.Parameter(torch.zeros(components, features))

    def log_prob(self, u: Vector, context: Context | None = None) -> LogDensity:
        """Log-sum-exp over the components."""
        check_vector(u, self.features, "u")
        if context is not None:
            u = u.expand(*broadcast_batch(u, context), self.features)
        z = (u[..., None, :] - self.loc) * torch.exp(-self.log_scale)  # (*B, K, D)
        rows = -0.5 * z * z - self.log_scale - _HALF_LOG_2PI
        return torch.logsumexp(self.logits.log_softmax(-1) + rows.sum(-1), -1)

    def rsample_and_log_prob(
        self, sample_shape: int | Shape = (), context: Context | None = None, *, generator: Generator | None = None
    ) -> tuple[Vector, LogDensity]:
        """Always refuses: the choice of a component has no pathwise gradient."""
        raise TypeError("a mixture has no reparameterised draws: use sample, or train it by forward KL")

    def sample(
        self, sample_shape: int | Shape = (), context: Context | None = None, *, generator: Generator | None = None
    ) -> Vector:
        """A component by its weight, then a normal draw from it."""
        shape = self._shape(sample_shape, context)
        with torch.no_grad():
            weights = self.logits.softmax(-1)
            count = shape[:-1].numel()
            if not count:
                return self.loc.new_empty(shape)
            k = torch.multinomial(weights, count, replacement=True, generator=generator)
            noise = torch.randn(count, self.features, dtype=weights.dtype, device=weights.device, generator=generator)
            return (self.loc[k] + self.log_scale[k].exp() * noise).reshape(shape)

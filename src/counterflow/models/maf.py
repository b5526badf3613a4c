"""Masked autoregressive flow and inverse autoregressive flow: one stack of layers, read in its two directions."""

from torch import nn

from ..bases import Base, StandardNormal
from ..bijections import Autoregressive, Bijection, Chain, Inverse
from ..conditioners import MaskedMLP
from ..flow import Flow
from ..model import Model
from ..solvers import Solver
from ..univariate import Affine, Univariate
from .made import made_mog
from .mixing import Mixing, Reverse

_REVERSE = Reverse()


def autoregressive_stack(
    features: int,
    context_features: int,
    univariate: Univariate,
    *,
    layers: int,
    hidden: tuple[int, ...],
    residual: bool,
    permutation: Mixing | None,
    activation: nn.Module | None,
    dropout: float,
    solver: Solver | None,
) -> Bijection:
    """Autoregressive layers with a permutation, or another mixing bijection, between each two.

    Raises:
        ValueError: layers < 1.
    """
    if layers < 1:
        raise ValueError(f"expected at least one layer, got {layers}")
    parts: list[Bijection] = []
    for layer in range(layers):
        if layer and permutation is not None:
            parts.append(permutation(features))
        conditioner = MaskedMLP(
            features,
            univariate.num_params,
            hidden,
            context_features,
            residual=residual,
            activation=activation,
            dropout=dropout,
        )
        parts.append(Autoregressive(conditioner, univariate, solver=solver))
    return Chain(parts) if len(parts) > 1 else parts[0]


def maf(
    features: int,
    context_features: int = 0,
    *,
    layers: int = 5,
    hidden: tuple[int, ...] = (512, 512),
    univariate: Univariate | None = None,
    residual: bool = False,
    permutation: Mixing | None = _REVERSE,
    activation: nn.Module | None = None,
    dropout: float = 0.0,
    base: Base | Model | None = None,
    context_encoder: nn.Module | None = None,
    solver: Solver | None = None,
) -> Flow:
    r"""Masked autoregressive flow: scores in one pass, and is therefore trained by forward KL (maximum likelihood).

    .. math:: u_i = (x_i - \mu_i(x_{<i})) / \sigma_i(x_{<i}), \qquad \log p(x) = \log p_u(u) - \sum_i \log \sigma_i

    for each layer, the layer nearest to the data first.

    Args:
        features: D.
        context_features: M, of what we condition on.
        layers: Autoregressive layers.
        hidden: Widths of each conditioner's hidden layers.
        univariate: The map x_i -> u_i of the normalising direction; by default `Affine().inverted`, as above.
        residual: ResMADE conditioners.
        permutation: Makes the bijection between two layers; None keeps one order throughout.
        activation: Of the conditioners.
        dropout: Of the conditioners.
        base: By default standard normal; a `Base`, a flow or a model.
        context_encoder: Any nn.Module whose output has context_features entries.
        solver: Of the sampling direction; None is the best exact one.

    Cost: log_prob `layers` parallel passes; sample the arithmetic of half as many, in D dependent steps each.
    Source: Papamakarios et al. (2017), arXiv:1705.07057.
    """
    stack = autoregressive_stack(
        features,
        context_features,
        univariate or Affine().inverted,
        layers=layers,
        hidden=hidden,
        residual=residual,
        permutation=permutation,
        activation=activation,
        dropout=dropout,
        solver=solver,
    )
    return Flow(base or StandardNormal(features), Inverse(stack), context_encoder=context_encoder)


def iaf(
    features: int,
    context_features: int = 0,
    *,
    layers: int = 5,
    hidden: tuple[int, ...] = (512, 512),
    univariate: Univariate | None = None,
    residual: bool = False,
    permutation: Mixing | None = _REVERSE,
    activation: nn.Module | None = None,
    dropout: float = 0.0,
    base: Base | Model | None = None,
    context_encoder: nn.Module | None = None,
    solver: Solver | None = None,
) -> Flow:
    r"""Inverse autoregressive flow: samples in one pass, and is therefore trained by reverse KL.

    .. math:: x_i = \mu_i(u_{<i}) + \sigma_i(u_{<i}) u_i, \qquad \log q(x) = \log p_u(u) - \sum_i \log \sigma_i

    for each layer, the layer nearest to the noise first. Arguments as for `maf`; `univariate` is the map u_i -> x_i
    of the generating direction, by default `Affine()`.

    Cost: sample, and rsample_and_log_prob, `layers` parallel passes; log_prob of foreign x the arithmetic of half as
    many, in D dependent steps each.
    Source: Kingma et al. (2016), arXiv:1606.04934.
    """
    stack = autoregressive_stack(
        features,
        context_features,
        univariate or Affine(),
        layers=layers,
        hidden=hidden,
        residual=residual,
        permutation=permutation,
        activation=activation,
        dropout=dropout,
        solver=solver,
    )
    return Flow(base or StandardNormal(features), stack, context_encoder=context_encoder)


def maf_mog(
    features: int,
    context_features: int = 0,
    *,
    components: int = 10,
    layers: int = 5,
    hidden: tuple[int, ...] = (512, 512),
    residual: bool = False,
    permutation: Mixing | None = _REVERSE,
    activation: nn.Module | None = None,
    dropout: float = 0.0,
    context_encoder: nn.Module | None = None,
) -> Flow:
    """MAF MoG: a masked autoregressive flow whose base is a MADE with mixtures of normals as conditionals.

    Args:
        features: D.
        context_features: M, of what we condition on; the base sees the context too.
        components: K of each mixture in the base.
        layers: Autoregressive layers of the flow.
        hidden: Widths of hidden layers, in the flow and in the base.
        residual: ResMADE conditioners.
        permutation: Makes the bijection between two layers.
        activation: Of the conditioners.
        dropout: Of the conditioners.
        context_encoder: Any nn.Module whose output has context_features entries.

    Cost: as `maf`, and one pass more for the base. It samples; it has no reparameterised draws.
    Source: Papamakarios et al. (2017), arXiv:1705.07057.
    """
    base = made_mog(
        features,
        context_features,
        components=components,
        hidden=hidden,
        residual=residual,
        activation=activation,
        dropout=dropout,
    )
    return maf(
        features,
        context_features,
        layers=layers,
        hidden=hidden,
        residual=residual,
        permutation=permutation,
        activation=activation,
        dropout=dropout,
        base=base,
        context_encoder=context_encoder,
    )

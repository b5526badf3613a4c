"""The preset that `fit` uses when nothing else is asked for: best on validation rows in benchmarks/preset_search.py."""

from torch import nn

from ..bijections import Autoregressive, Bijection, Chain, Inverse
from ..conditioners import MaskedMLP
from ..flow import Flow
from ..univariate import Affine, RationalQuadratic, Univariate
from .made import made_mog
from .mixing import ReverseLU

# From the data to the base. The affine layers bring scale, tails and correlations into the box of the splines.
_MAPS: tuple[Univariate, ...] = (Affine().inverted, Affine().inverted, RationalQuadratic(), RationalQuadratic())
_COMPONENTS = 10
_HIDDEN = (128, 128)


def recommended(features: int, context_features: int = 0, *, context_encoder: nn.Module | None = None) -> Flow:
    """Two affine and two spline layers of residual masked networks, over a MADE with mixtures of normals.

    After each stand a reversal of the order and an LU linear layer. The parts are those of `maf`, `nsf` and `maf_mog`;
    what each is worth on validation rows is in benchmarks/results/preset_search.md. Standardise the data first, and
    average the weights while training (`ExponentialAverage(0.99)`).

    Args:
        features: D.
        context_features: M, of what we condition on; the base sees the context too.
        context_encoder: Any nn.Module whose output has context_features entries.

    Cost: log_prob five parallel passes; sample the arithmetic of half as many, in D dependent steps each. It has no
        reparameterised draws, because its base picks components.
    Source: Durkan et al. (2019), arXiv:1906.04032; the base: Papamakarios et al. (2017), arXiv:1705.07057.
    """
    parts: list[Bijection] = []
    for univariate in _MAPS:
        conditioner = MaskedMLP(
            features, univariate.num_params, _HIDDEN, context_features, residual=True, activation=nn.SiLU()
        )
        parts += [Autoregressive(conditioner, univariate), ReverseLU()(features)]
    base = made_mog(
        features,
        context_features,
        components=_COMPONENTS,
        hidden=_HIDDEN,
        residual=True,
        activation=nn.SiLU(),
    )
    return Flow(base, Inverse(Chain(parts)), context_encoder=context_encoder)

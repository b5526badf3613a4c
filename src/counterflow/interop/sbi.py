"""Flows of ours as density estimators of sbi: `NPE(density_estimator=counterflow.interop.sbi.maf())`."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .. import models
from ..bijections import Bijection, Chain, Standardise
from ..flow import Flow
from ..univariate import Affine, BoundedExp
from .libraries import importing
from .sbi_accelerated import accelerated
from .sbi_contexts import context_encoder
from .sbi_estimator import FlowEstimator

with importing("sbi"):
    from sbi.utils.nn_utils import get_numel
    from sbi.utils.sbiutils import standardizing_net, z_score_parser, z_standardization

__all__ = ["Builder", "FlowEstimator", "MakeFlow", "accelerated", "estimator", "maf", "nsf"]

MakeFlow = Callable[[int, int], Flow]  # (features, context_features); a context encoder is put around it
WORDS = ("independent", "structured", "none", None)  # sbi has one more, which needs a prior


@dataclasses.dataclass(frozen=True, eq=False)
class Builder:
    """Makes an estimator from the first batch that sbi sees: sizes, and what standardises parameters and data.

    Args:
        make: (features, context_features) -> a flow without a context encoder.
        embedding_net: Of conditions, trained with the flow; its output is the context.
        z_score_theta: "independent", "structured" or "none", of what is modelled.
        z_score_x: The same of conditions.

    Raises:
        ValueError: another word for either.
    """

    make: MakeFlow
    embedding_net: nn.Module
    z_score_theta: str | None
    z_score_x: str | None

    def __post_init__(self) -> None:
        for name in ("z_score_theta", "z_score_x"):
            word = getattr(self, name)
            if word not in WORDS:
                raise ValueError(f"{name}={word!r} {_problem(name, word)}: write 'independent', 'structured' or 'none'")

    def __call__(self, theta: Tensor, x: Tensor) -> FlowEstimator:
        """An estimator of p(theta | x), shapes and scales told from these rows: for NPE.

        Raises:
            ValueError: a flow of other sizes, or with an encoder of its own.
        """
        flat = theta.flatten(1)
        embedding = copy.deepcopy(self.embedding_net).to(x.device)
        width = get_numel(x, embedding_net=embedding)
        wanted, structured = z_score_parser(self.z_score_x)
        net = nn.Sequential(standardizing_net(x, structured), embedding) if wanted else embedding
        flow = self.make(flat.shape[1], width)
        if (flow.features, flow.context_features) != (flat.shape[1], width) or flow.context_encoder is not None:
            raise ValueError(
                f"expected a flow of {flat.shape[1]} features given {width}, without a context encoder, got one of "
                f"{flow.features} given {flow.context_features}"
            )
        parts: list[Bijection] = [flow.bijection]
        wanted, structured = z_score_parser(self.z_score_theta)
        if wanted:
            mean, std = (moment.expand(flat.shape[1]).tolist() for moment in z_standardization(flat, structured))
            parts.append(Standardise(mean, std))
        whole = Flow(flow.base, Chain(parts), context_encoder=context_encoder(net, x[0].shape))
        return FlowEstimator(whole.to(theta.device), theta[0].shape, x[0].shape)


def _problem(name: str, word: Any) -> str:
    if name == "z_score_theta" and word == "transform_to_unconstrained":
        return (
            "needs the prior, which a builder is not given (for draws that all lie inside it, let the flow of "
            "`estimator` end in maps counterflow.univariate.Interval)"
        )
    return "is no way to standardise"


def estimator(
    make: MakeFlow,
    *,
    embedding_net: nn.Module | None = None,
    z_score_theta: str | None = "independent",
    z_score_x: str | None = "independent",
) -> Builder:
    """Any conditional flow of ours for sbi.

    Args:
        make: (features, context_features) -> a flow, e.g. `counterflow.models.nsf`.
        embedding_net: Of the data, as sbi's own builders take it; None: the data as they are.
        z_score_theta: How parameters are standardised, in sbi's words: "independent", "structured" or "none".
        z_score_x: How data are.

    Raises:
        ValueError: another word, "transform_to_unconstrained" included: let the flow end in maps
            `counterflow.univariate.Interval` instead.
    """
    return Builder(make, nn.Identity() if embedding_net is None else embedding_net, z_score_theta, z_score_x)


def maf(*, layers: int = 5, hidden: tuple[int, ...] = (50, 50), **options: Any) -> Builder:
    """A MAF of the size of sbi's default estimator; `options` are those of `estimator`."""
    return estimator(_Maf(layers, hidden), **options)


def nsf(*, layers: int = 5, hidden: tuple[int, ...] = (50, 50), **options: Any) -> Builder:
    """An autoregressive spline flow; `options` are those of `estimator`."""
    return estimator(_Nsf(layers, hidden), **options)


@dataclasses.dataclass(frozen=True)
class _Maf:
    """A function that can be pickled, as sbi does with builders."""

    layers: int
    hidden: tuple[int, ...]

    def __call__(self, features: int, context_features: int) -> Flow:
        # Scales within a factor 20 a layer: standardised parameters need no more.
        tame = Affine(BoundedExp(3.0)).inverted
        return models.maf(
            features,
            context_features,
            layers=self.layers,
            hidden=self.hidden,
            univariate=tame,
            residual=True,
            activation=nn.SiLU(),
        )


@dataclasses.dataclass(frozen=True)
class _Nsf:
    layers: int
    hidden: tuple[int, ...]

    def __call__(self, features: int, context_features: int) -> Flow:
        return models.nsf(
            features, context_features, layers=self.layers, hidden=self.hidden, residual=True, activation=nn.SiLU()
        )

"""Flows of ours as density estimators of sbi: `NPE(density_estimator=counterflow.interop.sbi.maf())`."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .. import models
from ..bijections import Bijection, Chain, Standardise
from ..flow import Flow
from ..model import Given
from ..univariate import Affine, BoundedExp
from .nflows import from_nflows
from .unsupported import Unsupported, named
from .zuko import from_zuko

try:
    from sbi.neural_nets.estimators import NFlowsFlow, ZukoFlow
    from sbi.neural_nets.estimators.base import ConditionalDensityEstimator
    from sbi.utils.nn_utils import get_numel
    from sbi.utils.sbiutils import standardizing_net, z_score_parser, z_standardization
except ModuleNotFoundError as error:
    raise ImportError("sbi is not installed: pip install 'counterflow[sbi]' brings it") from error

MakeFlow = Callable[[int, int], Flow]  # (features, context_features); a context encoder is put around it


class FlowEstimator(ConditionalDensityEstimator):  # type: ignore[misc]
    """A conditional flow as sbi sees densities: inputs (sample, batch, *event), conditions (batch, *event).

    Args:
        net: The flow; its context encoder standardises and embeds conditions.
        input_shape: Of one input.
        condition_shape: Of one condition.
    """

    net: Flow

    def __init__(self, net: Flow, input_shape: torch.Size, condition_shape: torch.Size) -> None:
        super().__init__(net, input_shape, condition_shape)

    @property
    def embedding_net(self) -> nn.Module | None:
        """What conditions pass through, standardisation included."""
        return self.net.context_encoder

    def log_prob(self, input: Tensor, condition: Tensor, **_: Any) -> Tensor:
        """log p(input | condition), (sample, batch); batch axes broadcast."""
        self._check_input_shape(input)
        self._check_condition_shape(condition)
        event = len(self.input_shape)
        if input.dim() <= event + 1:
            input = input[None]
        flat = input.flatten(-event) if event else input[..., None]
        given = self._given(condition)
        scores: Tensor = given.log_prob(flat)
        return scores

    def loss(self, input: Tensor, condition: Tensor, **_: Any) -> Tensor:
        """-log p(input | condition), (batch,)."""
        return -self.log_prob(input[None], condition)[0]

    def sample(self, sample_shape: torch.Size, condition: Tensor, **_: Any) -> Tensor:
        """Draws, (*sample_shape, batch, *event): the exact inverse, not a pass for every parameter."""
        self._check_condition_shape(condition)
        drawn: Tensor = self._given(condition).sample(torch.Size(sample_shape))
        return drawn.reshape(*drawn.shape[:-1], *self.input_shape)

    @torch.no_grad()
    def sample_and_log_prob(self, sample_shape: torch.Size, condition: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
        """Draws, and their log density from the same pass where the base allows it."""
        given = self._given(condition)
        try:
            x, log_prob = given.rsample_and_log_prob(torch.Size(sample_shape))
        except TypeError:  # the base picks components
            x = given.sample(torch.Size(sample_shape))
            log_prob = given.log_prob(x)
        return x.reshape(*x.shape[:-1], *self.input_shape), log_prob

    def inverse_transform(self, input: Tensor, condition: Tensor) -> Tensor:
        """The noise of inputs, (*batch, D): what sbi's local classifier test asks for."""
        self._check_condition_shape(condition)
        bijection = self.net.bijection
        encoded = self._given(condition).encoded
        u, _ = bijection.inverse(input, encoded if bijection.context_features else None)
        return u

    def _given(self, condition: Tensor) -> Given:
        """The condition encoded: encoders of sbi take one batch axis."""
        event = len(self.condition_shape)
        batch = condition.shape[: condition.dim() - event]
        flat = condition.reshape(batch.numel(), *self.condition_shape)
        encoder = self.net.context_encoder
        encoded = flat.flatten(1) if encoder is None else encoder(flat)
        return Given(self.net, condition, encoded.reshape(*batch, encoded.shape[-1]))


@dataclasses.dataclass(frozen=True, eq=False)
class Builder:
    """Makes an estimator from the first batch that sbi sees: sizes, and what standardises parameters and data.

    Args:
        make: (features, context_features) -> a flow without a context encoder.
        embedding_net: Of conditions, trained with the flow; its output is the context.
        z_score_theta: "independent", "structured" or "none", of what is modelled.
        z_score_x: The same of conditions.
    """

    make: MakeFlow
    embedding_net: nn.Module
    z_score_theta: str | None
    z_score_x: str | None

    def __call__(self, theta: Tensor, x: Tensor) -> FlowEstimator:
        """An estimator of p(theta | x), shapes and scales told from these rows.

        Raises:
            ValueError: a flow of other sizes, or with an encoder of its own.
        """
        flat = theta.flatten(1)
        embedding = copy.deepcopy(self.embedding_net).to(x.device)
        width = get_numel(x, embedding_net=embedding)
        wanted, structured = z_score_parser(self.z_score_x)
        encoder = nn.Sequential(standardizing_net(x, structured), embedding) if wanted else embedding
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
        whole = Flow(flow.base, Chain(parts), context_encoder=nn.Sequential(encoder, nn.Flatten()))
        return FlowEstimator(whole.to(theta.device), theta[0].shape, x[0].shape)


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
        z_score_theta: How parameters are standardised, in sbi's words.
        z_score_x: How data are.
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
        tame = Affine(
            BoundedExp(3.0)
        ).inverted  # scales within a factor 20 a layer: standardised parameters need no more
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


def accelerated(posterior: Any) -> Any:
    """A trained posterior of sbi with its net replaced by the same density, inverted exactly.

    Args:
        posterior: E.g. a `DirectPosterior` whose estimator is one of nflows' or zuko's; left as it is.

    Returns:
        A copy that samples faster and scores the same.

    Raises:
        Unsupported: an estimator of another kind, or one with a part that cannot be converted.
    """
    old = posterior.posterior_estimator
    new = FlowEstimator(_converted(old), old.input_shape, old.condition_shape)
    new.train(old.training)
    memo: dict[int, Any] = {id(old): new}
    return copy.deepcopy(posterior, memo)


def _converted(old: Any) -> Flow:
    if isinstance(old, NFlowsFlow):
        return from_nflows(old.net, context=_example(old))
    if isinstance(old, ZukoFlow):
        flow = from_zuko(old.net)
        return Flow(flow.base, flow.bijection, context_encoder=copy.deepcopy(old.embedding_net))
    raise Unsupported("posterior.posterior_estimator", f"{named(old)} is no flow of nflows or zuko")


def _example(old: Any) -> Tensor:
    """Conditions on which a conversion checks itself."""
    like = next(old.net.parameters())
    return torch.randn(64, *old.condition_shape, generator=torch.Generator().manual_seed(0)).to(like)

"""Autoregressive models with explicit conditionals p(x_i | x_<i), and ensembles of densities."""

import math
from collections.abc import Iterable

import torch
from torch import Generator, Tensor, nn

from .conditioners import Conditioner
from .densities import Conditionals
from .families import Family, Laws
from .model import Model
from .shapes import Context, LogDensity, Scalars, Shape, Vector, broadcast_batch
from .spec import register


@register
class AutoregressiveModel(Model):
    r"""p(x | c) = prod_i p(x_i | x_<i, c), the conditionals a family whose parameters a conditioner gives.

    Args:
        conditioner: Row i gives the parameters of p(x_i | x_<i, c).
        family: The shape of the conditionals.
        context_encoder: Any nn.Module, trained with the model.

    Raises:
        ValueError: the conditioner's rows do not have the family's number of parameters.

    Cost: scoring one parallel pass; sampling the conditioner's stepper, D dependent steps.
    Source: Germain et al. (2015), arXiv:1502.03509; Uria et al. (2016), arXiv:1605.02226.
    """

    def __init__(self, conditioner: Conditioner, family: Family, *, context_encoder: nn.Module | None = None) -> None:
        if conditioner.num_params != family.num_params:
            raise ValueError(
                f"{type(family).__name__} takes {family.num_params} parameters, the conditioner gives "
                f"{conditioner.num_params}"
            )
        super().__init__(conditioner.features, conditioner.context_features, context_encoder)
        self.conditioner, self.family = conditioner, family

    def encoded_log_prob(self, x: Vector, context: Context | None) -> LogDensity:
        """sum_i log p(x_i | x_<i)."""
        return self.family.log_prob(x, self.conditioner(x, context)).sum(-1)

    def encoded_conditionals(self, x: Vector, context: Context | None) -> Conditionals:
        """All laws from one pass."""
        return Laws(self.family, self.conditioner(x, context))

    def encoded_sample(self, sample_shape: Shape, context: Context | None, *, generator: Generator | None) -> Vector:
        """One coordinate after the other."""
        return self._draw((), self._batch(sample_shape, context), context, generator)

    def encoded_sample_given_prefix(
        self, prefix: Scalars, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> Vector:
        """The same, from the first coordinate on that the prefix does not hold."""
        batch = torch.Size((*sample_shape, *broadcast_batch(prefix, context)))
        return self._draw(prefix.expand(*batch, -1).unbind(-1), batch, context, generator)

    def encoded_rsample_and_log_prob(
        self, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> tuple[Vector, LogDensity]:
        """One coordinate after the other, each scored as it is drawn."""
        batch = self._batch(sample_shape, context)
        columns: list[Tensor] = [torch.empty(0)] * self.features
        rows: list[Tensor] = []
        stepper = self.conditioner.stepper(batch, context)
        for i in self.conditioner.order:
            params = stepper.params()
            columns[i] = self.family.rsample(params, generator=generator)
            rows.append(self.family.log_prob(columns[i], params))
            stepper.push(columns[i])
        return torch.stack(columns, -1), torch.stack(rows, -1).sum(-1)

    def _draw(
        self, known: tuple[Tensor, ...], batch: torch.Size, context: Tensor | None, generator: Generator | None
    ) -> Tensor:
        """Rows whose first coordinates in the order are `known`; the others are drawn."""
        columns: list[Tensor] = [torch.empty(0)] * self.features
        stepper = self.conditioner.stepper(batch, context)
        for place, i in enumerate(self.conditioner.order):
            fresh = place >= len(known)
            columns[i] = self.family.sample(stepper.params(), generator=generator) if fresh else known[place]
            stepper.push(columns[i])
        return torch.stack(columns, -1)

    def _batch(self, sample_shape: Shape, context: Tensor | None) -> torch.Size:
        return torch.Size((*sample_shape, *(() if context is None else context.shape[:-1])))


@register
class Ensemble(Model):
    r"""An equally weighted mixture of densities, averaged in log space.

    .. math:: \log p(x) = \log \frac1K \sum_k p_k(x)

    Args:
        members: At least one model, all of the same features and context; they keep their own context encoders.
        tied: Whether the members share the parameters of the first and differ in masks only: the ensemble over
            orders and connectivities of the MADE paper. Their parameters must agree in name and shape.

    Raises:
        ValueError: no members, or members that do not fit each other.

    Cost: K passes to score, and K to draw (every member draws a full batch, and each draw picks one of them).
    Source: Germain et al. (2015), arXiv:1502.03509, sections 4.2 and 4.3.
    """

    def __init__(self, members: Iterable[Model], *, tied: bool = False) -> None:
        listed = list(members)
        if not listed:
            raise ValueError("expected at least one member")
        sizes = {(m.features, m.context_features) for m in listed}
        if len(sizes) > 1:
            raise ValueError(f"the members differ in (features, context features): {sorted(sizes)}")
        super().__init__(listed[0].features, listed[0].context_features, None)
        self.tied = tied
        self.members = nn.ModuleList(listed)
        if tied:
            for member in listed[1:]:
                _tie(listed[0], member)

    def encode(self, context: Tensor | None) -> Tensor | None:
        """The context as it came, since each member encodes for itself; the first one says whether it fits."""
        self._first().encode(context)
        return context

    def initialise_(self, x: Vector, context: Context | None = None) -> None:
        """The data-dependent start of every member that has one."""
        for member in self.members:
            start = getattr(member, "initialise_", None)
            if start is not None:
                start(x, context)

    def encoded_log_prob(self, x: Vector, context: Context | None) -> LogDensity:
        """Log-mean-exp over the members."""
        scores = torch.stack([member.log_prob(x, context) for member in self.members], -1)  # type: ignore[operator]
        return scores.logsumexp(-1) - math.log(len(self.members))

    def encoded_sample(self, sample_shape: Shape, context: Context | None, *, generator: Generator | None) -> Vector:
        """A member for each draw, uniformly at random, then a draw from it."""
        encoded = self._first().encode(context)
        batch = torch.Size((*sample_shape, *(() if encoded is None else encoded.shape[:-1])))
        device = next(self.parameters()).device
        choice = torch.randint(len(self.members), batch, device=device, generator=generator)
        x: Tensor | None = None
        for k, member in enumerate(self.members):
            draws = member.sample(sample_shape, context, generator=generator)  # type: ignore[operator]
            x = draws if x is None else torch.where((choice == k)[..., None], draws, x)
        assert x is not None
        return x

    def encoded_rsample_and_log_prob(
        self, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> tuple[Vector, LogDensity]:
        """Always refuses: the choice of a member has no pathwise gradient."""
        raise TypeError("an ensemble has no reparameterised draws: use sample")

    def _first(self) -> Model:
        return self.members[0]  # type: ignore[return-value]


def _tie(source: nn.Module, target: nn.Module) -> None:
    """Make the parameters of `target` those of `source`, by name."""
    theirs = dict(target.named_parameters())
    ours = dict(source.named_parameters())
    if {n: p.shape for n, p in ours.items()} != {n: p.shape for n, p in theirs.items()}:
        raise ValueError("members can be tied only if their parameters agree in name and shape")
    for name, parameter in ours.items():
        owner, _, attribute = name.rpartition(".")
        setattr(target.get_submodule(owner), attribute, parameter)

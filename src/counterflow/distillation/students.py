"""A student of its teacher's own shape: wherever the teacher steps, a layer that samples in one pass."""

import copy
import dataclasses
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from ..autoregressive import AutoregressiveModel
from ..bijections import ActNorm, Autoregressive, Bijection, Chain
from ..conditioners import CausalConv, Conditioner, MaskedMLP
from ..families import Logistic, Normal
from ..flow import Flow
from ..model import Model
from ..shapes import Vector
from ..univariate import Affine, RationalQuadratic, Univariate
from .stages import Stage, generating_map, order_of, stages_of, steps_through

ROWS = 2000  # draws of the teacher by which scales are set

# (features, num_params, context_features, order) -> a network
Network = Callable[[int, int, int, tuple[int, ...]], Conditioner]


@dataclasses.dataclass(frozen=True)
class Masked:
    """Masked multilayer perceptrons.

    Args:
        hidden: Widths of the hidden layers.
        residual: ResMADE.
        activation: Makes that of the hidden units. Bounded ones keep a student of a wild teacher from wild draws.
    """

    hidden: tuple[int, ...] = (256, 256)
    residual: bool = False
    activation: Callable[[], nn.Module] = nn.SiLU

    def __call__(self, features: int, num_params: int, context_features: int, order: tuple[int, ...]) -> Conditioner:
        """A network of that size, in that order."""
        return MaskedMLP(
            features,
            num_params,
            self.hidden,
            context_features,
            residual=self.residual,
            activation=self.activation(),
            order=order,
        )


@dataclasses.dataclass(frozen=True)
class Convolutional:
    """Causal convolutions, for long series.

    Args:
        channels: Width of the stream.
        kernel: Taps.
        positions: Whether rows know where they stand.
    """

    channels: int = 32
    kernel: int = 2
    positions: bool = True

    def __call__(self, features: int, num_params: int, context_features: int, order: tuple[int, ...]) -> Conditioner:
        """A network of that size, in that order."""
        return CausalConv(
            features,
            num_params,
            self.channels,
            context_features,
            kernel=self.kernel,
            positions=self.positions,
            order=order,
        )


def student_of(
    teacher: Model,
    *,
    network: Network = Masked(),
    layers: int = 2,
    rows: Vector | None = None,
    contexts: Tensor | None = None,
    generator: Generator | None = None,
) -> Flow:
    r"""A flow that samples in one pass, with a part for each stage of its teacher.

    A stage that steps, the inverse of a masked layer of a MAF,

    .. math:: x_i = \tau(z_i; \theta_i(x_{<i})), \qquad \text{becomes} \qquad x_i = \tau(z_i; \theta'_i(z_{<i}))

    with the same univariate map, the same order, and a new network. An `AutoregressiveModel` becomes `layers` such maps
    in its order: affine for normal or logistic laws, splines and one affine map for their mixtures; over noise with
    the teacher's kind of tails, and scaled to the moments of `rows`. Stages that are cheap both ways (permutations,
    linear layers, units and supports of columns) are copied, so the student lives where the teacher does. Its networks
    are new; `MatchedLayers` brings them near the teacher.

    Args:
        teacher: A `Flow` or an `AutoregressiveModel`; left as it is.
        network: Makes the networks of the new layers.
        layers: For each autoregressive model in the teacher.
        rows: Data or draws of the teacher; None: 2,000 draws.
        contexts: One for each of `rows`, or for each draw, of a conditional teacher.
        generator: Of those draws.

    Raises:
        TypeError: the teacher is made of something else; the message names it.
        ValueError: the teacher samples in one pass already, a conditional teacher without contexts, or layers < 1.

    Source: the parallel between the two directions of a layer: Papamakarios et al. (2017), arXiv:1705.07057, appendix.
    """
    if layers < 1:
        raise ValueError(f"expected at least one layer, got {layers}")
    base, stages = stages_of(teacher)
    if not any(map(steps_through, stages)):
        raise ValueError("the teacher samples in one pass already: there is nothing to distil")
    parts = [_part(stage, network, layers) for stage in stages]
    student = Flow(
        copy.deepcopy(base),
        Chain(parts) if len(parts) > 1 else parts[0],
        context_encoder=copy.deepcopy(teacher.context_encoder),
    )
    student = student.to(next(teacher.parameters()))
    if isinstance(stages[0], AutoregressiveModel):
        _start(parts[0], teacher, rows, contexts, generator)
    return student


def _part(stage: Stage, network: Network, layers: int) -> Bijection:
    if not steps_through(stage):
        assert isinstance(stage, Bijection)
        return copy.deepcopy(stage)
    size, width, order = stage.features, stage.context_features, order_of(stage)
    if not isinstance(stage, AutoregressiveModel):
        univariate = generating_map(stage)
        return Autoregressive(network(size, univariate.num_params, width, order), univariate)
    inner: Univariate = Affine() if isinstance(stage.family, Normal | Logistic) else RationalQuadratic()
    maps = [*[inner] * (layers - 1), Affine()] if layers > 1 else [inner]
    steps: list[Bijection] = [Autoregressive(network(size, m.num_params, width, order), m) for m in maps]
    return Chain([*steps, ActNorm(size)])


@torch.no_grad()
def _start(
    part: Bijection, teacher: Model, rows: Tensor | None, contexts: Tensor | None, generator: Generator | None
) -> None:
    """The scale of an autoregressive model's coordinates, from rows that are taken back through all later stages."""
    if rows is None:
        if teacher.context_features and contexts is None:
            raise ValueError("the teacher is conditional: pass contexts, for which it draws rows, or rows with theirs")
        some = None if contexts is None else contexts[:ROWS]
        rows = teacher.sample((ROWS,) if some is None else (), some, generator=generator)
        contexts = some
    encoded = teacher.encode(contexts)
    if isinstance(teacher, Flow):
        bijection = teacher.bijection
        rows, _ = bijection.inverse(rows, encoded if bijection.context_features else None)
    assert isinstance(part, Chain)
    scale = part.parts[-1]
    assert isinstance(scale, ActNorm)
    scale.initialise_(rows)

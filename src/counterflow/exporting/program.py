"""A flow's sampler as a program of `torch.export`."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ..conditioners import ContextUnits
from ..flow import Flow
from ..model import Model
from .folding import Decompositions, folded
from .problem import ExportProblem
from .sampler import Sampler

_ROWS = 3  # of the example: not 0 or 1, which torch takes for constants


def export_program(flow: Model, *, context: Tensor | None = None, log_prob: bool = False) -> ExportedProgram:
    r"""The sampler as a program: (noise[, context]) -> (x[, log_prob]), for batches of any size, without Python.

    .. math:: x = f(u, c), \qquad \log q(x | c) = \log p_u(u) - \log\left|\frac{dx}{du}\right|

    Args:
        flow: Samples in one pass: `models.iaf`, `realnvp`, `nice`, a distilled student. Its base is the law of the
            noise; the location and the scale of a `DiagonalNormal` are in the program, its noise is standard normal.
        context: An example, (B, ...), where the flow's context goes through an encoder of the user's own, which becomes
            part of the program. Else its shape is known.
        log_prob: Whether to give log q(x | c) too, in nats.

    Returns:
        With inputs `noise` (B, D) and `context` (B, M), in the flow's precision.

    Raises:
        ExportProblem: the flow samples one coordinate after the other; or torch cannot follow a layer or an encoder.

    Error: rounding.    Cost: two traces, seconds.
    """
    return traced(Sampler(flow, log_prob=log_prob), example_context(flow, context), {})


def traced(sampler: Sampler, context: Tensor | None, decompositions: Decompositions) -> ExportedProgram:
    """The program of a sampler, given an example of the context, with some operations written out.

    Raises:
        ExportProblem: torch cannot follow it.
    """
    noise = sampler.noise.sample(_ROWS, generator=torch.Generator().manual_seed(0))
    inputs = (noise,) if context is None else (noise, rows_of(context, _ROWS))
    axis = {0: Dim("batch")}
    shapes = {"noise": axis} if context is None else {"noise": axis, "context": axis}
    with quiet():
        try:
            program = torch.export.export(sampler, inputs, dynamic_shapes=shapes, strict=False)
            program = torch.export.export(folded(program, decompositions), inputs, dynamic_shapes=shapes, strict=False)
        except ExportProblem:
            raise
        except Exception as error:  # torch has a dozen kinds
            first = str(error).strip().splitlines() or [type(error).__name__]
            raise ExportProblem(f"torch.export cannot follow this flow: {first[0]}") from error
    for node in program.graph.nodes:  # a file would tell of folders of this machine
        node.meta.pop("stack_trace", None)
    return program


def example_context(model: Model, given: Tensor | None) -> Tensor | None:
    """A few contexts as the user has them: those that were given, or such as the model tells.

    Raises:
        ExportProblem: an encoder of the user's own, and no example; or an example for a flow that takes no context.
    """
    if not isinstance(model, Flow) or not model.context_features:
        if given is not None:
            raise ExportProblem("this flow takes no context, and an example of one was given")
        return None
    if given is not None:
        if given.ndim < 2 or not len(given):
            raise ExportProblem(f"expected an example of the context of shape (B, ...), got {tuple(given.shape)}")
        return given.detach().cpu()
    encoder, generator = model.context_encoder, torch.Generator().manual_seed(1)
    if encoder is None:
        dtype = next((p.dtype for p in model.parameters()), torch.float32)
        return torch.randn(1000, model.context_features, dtype=dtype, generator=generator)
    if not isinstance(encoder, ContextUnits):
        raise ExportProblem(
            f"the context of this flow goes through a {type(encoder).__name__}, whose input may have any shape: "
            "give an example of the context"
        )
    units = encoder._loc.cpu()
    z = torch.randn(1000, len(units), dtype=units.dtype, generator=generator)
    inside = units + encoder._scale.cpu() * z
    return torch.where(encoder._log.cpu(), inside.exp(), inside)


def rows_of(context: Tensor, count: int) -> Tensor:
    """So many rows, the given ones again and again."""
    return context[torch.arange(count) % len(context)]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's exporters say of themselves: a deprecation in their own code, and packages nobody needs."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`isinstance\\(treespec, LeafSpec\\)`", category=FutureWarning)
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)

"""Gradients through any exact inverse, by the implicit function theorem."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..conditioners import Conditioner
from ..shapes import Context, Vector, broadcast_batch
from ..tracing import plain_tensors
from ..univariate import Univariate
from .solver import Solution

M = TypeVar("M", bound=nn.Module)

Solve = Callable[[Conditioner, Univariate, Tensor, Tensor | None], Solution]


@dataclasses.dataclass(frozen=True)
class Point:
    """Where a gradient is taken: a solution u of x = F(u; theta, c), and dL/du, dL/dl of the loss.

    Attributes:
        conditioner: With the tensors of the forward pass.
        univariate: The map of each row.
        u: (*B, D).
        context: As it was given, constant.
        parameters: By name, those that have gradients, as they were in the forward pass; constant.
        grad_u: (*B, D), or None.
        grad_log_det: (*B), or None.
        wants_context: Whether the gradient of the context is wanted.
        wanted: Names of the parameters whose gradients are.
    """

    conditioner: Conditioner
    univariate: Univariate
    u: Tensor
    context: Tensor | None
    parameters: dict[str, Tensor]
    grad_u: Tensor | None
    grad_log_det: Tensor | None
    wants_context: bool
    wanted: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Gradients:
    """dL/dx, (*B, D); dL/dcontext, as the context lies, or None; dL/dtheta by name, of those that were wanted."""

    x: Tensor
    context: Tensor | None
    parameters: dict[str, Tensor]


Pullback = Callable[[Point], Gradients]


def implicit(
    conditioner: Conditioner,
    univariate: Univariate,
    x: Vector,
    context: Context | None,
    solve: Solve,
    *,
    pullback: Pullback,
) -> Solution:
    r"""The solution of x = F(u; theta, c) with the gradients of the exact inverse, however it was found.

    With l = log |du/dx| = -sum log diag J and J = dF/du,

    .. math:: w = \frac{dL}{du} + \frac{dL}{dl} \frac{dl}{du}, \quad J^T v = w, \quad \frac{dL}{dx} = v, \quad
              \frac{dL}{d\theta} = -v^T \frac{dF}{d\theta} + \frac{dL}{dl} \frac{dl}{d\theta}

    with the partial derivatives of F and l at fixed u; the context's gradient is that of a parameter.

    Args:
        conditioner: Gives the parameters.
        univariate: The map of each row.
        x: What to invert.
        context: What the conditioner takes.
        solve: Finds u and l; called once, without gradients.
        pullback: Computes the gradients: `masked_pullback` for masked networks, `nilpotent_pullback` for any.

    Returns:
        What `solve` returned, u and log_det connected to x, to the context and to the conditioner's parameters.

    Error: first derivatives are those of the map at the u that was found.
    Cost: that of the pullback, in the backward pass. A second derivative raises RuntimeError.
    Source: Bai et al. (2019), arXiv:1909.01377, for the implicit function theorem around a solver.
    """
    with torch.no_grad():
        solution = solve(conditioner, univariate, x, context)
    tensors = {**dict(conditioner.named_parameters()), **dict(conditioner.named_buffers())}
    frozen = {name: tensor for name, tensor in tensors.items() if not tensor.requires_grad}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
    if not torch.is_grad_enabled() or not any(
        tensor is not None and tensor.requires_grad for tensor in (x, context, *tensors.values())
    ):
        return solution
    call = _Call(_snapshot(conditioner, {}), univariate, tuple(tensors), pullback, frozen, solution.u, solution.log_det)
    batch = broadcast_batch(x, context)
    # Expanded out here, so that autograd sums the gradient over the axes along which x was repeated.
    wide = x.expand(*batch, x.shape[-1])
    u, log_det = _Implicit.apply(call, wide, context, *tensors.values())  # type: ignore[no-untyped-call]
    return solution._replace(u=u, log_det=log_det)


@dataclasses.dataclass
class _Call:
    """What the backward pass needs beside tensors that autograd keeps."""

    conditioner: Conditioner
    univariate: Univariate
    names: tuple[str, ...]
    pullback: Pullback
    frozen: dict[str, Tensor]
    u: Tensor | None
    log_det: Tensor | None

    def take(self) -> tuple[Tensor, Tensor]:
        """The solution, once: as an output of the Function autograd keeps it, without a cycle."""
        u, log_det = self.u, self.log_det
        self.u = self.log_det = None
        assert u is not None
        assert log_det is not None
        return u, log_det


class _Implicit(torch.autograd.Function):
    """(x, context, parameters) -> (u, log_det), found already; the backward pass is the implicit function theorem."""

    @staticmethod
    def forward(ctx: Any, call: _Call, x: Tensor, context: Tensor | None, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        u, log_det = call.take()
        ctx.call = call
        ctx.set_materialize_grads(False)
        # The frozen ones too: autograd refuses to go back to any that has been changed in place since.
        ctx.save_for_backward(u, context, *tensors, *call.frozen.values())
        return u, log_det

    @staticmethod
    def backward(ctx: Any, grad_u: Tensor | None, grad_log_det: Tensor | None) -> tuple[Tensor | None, ...]:
        _, needs_x, needs_context, *needed = ctx.needs_input_grad
        call: _Call = ctx.call
        u, context, *tensors = ctx.saved_tensors[: 2 + len(ctx.call.names)]
        if not plain_tensors(grad_u, grad_log_det):
            raise RuntimeError(
                "this inverse takes one gradient at a time: for a batch of them (is_grads_batched), "
                "or another transform of its backward pass, use solver=Stepwise()"
            )
        twice = torch.is_grad_enabled()
        with torch.no_grad(), torch.autocast(u.device.type, enabled=False):
            found = call.pullback(
                Point(
                    call.conditioner,
                    call.univariate,
                    u,
                    context,
                    dict(zip(call.names, tensors, strict=True)),
                    grad_u,
                    grad_log_det,
                    needs_context,
                    frozenset(name for name, need in zip(call.names, needed, strict=True) if need),
                )
            )
        of_x = found.x if needs_x else None
        of_context = found.context if needs_context else None
        grads = [None, of_x, of_context, *(found.parameters.get(name) for name in call.names)]
        sources = [t for t in (u, context, *tensors, grad_u, grad_log_det) if t is not None]
        return tuple(_only_once(grads, sources)) if twice else tuple(grads)


def _snapshot(module: M, copies: dict[int, nn.Module]) -> M:
    """The module as it is now, with its very tensors: whatever it is given, told or lent later does not reach the copy.

    Cost: one Python object per submodule; for one backward pass only.
    """
    if id(module) not in copies:
        copy = copies[id(module)] = type(module).__new__(type(module))
        kept = vars(module).items()
        vars(copy).update((name, type(v)(v) if type(v) in (dict, list, set) else v) for name, v in kept)
        inner = {name: None if m is None else _snapshot(m, copies) for name, m in module._modules.items()}
        vars(copy)["_modules"] = inner
    return copies[id(module)]  # type: ignore[return-value]


def _only_once(grads: list[Tensor | None], sources: list[Tensor]) -> list[Tensor | None]:
    """The same gradients, with a history that refuses to be differentiated: without one, the answer would be wrong.

    The history leads to all that the gradients were made of, or torch would find no way back and say zero.
    """
    present = [grad.detach() for grad in grads if grad is not None]
    marked = iter(_FirstOrder.apply(len(present), *present, *sources))  # type: ignore[no-untyped-call]
    return [None if grad is None else next(marked) for grad in grads]


class _FirstOrder(torch.autograd.Function):
    """The first tensors, once."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.clone() for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError(
            "this inverse has first derivatives only: for a second derivative through it, "
            "use solver=Stepwise(), which can be differentiated to any order"
        )

"""The gradient of the exact inverse of a masked network: one pass, one mirrored recursion, one product per weight."""

import torch
from torch import Tensor
from torch.func import functional_call

from ..conditioners import Programmed
from ..conditioners.program import Gate, Linear, Program, Shift
from ..univariate import Univariate
from .implicit import Gradients, Point
from .kernels.mirrored import solve_mirrored
from .mirror import Linearised, Rows, linearise, mirror
from .parallel import flattened

_CONTEXT = "the context"  # among the names of parameters, which have no spaces


def masked_pullback(point: Point) -> Gradients:
    r"""The gradients of an inverse by a masked network.

    With x_i = tau(u_i; p_i), C_i = dL/dl dl/dp_i - v_i dx_i/dp_i and q(C) what the network's transposed Jacobian makes
    of these cotangents of its outputs, v = dL/dx solves

    .. math:: v_i \frac{dx_i}{du_i} = \frac{dL}{du_i} + \frac{dL}{dl} \frac{dl}{du_i} + q_i(C_{>i})

    Row i needs later rows only: a recursion from the last row to the first, in which every weight is used once. Its
    by-products are the cotangents of all units, from which the gradients of the weights follow as in any backward
    pass.

    Cost: one pass, half a pass for the recursion, and one product per wanted weight.
    """
    conditioner = point.conditioner
    assert isinstance(conditioner, Programmed)
    program = conditioner.program()
    # Whatever has happened to the module since: these are the tensors of the forward pass, which autograd has checked.
    names = {id(p): name for name, p in conditioner.named_parameters() if name in point.parameters}
    names |= {id(b): name for name, b in conditioner.named_buffers() if name in point.parameters}
    leaves = {name: p.detach().requires_grad_() for name, p in point.parameters.items() if name in point.wanted}
    context = point.context
    if context is not None:
        context = context.detach().requires_grad_(point.wants_context)
    with torch.enable_grad():
        flat = flattened(point.u, context)
    added = _added(program, flat.context, leaves, names)
    at = linearise(program, flat.x, {place: value.detach() for place, value in added.items()})
    grad_u = torch.zeros_like(flat.x) if point.grad_u is None else point.grad_u.reshape(flat.x.shape)
    grad_log_det = None if point.grad_log_det is None else point.grad_log_det.reshape(-1)
    rows = _rows(point.univariate, flat.x, at.outputs, (grad_u, grad_log_det))
    keep = bool(point.wanted) or point.wants_context
    v, kept = solve_mirrored(mirror(program, conditioner.layout), rows, at.slopes, keep=keep)
    found: dict[str, Tensor] = {}
    if keep:
        # (N, D, P) -> (N, P D), as the network's outputs lie
        cotangent = torch.addcmul(rows.offset, v[..., None], rows.slope, value=-1).transpose(1, 2).flatten(1)
        outputs = len(program.sizes) - 1
        kept |= {place: cotangent for place, step in enumerate(program.steps) if step.target == outputs}
        found = _of_weights(program, at, kept, {i: name for i, name in names.items() if name in point.wanted})
    inputs = dict(leaves) if not point.wants_context else {**leaves, _CONTEXT: _present(context)}
    found |= _of_added(program, at, added, kept, inputs)
    of_context = found.pop(_CONTEXT, None)
    return Gradients(v.reshape(point.u.shape), of_context, found)


def _added(
    program: Program, context: Tensor | None, leaves: dict[str, Tensor], names: dict[int, str]
) -> dict[int, Tensor]:
    """What the layers of the context make of it, connected to it and to those of their parameters that are leaves."""
    added = {}
    for place, step in enumerate(program.steps):
        if isinstance(step, Shift | Gate):
            inner = {name: names.get(id(p)) for name, p in step.layer.named_parameters()}
            own = {name: leaves[known] for name, known in inner.items() if known in leaves}
            with torch.enable_grad():
                added[place] = functional_call(step.layer, own, (context,))
    return added


def _rows(univariate: Univariate, u: Tensor, outputs: Tensor, grads: tuple[Tensor, Tensor | None]) -> Rows:
    """The derivatives of the univariate maps, by autograd: they are elementwise."""
    grad_u, grad_log_det = grads
    num_params = univariate.num_params
    with torch.enable_grad():
        point = u.detach().requires_grad_()
        # One sample's rows side by side, (N, P, D), as the network gives them.
        leaf = outputs.detach().reshape(len(u), num_params, u.shape[-1]).requires_grad_()
        x, log_slope = univariate.forward(point, leaf.transpose(1, 2))
    direct, slope = _gradient(x, torch.ones_like(x), point, leaf)
    given, offset = grad_u, u.new_zeros(()).expand_as(leaf)
    if grad_log_det is not None:  # l = -sum log slope
        of_u, offset = _gradient(log_slope, (-grad_log_det)[:, None].expand_as(log_slope), point, leaf)
        given = given + of_u
    return Rows(given, direct.reciprocal(), slope.transpose(1, 2), offset.transpose(1, 2))


def _gradient(value: Tensor, cotangent: Tensor, *leaves: Tensor) -> list[Tensor]:
    if not value.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(value, leaves, cotangent, retain_graph=True, materialize_grads=True)
    return list(found)


def _of_weights(program: Program, at: Linearised, kept: dict[int, Tensor], names: dict[int, str]) -> dict[str, Tensor]:
    """Gradients of the weights and biases of the linear steps: the cotangent of the result times what it read."""
    found: dict[str, Tensor] = {}
    for place, step in enumerate(program.steps):
        if isinstance(step, Linear):
            weight, bias = names.get(id(step.layer.weight)), names.get(id(step.layer.bias))
            if weight is not None:  # one tensor may serve several steps
                gradient = step.layer.weight_gradient(kept[place], at.sources[place])
                found[weight] = found[weight] + gradient if weight in found else gradient
            if bias is not None:
                gradient = kept[place].sum(0)
                found[bias] = found[bias] + gradient if bias in found else gradient
    return found


def _of_added(
    program: Program, at: Linearised, added: dict[int, Tensor], kept: dict[int, Tensor], inputs: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Gradients of what the context's layers read: the context itself, and those of the leaves that are theirs."""
    values, cotangents = [], []
    for place, value in added.items():
        if value.requires_grad:
            cotangent = kept[place] * at.gated[place] if isinstance(program.steps[place], Gate) else kept[place]
            values.append(value)
            cotangents.append(cotangent if len(value) == len(cotangent) else cotangent.sum(0, keepdim=True))
    if not values:
        return {}
    grads: tuple[Tensor | None, ...] = torch.autograd.grad(values, list(inputs.values()), cotangents, allow_unused=True)
    return {name: grad for name, grad in zip(inputs, grads, strict=True) if grad is not None}


def _present(context: Tensor | None) -> Tensor:
    assert context is not None
    return context

"""The linearised network run backwards: the program whose recursion solves the triangular system of a gradient.

Cotangents flow from the outputs to the inputs, last coordinate first: once those of the rows after position i are
known, exactly the cotangents of the units of degree i + 1 become computable. So it is a program like any other, with
transposed weights, derivatives of activations in place of activations, P inputs a step and one output.
"""

import weakref
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..conditioners.program import Activate, Add, Gate, Keep, Layout, Linear, Program, Scale, Shift, Step, Transposed


class Mirror(NamedTuple):
    """A program for cotangents, and when each of its units can be computed (in D + 1 steps: the last has no row)."""

    program: Program
    layout: Layout


class Rows(NamedTuple):
    """The linearised rows: v_i = (given_i + q_i) reciprocal_i sends offset_i - v_i slope_i back into the network.

    Attributes:
        given: dL/du_i and the direct part of dL/dl dl/du_i, (N, D).
        reciprocal: 1 / (dx_i / du_i), (N, D).
        slope: dx_i / dparams_i, (N, D, P).
        offset: dL/dl dl/dparams_i, (N, D, P).
    """

    given: Tensor
    reciprocal: Tensor
    slope: Tensor
    offset: Tensor


class Linearised(NamedTuple):
    """A direct program at one point.

    Attributes:
        outputs: (N, P D).
        sources: For each `Linear` step what it reads, (N, units).
        slopes: For each `Activate` step the derivative of its result, for each `Gate` step its factor, (N or 1, units).
        gated: For each `Gate` step what it multiplies.
    """

    outputs: Tensor
    sources: dict[int, Tensor]
    slopes: dict[int, Tensor]
    gated: dict[int, Tensor]


def mirror(program: Program, layout: Layout) -> Mirror:
    """The steps reversed and transposed. The last buffer is the cotangent of the inputs; before it stand spare ones.

    A spare buffer takes a cotangent that is multiplied while the factor is not to reach those who have read it.
    """
    last = len(program.sizes) - 1
    spare = [_multiplied(step) for step in reversed(program.steps) if _multiplied(step) is not None]
    end = last + len(spare)
    of = {buffer: end if buffer == 0 else last - buffer for buffer in range(last + 1)}  # the cotangent of a buffer
    free = iter(range(last, end))
    steps: list[Step] = []
    for place, step in reversed(list(enumerate(program.steps))):
        match step:
            case Linear(target, source, layer):
                steps += [] if target == last else [Keep(of[target], place)]
                steps.append(Transposed(of[source], of[target], layer))
            case Shift(target):
                steps.append(Keep(of[target], place))
            case Gate(target):
                extra = next(free)
                steps += [Keep(of[target], place), Add(extra, of[target]), Scale(extra, place)]
                of[target] = extra
            case Activate(target, source) if target == source:
                steps.append(Scale(of[target], place))
            case Activate(target, source):
                extra = next(free)
                steps += [Add(extra, of[target]), Scale(extra, place), Add(of[source], extra)]
            case Add(target, source):
                steps.append(Add(of[source], of[target]))
    buffers = [*range(last, 0, -1), *(buffer for buffer in spare if buffer is not None), 0]
    sizes = tuple(program.sizes[buffer] for buffer in buffers)
    known = _LAYOUTS.setdefault(layout, {})
    if program.outline not in known:
        index, ends = zip(*(_reversed(program, layout, buffer) for buffer in buffers), strict=True)
        known[program.outline] = Layout(layout.order[::-1], tuple(index), tuple(ends), layout.holes[::-1])
    return Mirror(Program(program.features, 1, sizes, tuple(steps)), known[program.outline])


def _multiplied(step: Step) -> int | None:
    """Whose units a spare buffer holds, if the step needs one."""
    if isinstance(step, Gate):
        return step.target
    return step.source if isinstance(step, Activate) and step.source != step.target else None


_LAYOUTS: "weakref.WeakKeyDictionary[Layout, dict[tuple[object, ...], Layout]]" = weakref.WeakKeyDictionary()


def _reversed(program: Program, layout: Layout, buffer: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Units by falling degree, and how many there are before each of the D + 1 steps, and after them.

    Step j finds the cotangent of the coordinate at position D - 1 - j, before it those of the units of degree D - j.
    """
    features, index, ends = program.features, layout.index[buffer], layout.ends[buffer]
    known = [min(step, features) for step in range(features + 2)]
    if buffer == len(program.sizes) - 1:
        rows = np.array(index).reshape(features, program.num_params)[::-1]  # (position, parameter)
        return tuple(rows.ravel().tolist()), tuple(step * program.num_params for step in known)
    if buffer == 0:
        return index[::-1], tuple(known)
    # Before step j + 1 all of degree above D - j - 1 are found, which are those that are not below D - j.
    return index[::-1], (0, *(len(index) - end for end in reversed(ends)))


def linearise(program: Program, u: Tensor, added: dict[int, Tensor]) -> Linearised:
    """One pass, and what a gradient needs of it.

    Args:
        program: Direct.
        u: (N, D).
        added: For each `Shift` and `Gate` step what its layer makes of the context, (N or 1, units).
    """
    buffers: dict[int, Tensor] = {0: u}
    sources: dict[int, Tensor] = {}
    slopes: dict[int, Tensor] = {}
    gated: dict[int, Tensor] = {}
    for index, step in enumerate(program.steps):
        match step:
            case Linear(target, source, layer):
                sources[index] = buffers[source]
                fresh = layer(buffers[source])
                buffers[target] = fresh if target not in buffers else buffers[target] + fresh
            case Shift(target):
                buffers[target] = buffers[target] + added[index]
            case Gate(target):
                gated[index], slopes[index] = buffers[target], added[index]
                buffers[target] = buffers[target] * slopes[index]
            case Activate(target, source, function):
                buffers[target], slopes[index] = _with_slope(function, buffers[source])
            case Add(target, source):
                buffers[target] = buffers[target] + buffers[source] if target in buffers else buffers[source]
    return Linearised(buffers[len(program.sizes) - 1], sources, slopes, gated)


def _with_slope(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """f(x), and f'(x)."""
    if type(function) is nn.ReLU:
        y = torch.relu(x)
        return y, (y > 0).to(x)
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = function(leaf)
    (slope,) = torch.autograd.grad(y, leaf, torch.ones_like(y))
    return y.detach(), slope

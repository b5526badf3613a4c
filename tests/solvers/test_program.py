"""A network as data: the order and the degrees that follow from its masks, and the mirrored program of its gradient."""

import copy
import dataclasses
import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterflow.conditioners import MaskedLinear, MaskedMLP
from counterflow.conditioners.program import Activate, Linear, Program
from counterflow.conditioners.recursion import Recursion
from counterflow.solvers import Blocked
from counterflow.solvers.kernels.mirrored import recurse, solve_mirrored
from counterflow.solvers.mirror import Rows, linearise, mirror
from solvers.kernel_cases import NETS, Net, U, coupled, normal

KINDS = pytest.mark.parametrize("kind", NETS.values(), ids=NETS)


def reads_of(program: Program) -> list[np.ndarray]:
    """For each buffer which inputs each unit reads, by following the masks: (units, D) of bool."""
    reads: list[Any] = [np.eye(program.features, dtype=bool)]
    reads += [np.zeros((size, program.features), bool) for size in program.sizes[1:]]
    for step in program.steps:
        if isinstance(step, Linear):
            mask = step.layer.mask.bool().numpy()
            for unit in range(len(mask)):
                reads[step.target][unit] |= reads[step.source][mask[unit]].any(0)
        elif hasattr(step, "source"):
            reads[step.target] = reads[step.target] | reads[step.source]
    return reads


def outputs_of(program: Program, x: Tensor, context: Tensor | None) -> Tensor:
    """All rows, by the steps of the program."""
    added = {place: step.layer(context) for place, step in enumerate(program.steps) if type(step).__name__ in SIDE}
    return linearise(program, x, added).outputs


SIDE = ("Shift", "Gate")


@KINDS
def test_the_program_is_the_network(kind: Net) -> None:
    net = kind.make(3)
    x, context = kind.inputs(4)
    rows = outputs_of(net.program(), x, context)
    torch.testing.assert_close(rows.view(4, 3, -1).transpose(1, 2), net(x, context), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("derived", [False, True], ids=["degrees given", "degrees from the masks"])
@KINDS
def test_units_and_rows_read_only_what_comes_before_them_in_the_order(kind: Net, derived: bool) -> None:
    net = kind.make(3)
    program = net.program()
    layout = program.layout() if derived else net.layout
    assert sorted(layout.order) == list(range(kind.features))
    reads = reads_of(program)
    for buffer, (index, ends) in enumerate(zip(layout.index, layout.ends, strict=True)):
        assert sorted(index) == list(range(program.sizes[buffer]))
        assert (ends[0], ends[-1]) == (0, len(index))
        for k in range(kind.features):
            for unit in index[ends[k] : ends[k + 1]]:
                last = max((position for position, i in enumerate(layout.order) if reads[buffer][unit, i]), default=-1)
                if buffer == 0:
                    assert last == k
                else:
                    assert last < k or last == -1
                    assert buffer != len(layout.index) - 1 or unit % kind.features == layout.order[k]


@KINDS
def test_the_layout_keeps_to_the_order_of_the_conditioner(kind: Net) -> None:
    """Masks of few units leave several orders open; whoever steps through the rows counts on this one."""
    net = kind.make(1)
    assert net.layout.order == net.order


@pytest.mark.parametrize("derived", [False, True], ids=["degrees given", "degrees from the masks"])
@KINDS
def test_a_layer_has_holes_where_a_unit_does_not_read_all_that_is_known(kind: Net, derived: bool) -> None:
    net = kind.make(2)
    program = net.program()
    layout = program.layout() if derived else net.layout
    for step, holes in zip((step for step in program.steps if isinstance(step, Linear)), layout.holes, strict=True):
        units, sources = (np.array(layout.index[buffer]) for buffer in (step.target, step.source))
        mask = step.layer.mask.bool().numpy()[units][:, sources]
        full = np.zeros_like(mask)
        for k in range(kind.features):
            known = layout.ends[step.source][k if step.source == 0 else k + 1]
            full[layout.ends[step.target][k] : layout.ends[step.target][k + 1], :known] = True
        assert not (mask & ~full).any()
        assert holes == bool((full & ~mask).any())


def test_the_table_has_layers_with_holes_and_without() -> None:
    assert not any(NETS["sorted"].make(1).layout.holes)
    assert any(NETS["holes"].make(1).layout.holes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_layout_does_not_depend_on_the_precision_of_the_masks(dtype: torch.dtype) -> None:
    """A mask of 511 ones has a sum of 512 in bfloat16."""
    for kind in (Net(64, (128, 100)), NETS["holes"], Net(30, (40,), options={"degrees": ((3,) * 40,)})):
        net = kind.make(2, torch.float32)
        exact, found = net.program().layout(), copy.deepcopy(net).to(dtype).program().layout()
        assert found.holes == exact.holes
        assert found.order == exact.order


def test_masks_of_rows_that_read_each_other_are_refused() -> None:
    net = MaskedMLP(3, 1, (4,))
    net.first.mask.fill_(1)
    net.out.mask.fill_(1)
    with pytest.raises(ValueError, match="not autoregressive"):
        net.program().layout()


@KINDS
def test_the_recursion_evaluates_every_unit_once(kind: Net) -> None:
    counted: list[int] = []

    def counting(h: Tensor) -> Tensor:
        counted.append(h.shape[0])
        return h.tanh()

    net = kind.make(2)
    program = net.program()
    steps = tuple(step._replace(function=counting) if isinstance(step, Activate) else step for step in program.steps)
    context = kind.inputs(1)[1]
    added = {place: step.layer(context) for place, step in enumerate(steps) if type(step).__name__ in SIDE}
    with torch.no_grad():
        recursion = Recursion(dataclasses.replace(program, steps=steps), net.layout, 1, added)
        for _ in range(kind.features):
            assert recursion.row().shape == (2, 1)
            recursion.push(normal(1, 1))
    expected = sum(program.sizes[step.target] for step in program.steps if isinstance(step, Activate))
    assert sum(counted) == expected


@pytest.mark.parametrize("solve", [solve_mirrored, lambda *given, keep: recurse(*given)], ids=["kernel", "PyTorch"])
@KINDS
def test_the_mirrored_program_solves_the_transposed_system(kind: Net, solve: Any) -> None:
    """J^T v = given with J = diag(slope of the map) + (slopes in the parameters) (Jacobian of the network)."""
    count, num_params, features = 5, 3, kind.features
    net, (x, context) = kind.make(num_params), kind.inputs(count)
    program, layout = net.program(), net.layout
    added = {p: step.layer(context).detach() for p, step in enumerate(program.steps) if type(step).__name__ in SIDE}
    with torch.no_grad():
        at = linearise(program, x, added)
    rows = Rows(
        normal(count, features),
        normal(count, features, seed=1).exp(),
        normal(count, features, num_params, seed=2),
        normal(count, features, num_params, seed=3),
    )
    with torch.no_grad():
        v, kept = solve(mirror(program, layout), rows, at.slopes, keep=True)
    for n in range(count):
        own = None if context is None else context[n]
        network = torch.autograd.functional.jacobian(lambda u, own=own: net(u, own), x[n])  # (D, P, D)
        # offset - v slope goes back into the network, and comes out as q
        q = torch.einsum("ip,ipj->j", rows.offset[n] - v[n, :, None] * rows.slope[n], network)
        torch.testing.assert_close(v[n] / rows.reciprocal[n], rows.given[n] + q, rtol=1e-10, atol=1e-10)
    linear = [place for place, step in enumerate(program.steps) if isinstance(step, Linear)]
    assert {place: tuple(kept[place].shape) for place in linear[:-1]} == {
        place: (count, program.sizes[program.steps[place].target]) for place in linear[:-1]
    }


def test_a_replaced_module_is_read() -> None:
    net = coupled(MaskedMLP(4, 2, (8, 8), activation=nn.Tanh()))
    before = net.program()
    assert net.program() is before
    net.layers[0] = MaskedLinear(torch.tensor(net.degrees[1]), torch.tensor(net.degrees[0]))
    assert [step.layer for step in net.program().steps if isinstance(step, Linear)][1] is net.layers[0]
    net.activation = nn.ELU()
    assert {step.function for step in net.program().steps if isinstance(step, Activate)} == {net.activation}


def test_a_copy_has_modules_of_its_own() -> None:
    net = NETS["gated"].make(2)
    net.program()
    twin = copy.deepcopy(net)
    theirs = {id(module) for module in twin.modules()}
    assert all(id(step.layer) in theirs for step in twin.program().steps if hasattr(step, "layer"))
    assert twin.layout.order == net.layout.order


@pytest.mark.parametrize("directly", [True, False], ids=["solved", "differentiated"])
def test_what_is_kept_of_a_network_goes_with_it(directly: bool) -> None:
    def used() -> tuple[Any, ...]:
        kind, t = NETS["gated"], U.Affine()
        net, given = kind.make(2), kind.inputs(5)
        with torch.set_grad_enabled(not directly):
            u, log_det, *_ = Blocked().solve(net, t, *given)
        if not directly:
            (u.sum() + log_det.sum()).backward()
        return weakref.ref(net), weakref.ref(net.layout)

    kept = used()
    gc.collect()
    assert [reference() for reference in kept] == [None, None]

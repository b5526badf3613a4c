"""`torch.func` over flows gives what batches, loops and plain autograd give, in both directions."""

import copy
import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, stack_module_state, vmap

import counterflow as cf
from torch_features.flows import ALL_FLOWS, DIRECTIONS, D, Direction, points, prepared

# As `sample` runs, and as training does: the solver of the stepped direction has two ways to keep what it knows.
GRAD_MODES = {"no_grad": torch.no_grad, "with gradients": torch.enable_grad}

# torch's own, when it imports its rules for forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

every_flow = pytest.mark.parametrize("name", ALL_FLOWS)
both_directions = pytest.mark.parametrize("direction", DIRECTIONS)
both_modes = pytest.mark.parametrize("mode", GRAD_MODES)


def agree(found: object, expected: object) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def on_the_line(module: Direction, *inputs: Tensor) -> Tensor:
    """One number that depends on every result: what gradients are taken of."""
    return torch.stack([(t * t).sum() for t in module(*inputs)]).sum()


@every_flow
@both_directions
@both_modes
def test_vmap_over_points_is_the_batch(name: str, direction: str, mode: str) -> None:
    module = prepared(name, direction)
    inputs = points(module.flow, 5)
    with GRAD_MODES[mode]():
        agree(vmap(module)(*inputs), module(*inputs))
        agree(vmap(module, in_dims=-1, out_dims=0)(*(t.mT for t in inputs)), module(*inputs))
        nested = vmap(vmap(module))(*(torch.stack([t, 0.5 * t]) for t in inputs))
        agree(nested, module(*(torch.stack([t, 0.5 * t]) for t in inputs)))


@pytest.mark.parametrize("name", ["maf of a context", "residual iaf of a context"])
@both_directions
@both_modes
def test_vmap_over_contexts_alone_is_the_outer_product(name: str, direction: str, mode: str) -> None:
    module = prepared(name, direction)
    x, context = points(module.flow, 4)
    with GRAD_MODES[mode]():
        found = vmap(module, in_dims=(None, 0))(x, context)
        agree(found, module(x, context[:, None, :].expand(4, 4, -1)))


@every_flow
@both_directions
@both_modes
def test_vmap_over_stacked_parameters_is_the_loop_over_the_models(name: str, direction: str, mode: str) -> None:
    models = [prepared(name, direction, seed) for seed in range(3)]
    inputs = points(models[0].flow, 4)
    blank = copy.deepcopy(models[0])
    state = stack_module_state(models)

    def call(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> tuple[Tensor, ...]:
        return functional_call(blank, (parameters, buffers), inputs)  # type: ignore[no-any-return]

    with GRAD_MODES[mode]():
        looped = [model(*inputs) for model in models]
        expected = tuple(torch.stack(parts) for parts in zip(*looped, strict=True))
        agree(vmap(call)(*state), expected)
    assert not torch.allclose(expected[0][0], expected[0][1])


@every_flow
@both_directions
def test_functional_call_uses_the_parameters_it_is_given(name: str, direction: str) -> None:
    module, other = prepared(name, direction, 0), prepared(name, direction, 1)
    inputs = points(module.flow, 4)
    before = [t.detach().clone() for t in module(*inputs)]
    with torch.no_grad():
        agree(functional_call(module, dict(other.named_parameters()), inputs), other(*inputs))
    agree([t.detach() for t in module(*inputs)], before)


@every_flow
@both_directions
def test_gradients_of_each_point_in_the_parameters_are_those_of_autograd(name: str, direction: str) -> None:
    module = prepared(name, direction)
    inputs = points(module.flow, 3)
    parameters = {key: value.detach() for key, value in module.named_parameters()}

    def loss(parameters: dict[str, Tensor], *one: Tensor) -> Tensor:
        return torch.stack([(t * t).sum() for t in functional_call(module, parameters, one)]).sum()

    found = vmap(grad(loss), in_dims=(None, *[0] * len(inputs)))(parameters, *inputs)
    for i in range(3):
        value = on_the_line(module, *(t[i] for t in inputs))
        wanted = torch.autograd.grad(value, list(module.parameters()), allow_unused=True, materialize_grads=True)
        agree([g[i] for g in found.values()], list(wanted))


@every_flow
@both_directions
@pytest.mark.parametrize("transform", [jacrev, jacfwd], ids=["jacrev", "jacfwd"])
def test_jacobians_are_triangular_in_determinant(name: str, direction: str, transform: Callable[..., Callable]) -> None:  # type: ignore[type-arg]
    """log |det| of the whole matrix, by LU, is the log-det that the flow returns; independent of autograd's own."""
    module = prepared(name, direction)
    inputs = points(module.flow, 3)
    found = vmap(transform(lambda *one: module(*one)[0]))(*inputs)
    agree(torch.linalg.slogdet(found).logabsdet, module(*inputs)[1])


def stepped(module: Direction) -> Direction:
    """The same function with every layer inverted by `Stepwise`, through whose steps plain autograd goes."""
    slow = copy.deepcopy(module)
    for part in slow.modules():
        if isinstance(part, cf.Autoregressive):
            part.solver = cf.solvers.Stepwise()
    return slow


@every_flow
@both_directions
def test_hessians_are_those_of_autograd_differentiated_twice(name: str, direction: str) -> None:
    module = prepared(name, direction)
    x, *context = (t[0] for t in points(module.flow, 1))
    found = hessian(lambda x: on_the_line(module, x, *context))(x)
    expected = torch.autograd.functional.hessian(lambda x: on_the_line(stepped(module), x, *context), x)
    agree(found, expected)


@every_flow
def test_log_prob_is_transformed_as_its_direction_is(name: str) -> None:
    flow = prepared(name, "forward").flow
    x, *context = points(flow, 4)
    agree(vmap(flow.log_prob)(x, *context), flow.log_prob(x, *context))
    found = vmap(grad(flow.log_prob))(x, *context)
    x.requires_grad_()
    agree(found, torch.autograd.grad(flow.log_prob(x, *context).sum(), x)[0])


@pytest.mark.parametrize("name", ["maf", "iaf", "realnvp"])
def test_draws_under_vmap_follow_its_randomness(name: str) -> None:
    flow = prepared(name, "forward").flow

    def draws(randomness: str) -> Tensor:
        return vmap(lambda _: flow.sample(4), randomness=randomness)(torch.zeros(3))

    same, different = draws("same"), draws("different")
    assert same.shape == different.shape == (3, 4, D)
    assert torch.equal(same[0], same[1])
    assert not torch.isclose(different[0], different[1]).any()
    with pytest.raises(RuntimeError, match="randomness"):
        draws("error")


def test_draws_of_stacked_models_are_those_of_each() -> None:
    models = [prepared("maf", "forward", seed) for seed in range(2)]
    state = stack_module_state(models)
    noise = torch.randn(4, D).double()
    with torch.no_grad():
        drawn = vmap(lambda p, b: functional_call(models[0], (p, b), (noise,))[0])(*state)
        agree(drawn, torch.stack([model(noise)[0] for model in models]))


def test_values_are_not_refused_where_none_can_be_read() -> None:
    """Under a transform a value outside a support cannot raise: it scores NaN."""
    flow = prepared("bounded", "inverse").flow
    outside = torch.full((2, D), 5.0).double()
    with pytest.raises(ValueError, match="outside its support"):
        flow.log_prob(outside)
    assert bool(vmap(flow.log_prob)(outside).isnan().all())


def test_shapes_and_precisions_are_refused_under_vmap_too() -> None:
    flow = prepared("maf", "forward").flow
    with pytest.raises(ValueError, match="expected x with 3 features"):
        _unchecked(lambda: vmap(flow.log_prob)(torch.zeros(2, D + 1).double()))
    with pytest.raises(TypeError, match=r"computes in torch\.float64"):
        _unchecked(lambda: vmap(flow.log_prob)(torch.zeros(2, D)))


def _unchecked(act: Callable[[], object]) -> object:
    """Without the shape checks of the test run, which would answer before the door does."""
    import jaxtyping

    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        return act()
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.parametrize("name", ["maf", "iaf", "nsf"])
@both_directions
@both_modes
def test_forward_mode_gives_the_directional_derivative(name: str, direction: str, mode: str) -> None:
    """Dual tensors have memory, and a kernel that read it would drop their tangents in silence."""
    module = prepared(name, direction)
    (x,) = points(module.flow, 4)
    tangent = torch.randn(4, D).double()
    with GRAD_MODES[mode](), torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tangent)
        found = [torch.autograd.forward_ad.unpack_dual(t).tangent.detach() for t in module(dual)]
    expected = torch.autograd.functional.jvp(lambda x: stepped(module)(x), x, tangent)[1]
    agree(found, list(expected))


# The direction that a solver inverts. Outside transforms its gradient is implicit, and of first order only.
SOLVED = pytest.mark.parametrize(
    ("name", "direction"), [("maf", "forward"), ("iaf", "inverse"), ("residual iaf of a context", "inverse")]
)


@SOLVED
def test_a_batch_of_gradients_in_one_backward_is_the_loop_or_refused(name: str, direction: str) -> None:
    module = prepared(name, direction)
    x, *context = points(module.flow, 2)

    def rows(module: Direction, batched: bool) -> Tensor:
        start = x.clone().requires_grad_()
        value = module(start, *context)[0]
        units = torch.eye(value.numel()).double().reshape(-1, *value.shape)
        take = functools.partial(torch.autograd.grad, value, start, retain_graph=True)
        return take(units, is_grads_batched=True)[0] if batched else torch.stack([take(unit)[0] for unit in units])

    agree(rows(module, False), rows(stepped(module), False))
    agree(rows(stepped(module), True), rows(module, False))
    with pytest.raises(RuntimeError, match=r"one gradient at a time.*use solver=Stepwise\(\)"):
        rows(module, True)


@SOLVED
def test_a_second_derivative_outside_transforms_is_refused_whatever_it_is_taken_in(name: str, direction: str) -> None:
    """Where autograd finds no way back it says that there is no derivative, and others take that for zero."""
    module = prepared(name, direction)
    inputs = [t.requires_grad_() for t in points(module.flow, 2)]
    value = module(*inputs)[0]
    cotangent = torch.ones_like(value).requires_grad_()
    first = torch.autograd.grad(value, inputs[0], cotangent, create_graph=True)[0].sum()
    for leaf in (*inputs, cotangent, next(module.parameters())):
        with pytest.raises(RuntimeError, match=r"first derivatives only.*use solver=Stepwise\(\)"):
            torch.autograd.grad(first, leaf, retain_graph=True, allow_unused=True)
    plain = [t.detach() for t in inputs]
    for twice in (torch.autograd.functional.hessian, torch.autograd.functional.jvp):
        arguments = (plain[0],) if twice is torch.autograd.functional.hessian else (plain[0], plain[0])
        with pytest.raises(RuntimeError, match="first derivatives only"):
            twice(lambda x: on_the_line(module, x, *plain[1:]), *arguments)


def test_a_log_det_can_be_differentiated_to_any_order() -> None:
    torch.manual_seed(3)
    flow = cf.models.iaf(2, layers=1, hidden=(5,), activation=torch.nn.Tanh()).double()
    slow = stepped(Direction(flow, "inverse")).flow
    x = torch.tensor([0.4, -0.7]).double()
    third = jacrev(jacrev(jacrev(flow.log_prob)))(x)

    def second(x: Tensor) -> Tensor:
        return torch.autograd.functional.hessian(slow.log_prob, x, create_graph=True)

    agree(third, torch.autograd.functional.jacobian(second, x))

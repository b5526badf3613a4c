"""What a solve survives between its forward and its backward pass, and around it."""

import time

import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow.conditioners import MaskedMLP
from counterflow.solvers import Blocked, FixedPoint, Solver, Stepwise, evaluate
from counterflow.solvers.kernels.threads import in_threads
from counterflow.univariate import Affine


def network(**options: object) -> MaskedMLP:
    torch.manual_seed(0)
    net = MaskedMLP(5, 2, (16, 16), **options).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in net.out.parameters():
            parameter.mul_(8)
    return net


def gradients(u: Tensor, net: MaskedMLP) -> list[Tensor]:
    return list(torch.autograd.grad(u.sin().sum(), list(net.parameters())))


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


X = torch.linspace(-2, 2, 20).double().reshape(4, 5)


@pytest.mark.parametrize("solver", [Blocked(), FixedPoint(0.0)])
def test_the_gradient_is_that_of_the_network_that_was_solved(solver: Solver) -> None:
    net = network(dropout=0.5).eval()
    expected = gradients(Stepwise().solve(net, Affine(), X).u, net)
    u = solver.solve(net, Affine(), X).u
    net.train()
    net.activation = nn.Tanh()
    assert_close(gradients(u, net), expected)


@pytest.mark.parametrize("solver", [Blocked(), FixedPoint(0.0)])
def test_lent_weights_that_are_tied_keep_their_whole_gradient(solver: Solver) -> None:
    class Solved(nn.Module):
        def __init__(self, solver: Solver) -> None:
            super().__init__()
            self.net, self.solver = tied(), solver

        def forward(self, x: Tensor) -> Tensor:
            return self.solver.solve(self.net, Affine(), x).u

    def tied() -> MaskedMLP:
        torch.manual_seed(0)
        net = MaskedMLP(5, 2, (16, 16, 16)).double()
        net.layers[1].weight = net.layers[0].weight
        return net

    def gradient(solver: Solver) -> Tensor:
        module = Solved(solver)
        lent = (module.net.layers[0].weight.detach() * 3).requires_grad_()
        u = torch.func.functional_call(module, {"net.layers.0.weight": lent}, (X,))
        return torch.autograd.grad(u.sin().sum(), lent)[0]

    assert_close([gradient(solver)], [gradient(Stepwise())])


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_no_thread_outlives_a_failure(failing: int) -> None:
    ended: list[int] = []

    def part(thread: int) -> None:
        if thread == failing:
            raise MemoryError(f"part {thread}")
        time.sleep(0.05)
        ended.append(thread)

    with pytest.raises(MemoryError, match=f"part {failing}"):
        in_threads(part, 3)
    assert sorted(ended) == [thread for thread in range(3) if thread != failing]


@pytest.mark.parametrize("samples", [1, 40])
def test_a_context_that_becomes_something_else_is_refused_before_it_is_read(samples: int) -> None:
    net = network(context_features=3)
    net.context = nn.Linear(3, 1, bias=False).double()
    x, context = torch.zeros(samples, 5).double(), torch.ones(samples, 3).double()
    with torch.no_grad(), pytest.raises(ValueError, match="what the context becomes"):
        Blocked().solve(net, Affine(), x, context)


def test_a_layer_with_a_forward_of_its_own_is_run_as_it_is() -> None:
    net = network()
    plain = net.out.forward
    net.out.forward = lambda x, **how: plain(x, **how) * 2  # type: ignore[method-assign]
    with torch.no_grad():
        u = Blocked().solve(net, Affine(), X).u
        torch.testing.assert_close(evaluate(net, Affine(), u)[0], X)
        torch.testing.assert_close(Affine().forward(u, net(u))[0], X)


def test_a_mask_that_was_written_into_is_refused() -> None:
    net = network()
    net.first.mask.zero_()
    with torch.no_grad(), pytest.raises(ValueError, match="other degrees"):
        Blocked().solve(net, Affine(), X)


def test_scoring_and_its_gradient_work_under_autocast() -> None:
    torch.manual_seed(0)
    flow = cf.models.iaf(4, 2, layers=2, hidden=(8,))
    x, context = torch.randn(3, 4), torch.randn(3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        scored = flow.log_prob(x, context)
        scored.sum().backward()
        with torch.no_grad():
            torch.testing.assert_close(flow.log_prob(x, context), scored.detach(), rtol=0.05, atol=0.05)
    assert all(p.grad is not None for p in flow.parameters())


@pytest.mark.parametrize("batch", [(4,), (2, 2)])
def test_a_log_det_may_be_written_into(batch: tuple[int, ...]) -> None:
    """Not so u, which the gradient needs: torch then refuses to go back."""
    net = network()
    solution = Blocked().solve(net, Affine(), X.reshape(*batch, 5).clone().requires_grad_())
    solution.log_det.mul_(2)
    solution.log_det.sum().backward(retain_graph=True)
    solution.u.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        solution.u.sum().backward()


def test_many_contexts_are_taken_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(context_features=3)
    x, context = torch.randn(50, 5).double(), torch.randn(50, 3).double()
    with torch.no_grad():
        whole = Blocked().solve(net, Affine(), x, context)
        monkeypatch.setattr("counterflow.solvers.parallel.CHUNK_BYTES", 16 * 8 * 7)
        parts = Blocked().solve(net, Affine(), x, context)
    torch.testing.assert_close(parts.u, whole.u, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(parts.log_det, whole.log_det, rtol=1e-12, atol=1e-12)

"""Compiles and exports flows in a process without shape checks, which compilers cannot follow; prints JSON.

python tracing_script.py KIND ...: for each case of each kind "right", or the error in one line.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

import counterflow as cf
from counterflow.tracing import plain_tensors
from torch_features.flows import ALL_FLOWS, DIRECTIONS, FLOWS, Direction, points, prepared

Case = Callable[[], None]


def agree(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def value_and_gradients(function: Callable[..., tuple[Tensor, ...]], module: Direction) -> tuple[Tensor, ...]:
    """The results at a few points, and the gradients of their sum of squares in points and parameters."""
    inputs = [t.requires_grad_() for t in points(module.flow, 4)]
    out = function(*inputs)
    loss = torch.stack([(t * t).sum() for t in out]).sum()
    wanted = [*inputs, *module.parameters()]
    return *out, *torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)


def compiled(name: str, direction: str, backend: str) -> Case:
    """One graph; values as a sampler wants them, and unless the backend is torch's own "eager", gradients too."""

    def case() -> None:
        module = prepared(name, direction)
        function = torch.compile(module, backend=backend, fullgraph=True)
        with torch.no_grad():
            agree(function(*points(module.flow, 4)), module(*points(module.flow, 4)))
        if backend != "eager":
            agree(value_and_gradients(function, module), value_and_gradients(module, module))

    return case


def exported(name: str, direction: str, strict: bool) -> Case:
    """With a dynamic batch axis: traced at 4 points, run at 9."""

    def case() -> None:
        module = prepared(name, direction)
        inputs = points(module.flow, 4)
        axis = {0: torch.export.Dim("batch", min=2, max=1000)}
        shapes = dict(zip(("x", "context"), [axis] * len(inputs), strict=False))
        program = torch.export.export(module, inputs, dynamic_shapes=shapes, strict=strict)
        agree(program.module()(*points(module.flow, 9)), module(*points(module.flow, 9)))

    return case


def methods() -> Iterator[tuple[str, Case]]:
    """The methods of a flow as people call them."""
    flow = prepared("maf", "forward").flow
    iaf = cf.models.iaf(3, layers=2, hidden=(6, 6), permutation=None)
    explicit = cf.as_autoregressive(iaf)
    bounded = prepared("bounded", "forward").flow
    conditional = prepared("maf of a context", "forward").flow
    (x,) = points(flow, 4)

    def same_draws(function: Callable[..., Tensor], *arguments: object) -> None:
        compiled = torch.compile(function, backend="eager", fullgraph=True)
        torch.manual_seed(1)
        expected = function(*arguments)
        torch.manual_seed(1)
        agree((compiled(*arguments),), (expected,))

    def with_generator(fullgraph: bool) -> None:
        function = torch.compile(flow.sample, backend="eager", fullgraph=fullgraph)
        expected = flow.sample(4, generator=torch.Generator().manual_seed(1))
        agree((function(4, generator=torch.Generator().manual_seed(1)),), (expected,))

    def prefix(fullgraph: bool) -> None:
        function = torch.compile(iaf.sample_given_prefix, backend="eager", fullgraph=fullgraph)
        assert function(torch.zeros(2), 5).shape == (5, 3)

    def another_batch() -> None:
        function = torch.compile(flow.log_prob, backend="eager", fullgraph=True)
        for count in (4, 9, 1):
            agree((function(*points(flow, count)),), (flow.log_prob(*points(flow, count)),))

    def updated() -> None:
        function = torch.compile(flow.bijection.forward, backend="eager", fullgraph=True)
        function(x)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(0.1)
        agree(function(x), flow.bijection.forward(x))

    def wrong(fullgraph: bool) -> None:
        torch.compile(flow.log_prob, backend="eager", fullgraph=fullgraph)(x[:, :2])

    def outside() -> None:
        score = torch.compile(bounded.log_prob, backend="eager", fullgraph=True)(x + 5)
        assert bool(score.isnan().all())

    def as_a_module() -> None:
        assert torch.compile(flow).log_prob.__func__ is cf.Flow.log_prob  # torch passes attributes through, as they are

    def exported_draws() -> None:
        class Draws(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.flow = flow

            def forward(self, _: Tensor) -> Tensor:
                return self.flow.sample(4)

        program = torch.export.export(Draws(), (x,)).module()
        torch.manual_seed(1)
        drawn = program(x)
        torch.manual_seed(1)
        agree((drawn,), (flow.sample(4),))

    class Asks(torch.nn.Module):
        """Its answer shows in the graph: 1 where a kernel may run."""

        def forward(self, t: Tensor) -> Tensor:
            return t + plain_tensors(t)

    def a_compiler_is_seen() -> None:
        assert float(torch.compile(Asks(), backend="eager", fullgraph=True)(torch.zeros(()))) == 0

    def an_exporter_is_seen() -> None:
        for strict in (True, False):
            assert (
                float(torch.export.export(Asks(), (torch.ones(2),), strict=strict).module()(torch.zeros(2)).sum()) == 0
            )

    yield "plain_tensors sees a compiler", a_compiler_is_seen
    yield "plain_tensors sees an exporter", an_exporter_is_seen
    yield "log_prob", lambda: same_draws(flow.log_prob, x)
    yield "sample", lambda: same_draws(flow.sample, 4)
    yield "rsample_and_log_prob", lambda: same_draws(lambda: flow.rsample_and_log_prob(4)[1])
    yield "conditionals", lambda: same_draws(lambda x: explicit.conditionals(x).log_prob(x), x.float())
    yield "given a context", lambda: same_draws(lambda c: conditional.given(c).log_prob(x), torch.zeros(4, 2).double())
    yield "sample with a generator, whole graph", lambda: with_generator(True)
    yield "sample with a generator", lambda: with_generator(False)
    yield "sample_given_prefix, whole graph", lambda: prefix(True)
    yield "sample_given_prefix", lambda: prefix(False)
    yield "another batch size", another_batch
    yield "parameters updated in place", updated
    yield "a wrong shape, whole graph", lambda: wrong(True)
    yield "a wrong shape", lambda: wrong(False)
    yield "a value outside a support", outside
    yield "a compiled module's own methods", as_a_module
    yield "exported draws", exported_draws


def cases(kind: str) -> Iterator[tuple[str, Case]]:
    """The cases of a kind, by name: "methods", or a backend or an export "of the five", "of all" or of one flow."""
    if kind == "methods":
        yield from methods()
        return
    what, _, which = kind.partition(" of ")
    for name in FLOWS if which == "the five" else ALL_FLOWS if which == "all" else [which]:
        for direction in DIRECTIONS:
            if what in ("export", "strict export"):
                yield f"{name}, {direction}", exported(name, direction, what == "strict export")
            else:
                yield f"{name}, {direction}", compiled(name, direction, what)


def outcome(case: Case) -> str:
    torch._dynamo.reset()
    torch.manual_seed(0)
    try:
        case()
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return "right"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({kind: {name: outcome(case) for name, case in cases(kind)} for kind in sys.argv[1:]}))

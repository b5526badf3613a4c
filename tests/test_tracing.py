"""`plain_tensors` and `transforming`: told apart from ordinary memory is everything that stands for something else.

Compilers and exporters are asked in tests/torch_features, in a process without shape checks.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functionalize, grad, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from counterflow.tracing import plain_tensors, transforming

# torch's own, when it imports its tracer and its rules for forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Subclass(Tensor):
    pass


class Spy:
    """Asks where it is called, and keeps the answers."""

    def __init__(self) -> None:
        self.answers: list[tuple[bool, bool]] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.answers.append((transforming(), plain_tensors(x)))
        return x.sum()


ORDINARY: dict[str, Callable[[], Tensor]] = {
    "a tensor": lambda: torch.zeros(3),
    "no entries": lambda: torch.zeros(0, 3),
    "no axes": lambda: torch.zeros(()),
    "a view": lambda: torch.zeros(4, 3).mT[::2],
    "expanded": lambda: torch.zeros(1).expand(5),
    "a parameter": lambda: nn.Parameter(torch.zeros(3)),
    "a buffer": lambda: nn.Buffer(torch.zeros(3)),
    "part of a graph": lambda: torch.zeros(3, requires_grad=True) * 2,
    "half precision": lambda: torch.zeros(3, dtype=torch.bfloat16),
}

FOREIGN: dict[str, Callable[[], Tensor]] = {
    "a subclass": lambda: torch.zeros(3).as_subclass(Subclass),
    "a parameter of a subclass": lambda: nn.Parameter(torch.zeros(3).as_subclass(Subclass)),
    "not yet initialised": lambda: nn.UninitializedParameter(),
    "fake": lambda: FakeTensorMode().from_tensor(torch.zeros(3)),
    "without memory": lambda: torch.zeros(3, device="meta"),
    "sparse": lambda: torch.zeros(3).to_sparse(),
    "read with the other sign": lambda: torch.zeros(3, dtype=torch.cfloat).conj().imag,
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_tensors_are_plain(name: str) -> None:
    assert plain_tensors(ORDINARY[name]())
    with torch.no_grad(), torch.device("meta"):  # a default device changes no tensor that exists
        x = torch.zeros(3, device="cpu")
        assert plain_tensors(x)
    with torch.inference_mode():
        assert plain_tensors(ORDINARY[name]())


@pytest.mark.parametrize("name", FOREIGN)
def test_tensors_that_stand_for_something_else_are_not(name: str) -> None:
    assert not plain_tensors(FOREIGN[name]())
    assert not plain_tensors(torch.zeros(3), FOREIGN[name]())
    assert not transforming()


def test_nothing_at_all_is_plain() -> None:
    assert plain_tensors()
    assert plain_tensors(None, torch.zeros(3), None)
    assert not transforming()


def under_dual_level(spy: Spy, x: Tensor) -> None:
    with forward_ad.dual_level():
        spy(forward_ad.make_dual(x, x))


def under_a_mode(spy: Spy, x: Tensor) -> None:
    with FlopCounterMode(display=False):
        spy(x)


TRANSFORMS: dict[str, Callable[[Spy, Tensor], object]] = {
    "vmap": lambda spy, x: vmap(spy)(x),
    "grad": lambda spy, x: grad(spy)(x),
    "jvp": lambda spy, x: jvp(spy, (x,), (x,)),
    "functionalize": lambda spy, x: functionalize(spy)(x),
    "dual numbers": under_dual_level,
    "a mode that watches": under_a_mode,
    "make_fx": lambda spy, x: make_fx(spy)(x),
    "make_fx, fake": lambda spy, x: make_fx(spy, tracing_mode="fake")(x),
    "make_fx, symbolic": lambda spy, x: make_fx(spy, tracing_mode="symbolic")(x),
    "torch.jit.trace": lambda spy, x: torch.jit.trace(spy.__call__, (x,), check_trace=False),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_at_work_is_seen(name: str) -> None:
    spy = Spy()
    TRANSFORMS[name](spy, torch.ones(3))
    assert spy.answers
    assert set(spy.answers) == {(True, False)}
    assert not transforming()


def test_a_batch_of_gradients_is_seen() -> None:
    spy = Spy()

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx: object, g: Tensor) -> Tensor:  # type: ignore[override]
            spy(g)
            return 2 * g

    x = torch.ones(3, requires_grad=True)
    torch.autograd.grad(Twice.apply(x), x, torch.eye(3), is_grads_batched=True)
    assert [plain for _, plain in spy.answers] == [False]


def test_a_tensor_that_outlives_its_transform_is_not_plain() -> None:
    kept: list[Tensor] = []
    vmap(lambda x: kept.append(x) or x)(torch.zeros(3, 2))  # type: ignore[func-returns-value]
    assert not transforming()
    assert not plain_tensors(*kept)

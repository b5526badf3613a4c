"""Laws on what a scoring call leaves behind: nothing."""

import contextlib
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .cases import Case, Law, agree_all, require


def inputs_are_untouched(case: Case) -> None:
    """A call changes neither the point nor the context that it is given."""
    subject = case.subject()
    for call in case.calls(subject):
        before = [None if t is None else t.clone() for t in (call.point, call.context)]
        with torch.no_grad():
            call(subject)
        for name, old, new in zip(("point", "context"), before, (call.point, call.context), strict=True):
            if old is not None and new is not None:
                require(torch.equal(old, new), f"{call.name} changed its {name} from {old.tolist()} to {new.tolist()}")


def state_is_untouched(case: Case) -> None:
    """A call changes no parameter, buffer, requires_grad, mode or attribute, and stores no gradient."""
    subject = case.subject()
    if not isinstance(subject, nn.Module):
        return
    for k, parameter in enumerate(subject.parameters()):
        parameter.requires_grad_(k % 2 == 0)  # some frozen, as in fine-tuning
    calls = case.calls(case.subject())  # of another one: finding points is a use, too
    for mode in (False, True):
        subject.train(mode)
        before = _state(subject)
        for call in calls:
            # In training mode a subject may refuse (dropout has no one inverse); it may not write.
            with contextlib.suppress(*((RuntimeError,) if mode else ())):
                call(subject)
                with torch.no_grad():
                    call(subject)
        after = _state(subject)
        for name in before.keys() | after.keys():
            require(name in before, f"the attribute {name} appeared during a call")
            require(name in after, f"the attribute {name} disappeared during a call")
            require(_equal(before[name], after[name]), f"{name} was {before[name]} and became {after[name]}")


def random_streams_are_left_alone(case: Case) -> None:
    """Scoring draws from no global random stream: torch's, NumPy's or Python's."""
    subject = case.subject()
    for call in case.calls(subject):
        with torch.random.fork_rng(devices=[]):
            torch.rand(1)  # elsewhere than where a call that seeds has left the stream
            before = stream_states()
            call(subject)
            for name, old in before.items():
                require(_equal(old, stream_states()[name]), f"{call.name} moved the global stream of {name}")


def answers_are_repeatable(case: Case) -> None:
    """The same call gives the same answer twice, with and without gradients."""
    subject = case.subject()
    for call in case.calls(subject):
        first = call(subject)
        with torch.no_grad():
            agree_all(call(subject), first, f"{call.name} called again", 1e-10)


def stream_states() -> dict[str, Any]:
    """The states of the global random streams, comparable with ==."""
    numpy_state = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": (numpy_state[1].tolist(), *numpy_state[2:]),  # type: ignore[index]
        "random": random.getstate(),
    }


def _state(module: nn.Module) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for path, part in module.named_modules():
        for name, value in part.__dict__.items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            plain = isinstance(value, bool | int | float | str | tuple | type(None))
            state[f"{path}.{name}"] = value if plain else id(value)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        state[name] = tensor.detach().clone()
        state[f"{name}.requires_grad"] = tensor.requires_grad
        state[f"{name}.grad"] = tensor.grad is None
    return state


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
    return bool(a == b)


LAWS = (
    Law(inputs_are_untouched, (1, 3)),
    Law(state_is_untouched, (1, 3)),
    Law(random_streams_are_left_alone, (2,)),
    Law(answers_are_repeatable, (1, 4)),
)

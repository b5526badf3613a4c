"""Laws on parameters: seen as they are now, replaced from outside, held constant, written to a file and read back."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoint import load, save
from ..densities import detached
from ..spec import registered
from .cases import Case, Law, agree_all, gradients, require


def loaded_weights_are_seen_at_once(case: Case) -> None:
    """After load_state_dict, and after a change of parameters in place, the next answer is that of the new weights."""
    for change in (_load, _copy_in_place, _copy_data):
        subject, other = case.subject(), case.subject(variant=1)
        if not isinstance(subject, nn.Module):
            return
        for call in case.calls(other):
            subject_before = case.subject()
            with torch.no_grad():
                call(subject_before)  # whatever is cached is cached now
            call(subject_before)
            change(subject_before, other)
            for mode in (torch.enable_grad, torch.no_grad):
                with mode():
                    agree_all(call(subject_before), call(other), f"{call.name} after {change.__name__[1:]}")


def parameters_can_be_replaced_from_outside(case: Case) -> None:
    """torch.func.functional_call with other parameters gives the answers of a module that holds them, and only then."""
    subject, other = case.subject(), case.subject(variant=1)
    if not isinstance(subject, nn.Module):
        return
    for call in case.calls(other):
        before = call(subject)
        theirs = {f"subject.{name}": p for name, p in other.named_parameters()}
        caller = _Caller(subject, call.function)
        found: tuple[Tensor, ...] = torch.func.functional_call(caller, theirs, (call.point, call.context))
        agree_all(found, call(other), f"{call.name} with other parameters")
        agree_all(call(subject), before, f"{call.name} with its own parameters again")


def detached_is_the_same_function_with_constant_parameters(case: Case) -> None:
    """detached(m) answers as m does; gradients reach the point, not the parameters, and m stays trainable."""
    subject = case.subject()
    if not isinstance(subject, nn.Module):
        return
    flags = [p.requires_grad for p in subject.parameters()]
    constant = detached(subject)
    for call in case.calls(subject):
        point = call.point.clone().requires_grad_(call.point.is_floating_point())
        agree_all(call(constant), call(subject), f"{call.name} of the detached copy")
        require(
            not any(result.requires_grad for result in call(constant)),
            f"{call.name} of the detached copy still carries gradients of its parameters",
        )
        found = []
        for module in (constant, subject):
            total = sum((result.sin().sum() for result in call.function(module, point, call.context)), point.sum() * 0)
            found.append(torch.autograd.grad(total, point)[0])
        agree_all((found[0],), (found[1],), f"gradient of {call.name} in the point")
    require([p.requires_grad for p in subject.parameters()] == flags, "detached changed requires_grad of the original")
    require(all(p.grad is None for p in subject.parameters()), "a gradient was stored in the original")


def gradients_are_finite_and_not_lost(case: Case) -> None:
    """A call that carries gradients of the parameters has finite ones, and not all of them are zero."""
    subject = case.with_(batch=(8,)).subject()
    if not isinstance(subject, nn.Module) or not list(subject.parameters()):
        return
    for call in case.with_(batch=(8,)).calls(subject):
        total = sum((result.sin().sum() for result in call(subject)), torch.zeros((), dtype=case.dtype))
        if not total.requires_grad:
            continue
        grads = gradients(total, list(subject.parameters()))
        for (name, _), grad in zip(subject.named_parameters(), grads, strict=True):
            require(bool(grad.isfinite().all()), f"{call.name}: the gradient of {name} is not finite")
        require(
            any(bool((grad != 0).any()) for grad in grads),
            f"{call.name}: every gradient is zero",
        )


def saved_and_loaded_is_identical(case: Case) -> None:
    """A registered class comes back from a checkpoint with the same answers, bit for bit, and the same spec."""
    subject = case.subject()
    if not isinstance(subject, nn.Module) or registered().get(type(subject).__name__) is not type(subject):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "subject.safetensors"
        save(path, subject)
        again = load(path)
    require(again is not subject and type(again) is type(subject), f"a {type(again).__name__} came back")
    ours, theirs = dict(subject.state_dict()), dict(again.state_dict())
    require(ours.keys() == theirs.keys(), "the names of its tensors changed")
    for call in case.calls(subject):
        agree_all(call(again), call(subject), f"{call.name} after loading", 0.0)


class _Caller(nn.Module):
    """A subject's call as the forward of a module, which is what functional_call can call."""

    def __init__(self, subject: nn.Module, function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.subject, self.function = subject, function

    def forward(self, point: Tensor, context: Tensor | None) -> tuple[Tensor, ...]:
        return self.function(self.subject, point, context)


def _load(subject: nn.Module, other: nn.Module) -> None:
    subject.load_state_dict(other.state_dict())


@torch.no_grad()
def _copy_in_place(subject: nn.Module, other: nn.Module) -> None:
    for ours, theirs in _tensors(subject, other):
        ours.copy_(theirs)


def _copy_data(subject: nn.Module, other: nn.Module) -> None:
    for ours, theirs in _tensors(subject, other):
        ours.data = theirs.detach().clone()


def _tensors(subject: nn.Module, other: nn.Module) -> list[tuple[Any, Any]]:
    return list(zip(subject.parameters(), other.parameters(), strict=True))


LAWS = (
    Law(loaded_weights_are_seen_at_once, (1, 3)),
    Law(parameters_can_be_replaced_from_outside, (1, 3)),
    Law(detached_is_the_same_function_with_constant_parameters, (1, 3)),
    Law(gradients_are_finite_and_not_lost, (1, 4)),
    Law(saved_and_loaded_is_identical, (1, 3)),
)

"""What must be the same for a run to go on from a checkpoint, in words that an error can quote."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .plan import Plan
from .rows import Rows

# How an optimiser computes its update, not which one; whether the fused form pays depends on the number of threads.
_IMPLEMENTATION = ("foreach", "fused", "capturable", "differentiable")


def fingerprint(plan: Plan, module: nn.Module, optimiser: Optimizer) -> dict[str, str]:
    """Name and value of everything that decides the result of a run, before its first step.

    Functions count by their qualified name, which does not see what they do.
    """
    return {
        "module": _described_module(module),
        "training data": "none" if plan.training is None else _described_rows(plan.training.rows),
        "held-out data": _described_rows(plan.held_out) if isinstance(plan.held_out, Rows) else _named(plan.held_out),
        "loss": _named(plan.loss),
        "steps": str(plan.steps),
        "batch_size": str(plan.batch_size),
        "optimiser": _named(type(optimiser)),
        **_hyperparameters(module, optimiser),
        "schedule": _named(plan.schedule),
        "clip": str(plan.clip),
        "patience": str(plan.patience),
        "average": _named(plan.average),
        "seed": str(plan.seed),
        "validate_every": str(plan.validate_every),
        "validation_batch_size": str(plan.validation_batch_size),
    }


def check_fingerprint(path: Path, stored: dict[str, str], current: dict[str, str]) -> None:
    """A run continues only as itself.

    Raises:
        ValueError: Names the first thing that differs, with both values.
    """
    for name in [*current, *stored]:
        before, now = stored.get(name, "not given"), current.get(name, "not given")
        if before != now:
            raise ValueError(
                f"{path} was written by a run with {name} {before}, this one has {now}; resume with the same settings,"
                " or start anew under another path"
            )


def _hyperparameters(module: nn.Module, optimiser: Optimizer) -> dict[str, str]:
    """Those of the parameter groups, one value where all groups agree, and which parameters each group holds."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    groups = optimiser.param_groups
    kept = dict.fromkeys(key for group in groups for key in group if key not in ("params", *_IMPLEMENTATION))
    described = {}
    for key in kept:
        values = [_named(group.get(key)) for group in groups]
        by_group = " and ".join(f"{value} in group {k}" for k, value in enumerate(values))
        described["learning_rate" if key == "lr" else key] = values[0] if len(set(values)) == 1 else by_group
    members = [[names.get(parameter, "?") for parameter in group["params"]] for group in groups]
    sizes = " and ".join(str(len(group)) for group in members)
    described["optimiser's parameters"] = f"{sizes} tensors ({_digest(repr(members).encode())})"
    return described


def _named(value: object) -> str:
    """A value as text that is the same in every process: no addresses, and a spawned main module is the main one."""
    if value is None:
        return "none"
    if isinstance(value, Tensor) and value.numel() == 1:
        return str(value.item())
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}".replace("__mp_main__", "__main__")
    return " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value)).replace("__mp_main__", "__main__").split())


def _described_module(module: nn.Module) -> str:
    tensors = [
        (name, tuple(value.shape), str(value.dtype))
        for name, value in module.state_dict().items()
        if isinstance(value, Tensor)
    ]
    count = sum(parameter.numel() for parameter in module.parameters())
    dtype = str(next(module.parameters()).dtype).removeprefix("torch.")
    return f"{type(module).__name__} of {count} parameters in {dtype} ({_digest(repr(tensors).encode())})"


def _described_rows(rows: Rows) -> str:
    digests = "".join(
        _digest(field.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        for field in (rows.x, rows.context, rows.weight)
        if field is not None and field.numel()
    )
    return f"{tuple(rows.x.shape)} values ({_digest(digests.encode())})"


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()

"""What a student's file says of how it was made, in sentences."""

from collections.abc import Mapping
from typing import Any


def is_student(facts: Mapping[str, Any]) -> bool:
    """Whether a model was distilled from another."""
    return "distillation" in facts and "teacher" in facts


def made_in_words(facts: Mapping[str, Any]) -> str:
    """How it was taught: `Distilled from model.safetensors: 3,000 steps layer by layer (92 s, seed 0)`, for one."""
    phases = facts["distillation"]
    told = [
        f"{phases[name]['steps']:,} steps {what}"
        for name, what in (("start", "layer by layer"), ("polish", "on its draws"))
        if phases.get(name)
    ]
    seconds = sum(phases[name]["seconds"] for name in ("start", "polish") if phases.get(name))
    return f"Distilled from {facts['teacher']['file']}: {', '.join(told)} ({seconds:.0f} s, seed {phases['seed']})."


def certificate_in_words(values: Mapping[str, Any]) -> str:
    """One sentence of its certificate."""
    kl = values["kl"]
    error = "" if kl["standard_error"] is None else f" ± {kl['standard_error']:.2g}"
    tail = "unknown" if values["k_hat"] is None else f"{values['k_hat']:.2f}"
    return (
        f"Certificate: KL(student, teacher) = {kl['mean']:.4g}{error} nats per row, "
        f"{values['kl_per_dimension']:.2g} per column; effective share {values['effective_share']:.3f}, k-hat {tail}."
    )

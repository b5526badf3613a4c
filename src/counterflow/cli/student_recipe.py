"""How a student is made and taught, refused in the user's words where no teacher could make sense of it."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from .outputs import check_at_least, check_seed
from .refusal import USAGE, Refusal


@dataclasses.dataclass(frozen=True)
class StudentRecipe:
    """The options of a distillation, under their own names.

    Attributes:
        hidden: Widths of the hidden layers of each network.
        layers: For each autoregressive model inside the teacher.
        start_steps: Of the matched start; 0: none.
        steps: Of fitting the whole to the teacher's draws; 0: none.
        batch_size: Draws per step, or contexts.
        learning_rate: Of the start; a quarter of it afterwards.
        patience: Validations without a better one; None: to the last step.
        draws: For the certificate.
        seed: Of everything random.
    """

    hidden: tuple[int, ...]
    layers: int
    start_steps: int
    steps: int
    batch_size: int
    learning_rate: float
    patience: int | None
    draws: int
    seed: int


def checked_student(given: Mapping[str, Any]) -> StudentRecipe:
    """The recipe of a command's options.

    Raises:
        Refusal: one is out of range.
    """
    for name in ("layers", "batch_size", "patience"):
        check_at_least(f"--{name.replace('_', '-')}", given[name], 1)
    for name in ("start_steps", "steps"):
        check_at_least(f"--{name.replace('_', '-')}", given[name], 0)
    if not given["start_steps"] + given["steps"]:
        raise Refusal(USAGE, "--start-steps 0 and --steps 0 together leave nothing to do")
    check_at_least("--draws", given["draws"], 2)
    check_at_least("--learning-rate", given["learning_rate"], 0, exclusive=True)
    if not math.isfinite(given["learning_rate"]):
        raise Refusal(USAGE, f"--learning-rate {given['learning_rate']}: expected a finite number")
    check_seed(given["seed"])
    names = [field.name for field in dataclasses.fields(StudentRecipe) if field.name != "hidden"]
    return StudentRecipe(widths(given["hidden"]), **{name: given[name] for name in names})


def widths(words: str) -> tuple[int, ...]:
    """(256, 256) of `256,256`.

    Raises:
        Refusal: words that are no whole numbers of at least 1.
    """
    parts = [part.strip() for part in words.split(",")]
    if not all(part.isascii() and part.isdecimal() and int(part) for part in parts):
        raise Refusal(USAGE, f"--hidden {words!r}: expected whole numbers of at least 1, such as 256,256")
    return tuple(map(int, parts))

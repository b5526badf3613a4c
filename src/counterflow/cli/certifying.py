"""`counterflow certify`: how far any student is from its teacher, and what it saves."""

import dataclasses
from pathlib import Path

from .console import Console
from .model_file import load_table_model
from .outputs import check_at_least, check_seed
from .pairing import check_pair, contexts_of, measured


@dataclasses.dataclass(frozen=True)
class Certifying:
    """How to certify.

    Attributes:
        draws: Of each of the two.
        data: A table of contexts.
        array: Which array, group or tree of it.
        seed: Of everything random.
    """

    draws: int
    data: Path | None = None
    array: str | None = None
    seed: int = 0


def run_certify(student_path: Path, teacher_path: Path, how: Certifying, console: Console) -> None:
    """The whole command.

    Raises:
        Refusal: a model file, or two that are no pair.
        TableError: the table of contexts.
    """
    check_at_least("--draws", how.draws, 2)
    check_seed(how.seed)
    student, teacher = load_table_model(student_path), load_table_model(teacher_path)
    paths = student_path, teacher_path
    check_pair(student, teacher, paths, console, hint="the order is STUDENT TEACHER")
    contexts = contexts_of(teacher, teacher_path, how.data, how.array, console)
    names = str(student_path), str(teacher_path)
    found = measured(student, teacher, contexts, console, names=names, draws=how.draws, seed=how.seed)
    for sentence in found.sentences():
        console.say(sentence)
    console.result({"student": names[0], "teacher": names[1], "seed": how.seed, **found.to_json()})

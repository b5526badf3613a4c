"""The options of `distil` and `certify`, and of `report` where it speaks of a teacher."""

from pathlib import Path
from typing import Annotated

import typer

from .options import READABLE, _option, _outputs, _table, _training

Teacher = Annotated[
    Path,
    typer.Argument(metavar="TEACHER", help="A model file that `fit` wrote: slow to sample.", show_default=False),
]
Student = Annotated[
    Path,
    typer.Argument(metavar="STUDENT", help="A model file of the same columns: fast to sample.", show_default=False),
]
StudentOut = Annotated[Path, _option("-o", "--out", metavar="FILE", help="Model file to write, .safetensors.")]
Contexts = Annotated[
    Path | None,
    _table(
        "--data",
        metavar="TABLE",
        help=f"Rows of context, of a teacher that is given columns: {READABLE}. Other columns are left aside.",
    ),
]
Hidden = Annotated[
    str,
    _training("--hidden", metavar="WIDTHS", help="Of the hidden layers of each network, separated by commas."),
]
Layers = Annotated[
    int,
    _training("--layers", metavar="N", help="Of the student, for each autoregressive model inside the teacher."),
]
StartSteps = Annotated[
    int,
    _training("--start-steps", metavar="N", help="First, each layer is taught by the teacher's own; 0 leaves it out."),
]
Steps = Annotated[
    int,
    _training("--steps", metavar="N", help="Then, steps of fitting the whole to the teacher's draws; 0 leaves it out."),
]
BatchSize = Annotated[int, _training("--batch-size", metavar="N", help="Draws per step; contexts, if there are any.")]
LearningRate = Annotated[
    float,
    _training("--learning-rate", metavar="RATE", help="Of AdamW at the start; a quarter of it afterwards."),
]
Patience = Annotated[
    int | None,
    _training(
        "--patience",
        metavar="N",
        help="Stop after this many held-out divergences without a better one; not at all if not given.",
    ),
]
Draws = Annotated[int, _option("--draws", metavar="N", help="Of the student and of the teacher, for the certificate.")]
Log = Annotated[
    Path | None, _outputs("--log", metavar="FILE", help="Also write the curves of the training when it ends, .csv.")
]
ReportTeacher = Annotated[
    Path | None,
    _option("--teacher", metavar="FILE", help="The teacher of a student: the page also holds its certificate."),
]

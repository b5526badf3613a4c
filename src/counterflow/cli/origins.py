"""The libraries that `counterflow convert` reads models of, by name; importing this loads none of them."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from .options import _option


class Origin(enum.StrEnum):
    """Names of libraries, as one imports them."""

    ZUKO = "zuko"
    NFLOWS = "nflows"
    NORMFLOWS = "normflows"
    PYRO = "pyro"


Foreign = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="File that torch.save(model) wrote, of the whole model.", show_default=False),
]
From = Annotated[
    Origin,
    _option("--from", metavar="LIBRARY", help=f"The library of the model: {', '.join(Origin)}.", show_default=False),
]
Trust = Annotated[
    bool,
    _option(
        "--trust-pickle",
        help="Read the file although it is a pickle: whoever made it can run any code on this machine as you. "
        "Only for files of your own, or of people you trust.",
    ),
]

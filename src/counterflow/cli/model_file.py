"""A model file with its columns, for the commands that use a fitted model."""

import dataclasses
from pathlib import Path
from typing import Any

from ..checkpoint import CheckpointError, load, read_header
from ..model import Model
from .refusal import MODEL, Refusal


@dataclasses.dataclass(frozen=True)
class FittedModel:
    """A loaded model, and what its file says of how it was made."""

    path: Path
    model: Model
    metadata: dict[str, Any]
    header: dict[str, Any]

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns it was fitted to."""
        columns = self.metadata.get("columns")
        return tuple(columns) if columns else None


def load_model(path: Path) -> FittedModel:
    """Read a model of a table.

    Raises:
        Refusal: no such file, an empty one, or not a density without context.
        CheckpointError: truncated, foreign, or written by a newer version.
    """
    if not path.exists():
        raise Refusal(MODEL, f"{path}: no such model file")
    if path.is_dir():
        raise Refusal(MODEL, f"{path} is a folder, expected a model file")
    if path.stat().st_size == 0:
        raise Refusal(MODEL, f"{path} is empty (0 bytes)")
    try:
        header, model = read_header(path), load(path)
    except OSError as error:
        raise Refusal(MODEL, f"{path}: cannot be read ({error.strerror or error})") from None
    if not isinstance(model, Model):
        raise CheckpointError(f"{path} holds a {type(model).__name__}, not a density")
    if model.context_features:
        raise Refusal(MODEL, f"{path} is a density given a context of {model.context_features}, which needs Python")
    return FittedModel(path, model, header.get("metadata") or {}, header)

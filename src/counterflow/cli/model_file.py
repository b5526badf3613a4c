"""A model file for the commands that use a fitted model, refused in the user's words where it is of no use."""

from pathlib import Path

from ..checkpoint import CheckpointError, read_header
from ..conditioners import ContextUnits
from ..spec import SpecError, foreign_paths
from ..tabular import TableModel
from .file_kinds import holds_state, is_saved_by_torch, is_table
from .refusal import MODEL, Refusal


def check_file(path: Path, expected: str) -> None:
    """Refuse a path that holds nothing.

    Raises:
        Refusal: no such file, a folder, or an empty file.
    """
    if not path.exists():
        raise Refusal(MODEL, f"{path}: no such model file")
    if path.is_dir():
        raise Refusal(MODEL, f"{path} is a folder, expected {expected}")
    if path.stat().st_size == 0:
        raise Refusal(MODEL, f"{path} is empty (0 bytes)")


def load_model(path: Path) -> TableModel:
    """Read a model.

    Raises:
        Refusal: no such file, an empty one, or one with a network of the user's own.
        CheckpointError: truncated, foreign, not a density, or written by a newer version.
    """
    check_file(path, "a model file")
    try:
        return TableModel.load(path)
    except CheckpointError:
        kind = _other_kind(path)
        if kind is None:
            raise
        raise Refusal(MODEL, f"{path} is {kind}") from None
    except SpecError:
        foreign = sorted(foreign_paths(read_header(path)["spec"]))
        if not foreign:
            raise
        raise Refusal(
            MODEL,
            f"{path} holds a network that is not part of Counterflow ({', '.join(foreign)}), which no command can "
            "build; use the model in Python: counterflow.load(path, modules=...)",
        ) from None
    except OSError as error:
        raise Refusal(MODEL, f"{path}: cannot be read ({error.strerror or error})") from None


def _other_kind(path: Path) -> str | None:
    """What it is, if it is known to be no model file."""
    if is_table(path):
        return "a table, expected a model file"
    if holds_state(path):
        return "the state of an unfinished training, expected a model file; its command goes on with --resume"
    if is_saved_by_torch(path):
        return "a file of torch.save, expected a model file; `counterflow convert` makes one of some libraries' models"
    return None


def load_table_model(path: Path) -> TableModel:
    """Read a model whose rows and contexts are columns of a table.

    Raises:
        Refusal: as `load_model`, or a context that passes through a network of the user's own.
        CheckpointError: as `load_model`.
    """
    model = load_model(path)
    encoder = model.model.context_encoder
    if encoder is not None and not isinstance(encoder, ContextUnits):
        raise Refusal(
            MODEL,
            f"{path}: the context of this model goes through a {type(encoder).__name__}, so that it is no row of "
            "numbers in a table; use the model in Python: counterflow.load",
        )
    return model

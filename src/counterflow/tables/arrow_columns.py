"""Arrow's columns as NumPy's: what parquet and feather files share."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .choice import FileColumn
from .column_file import Piece
from .extra import optional
from .number_type import type_name
from .source import TableError, reason


@contextlib.contextmanager
def arrow_damage_named(label: str) -> Iterator[None]:
    """Turns what pyarrow raises for a damaged file into a sentence.

    Raises:
        TableError: the file is damaged or cut short, or may not be read.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno:  # what the operating system refused
            raise
        raise TableError(f"{label} is damaged or cut short ({reason(error)})") from None


def file_columns(path: Path, schema: Any) -> list[FileColumn]:
    """The columns of a schema of Arrow's, with the unit that a field's metadata gives under `unit` or `units`."""
    pa = optional("pyarrow", path, "reading this file")
    return [_file_column(pa, field) for field in schema]


def _file_column(pa: Any, field: Any) -> FileColumn:
    metadata = field.metadata or {}
    unit = metadata.get(b"unit", metadata.get(b"units"))
    text = None if unit is None else unit.decode("utf-8", "replace")
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    instead = _instead(pa.types, kind)
    return FileColumn(field.name, None if instead else _numpy_name(pa.types, kind), text, instead)


def _instead(types: Any, kind: Any) -> str | None:
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    if number or types.is_decimal(kind) or types.is_null(kind):
        return None
    words = {
        "text": ("is_string", "is_large_string", "is_string_view"),
        "bytes": ("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary"),
        "dates": ("is_date", "is_timestamp"),
        "times": ("is_time",),
        "time differences": ("is_duration", "is_interval"),
        "nested values": ("is_nested",),
    }
    for word, tests in words.items():
        if any(getattr(types, test)(kind) for test in tests):
            return word
    return f"values of type {kind}"


def _numpy_name(types: Any, kind: Any) -> str | None:
    plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return type_name(np.dtype(kind.to_pandas_dtype())) if plain else "float64"


def piece_of(batch: Any, names: Sequence[str]) -> Piece:
    """The columns of these names in a batch of Arrow's."""
    return [_values(batch.column(batch.schema.get_field_index(name))) for name in names]


def _values(column: Any) -> npt.NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not pa.types.is_integer(column.type):
        column = column.cast(pa.float64())
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if not column.null_count:
        return np.asarray(column.to_numpy(zero_copy_only=False))
    missing = column.is_null().to_numpy(zero_copy_only=False)
    return np.ma.MaskedArray(column.fill_null(0).to_numpy(zero_copy_only=False), missing)

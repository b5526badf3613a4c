"""Tables of numbers in files: read in blocks, checked at the door, written all or nothing."""

from .checks import Gaps, check_trainable, whole_number_columns
from .column_type import ColumnType
from .match import match_columns
from .opening import READABLE, column_names, open_table
from .reading import Table, read_table
from .source import MissingValues, Source, TableError
from .writing import WRITABLE, write_columns, write_table

__all__ = [
    "open_table",
    "column_names",
    "read_table",
    "write_columns",
    "write_table",
    "ColumnType",
    "Table",
    "Source",
    "TableError",
    "MissingValues",
    "Gaps",
    "check_trainable",
    "whole_number_columns",
    "match_columns",
    "READABLE",
    "WRITABLE",
]

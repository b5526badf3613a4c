"""Which columns of a file are those of a model: by name where both have names, else by position."""

from .source import Source, TableError


def match_columns(source: Source, names: tuple[str, ...] | None, columns: int) -> list[int] | None:
    """The order in which to take the file's columns; None if they are in the model's already.

    Raises:
        TableError: a column of the model is missing, one of the file is unknown to it, or their numbers differ.
    """
    if names is None or source.names is None:
        if source.columns != columns:
            raise TableError(f"{source.path} has {_counted(source.columns)}, the model has {columns}")
        return None
    known, there = set(names), {name: i for i, name in enumerate(source.names)}
    missing = [name for name in names if name not in there]
    unknown = [name for name in source.names if name not in known]
    if missing:
        raise TableError(f"{source.path} has no {_listed(missing)}, which the model was fitted to" + _but(unknown))
    if unknown:
        counts = f"{_counted(source.columns)}, the model has {columns}"
        raise TableError(f"{source.path} has {counts}: it does not know {_listed(unknown)}")
    return None if source.names == names else [there[name] for name in names]


def _counted(columns: int) -> str:
    return f"{columns} column{'s' * (columns != 1)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"column{'s' * (len(names) != 1)} {shown}{more}"


def _but(unknown: list[str]) -> str:
    return f" (it has {_listed(unknown)}, unknown to the model)" if unknown else ""

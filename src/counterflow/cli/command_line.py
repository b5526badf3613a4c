"""The running command as words that can be typed again, read off its signature."""

import inspect
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def command_line(
    command: Callable[..., Any], given: Mapping[str, Any], *, without: Iterable[str] = (), add: Iterable[str] = ()
) -> str:
    """The command with every argument that is not its default.

    Args:
        command: A typer command whose parameters are Annotated with their options.
        given: What it was called with.
        without: Parameters to leave out.
        add: Words to append.
    """
    words = ["counterflow", command.__name__]
    for name, parameter in inspect.signature(command).parameters.items():
        value = given[name]
        if name in set(without) or value == parameter.default or value == []:
            continue
        for one in value if isinstance(value, list) else [value]:
            words += _option(parameter.annotation.__metadata__[0])
            if one is not True:
                words.append(str(getattr(one, "value", one)))
    return shlex.join([*words, *add])


def _option(info: Any) -> list[str]:
    """The longest name of an option, nothing for an argument; typer keeps the first name where defaults used to be."""
    names = [name for name in (info.default, *(info.param_decls or ())) if str(name).startswith("-")]
    return [max(names, key=len)] if names else []

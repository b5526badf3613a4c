"""The command line that was given, as words that can be typed again."""

import shlex
from collections.abc import Iterable

import click
from click.core import ParameterSource


def command_line(*, without: Iterable[str] = (), add: str | None = None) -> str:
    """The running command with the arguments that were given.

    Args:
        without: Parameters to leave out, by their Python name.
        add: An option to append.
    """
    context = click.get_current_context()
    words = ["counterflow", context.info_name or ""]
    left_out = set(without)
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not given or name in left_out:
            continue
        value = context.params[name]
        if isinstance(parameter, click.Argument):
            words.append(str(value))
        elif value is True:
            words.append(max(parameter.opts, key=len))
        elif value is not False and value is not None:
            words += [max(parameter.opts, key=len), str(getattr(value, "value", value))]
    return shlex.join(words + ([add] if add else []))

"""Subclasses of a library's modules that compute something else are refused at the door."""

import re

from torch import nn

from .unsupported import Unsupported, named


def refuse_overridden(
    model: nn.Module,
    library: str,
    prefix: str = "",
    *,
    allowed: frozenset[str] = frozenset(),
    kept: str | None = None,
) -> None:
    """Refuse a model with a part whose class overrides a method of the library's class.

    Args:
        model: All its modules are looked at; those of other libraries are left alone.
        library: Its top package.
        prefix: Of the place in messages.
        allowed: Methods that may be overridden, because their values are looked at.
        kept: The name of a module that is not converted, an embedding net.

    Raises:
        Unsupported: with the class, its place and the method.
    """
    for name, part in model.named_modules():
        classes = type(part).__mro__
        theirs = next((cls for cls in classes if cls.__module__.partition(".")[0] == library), None)
        if theirs is None or (kept is not None and name.split(".")[0] == kept):
            continue
        for cls in classes[: classes.index(theirs)]:
            own = {method for method in vars(cls) if callable(getattr(theirs, method, None))}
            changed = sorted(own - {"__init__", "__class__", "extra_repr", "__repr__"} - allowed)
            if changed:
                place = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", f"{prefix}{name}") or "flow"
                raise Unsupported(place, f"a {named(part)}, whose {changed[0]} is not that of {theirs.__name__}")

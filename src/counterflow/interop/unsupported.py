"""The error of a model that cannot be converted: it names the part, and its place."""


class Unsupported(TypeError):
    """A part of a foreign model that has no equal here; nothing is approximated instead.

    Args:
        place: Where the part stands, as one would write it in Python: "transform.transforms[2].base".
        problem: What it is, and why it cannot be converted.
    """

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place


def named(part: object) -> str:
    """The class of a part, with the module it comes from."""
    cls = type(part)
    return f"{cls.__module__}.{cls.__qualname__}"

"""How rows of a table are shown as pictures."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Images:
    """Rows as images of height x width, `limits` the values of paper and of full ink."""

    shape: tuple[int, int]
    limits: tuple[float, float]
    shown: int = 60
    columns: int = 10

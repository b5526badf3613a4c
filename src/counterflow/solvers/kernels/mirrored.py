"""The door of the mirrored recursion: a kernel where there is one, else the recursion in PyTorch."""

import torch
from torch import Tensor

from ...conditioners.program import Scale
from ...conditioners.recursion import Recursion
from ..mirror import Mirror, Rows
from . import kernels_for


def solve_mirrored(
    mirrored: Mirror, rows: Rows, slopes: dict[int, Tensor], *, keep: bool
) -> tuple[Tensor, dict[int, Tensor]]:
    """v of `Rows`, (N, D), and the cotangents of the direct program's steps, (N, units) each, if to be kept."""
    kernels = kernels_for(rows.given)
    if kernels is None:
        return recurse(mirrored, rows, slopes)
    v, kept = kernels.run_mirrored(mirrored, rows, slopes, keep=keep)
    return v, kept


def recurse(mirrored: Mirror, rows: Rows, slopes: dict[int, Tensor]) -> tuple[Tensor, dict[int, Tensor]]:
    """The same in PyTorch, on any device: the reference."""
    program, layout = mirrored
    scales = {place: slopes[s.step] for place, s in enumerate(program.steps) if isinstance(s, Scale)}
    recursion = Recursion(program, layout, len(rows.given), scales)
    v: list[Tensor] = [rows.given[:, 0]] * program.features
    for i in layout.order:
        v[i] = (rows.given[:, i] + recursion.row()[0]) * rows.reciprocal[:, i]
        recursion.push((rows.offset[:, i] - v[i][:, None] * rows.slope[:, i]).t())
    return torch.stack(v, -1), recursion.kept()

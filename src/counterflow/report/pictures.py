"""Rows that are images, in a grid, as PNG."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.image import imsave

Rows = npt.NDArray[np.floating]


def image_grid(rows: Rows, shape: tuple[int, int], columns: int, limits: tuple[float, float]) -> bytes:
    """Rows as images in a grid, one pixel of PNG per pixel, light paper and dark ink, a pixel of paper between."""
    buffer = io.BytesIO()
    imsave(buffer, _tiled(rows, shape, columns, limits), cmap="gray_r", vmin=0, vmax=1, format="png")
    return buffer.getvalue()


def save_images_beside(
    path: Path,
    data: Rows,
    samples: Rows,
    *,
    shape: tuple[int, int],
    limits: tuple[float, float],
    columns: int = 10,
) -> None:
    """A PNG file: images of data left, images drawn from the model right."""
    figure = Figure(figsize=(9, 4.75), layout="constrained", dpi=120)
    for axes, rows, title in zip(figure.subplots(1, 2), (data, samples), ("data", "samples"), strict=True):
        axes.imshow(_tiled(rows, shape, columns, limits), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title)
        axes.set_axis_off()
    figure.savefig(path, format="png")


def _tiled(rows: Rows, shape: tuple[int, int], columns: int, limits: tuple[float, float]) -> Rows:
    height, width = shape
    low, high = limits
    lines = -(-len(rows) // columns)
    paper = np.zeros((lines * (height + 1) + 1, columns * (width + 1) + 1))
    for k, row in enumerate(rows):
        top, left = (k // columns) * (height + 1) + 1, (k % columns) * (width + 1) + 1
        paper[top : top + height, left : left + width] = ((row - low) / (high - low)).reshape(shape).clip(0, 1)
    return paper

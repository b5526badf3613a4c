"""The five real density-estimation sets, preprocessed as in their papers and standardised by training statistics."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DEQUANTISATION_SEED = 0  # one draw of the pixel noise, the same for every library and seed


@dataclass(frozen=True)
class DensityData:
    r"""Standardised rows z = (x - mean) / std, with what brings a score back to the units of x.

    .. math:: \log p(x) = \log p(z) - \sum_i \log std_i

    Attributes:
        name: Name of the set.
        train, validation, test: float32, shape (N, D).
        log_det: sum of -log std_i, nats; add it to log p(z).
    """

    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    log_det: float

    @property
    def features(self) -> int:
        return self.train.shape[1]


def data_folder() -> Path:
    """The folder of the real data: COUNTERFLOW_DATA, else ../shared/data beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("COUNTERFLOW_DATA", default))


def load(name: str) -> DensityData:
    """Read one of `SETS`.

    Raises:
        ValueError: the name is not one of `SETS`.
        FileNotFoundError: the data folder lacks the set.
    """
    if name not in _READERS:
        raise ValueError(f"unknown set {name!r}; there are {', '.join(_READERS)}")
    train, validation, test = _READERS[name](data_folder() / name)
    mean, std = train.mean(0), train.std(0)

    def standardise(x: np.ndarray) -> Tensor:
        return torch.from_numpy(((x - mean) / std).astype(np.float32))

    return DensityData(name, standardise(train), standardise(validation), standardise(test), float(-np.log(std).sum()))


_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def _three_arrays(file: str) -> Callable[[Path], _Arrays]:
    def read(folder: Path) -> _Arrays:
        with np.load(folder / file) as arrays:
            train, validation, test = (arrays[part].astype(np.float64) for part in ("train", "val", "test"))
        return train, validation, test

    return read


def _hepmass(folder: Path) -> _Arrays:
    """No validation part was published with these rows: the last 500 of train serve."""
    with np.load(folder / "hepmass_mini_22.npz") as arrays:
        train, test = (arrays[part].astype(np.float64) for part in ("train", "test"))
    return train[:-500], train[-500:], test


def _bsds300(folder: Path) -> _Arrays:
    """x = (p + U[0, 1)) / 256, minus the mean of the patch, last pixel dropped (Papamakarios et al., 2017)."""
    noise = np.random.default_rng(DEQUANTISATION_SEED)

    def preprocess(pixels: np.ndarray) -> np.ndarray:
        x = (pixels + noise.random(pixels.shape)) / 256
        centred: np.ndarray = x - x.mean(axis=1, keepdims=True)
        return centred[:, :-1]

    with np.load(folder / "bsds300_patches8x8_uint8.npz") as arrays:
        train, validation, test = (preprocess(arrays[part]) for part in ("train", "val", "test"))
    return train, validation, test


_READERS: dict[str, Callable[[Path], _Arrays]] = {
    "maf_power_mini": _three_arrays("power_maf_style_48k.npz"),
    "maf_gas_mini": _three_arrays("gas_mini.npz"),
    "maf_hepmass_mini": _hepmass,
    "maf_miniboone": _three_arrays("miniboone40_maf_rows.npz"),
    "bsds300": _bsds300,
}
SETS = tuple(_READERS)

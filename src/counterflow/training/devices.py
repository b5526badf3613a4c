"""Where a run happens: the Fabric of one device or of several processes."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:  # two seconds to import: loaded by the first run
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Devices:
    """What ``fit`` was told about hardware.

    Args:
        accelerator: A name of Fabric's, "cpu", "cuda", "mps", "auto"; None stays where the parameters are.
        devices: Number of processes, one device each.
    """

    accelerator: str | None = None
    devices: int = 1

    def __post_init__(self) -> None:
        if self.devices < 1:
            raise ValueError(f"expected at least 1 device, got {self.devices}")


def make_fabric(wanted: Devices, module: nn.Module) -> Fabric:
    """The Fabric for ``wanted``; with several devices still to be launched."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.precision import Precision

    device = next(module.parameters()).device
    accelerator = device.type if wanted.accelerator is None else wanted.accelerator
    # The base class of Fabric's precisions casts nothing: rows, parameters and the loss stay as they are.
    plugins: list[Any] = [Precision()]
    arguments: dict[str, Any] = {"accelerator": accelerator, "devices": wanted.devices, "plugins": plugins}
    if wanted.devices == 1:
        if wanted.accelerator is None and device.type == "cuda":
            arguments["devices"] = [device.index]
        # One process is one process, also inside a SLURM allocation of many tasks, which Fabric would detect.
        plugins.append(LightningEnvironment())
    else:
        # Under torchrun the processes exist; otherwise they are spawned, which works in notebooks and tests too.
        arguments["strategy"] = "ddp" if "TORCHELASTIC_RUN_ID" in os.environ else "ddp_spawn"
    with quiet():
        return Fabric(**arguments)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, Fabric's advice on hardware is not shown."""
    loggers = [logging.getLogger(name) for name in ("lightning_fabric", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning_fabric\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

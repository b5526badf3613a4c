"""Whether a machine can hold a table and the training of a model of it, asked before either is tried."""

from pathlib import Path

from ..tables import TableError
from ..tabular.memory import physical_bytes, training_bytes
from ..tabular.presets import Preset


def check_size(path: Path, rows: int | None, preset: Preset, columns: int, context: int) -> None:
    """Refuse what takes more memory than there is.

    Raises:
        TableError: how much it would take, how much there is, and what to do.
    """
    there = physical_bytes()
    if there is None:
        return
    model = training_bytes(preset, columns, context, 0)
    everything = training_bytes(preset, columns, context, rows or 0)
    if everything <= there:
        return
    counted = f"{columns + context:,} column{'s' * (columns + context != 1)}"
    if model > there / 2:
        raise TableError(
            f"{path} has {counted}: training a {preset.value} model of them takes about "
            f"{_gib(everything)} of memory, this machine has {_gib(there)}; choose fewer with --columns, "
            "or another --model"
        )
    raise TableError(
        f"{path} has {rows:,} rows: fitting to {counted} of them takes about {_gib(everything)} of "
        f"memory, this machine has {_gib(there)}; choose fewer with --columns, or fit to a part of the rows"
    )


def _gib(amount: float) -> str:
    gib = amount / 2**30
    return f"{gib:,.0f} GiB" if gib >= 100 else f"{gib:.1f} GiB"

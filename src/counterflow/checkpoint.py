"""Checkpoints: a model as one safetensors file, its structure as JSON in the header. Nothing in it is ever executed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import models, one_order  # noqa: F401  every class that a file may name is registered by what these import
from .files import replacing
from .spec import SpecError, build, foreign_paths, spec_of

FORMAT = 1
_KEY = "counterflow"


class CheckpointError(ValueError):
    """A file that is not a checkpoint of ours, is damaged, or was written by a newer version."""


def save(path: str | os.PathLike[str], model: nn.Module, *, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a model: its spec, its parameters and buffers, and any JSON metadata.

    The file is complete under its final name or not there at all: it is written beside it and renamed.

    Args:
        path: Where to; an existing file is replaced.
        model: Any registered module of ours; foreign modules inside it are named, and only their weights are written.
        metadata: JSON values of the user's own: column names, scores, the command.

    Raises:
        SpecError: the model, or a part of it, cannot be written as a spec.
        FileNotFoundError: the folder does not exist.
    """
    from safetensors.torch import save as to_bytes

    spec = spec_of(model)
    if not isinstance(spec, dict) or "type" not in spec:
        raise SpecError(f"a {type(model).__name__} is not a class of Counterflow: save a Flow, or register its class")
    header = {"format": FORMAT, "torch": torch.__version__, "spec": spec, "metadata": dict(metadata or {})}
    # Clones: tied parameters would otherwise share storage, which the format refuses.
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in model.state_dict().items()}
    dtype = next((t.dtype for t in tensors.values() if t.is_floating_point()), torch.get_default_dtype())
    header["dtype"] = str(dtype).removeprefix("torch.")
    content = to_bytes(tensors, {_KEY: json.dumps(header)})
    with replacing(Path(path)) as partial:
        partial.write_bytes(content)


def load(
    path: str | os.PathLike[str], device: str | torch.device = "cpu", modules: Mapping[str, nn.Module] | None = None
) -> Any:
    """Read a model back, in evaluation mode.

    Args:
        path: A file that `save` wrote.
        device: Where to put it.
        modules: Foreign modules by the place that the error message names, e.g. {"context_encoder": net}; their
            weights are read from the file.

    Returns:
        The model.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: truncated, foreign, or written by a newer version.
        SpecError: it holds a foreign module that was not given, or none where one was.
    """
    header, tensors = _read(path)
    try:
        with torch.random.fork_rng(devices=[]):  # starting weights are drawn, and then replaced by those of the file
            model: nn.Module = build(header["spec"], modules)
    except SpecError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the model cannot be built: {error}") from error
    surplus = set(modules or {}) - foreign_paths(header["spec"])
    if surplus:
        raise SpecError(f"{path}: this model has no foreign module at {sorted(surplus)}")
    try:
        model.to(getattr(torch, header["dtype"]))
        model.load_state_dict(tensors)
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path}: the weights do not fit the model: {error}") from error
    return model.to(device).eval()


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a checkpoint says of itself (format, spec, dtype, the user's metadata), without building the model.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: truncated, foreign, or written by a newer version.
    """
    return _read(path)[0]


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            raw = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()} if raw else {}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a readable checkpoint, or truncated ({error})") from error
    if raw is None:
        raise CheckpointError(f"{path}: a safetensors file, but not written by Counterflow")
    try:
        header: dict[str, Any] = json.loads(raw)
        version = int(header["format"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its header is damaged ({error})") from error
    if version > FORMAT:
        raise CheckpointError(
            f"{path}: written in format {version} by a newer version of Counterflow (this one reads up to {FORMAT})"
        )
    return header, tensors

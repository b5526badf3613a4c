"""Training states as files: nested values as one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save, save_file
from torch import Tensor

from ..files import replacing

FORMAT = "counterflow.training"
VERSION = 1


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Store a tree of dicts, lists, tuples, numbers, strings and tensors under ``path``.

    Tensors are copied one by one, so that views and shared storage survive; transposed ones stay transposed.

    Raises:
        TypeError: The tree holds something that JSON and tensors cannot express.
        FileNotFoundError: The folder does not exist.
    """
    tensors: dict[str, Tensor] = {}
    document = _encoded(state, "", tensors)
    metadata = {FORMAT: json.dumps({"version": VERSION, "state": document})}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata=metadata)


def read_state(path: Path) -> dict[str, Any]:
    """The tree that ``write_state`` stored, its tensors on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is truncated, foreign, or written by a newer version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no training checkpoint {path} to resume from")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or no safetensors file ({error})") from error
    if FORMAT not in metadata:
        raise ValueError(f"{path} is a safetensors file, but holds no state of a training run")
    document = json.loads(metadata[FORMAT])
    if document["version"] > VERSION:
        raise ValueError(f"{path} has format {document['version']}, this version reads up to {VERSION}: upgrade")
    state: dict[str, Any] = _decoded(document["state"], tensors)
    return state


def _encoded(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": [name, list(torch.empty_like(value, device="meta").stride())]}
    if isinstance(value, dict):
        # Pairs, since JSON would turn the whole numbers that optimisers use as keys into strings.
        return {"dict": [[key, _encoded(item, f"{name}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [_encoded(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot store a {type(value).__name__} (at {name}) in a checkpoint")


def _decoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        # The layout comes back too: fused optimisers pair a parameter and its moments by their place in memory.
        name, stride = content
        return torch.empty_strided(tensors[name].shape, stride, dtype=tensors[name].dtype).copy_(tensors[name])
    if kind == "dict":
        return {key: _decoded(item, tensors) for key, item in content}
    items = [_decoded(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The global streams that a loss may draw from: the CPU's, and the device's if it is a CUDA one."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Put those streams back where they were."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def tensors_to_bytes(tensors: dict[str, Tensor]) -> bytes:
    """Named tensors as bytes, which outlive the process that made them."""
    return save({name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()})


def tensors_from_bytes(content: bytes) -> dict[str, Tensor]:
    """The inverse of ``tensors_to_bytes``."""
    return load(content)

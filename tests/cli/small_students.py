"""The smallest distillation that teaches anything, and what tests read off the file that it writes."""

import torch

import counterflow as cf

TINY = ["--hidden", "8", "--batch-size", "16", "--draws", "60"]
SHORT = [*TINY, "--start-steps", "6", "--steps", "4"]
GIVEN = ["given.safetensors", "--data", "events.parquet"]


def facts(path: str) -> dict[str, object]:
    return cf.read_header(path)["metadata"]


def weights(path: str) -> dict[str, torch.Tensor]:
    return cf.load(path).state_dict()
